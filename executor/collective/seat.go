package collective

import (
	"context"
	"encoding/binary"
)

// A seat is what a gate serves its container from: a rank of a group, or of a circle.
type seat interface {
	// prepare gives an operation its place; what it returns must be called, once, and gives the epoch in which it happened.
	prepare(o Operation) (func(context.Context) (epoch uint64, err error), error)
	// admit is a step boundary. It gives the view from now on and, by rank, the members' places in the job.
	admit(ctx context.Context) (View, []int, error)
	Part(ctx context.Context, ranks []int) (*Group, error)
	// Spoken is the view in which the container speaks.
	Spoken() View
	// Err is why there is no going on, or nil.
	Err() error
	// fail is for a container that broke its word.
	fail(ctx context.Context, why error)
	// elastic says whether the job goes on without a rank that is lost.
	elastic() bool
}

// groupSeat is a rank of a group, which ends with its first lost member.
type groupSeat struct{ *Group }

func (s groupSeat) prepare(o Operation) (func(context.Context) (uint64, error), error) {
	run, err := s.Group.prepare(o)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (uint64, error) {
		_, err := run(ctx)
		return s.view.Epoch, err
	}, nil
}

func (s groupSeat) admit(ctx context.Context) (View, []int, error) {
	places := make([]int, s.Size())
	for r := range places {
		places[r] = r
	}
	return s.view, places, s.boundary(ctx)
}

func (s groupSeat) Spoken() View                      { return s.view }
func (s groupSeat) fail(_ context.Context, why error) { s.Abort(why) }
func (s groupSeat) elastic() bool                     { return false }

// boundary is a step boundary of a group: if a rank has felt for some time that less comes round than was measured, they
// lay themselves out anew.
func (g *Group) boundary(ctx context.Context) error {
	mine, all := make([]byte, 1), make([]byte, 1)
	if g.strain.felt() {
		mine[0] = 1
	}
	if err := g.Do(ctx, Operation{Kind: AllReduce, Type: U8, Reduce: Max, Src: mine, Dst: all}); err != nil || all[0] == 0 {
		return err
	}
	return g.survey(ctx, nil)
}

// circleSeat is a rank of a circle, which goes on without it.
type circleSeat struct{ *Circle }

// leaving is for what runs while its container may go away: then this member leaves, and the others go on. An operation
// whose own context ends would end the circle for all.
func (s circleSeat) leaving(ctx context.Context) (on context.Context, done func() bool) {
	on = context.WithoutCancel(ctx)
	return on, context.AfterFunc(ctx, func() { s.Leave(on, context.Cause(ctx)) })
}

func (s circleSeat) prepare(o Operation) (func(context.Context) (uint64, error), error) {
	run, err := s.Circle.prepare(o)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (uint64, error) {
		on, done := s.leaving(ctx)
		defer done()
		return run(on)
	}, nil
}

func (s circleSeat) admit(ctx context.Context) (View, []int, error) {
	ctx, done := s.leaving(ctx)
	defer done()
	v, err := s.Admit(ctx)
	places := make([]int, len(v.Peers))
	for r, p := range v.Peers {
		places[r] = s.roster.rankOf(p.ID)
	}
	return v, places, err
}

func (s circleSeat) fail(ctx context.Context, why error) { s.Leave(ctx, why) }
func (s circleSeat) elastic() bool                       { return true }

// encodeMembers is the body of admit's reply.
func encodeMembers(rank int, places []int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(rank))
	for _, p := range places {
		b = binary.LittleEndian.AppendUint32(b, uint32(p))
	}
	return b
}
