package fsck

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/data"
	"holdfast/internal/format"
	"holdfast/internal/record"
)

// Config is what a run does. The zero value checks stores that replicas write to, and writes nothing.
type Config struct {
	// Offline says that nobody else writes to the stores: what a request may have under way is then a finding too.
	Offline bool
	// Repair mends what can be mended without guessing. It deletes nothing.
	Repair bool
	// Pause is the time between the two looks at what seems to be wrong. Zero means DefaultPause, less than zero none.
	Pause time.Duration
	// Parallel is how many keys are read at once. Zero means DefaultParallel.
	Parallel int
	// MaxFindings is how many findings of each kind the report holds; the others are counted. Zero means DefaultFindings.
	MaxFindings int
	// MaxNames is of how many segments the names are kept in memory, 8 bytes each. A store with more of them has its sessions and
	// records read once more for each further so many. Zero means DefaultNames.
	MaxNames int
	// Features are those of the format that this program knows. A store with others is not checked.
	Features []format.Feature
}

// The defaults of Config.
const (
	DefaultPause    = 3 * time.Second
	DefaultParallel = 16
	DefaultFindings = 1000
	DefaultNames    = 4 << 20
)

func (cfg Config) withDefaults() Config {
	if cfg.Pause == 0 {
		cfg.Pause = DefaultPause
	}
	if cfg.Parallel <= 0 {
		cfg.Parallel = DefaultParallel
	}
	if cfg.MaxFindings <= 0 {
		cfg.MaxFindings = DefaultFindings
	}
	if cfg.MaxNames <= 0 {
		cfg.MaxNames = DefaultNames
	}
	cfg.MaxNames = max(cfg.MaxNames, 16)
	return cfg
}

// Run checks the whole of both stores. Any number of replicas, and a collector, may write to them meanwhile. It reads every record once
// and looks for every segment of a blob; its memory grows with the largest repository, not with the store. Zero Ages mean format.DefaultAges.
// Errors: those of the stores, and a store of a format that this version does not know; a run that was cut short has no report. What
// it mended until then stays.
func Run(ctx context.Context, store format.Store, segments data.Store, cfg Config) (*Report, error) {
	if store.Ages == (format.Ages{}) {
		store.Ages = format.DefaultAges()
	}
	c := &checker{
		store: store, data: segments, cfg: cfg.withDefaults(),
		report: &Report{
			Started: store.Records.Now(), Checked: map[Class]int64{}, Counts: map[Kind]int64{}, Findings: []Finding{}, Repaired: []Repair{},
			unrepaired: map[Severity]int64{},
		},
	}
	// Sessions before records: a segment goes from a session to a record, and the session stays for hours.
	// Blobs before repositories: what a repair marks there is found missing here.
	for _, phase := range []func(context.Context) error{c.checkFormat, c.checkSessions, c.checkBlobs, c.checkSegments, c.checkRepositories, c.checkMarkers, c.checkAccess, c.checkQuotas} {
		if err := phase(ctx); err != nil {
			return nil, err
		}
	}
	c.report.order()
	c.report.Ended = store.Records.Now()
	return c.report, nil
}

// checker is one run.
type checker struct {
	store format.Store
	data  data.Store
	cfg   Config

	mu       sync.Mutex
	report   *Report
	suspects []suspect
	names    *names
}

// settled reports whether none of the values can be a step of a request that is still under way: they were all written longer ago than
// a request takes, or there are no requests. A key without a value is as old as it can be.
func (c *checker) settled(stamps ...record.Stamp) bool {
	if c.cfg.Offline {
		return true
	}
	now := c.store.Records.Now()
	for _, s := range stamps {
		if s.Version != "" && now.Sub(s.Modified) <= c.store.Ages.Request {
			return false
		}
	}
	return true
}

// count notes that values of a class were read.
func (c *checker) count(class Class, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Checked[class] += n
}

func (c *checker) addBytes(add func(*Bytes)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	add(&c.report.Bytes)
}

// find makes a finding. keys is not empty.
func find(kind Kind, detail string, keys ...record.Key) Finding {
	m := meaningOf(kind)
	return Finding{Kind: kind, Severity: m.severity, Keys: keys, Detail: detail, Do: m.do}
}

func findf(kind Kind, keys []record.Key, format string, args ...any) Finding {
	return find(kind, fmt.Sprintf(format, args...), keys...)
}

// pool runs the checks of one phase, so many at once, and confirms what they suspect whenever there is much of it.
type pool struct {
	c      *checker
	group  *errgroup.Group
	failed atomic.Bool
}

// manySuspects is when suspects are looked at again, so that they take no more memory.
const manySuspects = 1000

func (c *checker) newPool() *pool { return &pool{c: c} }

// run has work done. Errors: those of work that was run before.
func (p *pool) run(ctx context.Context, work func(context.Context) error) error {
	if p.failed.Load() || p.c.crowded() {
		if err := p.wait(ctx); err != nil {
			return err
		}
	}
	if p.group == nil {
		p.group = new(errgroup.Group)
		p.group.SetLimit(p.c.cfg.Parallel)
	}
	p.group.Go(func() error {
		err := work(ctx)
		if err != nil {
			p.failed.Store(true)
		}
		return err
	})
	return nil
}

// wait waits for all work and confirms what it suspects.
func (p *pool) wait(ctx context.Context) error {
	if p.group != nil {
		if err := p.group.Wait(); err != nil {
			return err
		}
		p.group = nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("fsck: %w", err)
	}
	return p.c.confirm(ctx)
}

func (c *checker) crowded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.suspects) >= manySuspects
}
