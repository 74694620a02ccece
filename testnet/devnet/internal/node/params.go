package node

// Mainnet's protocol parameters as of protocol version 10, where they bear on a transaction. Public sources: the
// mainnet Shelley, Alonzo and Conway genesis files, and the parameter updates enacted since, published in
// IntersectMBO/governance-actions:
//   - mainnet/2024-11-04-ppu: the Plutus V3 cost model grows from 251 to 297 values (CIP-0122, CIP-0123, CIP-0127);
//   - mainnet/2026-01-12-ppu-part1: 16.5 M memory units a transaction, 72 M a block.
//
// Parameters that concern staking rewards and governance are those of dingo's embedded devnet: they never meet a
// transaction of ours.
const (
	mainnetMagic = 764824073

	minFeeA          = 44
	minFeeB          = 155381
	maxTxSize        = 16384
	maxBlockBodySize = 90112
	keyDeposit       = 2_000_000
	poolDeposit      = 500_000_000

	maxValueSize         = 5000
	collateralPercentage = 150
	maxCollateralInputs  = 3
	lovelacePerUTxOWord  = 34482 // Babbage on: 34482/8 = 4310 lovelace per byte

	maxTxMem      = 16_500_000
	maxTxSteps    = 10_000_000_000
	maxBlockMem   = 72_000_000
	maxBlockSteps = 20_000_000_000

	minFeeRefScriptCostPerByte = 15
)

// Prices of execution units: 577/10,000 lovelace a memory unit, 721/10,000,000 a step.
const (
	priceMem   = 0.0577
	priceSteps = 0.0000721
)

// plutusV3Bitwise are the 46 values that mainnet's update of 2024-11-04 appends to the 251 of the Conway genesis, in the
// order of the Plutus ledger API's V3 parameter names.
var plutusV3Bitwise = [46]int64{
	100181, 726, 719, 0, 1, // andByteString
	100181, 726, 719, 0, 1, // orByteString
	100181, 726, 719, 0, 1, // xorByteString
	107878, 680, 0, 1, // complementByteString
	95336, 1, // readBit
	281145, 18848, 0, 1, // writeBits
	180194, 159, 1, 1, // replicateByte
	158519, 8942, 0, 1, // shiftByteString
	159378, 8813, 0, 1, // rotateByteString
	107490, 3298, 1, // countSetBits
	106057, 655, 1, // findFirstSetBit
	1964219, 24520, 3, // ripemd_160
}
