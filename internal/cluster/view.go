package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/collect"
	"holdfast/internal/collect/scrub"
	"holdfast/internal/format"
	"holdfast/internal/record"
)

// View is a cluster as somebody saw it. It is the answer of the API: docs/api.md says what each field is; a field keeps its meaning.
type View struct {
	AnsweredBy string    `json:"answeredBy,omitempty"` // who looked: the only field in which two answers of one moment differ
	At         time.Time `json:"at"`                   // by the store's clock
	Well       bool      `json:"well"`                 // no problem is wrong
	Problems   []Problem `json:"problems"`             // the worst first
	Replicas   []Peer    `json:"replicas"`
	Stores     []Store   `json:"stores"` // the root's first
}

// Peer is a process that writes to the root's store.
type Peer struct {
	ID       string    `json:"id"`
	Host     string    `json:"host"`
	PID      int       `json:"pid"`
	Role     Role      `json:"role"`
	Version  string    `json:"version"`
	Format   int       `json:"format"`
	Features []string  `json:"features"` // of the format, that it knows
	Address  string    `json:"address,omitempty"`
	State    State     `json:"state"`
	Why      string    `json:"why,omitempty"` // of one that is not ready
	Since    time.Time `json:"since"`
	Seen     time.Time `json:"seen"` // its last heartbeat
	InFlight int64     `json:"inFlight"`
	Requests Requests  `json:"requests"`
	Store    Answers   `json:"store"`
	// GraceSeconds is for how long it keeps what has just become useless: gcDelay, which must be the same at all.
	GraceSeconds int64 `json:"graceSeconds"`
	// ClockOffsetSeconds is how far the store's clock is ahead of the host's, to a second or two.
	ClockOffsetSeconds float64 `json:"clockOffsetSeconds"`
}

// Requests are those of the last minute before the heartbeat.
type Requests struct {
	Total        int64 `json:"total"`
	ClientErrors int64 `json:"clientErrors"`
	ServerErrors int64 `json:"serverErrors"`
	Cut          int64 `json:"cut"`
}

// Answers are those of the store in the last minute before the heartbeat.
type Answers struct {
	Total  int64   `json:"total"`
	Failed int64   `json:"failed"`
	P50Ms  float64 `json:"p50Ms"`
	P99Ms  float64 `json:"p99Ms"`
}

// Store is what a store tells of itself.
type Store struct {
	Path      string         `json:"path"`
	Format    int            `json:"format,omitempty"`
	Features  []FeatureState `json:"features"`
	SelfTest  *SelfTest      `json:"selfTest,omitempty"` // nil of a directory
	Collector *Collector     `json:"collector,omitempty"`
	Scrub     *Scrubbed      `json:"scrub,omitempty"` // nil: there was no round
	Errors    []string       `json:"errors,omitempty"`
}

// SelfTest is the verdict of the last full self-test: a store that failed it has none that is new.
type SelfTest struct {
	Tier      string    `json:"tier"`
	Server    string    `json:"server,omitempty"`
	Version   string    `json:"version"` // of the program that made it
	Time      time.Time `json:"time"`
	CanDelete bool      `json:"canDelete"`
	Warnings  []string  `json:"warnings,omitempty"`
}

// Collector is who collects, and what came of the last pass.
type Collector struct {
	Enabled bool      `json:"enabled"` // in the file of who looked
	Holder  string    `json:"holder,omitempty"`
	Running *Running  `json:"running,omitempty"` // without a holder: one that was cut off
	Ended   time.Time `json:"ended,omitzero"`
	Last    *Pass     `json:"last,omitempty"`
}

// Running is a pass that has begun.
type Running struct {
	Started time.Time `json:"started,omitzero"`
	Full    bool      `json:"full"`
	Phase   string    `json:"phase,omitempty"`
}

// Pass is one that has ended.
type Pass struct {
	Started    time.Time `json:"started"`
	Ended      time.Time `json:"ended"`
	Full       bool      `json:"full"`
	Found      int64     `json:"found"`
	Freed      int64     `json:"freed"`
	FreedBytes int64     `json:"freedBytes"`
	Skipped    int64     `json:"skipped"`
	Failed     string    `json:"failed,omitempty"` // why it ended early
}

// Scrubbed is the round of the scrub that goes on, or the last one.
type Scrubbed struct {
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	Blobs   int64     `json:"blobs"`
	Bytes   int64     `json:"bytes"`
	Damaged int64     `json:"damaged"`
	Skipped int64     `json:"skipped"`
}

// Source is a store to look at.
type Source struct {
	Path     string // "/", or the sub-path with a slash before it
	Records  format.Store
	Collects func() bool      // whether gc is on for it, which a new configuration may change
	Features []format.Feature // that are known here
}

// Viewer looks at a cluster. It remembers the heartbeats that it has read: one that has not changed is not read again. Safe for concurrent use.
type Viewer struct {
	sources []Source

	mu    sync.Mutex
	known map[record.Version]seen
}

// NewViewer returns a viewer of stores, the root's first. The root's heartbeats are those that are shown.
func NewViewer(sources []Source) *Viewer { return &Viewer{sources: sources} }

// Look looks. It makes one list of heartbeats and a read for each that is new, and for each store four reads. What one store does not
// tell is among its Errors. Errors: those of the root's store, when it does not tell who there is.
func (v *Viewer) Look(ctx context.Context) (View, error) {
	v.mu.Lock()
	known := v.known
	v.mu.Unlock()
	root := v.sources[0].Records
	all, err := beats(ctx, root, known)
	if err != nil {
		return View{}, err
	}
	known = map[record.Version]seen{}
	for _, b := range all {
		known[b.Version] = b
	}
	v.mu.Lock()
	v.known = known
	v.mu.Unlock()
	out := View{Replicas: []Peer{}, Stores: make([]Store, len(v.sources))}
	var g errgroup.Group
	for i, s := range v.sources {
		g.Go(func() error {
			out.Stores[i] = s.look(ctx, all)
			return nil
		})
	}
	_ = g.Wait() // what went wrong is in the stores
	out.At = root.Records.Now().UTC().Truncate(time.Millisecond)
	for _, b := range all {
		out.Replicas = append(out.Replicas, b.shown(out.At))
	}
	slices.SortFunc(out.Replicas, func(a, b Peer) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	out.Problems = problems(out)
	out.Well = !slices.ContainsFunc(out.Problems, func(p Problem) bool { return p.Severity == Wrong })
	return out, nil
}

// shown is the heartbeat as others see it at a time.
func (b seen) shown(at time.Time) Peer {
	if b.unreadable != nil {
		m := Peer{ID: b.id, Seen: b.Modified, State: NotReady, Why: "its heartbeat is of a version that is not known here", Features: []string{}}
		if at.Sub(b.Modified) > LostAfter {
			m.State = Lost
		}
		return m
	}
	ms := func(d time.Duration) float64 {
		return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
	}
	m := Peer{
		ID: b.id, Host: b.Host, PID: b.PID, Role: b.Role, Version: b.Program, Format: b.Format, Features: b.Knows, Address: b.Vitals.Address,
		State: b.Vitals.State, Why: b.Vitals.Why, Since: b.Since, Seen: b.Modified, InFlight: b.Vitals.InFlight, Requests: Requests(b.Vitals.Requests),
		Store:              Answers{Total: b.Vitals.Store.Total, Failed: b.Vitals.Store.Failed, P50Ms: ms(b.Vitals.Store.P50), P99Ms: ms(b.Vitals.Store.P99)},
		GraceSeconds:       b.Grace,
		ClockOffsetSeconds: b.Vitals.ClockOffset.Round(time.Millisecond).Seconds(),
	}
	if at.Sub(b.Modified) > LostAfter {
		m.State, m.Why = Lost, ""
	}
	if m.Features == nil {
		m.Features = []string{}
	}
	return m
}

// look asks a store. all are the root's heartbeats.
func (s Source) look(ctx context.Context, all []seen) Store {
	out := Store{Path: s.Path, Features: []FeatureState{}}
	var mu sync.Mutex
	var g errgroup.Group
	ask := func(what string, get func() error) {
		g.Go(func() error {
			if err := get(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				out.Errors = append(out.Errors, fmt.Sprintf("%s: %s", what, err))
			}
			return nil
		})
	}
	ask("format", func() error {
		c, err := format.Read[format.Contract](ctx, s.Records, format.KeyFormat)
		if err == nil {
			out.Format, out.Features = c.Head.Format, featureStates(c.Head, all, s.Features, s.Records.Records.Now())
		}
		return err
	})
	ask("self-test", func() (err error) {
		out.SelfTest, err = selfTest(ctx, s.Records)
		return err
	})
	ask("collector", func() error {
		status, err := collect.StatusOf(ctx, s.Records)
		if err == nil {
			out.Collector = collector(status, s.Collects())
		}
		return err
	})
	ask("scrub", func() error {
		r, err := scrub.Last(ctx, s.Records)
		if err == nil && r != nil {
			out.Scrub = &Scrubbed{Started: r.Started, Ended: r.Ended, Blobs: r.Records, Bytes: r.Bytes, Damaged: r.DamagedTotal, Skipped: r.Skipped}
		}
		return err
	})
	_ = g.Wait() // they return none
	slices.Sort(out.Errors)
	return out
}

// keySelfTest is where the self-test of S3 keeps its result, as JSON.
const keySelfTest = record.Key("cfg/probe-result")

func selfTest(ctx context.Context, s format.Store) (*SelfTest, error) {
	rec, err := s.Records.Get(ctx, keySelfTest)
	switch {
	case errors.Is(err, record.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	var r SelfTest
	if err := json.Unmarshal(rec.Value, &r); err != nil {
		return nil, fmt.Errorf("cluster: read %s: %w", keySelfTest, err)
	}
	return &r, nil
}

func collector(s collect.Status, enabled bool) *Collector {
	out := &Collector{Enabled: enabled, Holder: s.Holder, Ended: s.Ended}
	if s.Running != nil {
		out.Running = &Running{Started: s.Running.Started, Full: s.Running.Full, Phase: string(s.Running.Phase)}
	}
	if r := s.Last; r != nil {
		sum := r.Total()
		out.Last = &Pass{
			Started: r.Started, Ended: r.Ended, Full: r.Full, Found: sum.Found, Freed: sum.Freed, FreedBytes: sum.FreedBytes,
			Skipped: int64(len(r.Skipped)) + r.SkippedMore, Failed: r.Failed,
		}
	}
	return out
}
