package edge

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Errors of Turns.Enter. Nothing of the request was done.
var (
	// ErrBusy: all places are taken, and no turn came in time.
	ErrBusy = errors.New("edge: all places are taken")
	// ErrShare: the client has its share of the places, or of those who wait.
	ErrShare = errors.New("edge: the client has its share")
)

// Turns bounds how many requests are served at once, and lets clients take turns: a client that waits with one request comes
// after one of each other client, however many those wait with. One client has at most three quarters of the places. The zero value
// is ready to use, and safe for concurrent use.
//
// As many wait as are served. When that is not enough, whoever waits with most gives one up for a client that waits with
// fewer, so a crowd of one client shuts nobody else out.
type Turns struct {
	mu      sync.Mutex
	most    int // places, of the last Enter
	serving int
	waiting int
	clients map[netip.Addr]*line // who is served or waits
	turns   []*line              // who waits, in the order of turns
}

// line is a client's requests.
type line struct {
	client  netip.Addr
	serving int
	waiting []*turn // in their order; not empty while the line is in turns
}

// turn is a request that waits. It gets nil, a place, or an error, once.
type turn struct{ come chan error }

// Enter begins a request of a client, when most places are not taken, or waits up to patience for one; it returns what ends
// the request. 0 places: there is no bound. most may change from one request to the next. Errors: ErrBusy, ErrShare, the context's.
func (t *Turns) Enter(ctx context.Context, client netip.Addr, most int, patience time.Duration) (leave func(), err error) {
	client = Group(client)
	mine, err := t.queue(client, most)
	if err != nil {
		return nil, err
	}
	leave = func() { t.leave(client) }
	if mine == nil {
		return leave, nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err = <-mine.come:
	case <-timer.C:
		err = t.giveUp(client, mine, nil)
	case <-ctx.Done():
		err = t.giveUp(client, mine, ctx.Err())
	}
	if err != nil {
		return nil, err
	}
	return leave, nil
}

// Counts are the requests that are served and that wait.
func (t *Turns) Counts() (serving, waiting int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.serving, t.waiting
}

// share is how many places one client may have: all but a quarter, and never none.
func share(most int) int { return max(1, most-most/4) }

// queue takes a place, and returns nil, or a place in the line.
func (t *Turns) queue(client netip.Addr, most int) (*turn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.most = most
	if t.clients == nil {
		t.clients = map[netip.Addr]*line{}
	}
	l := t.clients[client]
	if l == nil {
		l = &line{client: client}
		t.clients[client] = l
	}
	t.serve() // there may be more places than at the last request
	if len(l.waiting) == 0 && t.mayServe(l) {
		t.serving++
		l.serving++
		return nil, nil
	}
	if t.waiting >= t.most {
		longest := t.longest()
		if longest == nil || len(longest.waiting) <= len(l.waiting)+1 {
			err := ErrBusy
			if len(l.waiting) > 0 || l.serving >= share(t.most) {
				err = ErrShare
			}
			t.forget(l)
			return nil, err
		}
		last := longest.waiting[len(longest.waiting)-1]
		t.remove(longest, last)
		last.come <- ErrShare
	}
	mine := &turn{come: make(chan error, 1)}
	if len(l.waiting) == 0 {
		t.turns = append(t.turns, l)
	}
	l.waiting = append(l.waiting, mine)
	t.waiting++
	return mine, nil
}

// mayServe reports whether there is a place for a client.
func (t *Turns) mayServe(l *line) bool {
	return t.most <= 0 || t.serving < t.most && l.serving < share(t.most)
}

// serve gives the places that are free to those who wait, in turns.
func (t *Turns) serve() {
	for i := 0; i < len(t.turns); {
		l := t.turns[i]
		if !t.mayServe(l) {
			if t.serving >= t.most {
				return
			}
			i++ // it has its share: others may have a place
			continue
		}
		first := l.waiting[0]
		t.serving++
		l.serving++
		t.remove(l, first)
		if len(l.waiting) > 0 { // its next turn is after all others'
			t.turns = append(slices.Delete(t.turns, i, i+1), l)
		}
		i = 0
		first.come <- nil
	}
}

// remove takes a request out of those who wait, and its client out of the turns with the last of them.
func (t *Turns) remove(l *line, gone *turn) {
	if i := slices.Index(l.waiting, gone); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
		t.waiting--
	}
	if len(l.waiting) > 0 {
		return
	}
	if i := slices.Index(t.turns, l); i >= 0 {
		t.turns = slices.Delete(t.turns, i, i+1)
	}
	t.forget(l)
}

// giveUp ends the waiting with err, or with ErrBusy or ErrShare when that is nil; a place that came in the same moment goes to the next.
func (t *Turns) giveUp(client netip.Addr, mine *turn, err error) error {
	t.mu.Lock()
	l := t.clients[client]
	if err == nil {
		err = ErrBusy
		if l != nil && l.serving >= share(t.most) {
			err = ErrShare
		}
	}
	select {
	case came := <-mine.come:
		t.mu.Unlock()
		if came == nil {
			t.leave(client)
		}
		return err
	default:
	}
	t.remove(l, mine)
	t.mu.Unlock()
	return err
}

func (t *Turns) leave(client netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.clients[client]
	t.serving--
	l.serving--
	t.forget(l)
	t.serve()
}

// forget drops a client of whom nothing is left.
func (t *Turns) forget(l *line) {
	if l.serving == 0 && len(l.waiting) == 0 {
		delete(t.clients, l.client)
	}
}

// longest is the client that waits with most; nil when nobody does.
func (t *Turns) longest() (longest *line) {
	for _, l := range t.turns {
		if longest == nil || len(l.waiting) > len(longest.waiting) {
			longest = l
		}
	}
	return longest
}
