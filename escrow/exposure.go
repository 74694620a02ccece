package escrow

// Exposure is what is at stake in lots that have not ended, in µNTX. To a provider the prices are unpaid work, and those
// in open lots are lost if it does not commit in time; to a requester they are locked, and those in open lots unworked.
type Exposure struct {
	PricesUNTX   uint64 `json:"prices_untx"`
	OpenUNTX     uint64 `json:"open_untx"`     // of the prices, in lots without a committed result, sliced ones too
	BondsUNTX    uint64 `json:"bonds_untx"`    // the providers'
	DisputesUNTX uint64 `json:"disputes_untx"` // dispute bonds, the requesters'
	AtRiskUNTX   uint64 `json:"at_risk_untx"`  // the most that verdicts could take of the providers' stakes
}

// ExposureOf adds up lots; final ones count for nothing.
func ExposureOf(lots ...Lot) (e Exposure) {
	for _, l := range lots {
		if l.Status.Final() || l.Status == Absent {
			continue
		}
		e.PricesUNTX += l.PriceUNTX
		e.BondsUNTX += l.BondUNTX
		e.AtRiskUNTX += l.Terms.Disputes.AtRiskUNTX
		switch l.Status {
		case Open, Sliced:
			e.OpenUNTX += l.PriceUNTX
		case Disputed:
			e.DisputesUNTX += l.Terms.Disputes.BondUNTX
		}
	}
	return e
}
