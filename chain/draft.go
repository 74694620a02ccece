package chain

// Input is an output to spend. Redeemer is Plutus Data (CBOR) for a script's output, nil for a key's.
type Input struct {
	UTxO
	Redeemer []byte
}

// Mint is what one policy mints (positive) and burns (negative), by asset name (raw bytes).
type Mint struct {
	Policy   ScriptHash
	Assets   map[string]int64
	Redeemer []byte // Plutus Data, CBOR
}

// Draft says what a transaction must do, without the coins that pay for it: Balance adds those. The same draft,
// coins and parameters give the same bytes.
type Draft struct {
	Inputs     []Input
	References []UTxO   // reference inputs
	Outputs    []Output // in this order, before change; a Coin of 0 is raised to the minimum
	Mint       []Mint
	Signers    []KeyHash // required signers (body field 14)
	From       Slot      // first slot in which it is valid
	Until      Slot      // first slot in which it no longer is; both bounds are always set
	Scripts    [][]byte  // Plutus V3 scripts to attach; those found in References need not be
	Message    []string  // CIP-20 message lines, each at most 64 bytes; nil: no metadata
}
