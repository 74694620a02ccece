package testnet

// FaucetScript is the policy of a faucet's NTX.
func FaucetScript(f *Faucet) []byte { return f.script }
