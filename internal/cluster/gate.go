package cluster

import (
	"context"
	"fmt"
	"time"

	"holdfast/internal/record"
)

// Enabling a feature is safe when from then on nobody who does not know it reads a value and writes it anew: the value might come from one who
// knows, and would lose what the feature put into it. Three rules see to it:
//
//	Writer.   A heartbeat counts when it was written and then the contract was looked at. A process writes only while the last heartbeat that
//	          counts began less than StopAfter ago. It is asked before each write, after what the write goes by was read.
//	Look.     Whoever looks at the contract and does not know a feature that is announced withdraws the announcement first; whoever does not
//	          know one that is enabled writes no more, and does not start.
//	Enabler.  It writes the announcement, at A by the store's clock; then it lists the heartbeats; each that is younger than CountsFor at A must
//	          know the feature. Then it swaps the announcement, as it wrote it, for the feature.
//
// Suppose that a process P which does not know the feature wrote a value that it had read after the swap. When it was asked, its last
// heartbeat that counts, h, had begun less than StopAfter ago; the swap was before that. h looked at the contract after it was written. Had it looked after
// the swap, it would not count. Had it looked between announcement and swap, it would have withdrawn the announcement, and the swap had failed: a swap is
// under the version that the enabler wrote. So it looked before the announcement, and was written before that: the enabler's list shows it, or a later one of P,
// for nobody removes one before Forgotten, and P itself only when it writes no more. It was written less than StopAfter before P was asked, which was after A: so at A it was younger than
// StopAfter, which is less than CountsFor, and P does not know the feature. The enabler refused. Contradiction.
//
// The store's clock and P's need to agree only on how long five minutes are, to within five. P takes the longer of what its monotonic clock and its wall clock say:
// the first stands still while a machine sleeps. What was sent before P fell asleep may land later, and is under a version read before the swap, or under "absent" and then
// void after an hour: an old value over an old value, which whoever knows the feature can read.

// Records is the store for everything that writes to it: a write is refused with record.ErrUnavailable before Join, after Leave, while
// there was no heartbeat for StopAfter, and for good once the store asks for more than this process knows. Reads are not: a store that can only be read is still served.
func (m *Member) Records() record.Store { return &gate{m.store.Records, m} }

type gate struct {
	record.Store
	member *Member
}

// Put implements record.Store.
func (g *gate) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	if err := g.member.mayWrite(); err != nil {
		return record.Stamp{}, fmt.Errorf("cluster: put %s: %w: %w", key, record.ErrUnavailable, err)
	}
	return g.Store.Put(ctx, key, value, cond)
}

// Delete implements record.Store.
func (g *gate) Delete(ctx context.Context, key record.Key, cond record.Cond) error {
	if err := g.member.mayWrite(); err != nil {
		return fmt.Errorf("cluster: delete %s: %w: %w", key, record.ErrUnavailable, err)
	}
	return g.Store.Delete(ctx, key, cond)
}

func (m *Member) mayWrite() error {
	if refused := m.refused.Load(); refused != nil {
		return *refused
	}
	began := m.alive.Load()
	if began == nil {
		return fmt.Errorf("this process has not joined the others over the store")
	}
	now := time.Now()
	if silent := silence(now, *began); silent >= StopAfter {
		m.hurry(now)
		return fmt.Errorf("this process could not renew its heartbeat for %s: it writes no more until it can", silent.Round(time.Second))
	}
	return nil
}

// silence is the longer of what the monotonic clock and the wall clock say has passed.
func silence(now, since time.Time) time.Duration {
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0)))
}

// Silent is how long ago the last heartbeat began that came to its end: at StopAfter writes are refused. 0 before Join and after Leave.
func (m *Member) Silent() time.Duration {
	began := m.alive.Load()
	if began == nil {
		return 0
	}
	return silence(time.Now(), *began)
}

// hurryEvery is how often writes that are refused can ask for a heartbeat.
const hurryEvery = 2 * time.Second

// hurry makes a heartbeat soon: the store may be back, the host awake, or its clock was set, and then no client is to wait for the next one.
func (m *Member) hurry(now time.Time) {
	if last := m.hurried.Load(); (last == nil || now.Sub(*last) >= hurryEvery) && m.hurried.CompareAndSwap(last, &now) {
		m.Soon()
	}
}
