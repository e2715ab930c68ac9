package uplink

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"gatepost/sync/wire"
)

// An Import hands the batches on one stick to one hub, and leaves the hub's answers on it.
type Import struct {
	Stick *Stick
	Anew  bool // a hub that holds nothing of a device takes what is there, though the entries before it are nowhere any more

	// Exchange asks the hub about a device; an answer other than 200 is a wire.Problem.
	Exchange func(ctx context.Context, method, path, device string, body []byte) (wire.State, error)
	// Refused is told of each batch, or of each whole device (what is empty), that stays behind.
	Refused func(device, what string, why any)
}

// A Tally is what became of one device's batches.
type Tally struct {
	Taken, There int    // entries
	Refused      int    // batches
	Known        bool   // the hub knows the device
	Up           uint64 // to where it holds entries

	behind bool // the hub lacks entries before those on the stick
}

// Device imports the batches of one device and leaves the hub's answer on the stick. An error ends the whole import: the
// hub or the stick is gone.
func (m *Import) Device(ctx context.Context, id string) (t Tally, err error) {
	state, err := m.state(ctx, id)
	if why, refused := refusedFor(err); refused {
		m.Refused(id, "", why)
		return Tally{Refused: 1}, nil
	}
	if err != nil {
		return t, err
	}
	list, err := m.Stick.Batches(id)
	if err != nil {
		return t, err
	}
	for _, p := range list {
		if state, err = m.batch(ctx, state, p, &t); err != nil {
			return t, err
		}
	}
	if state, err = m.state(ctx, id); err != nil {
		return t, err
	}
	t.Known, t.Up = true, state.Seq
	return t, m.Stick.Answer(state, t.behind)
}

// batch hands one batch to the hub, which stands at state, and returns where it stands then.
func (m *Import) batch(ctx context.Context, state wire.State, p Span, t *Tally) (wire.State, error) {
	refuse := func(why any) (wire.State, error) {
		t.Refused++
		m.Refused(state.Device, p.String(), why)
		return state, nil
	}
	raw, err := m.Stick.Batch(state.Device, p)
	if err != nil {
		return refuse(err)
	}
	b, err := wire.Parse(raw)
	switch {
	case err != nil:
		return refuse(err)
	case b.Device != state.Device:
		return refuse("it is of device " + strconv.Quote(b.Device))
	case b.Before().Seq > state.Seq && !(m.Anew && state.Seq == 0):
		t.behind = true
		return refuse(fmt.Sprintf("the hub holds entries up to %d, and those before %d are not on the stick: its kiosk will put them there", state.Seq, b.Before().Seq+1))
	}
	path := wire.PathBatches
	if m.Anew && state.Seq == 0 {
		path += wire.Begin
	}
	next, err := m.Exchange(ctx, http.MethodPost, path, state.Device, raw)
	problem := wire.Problem{}
	if errors.As(err, &problem) && problem.Type == wire.ProblemStep && problem.State != nil && problem.State.Seq >= b.After().Seq {
		next, err = state, nil // the hub went past it before
	}
	if why, refused := refusedFor(err); refused {
		if s := problem.State; problem.Type == wire.ProblemStep && s != nil && b.Before().Seq < s.Seq {
			t.behind = true // the hub stands inside this batch: the next export begins there
		}
		return refuse(why)
	}
	if err != nil {
		return state, err
	}
	if next.Seq > state.Seq {
		t.Taken += len(b.Entries)
	} else {
		t.There += len(b.Entries)
	}
	return next, nil
}

func (m *Import) state(ctx context.Context, id string) (wire.State, error) {
	return m.Exchange(ctx, http.MethodGet, wire.PathDevice+id, id, nil)
}

// refusedFor returns the problem that err is, if trying again would not help.
func refusedFor(err error) (p wire.Problem, refused bool) {
	refused = errors.As(err, &p) && p.Status >= 400 && p.Status < 500
	return p, refused
}
