package lease

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"holdfast/internal/format"
)

// DefaultTTL is how long a lease lives after its last renewal: the work of a replica that died is taken over within a minute.
const DefaultTTL = 45 * time.Second

// tries bounds how often a write looks again after a lost race. Few race for a lease, and nothing depends on winning.
const tries = 4

// ErrLost means that the lease is this holder's no more: somebody took it, it was released, or it could not be renewed in time.
var ErrLost = errors.New("lease lost")

// HeldError is a lease that somebody holds.
type HeldError struct {
	Name   string
	Holder string
	Since  time.Time // when the holder took it
	Until  time.Time // when it may be taken, unless it is renewed before
}

// Error names the lease and its holder.
func (e *HeldError) Error() string {
	return fmt.Sprintf("lease: %s is held by %s since %s", e.Name, e.Holder, e.Since.UTC().Format(time.RFC3339))
}

// head is a lease's record, cfg/lease/<name>. A released one has no holder.
type head struct {
	format.Meta
	Holder   string          `json:"holder,omitempty"`
	Epoch    uint64          `json:"epoch"` // raised by each Take, never lowered
	Since    time.Time       `json:"since"` // when the holder took it
	Progress json.RawMessage `json:"progress,omitempty"`
}

// Lease is a lease that was taken. Safe for concurrent use.
type Lease struct {
	store  format.Store
	name   string
	holder string
	epoch  uint64
	ttl    time.Duration

	turn chan struct{} // holds one token: one write at a time
	over chan struct{} // closed when the lease is lost or released
	once sync.Once     // closes over

	mu      sync.Mutex
	stored  format.Stored[head] // as this holder last wrote or found it
	renewed time.Time           // just before the last write that is known to have won
}

// Take takes the lease for a holder, who is free or was not renewed for ttl (0: DefaultTTL), and keeps the progress that the last
// holder saved. name is one part of a key; holder names a process for people and is never empty. It makes one read and one write.
// Errors: *HeldError when somebody holds it. After any other error the lease may be recorded as this holder's, who does not have it: it is free
// after ttl.
func Take(ctx context.Context, s format.Store, name, holder string, ttl time.Duration) (*Lease, error) {
	if name == "" || strings.Contains(name, "/") || holder == "" {
		return nil, fmt.Errorf("lease: take %q for %q: a lease and its holder have names, without slashes the lease's", name, holder)
	}
	ttl = cmp.Or(ttl, DefaultTTL)
	key := format.LeaseKey(name)
	old, err := format.Read[head](ctx, s, key)
	if err != nil {
		return nil, fmt.Errorf("lease: take %s: %w", name, err)
	}
	for range tries {
		now := s.Records.Now()
		if until := old.Modified.Add(ttl); held(old) && now.Before(until) {
			return nil, &HeldError{Name: name, Holder: old.Head.Holder, Since: old.Head.Since, Until: until}
		}
		next := head{Holder: holder, Epoch: old.Head.Epoch + 1, Since: now.UTC().Truncate(time.Millisecond)}
		if old.Is(format.Live) {
			next.Progress = old.Head.Progress
		}
		next.State = format.Live
		// Write takes an answer that was lost for a failure unless the record is known to be ours: of two who write over one version one
		// has it, or none.
		var taken format.Stored[head]
		if taken, err = format.Write(ctx, s, key, old, next, nil, false); err == nil {
			return &Lease{
				store: s, name: name, holder: holder, epoch: next.Epoch, ttl: ttl,
				turn: make(chan struct{}, 1), over: make(chan struct{}),
				stored: taken, renewed: now,
			}, nil
		}
		if !format.IsConflict(err) {
			break
		}
		old = taken // whoever won: the next round sees a holder, or a lease that is free
	}
	return nil, fmt.Errorf("lease: take %s: %w", name, err)
}

func held(s format.Stored[head]) bool { return s.Is(format.Live) && s.Head.Holder != "" }

// Epoch is the number of this Take: greater than that of every earlier one.
func (l *Lease) Epoch() uint64 { return l.epoch }

// Progress decodes what was last saved, by this holder or by the last one, into v. It makes no request. False: nothing was.
func (l *Lease) Progress(v any) (bool, error) {
	l.mu.Lock()
	raw := l.stored.Head.Progress
	l.mu.Unlock()
	return decode(l.name, raw, v)
}

// Save replaces the progress by v as JSON (some KiB, not MiB), and renews the lease.
// Errors: ErrLost; then nothing was saved. After any other error it may have been, and the lease is still this holder's as
// far as is known.
func (l *Lease) Save(ctx context.Context, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("lease: save the progress of %s: %w", l.name, err)
	}
	if err := l.write(ctx, func(h *head) { h.Progress = raw }); err != nil {
		return fmt.Errorf("lease: save the progress of %s: %w", l.name, err)
	}
	return nil
}

// Release gives the lease up, whatever it returns: this holder writes it no more. Without keepProgress the next holder begins
// anew. It may be called twice.
// Errors: ErrLost when somebody had taken it. After any other error it may be the next holder's only after ttl, and with the progress.
func (l *Lease) Release(ctx context.Context, keepProgress bool) error {
	if l.ended() {
		return nil
	}
	err := l.write(ctx, func(h *head) {
		h.Holder = ""
		if !keepProgress {
			h.Progress = nil
		}
	})
	l.end()
	if err != nil {
		return fmt.Errorf("lease: release %s: %w", l.name, err)
	}
	return nil
}

// write swaps the lease's record for what change makes of it. Errors: ErrLost.
func (l *Lease) write(ctx context.Context, change func(*head)) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if l.ended() {
		return ErrLost
	}
	l.mu.Lock()
	old := l.stored
	l.mu.Unlock()
	var err error
	for range tries {
		next := old.Head
		change(&next)
		now := l.store.Records.Now()
		var found format.Stored[head]
		if found, err = format.WriteOrFind(ctx, l.store, format.LeaseKey(l.name), old, next, nil, false); err == nil {
			l.keep(found, now)
			return nil
		}
		if !format.IsConflict(err) {
			return err // unknown: the next write finds out
		}
		if !held(found) || found.Head.Epoch != l.epoch || found.Head.Holder != l.holder {
			l.end()
			if next.Holder == "" && found.Is(format.Live) && found.Head.Epoch == l.epoch {
				return nil // released, by an attempt whose answer was lost
			}
			return ErrLost
		}
		old = found // what an earlier write of ours left, whose answer was lost
	}
	return err
}

func (l *Lease) keep(stored format.Stored[head], renewed time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stored, l.renewed = stored, renewed
}

func (l *Lease) end() { l.once.Do(func() { close(l.over) }) }

func (l *Lease) ended() bool {
	select {
	case <-l.over:
		return true
	default:
		return false
	}
}

// left is how long the lease lives unless it is renewed.
func (l *Lease) left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ttl - l.store.Records.Now().Sub(l.renewed)
}

// Saved decodes what was last saved under a lease, whoever holds it, into v, without taking it. It makes one read. False: nothing was.
func Saved(ctx context.Context, s format.Store, name string, v any) (bool, error) {
	seen, err := Look(ctx, s, name, 0)
	if err != nil {
		return false, err
	}
	return seen.Progress(v)
}
