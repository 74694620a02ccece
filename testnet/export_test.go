package testnet

// FaucetScript is the policy of a faucet's NTX.
func FaucetScript(f *Faucet) []byte { return f.script }

// ShareOf is what one shard cost each side.
var ShareOf = shareOf
