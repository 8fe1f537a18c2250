package site

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"syscall"
	"time"

	"holdfast/test/fault"
)

// Event is a fault that began or ended.
type Event struct {
	At   int64  `json:"at_ns"` // in the history's time
	What string `json:"what"`
}

// Disturb does one fault after the other until ctx ends, by the seed, and mends each; never two at once. When it returns
// nothing is broken any more. now is the history's time.
func (s *Site) Disturb(ctx context.Context, seed uint64, now func() int64, note func(Event)) error {
	if s.cluster == nil {
		return errors.New("site: faults need an installation of our own: leave out -target")
	}
	random := rand.New(rand.NewPCG(seed, 0xfa17))
	say := func(format string, args ...any) { note(Event{now(), fmt.Sprintf(format, args...)}) }
	for wait(ctx, time.Second+time.Duration(random.Int64N(int64(3*time.Second)))) {
		n := 1 + random.IntN(len(s.cluster.Replicas))
		var err error
		switch random.IntN(4) {
		case 0, 1:
			err = s.kill(ctx, n, time.Duration(random.Int64N(int64(3*time.Second))), say)
		case 2:
			err = s.pause(ctx, n, 10*time.Second, say)
		default:
			s.spoil(ctx, random, time.Second+time.Duration(random.Int64N(int64(5*time.Second))), say)
		}
		if err != nil {
			return err
		}
	}
	return s.healthy(context.WithoutCancel(ctx))
}

// wait reports whether a time has passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// kill ends a replica as a power cut does, and starts it again.
func (s *Site) kill(ctx context.Context, n int, down time.Duration, say func(string, ...any)) error {
	say("replica %d is killed", n)
	if err := s.cluster.Signal(n, syscall.SIGKILL); err != nil {
		return fmt.Errorf("site: kill replica %d: %w", n, err)
	}
	wait(ctx, down)
	if err := s.cluster.Restart(context.WithoutCancel(ctx), n); err != nil {
		return fmt.Errorf("site: start replica %d again: %w", n, err)
	}
	say("replica %d is started again", n)
	return nil
}

// pause stops a replica in the middle of what it does, and lets it go on as if no time had passed.
func (s *Site) pause(ctx context.Context, n int, length time.Duration, say func(string, ...any)) error {
	say("replica %d is stopped", n)
	if err := s.cluster.Signal(n, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("site: stop replica %d: %w", n, err)
	}
	wait(ctx, length)
	if err := s.cluster.Signal(n, syscall.SIGCONT); err != nil {
		return fmt.Errorf("site: continue replica %d: %w", n, err)
	}
	say("replica %d goes on", n)
	return nil
}

// spoil makes a part of the store's answers go wrong for all replicas, or all of them.
func (s *Site) spoil(ctx context.Context, random *rand.Rand, length time.Duration, say func(string, ...any)) {
	kinds := []fault.Fault{
		fault.InternalError(), fault.SlowDown(), fault.ResetBefore(), fault.ResetAfter(), fault.ResetBody(), fault.CutBody(),
		fault.LostAnswer(http.StatusInternalServerError, "InternalError"),
	}
	f, share := kinds[random.IntN(len(kinds))], 0.03+0.2*random.Float64()
	if random.IntN(3) == 0 {
		share = 1
	}
	say("the store: %s in %.0f of 100 calls", f.Name, 100*share)
	for _, p := range s.proxies {
		p.Set(fault.Rule{Fault: f, Share: share})
	}
	wait(ctx, length)
	for _, p := range s.proxies {
		p.Set()
	}
	say("the store is well again")
}

// healthy waits until each replica and the balancer answer that they are ready.
func (s *Site) healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, t := range s.Targets() {
		for {
			err := ready(ctx, t.URL+"/readyz")
			if err == nil {
				break
			}
			if !wait(ctx, 200*time.Millisecond) {
				return fmt.Errorf("site: %s is not ready after the faults: %w", t.Name, err)
			}
		}
	}
	return nil
}

func ready(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	why, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, why)
	}
	return nil
}
