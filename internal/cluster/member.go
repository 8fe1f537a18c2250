package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/format"
	"holdfast/internal/record"
)

// Config is what a member needs to know.
type Config struct {
	Process
	Vitals  func() Vitals // is asked at each heartbeat
	Refused func(error)   // is told once that the store asks for more than this process knows: it writes no more. nil: nobody is
}

// Member is this process, as one of those that write to a store. Safe for concurrent use.
type Member struct {
	store   format.Store // below the gate
	cfg     Config
	log     *slog.Logger
	soon    chan struct{} // holds a token when the next heartbeat is not to be waited for
	turn    chan struct{} // holds one token: one heartbeat at a time
	host    string
	alive   atomic.Pointer[time.Time] // when the last heartbeat began that came to its end; nil: none did, or it left
	refused atomic.Pointer[error]
	format  atomic.Pointer[format.Contract]
	id      atomic.Pointer[string]
	hurried atomic.Pointer[time.Time] // when a refused write last asked for a heartbeat

	since time.Time // of who has the turn, from here on; zero: nothing was written yet
	last  format.Stored[beat]
}

// How long one heartbeat may take, and how often it begins again that lost a race: nobody else writes it, but for who removes it.
const (
	beatTime  = 10 * time.Second
	beatTries = 4
)

// New returns a member of those over a store, which has not joined them.
func New(s format.Store, cfg Config, log *slog.Logger) *Member {
	m := &Member{store: s, cfg: cfg, log: log, soon: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	m.rename()
	return m
}

func (m *Member) rename() {
	id, host := newID()
	m.host = host
	m.id.Store(&id)
}

// ID names this process among the others. It changes when somebody took the process for long gone.
func (m *Member) ID() string { return *m.id.Load() }

// Enabled reports whether a feature of the format may be written: as of the last heartbeat, for a feature that is enabled stays so.
func (m *Member) Enabled(feature string) bool {
	c := m.format.Load()
	return c != nil && c.Has(feature)
}

// Join makes the first heartbeat: one write and one read, and then Records may be written to. Errors: *format.NewerError for a store that asks for
// more than this process knows; those of the store.
func (m *Member) Join(ctx context.Context) error {
	if err := m.beat(ctx); err != nil {
		return fmt.Errorf("cluster: join: %w", err)
	}
	return nil
}

// Run makes a heartbeat every fifteen seconds or so until ctx ends: each is one write and one read. Once an hour it removes what was forgotten.
func (m *Member) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	beside.Go(func() { m.tidies(ctx) })
	for {
		next := time.NewTimer(Interval*4/5 + rand.N(Interval*2/5)) //nolint:gosec // G404: jitter is no secret
		select {
		case <-ctx.Done():
			next.Stop()
			return
		case <-next.C:
		case <-m.soon:
			next.Stop()
		}
		began := time.Now()
		if err := m.beat(ctx); err != nil && ctx.Err() == nil {
			m.log.WarnContext(ctx, "no heartbeat: others will take this replica for lost", "took", time.Since(began), "err", err)
		}
		if m.refused.Load() != nil {
			return
		}
	}
}

// tidies removes once an hour what was forgotten. That may take long, where much was or the store is slow: no heartbeat waits for it.
func (m *Member) tidies(ctx context.Context) {
	tidy := time.NewTimer(tidyEvery/4 + rand.N(tidyEvery/2)) //nolint:gosec // G404: jitter is no secret
	defer tidy.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tidy.C:
		}
		tidy.Reset(tidyEvery*3/4 + rand.N(tidyEvery/2)) //nolint:gosec // G404: jitter is no secret
		if err := Tidy(ctx, m.store); err != nil && ctx.Err() == nil {
			m.log.WarnContext(ctx, "heartbeats of processes that are gone were not removed", "err", err)
		}
	}
}

const tidyEvery = time.Hour

// Soon makes the next heartbeat at once: the vitals have changed.
func (m *Member) Soon() {
	select {
	case m.soon <- struct{}{}:
	default: // it is due already
	}
}

// Leave removes the heartbeat, with one request, or two where nothing may be deleted, once nothing writes to Records any more: what does is refused. It may be called twice, and
// without Join. When it fails the process is seen as lost for a day.
func (m *Member) Leave(ctx context.Context) error {
	m.alive.Store(nil)
	gone := errors.New("this process has left the store")
	m.refused.CompareAndSwap(nil, &gone)
	done, err := m.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	if m.since.IsZero() {
		return nil
	}
	// Without a condition: only this process writes the key, and does not any more.
	if err := m.store.Records.Delete(ctx, format.ReplicaKey(m.ID()), record.Always()); err != nil {
		if dying := m.die(ctx); dying != nil {
			return fmt.Errorf("cluster: leave: %w", errors.Join(err, dying))
		}
	}
	m.since = time.Time{}
	return nil
}

// die makes the heartbeat dead, where the credentials may not delete: whoever may removes it a day later.
func (m *Member) die(ctx context.Context) error {
	now, err := format.Write(ctx, m.store, format.ReplicaKey(m.ID()), m.last, tombstone(m.host, os.Getpid()), nil, false)
	if format.IsConflict(err) && !now.Is(format.Live) {
		return nil // it is gone: only the answer was lost
	}
	return err
}

// tombstone is a heartbeat that is dead, of a process on a host.
func tombstone(host string, pid int) beat {
	return format.Killed(beat{Host: host[:min(len(host), 64)], PID: pid})
}

func (m *Member) take(ctx context.Context) (done func(), err error) {
	select {
	case m.turn <- struct{}{}:
		return func() { <-m.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// beat is a heartbeat: first it is written, then the contract is looked at. Only when both are done does it count.
func (m *Member) beat(ctx context.Context) error {
	done, err := m.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	if refused := m.refused.Load(); refused != nil {
		return *refused
	}
	ctx, cancel := context.WithTimeout(ctx, beatTime)
	defer cancel()
	began := time.Now()
	if err := m.write(ctx); err != nil {
		return err
	}
	c, err := format.LookAtContract(ctx, m.store, m.cfg.Features)
	var newer *format.NewerError
	if errors.As(err, &newer) {
		if m.refused.CompareAndSwap(nil, &err) && m.cfg.Refused != nil {
			m.cfg.Refused(err)
		}
		return err
	}
	if err != nil {
		return err
	}
	if old := m.format.Swap(&c.Head); old != nil {
		for _, f := range c.Head.Features {
			if !old.Has(f) {
				m.log.InfoContext(ctx, "a feature of the storage format is enabled now", "feature", f)
			}
		}
	}
	if m.refused.Load() == nil {
		m.alive.Store(&began)
	}
	return nil
}

// write writes the heartbeat. What is found in its place is an earlier one of ours whose answer was lost; or it was removed, then there is another id.
func (m *Member) write(ctx context.Context) error {
	if m.since.IsZero() {
		m.since = m.store.Records.Now().UTC().Truncate(time.Millisecond)
	}
	head := beat{Host: m.host, PID: os.Getpid(), Role: m.cfg.Role, Program: m.cfg.Version, Format: format.Version, Knows: []string{}, Since: m.since, Grace: int64(m.store.Ages.Grace.Seconds()), Vitals: m.cfg.Vitals()}
	head.State = format.Live
	for _, f := range m.cfg.Features {
		head.Knows = append(head.Knows, f.Name)
	}
	var err error
	for range beatTries {
		var now format.Stored[beat]
		if now, err = format.WriteOrFind(ctx, m.store, format.ReplicaKey(m.ID()), m.last, head, nil, false); err == nil {
			m.last = now
			return nil
		}
		if !format.IsConflict(err) {
			return err // unknown: the next one finds out
		}
		if m.last = now; !now.Is(format.Live) {
			m.rename()
			m.last = format.Stored[beat]{}
		}
	}
	return err
}

// Tidy removes the heartbeats of processes that have not been seen for a day, in two steps: they die, and a day later they go. Any process may do it,
// at any time. It makes one list, and two requests for each step. What cannot be read, because a later version wrote it, stays, and keeps nothing else.
func Tidy(ctx context.Context, s format.Store) error {
	var errs []error
	for entry, err := range s.Records.List(ctx, format.PrefixReplicas, "") {
		if err != nil {
			return fmt.Errorf("cluster: list heartbeats: %w", err)
		}
		switch age := s.Records.Now().Sub(entry.Modified); {
		case entry.Size == format.DeadSize && age > max(s.Ages.Tombstone, Forgotten):
			// Without a condition: nothing makes a key live again that is dead.
			if err := s.Records.Delete(ctx, entry.Key, record.Always()); err != nil {
				return fmt.Errorf("cluster: remove %s: %w", entry.Key, err)
			}
		case entry.Size != format.DeadSize && age > Forgotten:
			b, err := format.Read[beat](ctx, s, entry.Key)
			if err != nil {
				errs = append(errs, fmt.Errorf("cluster: remove a heartbeat: %w", err))
				continue
			}
			if b.Version != entry.Version {
				continue // it is alive, or gone
			}
			if _, err := format.Write(ctx, s, entry.Key, b, tombstone(b.Head.Host, b.Head.PID), nil, false); err != nil && !format.IsConflict(err) {
				return fmt.Errorf("cluster: remove a heartbeat: %w", err)
			}
		}
	}
	return errors.Join(errs...)
}
