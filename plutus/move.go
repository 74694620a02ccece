package plutus

import (
	"fmt"
	"slices"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
)

// The transitions of slices.
const (
	KindSettle   Kind = "settle"
	KindStart    Kind = "start"
	KindLeave    Kind = "leave"
	KindFinish   Kind = "finish"
	KindDissolve Kind = "dissolve"
)

// moves lists the transitions of slices by their constructor in validators/slices.ak.
func moves() []Kind {
	return []Kind{KindSettle, KindStart, KindLeave, KindFinish, KindDissolve}
}

// Move is a redeemer of the slices' policy.
type Move struct {
	Kind    Kind
	Terms   Terms    // all but Settle
	Jobs    []Terms  // Settle: of each job whose slices come, in the order of the inputs
	Lists   [][]byte // Start: one for each slice; Leave, Finish, Dissolve: the slice's
	Leavers []Leaver // Leave: in ascending order of indices
}

// Leaver is a provider that leaves a slice.
type Leaver struct {
	Index int      // of its share
	Root  [32]byte // of its result; zero: it leaves without
}

// Encode writes the redeemer as Plutus Data.
func (m Move) Encode() ([]byte, error) {
	tag := slices.Index(moves(), m.Kind)
	if m.Kind == KindSettle {
		return m.encodeSettle(uint(tag))
	}
	t, err := m.Terms.Pack()
	if err != nil {
		return nil, err
	}
	f := []data.PlutusData{data.NewByteString(t)}
	switch {
	case tag < 0 || m.Kind != KindStart && len(m.Lists) != 1:
		return nil, fmt.Errorf("transition %q with %d lists: %w", m.Kind, len(m.Lists), ErrRedeemer)
	case m.Kind == KindStart:
		var lists []data.PlutusData
		for _, l := range m.Lists {
			lists = append(lists, data.NewByteString(l))
		}
		f = append(f, data.NewList(lists...))
	default:
		f = append(f, data.NewByteString(m.Lists[0]))
	}
	if m.Kind == KindLeave {
		var leavers []data.PlutusData
		for _, l := range m.Leavers {
			root := l.Root[:]
			if l.Root == ([32]byte{}) {
				root = nil
			}
			leavers = append(leavers, data.NewConstr(0, integer(uint64(l.Index)), data.NewByteString(root)))
		}
		f = append(f, data.NewList(leavers...))
	}
	return chain.EncodeData(data.NewConstr(uint(tag), f...))
}

func (m Move) encodeSettle(tag uint) ([]byte, error) {
	var jobs []data.PlutusData
	for _, j := range m.Jobs {
		t, err := j.Pack()
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, data.NewByteString(t))
	}
	return chain.EncodeData(data.NewConstr(tag, data.NewList(jobs...)))
}

// maxList bounds a packed list in bytes.
const maxList = MaxShares * 64

// DecodeMove reads a redeemer of the slices' policy.
func DecodeMove(b []byte, n chain.Network) (Move, error) {
	bad := func(why string) (Move, error) { return Move{}, fmt.Errorf("%s: %w", why, ErrRedeemer) }
	if len(b) > maxRedeemer {
		return bad("a redeemer as long as a transaction")
	}
	d, err := chain.DecodeData(b)
	if err != nil {
		return Move{}, fmt.Errorf("%w: %w", err, ErrRedeemer)
	}
	c, ok := d.(*data.Constr)
	if !ok || c.Tag >= uint(len(moves())) {
		return bad("of no transition")
	}
	m := Move{Kind: moves()[c.Tag]}
	want := map[Kind]int{KindSettle: 1, KindLeave: 3}[m.Kind]
	if want == 0 {
		want = 2
	}
	if len(c.Fields) != want {
		return bad("with other fields than its kind has")
	}
	if m.Kind == KindSettle {
		m.Jobs, err = readJobs(c.Fields[0], n)
		return m, err
	}
	if m.Terms, err = readTerms(c.Fields[0], n); err != nil {
		return Move{}, err
	}
	switch m.Kind {
	case KindStart:
		lists, ok := c.Fields[1].(*data.List)
		if !ok || len(lists.Items) == 0 {
			return bad("a start without lists")
		}
		for _, l := range lists.Items {
			if err := m.addList(l); err != nil {
				return Move{}, err
			}
		}
	default:
		if err := m.addList(c.Fields[1]); err != nil {
			return Move{}, err
		}
	}
	if m.Kind == KindLeave {
		m.Leavers, err = readLeavers(c.Fields[2])
	}
	return m, err
}

func (m *Move) addList(d data.PlutusData) error {
	b, ok := d.(*data.ByteString)
	if !ok || len(b.Inner) > maxList {
		return fmt.Errorf("a list of shares: %w", ErrRedeemer)
	}
	m.Lists = append(m.Lists, slices.Clone(b.Inner))
	return nil
}

func readJobs(d data.PlutusData, n chain.Network) (all []Terms, err error) {
	list, ok := d.(*data.List)
	if !ok {
		return nil, fmt.Errorf("no list of jobs: %w", ErrRedeemer)
	}
	for _, item := range list.Items {
		t, err := readTerms(item, n)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

func readLeavers(d data.PlutusData) (all []Leaver, err error) {
	bad := fmt.Errorf("a list of leavers: %w", ErrRedeemer)
	list, ok := d.(*data.List)
	if !ok || len(list.Items) == 0 || len(list.Items) > MaxShares {
		return nil, bad
	}
	for _, item := range list.Items {
		f, ok := fields(item, 0, 2)
		if !ok {
			return nil, bad
		}
		i, ok := readUint(f[0])
		if !ok || i >= MaxShares {
			return nil, bad
		}
		l := Leaver{Index: int(i)}
		if _, none := readBytes(f[1], 0); !none {
			root, ok := readBytes(f[1], len(l.Root))
			if !ok || [32]byte(root) == ([32]byte{}) {
				return nil, bad
			}
			l.Root = [32]byte(root)
		}
		all = append(all, l)
	}
	return all, nil
}
