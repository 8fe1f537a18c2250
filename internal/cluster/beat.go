package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/format"
	"holdfast/internal/observe/recent"
	"holdfast/internal/record"
)

// The times of heartbeats. Others' are judged by the store's clock.
const (
	Interval  = 15 * time.Second // from one to the next, on average
	LostAfter = time.Minute      // without one a process counts as lost
	StopAfter = 5 * time.Minute  // without one of its own a process writes no more: see gate.go
	CountsFor = 10 * time.Minute // so long whoever wrote it may write yet, unless it left
	Forgotten = 24 * time.Hour   // then anybody removes it
)

// Role is what a process does with the store.
type Role string

// The roles.
const (
	Replica Role = "replica" // it serves
	Command Role = "command" // it works on the store beside the replicas, and ends
)

// State is how a process is.
type State string

// The states. Lost is not told but seen.
const (
	Starting State = "starting"
	Ready    State = "ready"
	NotReady State = "not ready"
	Draining State = "draining"
	Working  State = "working" // of a command
	Lost     State = "lost"
)

// Process is who writes to a store.
type Process struct {
	Version  string
	Role     Role
	Features []format.Feature // of the format, that it knows
}

// Vitals are how a process is at a moment.
type Vitals struct {
	Address     string         `json:"address,omitempty"` // that it listens at
	State       State          `json:"state"`
	Why         string         `json:"why,omitempty"` // of one that is not ready
	InFlight    int64          `json:"inFlight"`
	Requests    recent.Ended   `json:"requests"`    // of the last minute
	Store       recent.Answers `json:"store"`       // the same
	ClockOffset time.Duration  `json:"clockOffset"` // how far the store's clock is ahead of the host's, in nanoseconds, to a second or two
}

// beat is a heartbeat: the record cfg/replica/<id>. Only the process that it is of makes it live; whoever finds it forgotten makes it dead. A process whose
// heartbeat is dead or gone takes another id: so nothing writes a key again that was removed.
type beat struct {
	format.Meta
	Host    string    `json:"host"`
	PID     int       `json:"pid"`
	Role    Role      `json:"role"`
	Program string    `json:"version"`
	Format  int       `json:"format"` // the version of the format that it reads and writes
	Knows   []string  `json:"knows"`  // and the features
	Since   time.Time `json:"since"`  // when it joined
	Grace   int64     `json:"grace"`  // format.Ages.Grace by which it keeps what has just become useless, in seconds
	Vitals  Vitals    `json:"vitals"`
}

// newID names a process: its host for people, and what makes it one.
func newID() (id, host string) {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "unknown"
	}
	part := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, host)
	return part[:min(len(part), 63)] + "-" + format.RandomID()[:12], host
}

// seen is a heartbeat as somebody found it.
type seen struct {
	id string
	record.Stamp
	beat
	unreadable error // it is there, and of a version that is not known here
}

// readers bounds how many heartbeats are read at once.
const readers = 8

// beats reads all heartbeats that are not dead: one list, and one read for each that is not in known, by its version.
func beats(ctx context.Context, s format.Store, known map[record.Version]seen) ([]seen, error) {
	var found []seen
	for entry, err := range s.Records.List(ctx, format.PrefixReplicas, "") {
		if err != nil {
			return nil, fmt.Errorf("cluster: list heartbeats: %w", err)
		}
		if entry.Size != format.DeadSize {
			found = append(found, seen{id: strings.TrimPrefix(string(entry.Key), string(format.PrefixReplicas)), Stamp: entry.Stamp})
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(readers)
	for i := range found {
		if same, ok := known[found[i].Version]; ok && same.id == found[i].id {
			found[i] = same
			continue
		}
		g.Go(func() error { return found[i].read(gctx, s) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	there := found[:0]
	for _, b := range found {
		if b.Version != "" {
			there = append(there, b)
		}
	}
	return there, nil
}

// read reads one heartbeat. One that has gone has no version.
func (b *seen) read(ctx context.Context, s format.Store) error {
	key := format.ReplicaKey(b.id)
	rec, err := s.Records.Get(ctx, key)
	switch {
	case errors.Is(err, record.ErrNotFound):
		b.Stamp = record.Stamp{}
		return nil
	case err != nil:
		return fmt.Errorf("cluster: read %s: %w", key, err)
	}
	v, err := format.Parse[beat](s, key, rec)
	switch b.Stamp = rec.Stamp; {
	case err != nil:
		b.unreadable = err
	case !v.Is(format.Live):
		b.Stamp = record.Stamp{}
	default:
		b.beat = v.Head
	}
	return nil
}

// Alive counts the processes that made a heartbeat within the last minute, by one list, without reading any: about as many as there are replicas.
func Alive(ctx context.Context, s format.Store) (int, error) {
	n := 0
	for entry, err := range s.Records.List(ctx, format.PrefixReplicas, "") {
		if err != nil {
			return 0, fmt.Errorf("cluster: list heartbeats: %w", err)
		}
		if entry.Size != format.DeadSize && s.Records.Now().Sub(entry.Modified) < time.Minute {
			n++
		}
	}
	return n, nil
}
