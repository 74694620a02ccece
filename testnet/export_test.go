package testnet

// FaucetScript is the policy of a faucet's NTX.
func FaucetScript(f *Faucet) []byte {
	_, script, err := TestNTX(f.wallet.PaymentKey())
	if err != nil {
		panic(err)
	}
	return script
}

// ShareOf is what one shard cost each side.
var ShareOf = shareOf

// Run starts any program as the participant's process.
func (p *Participant) Run(s Spec) error { return p.run(s) }
