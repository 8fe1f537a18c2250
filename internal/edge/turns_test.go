package edge_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/edge"
)

func addr(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }

// crowd asks Turns for places, and holds those that it gets until they are given back.
type crowd struct {
	t      *testing.T
	turns  edge.Turns
	places int

	mu     sync.Mutex
	order  []string // who was served, in order
	leaves []func()
	failed map[string]error // by the name of a request
}

func (c *crowd) ask(client int, name string) {
	go func() {
		leave, err := c.turns.Enter(c.t.Context(), addr(client), c.places, 10*time.Second)
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil {
			c.failed[name] = err
			return
		}
		c.order = append(c.order, name)
		c.leaves = append(c.leaves, leave)
	}()
	synctest.Wait()
}

// end gives back the place that was given first.
func (c *crowd) end() {
	c.mu.Lock()
	leave := c.leaves[0]
	c.leaves = c.leaves[1:]
	c.mu.Unlock()
	leave()
	synctest.Wait()
}

func (c *crowd) counts(serving, waiting int) {
	c.t.Helper()
	if s, w := c.turns.Counts(); s != serving || w != waiting {
		c.t.Errorf("%d served, %d wait; want %d and %d", s, w, serving, waiting)
	}
}

func newCrowd(t *testing.T, places int) *crowd {
	return &crowd{t: t, places: places, failed: map[string]error{}}
}

// A client that waits with many comes once in a round.
func TestTurnsAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 8)
		for i := range 6 { // the share of one client: three quarters
			c.ask(1, fmt.Sprintf("a%d", i))
		}
		c.ask(1, "a6")
		c.ask(1, "a7")
		c.counts(6, 2)
		c.ask(2, "b0")
		c.ask(3, "c0")
		c.counts(8, 2)
		c.ask(2, "b1")
		c.ask(3, "c1")
		c.ask(3, "c2")
		for range 8 {
			c.end()
		}
		if want := []string{"a0", "a1", "a2", "a3", "a4", "a5", "b0", "c0", "a6", "b1", "c1", "a7", "c2"}; !slices.Equal(c.order, want) {
			t.Errorf("served in the order %v, want %v", c.order, want)
		}
		for len(c.leaves) > 0 {
			c.end()
		}
		c.counts(0, 0)
	})
}

// One with 500 requests does not shut out one with a single one: it gives up one of its own for it, which is answered at once.
func TestTurnsAgainstACrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 16)
		for i := range 500 {
			c.ask(1, fmt.Sprintf("a%d", i))
		}
		c.counts(12, 16)
		if n := len(c.failed); n != 500-12-16 || !errors.Is(c.failed["a499"], edge.ErrShare) {
			t.Fatalf("%d were refused; the last: %v", n, c.failed["a499"])
		}
		for client := 2; client < 6; client++ { // the places that one client does not get
			c.ask(client, fmt.Sprint(client))
		}
		c.counts(16, 16)
		c.ask(6, "single")
		if err := c.failed["a27"]; !errors.Is(err, edge.ErrShare) {
			t.Errorf("who waited with most did not give one up: %v", err)
		}
		c.counts(16, 16)
		c.end()
		c.end()
		if !slices.Contains(c.order, "single") {
			t.Error("one turn of each was not enough for the single request")
		}
	})
}

// Waiting ends: with the client's share when that was the reason, else because all is busy.
func TestTurnsDoNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 4)
		for i := range 4 {
			c.ask(1, fmt.Sprintf("a%d", i))
		}
		c.ask(2, "b")
		c.ask(3, "c")
		c.counts(4, 2)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if !errors.Is(c.failed["a3"], edge.ErrShare) || !errors.Is(c.failed["c"], edge.ErrBusy) {
			t.Errorf("%v, want a share and busy", c.failed)
		}
		c.counts(4, 0)

		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := c.turns.Enter(ctx, addr(4), 4, time.Minute); !errors.Is(err, context.Canceled) {
			t.Errorf("a client that went: %v", err)
		}
		c.counts(4, 0)
		for range 4 {
			c.end()
		}
		c.counts(0, 0)
	})
}

// The bound may change: who waits then is served, at the next request.
func TestTurnsOfMorePlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 1)
		c.ask(1, "a")
		c.ask(2, "b")
		c.counts(1, 1)
		c.places = 0
		c.ask(3, "c")
		c.counts(3, 0)
	})
}

// Many at once, in every order: never more than there are places, and nothing is left.
func TestTurnsAtOnce(t *testing.T) {
	const places = 4
	var turns edge.Turns
	var wg sync.WaitGroup
	var mu sync.Mutex
	now, served := 0, 0
	for i := range 64 {
		wg.Go(func() {
			for range 50 {
				leave, err := turns.Enter(t.Context(), addr(i%5), places, time.Minute)
				if err != nil {
					continue
				}
				mu.Lock()
				now++
				served++
				if now > places {
					t.Errorf("%d are served at once", now)
				}
				mu.Unlock()
				mu.Lock()
				now--
				mu.Unlock()
				leave()
			}
		})
	}
	wg.Wait()
	if s, w := turns.Counts(); s != 0 || w != 0 || served == 0 {
		t.Errorf("%d served, %d wait at the end; %d were served", s, w, served)
	}
}
