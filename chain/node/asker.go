package node

import (
	"errors"
	"fmt"

	ouroboros "github.com/blinklabs-io/gouroboros"
	gcbor "github.com/blinklabs-io/gouroboros/cbor"
	"github.com/blinklabs-io/gouroboros/protocol"
	"github.com/blinklabs-io/gouroboros/protocol/localstatequery"
	"github.com/fxamacker/cbor/v2"

	"github.com/tallycompute/tally/chain"
)

// asker is the client's side of the mini-protocol local state query. The library has one that decodes the answers too, in
// the forms it knows; nodes of other versions write some of them otherwise (see answers.go), so ours hands out their bytes.
type asker struct {
	proto   *protocol.Protocol
	answers chan protocol.Message // the protocol lets the node send one for each of our messages
	errs    chan error
}

// startAsker begins the protocol on a connection whose protocols were not started by themselves.
func startAsker(conn *ouroboros.Connection) *asker {
	a := &asker{answers: make(chan protocol.Message, 1), errs: make(chan error, 1)}
	a.proto = protocol.New(protocol.ProtocolConfig{
		Name:       localstatequery.ProtocolName,
		ProtocolId: localstatequery.ProtocolId,
		Muxer:      conn.Muxer(),
		ErrorChan:  a.errs,
		Mode:       protocol.ProtocolModeNodeToClient,
		Role:       protocol.ProtocolRoleClient,
		MessageHandlerFunc: func(m protocol.Message) error {
			a.answers <- m
			return nil
		},
		MessageFromCborFunc: message,
		StateMap:            localstatequery.StateMap,
		InitialState:        protocol.NewState(1, "Idle"),
	})
	a.proto.Start()
	return a
}

// message decodes what a node may send.
func message(kind uint, raw []byte) (protocol.Message, error) {
	switch kind {
	case localstatequery.MessageTypeAcquired, localstatequery.MessageTypeFailure, localstatequery.MessageTypeResult:
		return localstatequery.NewMsgFromCbor(kind, raw)
	}
	return nil, fmt.Errorf("message of kind %d: %w", kind, ErrUnexpected)
}

// acquire makes the state at the node's tip the one that is asked about, until release.
func (a *asker) acquire() error {
	m, err := a.say(localstatequery.NewMsgAcquireVolatileTip())
	if err != nil {
		return err
	}
	if _, ok := m.(*localstatequery.MsgAcquired); !ok {
		return fmt.Errorf("the node refuses its tip's state: %w", ErrUnexpected)
	}
	return nil
}

func (a *asker) release() error { return a.proto.SendMessage(localstatequery.NewMsgRelease()) }

// ask asks a query and decodes the answer by f.
func (a *asker) ask(query []any, f func(raw []byte) error) error {
	m, err := a.say(localstatequery.NewMsgQuery(query))
	if err != nil {
		return err
	}
	r, ok := m.(*localstatequery.MsgResult)
	if !ok {
		return fmt.Errorf("no result: %w", ErrUnexpected)
	}
	return f(r.Result)
}

func (a *asker) say(m protocol.Message) (protocol.Message, error) {
	if err := a.proto.SendMessage(m); err != nil {
		return nil, err
	}
	select {
	case m := <-a.answers:
		return m, nil
	case <-a.proto.DoneChan():
	}
	select {
	case err := <-a.errs:
		return nil, err
	default:
		return nil, protocol.ErrProtocolShuttingDown
	}
}

// Queries (ouroboros-consensus, encodings of Query, BlockQuery (CardanoBlock c) and BlockQuery (ShelleyBlock era)).
var (
	querySystemStart = []any{1}
	queryHeight      = []any{2}
	queryPoint       = []any{3}
	queryEras        = []any{0, []any{2, []any{0}}}
	queryEra         = []any{0, []any{2, []any{1}}}
	queryParams      = ofConway(3)
)

func queryUTxOs(address []byte) []any { return ofConway(6, []any{address}) }

func queryOutput(ref chain.OutRef) []any {
	return ofConway(15, []any{[]any{ref.Tx[:], ref.Index}})
}

// ofConway is a query that a ledger state of the Conway era answers.
func ofConway(query ...any) []any { return []any{0, []any{0, []any{conwayIndex, query}}} }

// current takes the answer of a ledger state out of its envelope: [answer], or two eras of which the node is in the second.
func current(raw []byte) (cbor.RawMessage, error) {
	var parts []cbor.RawMessage
	if err := cbor.Unmarshal(raw, &parts); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnexpected, err)
	}
	if len(parts) != 1 {
		return nil, fmt.Errorf("the node is in another era than Conway: %s: %w", diagnosis(raw), ErrUnexpected)
	}
	return parts[0], nil
}

// decode decodes an answer by the library, which knows the ledger's types.
func decode(raw []byte, v any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("an answer that cannot be read (%v): %w", p, ErrUnexpected)
		}
	}()
	n, err := gcbor.Decode(raw, v)
	if err == nil && n != len(raw) {
		err = errors.New("bytes after the answer")
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnexpected, err)
	}
	return nil
}
