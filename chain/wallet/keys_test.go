package wallet

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/blinklabs-io/bursa"
	"github.com/blinklabs-io/bursa/bip32"
	"github.com/btcsuite/btcd/btcutil/bech32"

	"github.com/tallycompute/tally/chain/chaintest"
)

// shelleyVectors are from cardano-addresses' tests (IntersectMBO/cardano-addresses,
// test/Cardano/Address/Style/ShelleySpec.hs): words, the key of account 1, and the addresses of payment keys 0, 1 and
// 1442 of account 0 with its stake key. Their prefix does not follow their network, so only the hashes are compared.
var shelleyVectors = []struct{ words, account1, at0, at1, at1442 string }{
	{
		"test walk nut penalty hip pave soap entry language right filter choice",
		"acct_xprv1ppjrs9d7yh6qzmzng34nyh5ysx4uzewz09ndyjudgep0x6lp530vzh0gmwrt53p3h55l8ect5cw95ejpgj667eawewrcmrf2ajda4mzxlzpf2w63cwazlp9226pr4m6s35lawkmrqv8gf8ycl0ernjf69vpufpq7",
		"addr1qz2fxv2umyhttkxyxp8x0dlpdt3k6cwng5pxj3jhsydzer3jcu5d8ps7zex2k2xt3uqxgjqnnj83ws8lhrn648jjxtwqcyl47r",
		"addr1qz7svwszky8gcmhrfza7a89z9u0dfzd3l7h23sqlc5yml7ejcu5d8ps7zex2k2xt3uqxgjqnnj83ws8lhrn648jjxtwq2qhtad",
		"addr1qrlrt7d6ssjdr6kjykk5xtvcwdhysw3455ukq58mlakmwtpjcu5d8ps7zex2k2xt3uqxgjqnnj83ws8lhrn648jjxtwq9z8tqw",
	}, {
		"art forum devote street sure rather head chuckle guard poverty release quote oak craft enemy",
		"acct_xprv1jpfm7zhl6cwr4gkeuhtau603xv898ydam77d7c64xatjcptmm9wr5sn95u3a9vudl08q9lwzl4qltal70ddl9qvl3nhcmjkxlan652vgppy8uf42h4y279nxfazumh0hd8hdhkdrlp06qcwe6t69qt236qkr8sxx",
		"addr1qpu5vlrf4xkxv2qpwngf6cjhtw542ayty80v8dyr49rf5ewvxwdrt70qlcpeeagscasafhffqsxy36t90ldv06wqrk2qwmnp2v",
		"addr1qq0a2lgc2e0r597dr983jrf5ns4hxz027u8n7wlcsjcw4kkvxwdrt70qlcpeeagscasafhffqsxy36t90ldv06wqrk2qedz464",
		"addr1qz8jwared5z7jpcx3znrm70cc7lmhm05g09d94pvvr4mhlkvxwdrt70qlcpeeagscasafhffqsxy36t90ldv06wqrk2qnz7lay",
	}, {
		"churn shaft spoon second erode useless thrive burst group seed element sign scrub buffalo jelly grace neck useless",
		"acct_xprv1uq5jz089v7pjc76lqcac9lkl9d8fntc53h00ajlhr7msm8sksa0xljllgc5c2n5ruklwnkauxvlxsmcwat223rakj5dmfz2j9xxzvmpcqc0z9ekuywfhkm8w4k507caj4rv4qjhmnhafs8tkmsx6vtstdujluhmn",
		"addr1qptvyjfjvs7wdn583rv3th3fvf9fauv5f6gylkhh5k245zuv4te5ey3ksjyq3z0cq8k8pu57rek4qsvpxkc7gyzcnu5qsrl8hh",
		"addr1qr3nq3kyg9c9t4nn6a5zymz3at3zsmcr9lkqxghxh5v822vv4te5ey3ksjyq3z0cq8k8pu57rek4qsvpxkc7gyzcnu5qcp7mll",
		"addr1qpdgf8g4dhpmhqwpy2u6nvtmarxczj3qmszc3rhgwpw2tvyv4te5ey3ksjyq3z0cq8k8pu57rek4qsvpxkc7gyzcnu5qaglc39",
	}, {
		"draft ability female child jump maid roof hurt below live topple paper exclude ordinary coach churn sunset emerge blame ketchup much",
		"acct_xprv1rrd6a79s9gktygfmp4gxhme3jxvnxazk45u2twrwfnfg2c733dg323eaegqrxe7lt0zepz3aq3ydgdse8vjs7qks4c4yh0q39pdf4fsv4ql5tv5tny3mxzn20r792nl9nk904y0ztqgclyxuxzl56p6fsyg34zms",
		"addr1qz83dnlqqtdrlct4kz3f7d07d59w6p4yrtlr62340yklhaxcd4azvtus2m6m3q409pnflcurpnkz3gnxf4ef47ducezs98le8k",
		"addr1qzr08acccp7s3l9cppvptz7jyflejkkuma2k06vx4vjrcqkcd4azvtus2m6m3q409pnflcurpnkz3gnxf4ef47ducezshqh0c2",
		"addr1qz54amjcp4yxynrj877j4nk0umg5w0rf9t5lz3rfprxwjnkcd4azvtus2m6m3q409pnflcurpnkz3gnxf4ef47ducezsezmpfr",
	}, {
		"excess behave track soul table wear ocean cash stay nature item turtle palm soccer lunch horror start stumble month panic right must lock dress",
		"acct_xprv13p9klhdduza8djyvfvwkvz92hnq4sa372kaz60j2a7fjgzg33azlmcm0zv26uldtrl7war6l2cm5ynkplnfqtuylmp52kt9j5yy3ck5vxvhqkh9g2xmgnxqay9l58pe683ey4c4tpxq27j75t9wuar224u6fs3jq",
		"addr1qqy6nhfyks7wdu3dudslys37v252w2nwhv0fw2nfawemmn8k8ttq8f3gag0h89aepvx3xf69g0l9pf80tqv7cve0l33su9wxrs",
		"addr1qrhvwtn8sa3duzkm93v5kjjxlv5lvg67j530wyeumngu23lk8ttq8f3gag0h89aepvx3xf69g0l9pf80tqv7cve0l33s8snpj4",
		"addr1qz3ca0p33mpqf7gtguf50u34tyu6e60yqvs9hzlv8ehl08hk8ttq8f3gag0h89aepvx3xf69g0l9pf80tqv7cve0l33sa4jlz7",
	},
}

func fromBech32(t *testing.T, s string) []byte {
	t.Helper()
	_, data, err := bech32.DecodeNoLimit(s)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bech32.ConvertBits(data, 5, 8, false)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAccounts(t *testing.T) {
	for _, v := range shelleyVectors {
		for index, want := range map[uint32]string{0: v.at0, 1: v.at1, 1442: v.at1442} {
			w, err := New(Secret{Mnemonic: v.words, Index: index}, chaintest.Network())
			if err != nil {
				t.Fatal(err)
			}
			if got := w.Address().Bytes()[1:]; !bytes.Equal(got, fromBech32(t, want)[1:]) {
				t.Errorf("%d words, index %d: %x, want %s", len(strings.Fields(v.words)), index, got, want)
			}
		}
		account1 := bip32.XPrv(fromBech32(t, v.account1))
		want, err := bursa.GetPaymentKey(account1, 7)
		if err != nil {
			t.Fatal(err)
		}
		stake, err := bursa.GetStakeKey(account1, 0)
		if err != nil {
			t.Fatal(err)
		}
		s := Secret{Mnemonic: v.words, Account: 1, Index: 7}
		if p, q, err := s.keys(); err != nil || !bytes.Equal(p.vkey(), want.PublicKey()) || !bytes.Equal(q.vkey(), stake.PublicKey()) {
			t.Errorf("%d words, account 1: other keys: %v", len(strings.Fields(v.words)), err)
		}
		if path, ok := s.Path(); path != "m/1852'/1815'/1'/0/7" || !ok {
			t.Error(path)
		}
	}
	if _, err := New(Secret{Mnemonic: words12, Index: 1 << 31}, chaintest.Network()); !errors.Is(err, ErrSecret) {
		t.Errorf("an index out of range: %v", err)
	}
}

// TestMasterKey uses CIP-3's vectors (CIP-0003/Icarus.md), the second with a passphrase.
func TestMasterKey(t *testing.T) {
	const words = "eight country switch draw meat scout mystery blade tip drift useless good keep usage title"
	for password, master := range map[string]string{
		"":    "c065afd2832cd8b087c4d9ab7011f481ee1e0721e78ea5dd609f3ab3f156d245d176bd8fd4ec60b4731c3918a2a72a0226c0cd119ec35b47e4d55884667f552a23f7fdcd4a10c6cd2c7393ac61d877873e248f417634aa3d812af327ffe9d620",
		"foo": "70531039904019351e1afb361cd1b312a4d0565d4ff9f8062d38acf4b15cce41d7b5738d9c893feea55512a3004acb0d222c35d3e3d5cde943a15a9824cbac59443cf67e589614076ba01e354b1a432e0e6db3b59e37fc56b5fb0222970a010e",
	} {
		root, err := hex.DecodeString(master)
		if err != nil {
			t.Fatal(err)
		}
		account, err := bursa.GetAccountKey(root, 0)
		if err != nil {
			t.Fatal(err)
		}
		want, err := bursa.GetPaymentKey(account, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := Secret{Mnemonic: words, Password: password}.keys()
		if err != nil || !bytes.Equal(got.vkey(), want.PublicKey()) {
			t.Errorf("passphrase %q: another key: %v", password, err)
		}
	}
}

func TestMnemonic(t *testing.T) {
	seen := map[string]bool{}
	for _, n := range []int{12, 15, 18, 21, 24} {
		for range 5 {
			m, err := NewMnemonic(n)
			if err != nil || len(strings.Fields(m)) != n || seen[m] {
				t.Fatalf("%d words: %v, seen before: %v", n, err, seen[m])
			}
			seen[m] = true
			if got, err := Mnemonic("  " + strings.ToUpper(strings.ReplaceAll(m, " ", "\n\t")) + "\n"); got != m || err != nil {
				t.Errorf("typed otherwise: %v", err)
			}
		}
	}
	for _, n := range []int{0, 9, 11, 13, 25} {
		if _, err := NewMnemonic(n); !errors.Is(err, ErrSecret) {
			t.Errorf("%d words: %v", n, err)
		}
	}
	swapped := strings.Replace(words12, "test walk", "walk test", 1)
	for typed, says := range map[string]string{
		"":                                   "a mnemonic of 0 words",
		words12 + " zoo":                     "13 words",
		strings.TrimPrefix(words12, "test "): "11 words",
		swapped:                              "checksum",
		strings.Replace(words12, "hip", "hpi", 1):                        `word 5 of the mnemonic, "hpi", is not one of BIP-39's; did you mean hip?`,
		strings.Replace(words12, "penalty", "penlty", 1):                 "did you mean penalty?",
		strings.Replace(words12, "choice", "choise", 1):                  `word 12 of the mnemonic, "choise"`,
		strings.Replace(words12, "choice", strings.Repeat("x", 9000), 1): "word 12",
		strings.Replace(words12, "walk", "wälk", 1):                      "did you mean walk",
	} {
		_, err := Mnemonic(typed)
		if !errors.Is(err, ErrSecret) || !strings.Contains(err.Error(), says) {
			t.Errorf("%.80q: %v, want %q", typed, err, says)
		}
		if len(err.Error()) > 250 || strings.Contains(err.Error(), "filter") || strings.Contains(err.Error(), "language") {
			t.Errorf("too much of the words: %v", err)
		}
	}
}

// TestNeverLogged: nothing that is printed or logged of a wallet or a secret gives them away.
func TestNeverLogged(t *testing.T) {
	s := Secret{Mnemonic: words24, Password: "a second factor"}
	w, err := New(s, chaintest.Network())
	if err != nil {
		t.Fatal(err)
	}
	files, err := s.KeyFiles()
	if err != nil {
		t.Fatal(err)
	}
	imported := Secret{PaymentKey: w.payment.private(), StakeKey: w.stake.private()}
	var said bytes.Buffer
	for _, x := range []any{s, &s, imported, w, []any{w, s}, map[string]any{"secret": s, "wallet": w}} {
		fmt.Fprintf(&said, "%v %+v %#v %s\n", x, x, x, x)
		for _, h := range []slog.Handler{slog.NewTextHandler(&said, nil), slog.NewJSONHandler(&said, nil)} {
			if _, inside := x.([]any); !inside {
				slog.New(h).Info("said", "what", x)
			}
		}
	}
	_, bad := readKey([]byte(strings.Replace(`{"type":"X","cborHex":"`+files["payment.skey"].CBORHex+`"}`, "5880", "5881", 1)), "Payment")
	fmt.Fprintln(&said, bad)
	private := files["payment.skey"].CBORHex
	for _, secret := range []string{"behave", "second factor", private[4:68], private[68:132], fmt.Sprint([]byte(w.payment.private())[:8]), files["stake.skey"].CBORHex[4:68]} {
		if strings.Contains(said.String(), strings.Trim(secret, "[]")) {
			t.Errorf("it says %q:\n%s", secret, said.String())
		}
	}
}
