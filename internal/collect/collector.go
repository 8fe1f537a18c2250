package collect

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/collect/retain"
	"holdfast/internal/data"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	"holdfast/internal/registry"
)

// Config is what an operator can choose. The zero value collects by the protocol's ages, and no tag.
type Config struct {
	// Delay is how long a manifest without a tag is kept, when it is longer than the grace.
	Delay time.Duration
	// Policies say which tags are kept, and which manifests without one. None: all tags, and nothing without one.
	Policies retain.Policies
	// KeepTags makes the policies' decisions known and does not follow them.
	KeepTags bool
	// Removed is told of each manifest, link and blob that was removed, the moment it is gone; blobs without a repository. It may be called by
	// several at once. nil: nobody wants to know.
	Removed func(kind Kind, repo oci.Repository, d oci.Digest)
	// DryRun finds and reports, and writes nothing.
	DryRun bool
	// MultipartAge is after how long an upload that was never finished is given up in the store; 0: two days.
	MultipartAge time.Duration
	// MaxSegments is how many segments a blob may be in before they are merged; 0: format.ManySegments.
	MaxSegments int
	// SaveEvery is after how many repositories, or 16 times so many digests, a pass says how far it is; 0: 256.
	SaveEvery int
	// MaxReferences bounds the references that are remembered at once, 8 bytes each; with more, a full pass reads the manifests several times. 0: 8 Mi.
	MaxReferences int
}

// Collector frees what nobody needs. Any number of them may work on one store at once. Its methods are not to be called at once.
type Collector struct {
	store    format.Store
	segments data.Store
	registry *registry.Local
	cfg      Config
	log      *slog.Logger

	manifests *lru.Cache[oci.Digest, *oci.Manifest]
	tags      *lru.Cache[record.Key, knownTag]
	lists     *lru.Cache[record.Key, knownList]
	noDelete  atomic.Bool // the store has no dependable conditional delete

	clock clock

	due *Hints // what was found before its time

	toTend []record.Key // records that the pass has found to need tending

	mu     sync.Mutex
	report *Report
	dying  map[record.Key]bool // links that a dry run would have killed
}

// knownTag is what a version of a tag says.
type knownTag struct {
	version record.Version
	digest  oci.Digest // "" for one that says nothing
	life    string
	dead    bool
	large   bool
	pushed  time.Time
	kept    []keptDigest
}

// keptDigest is a digest that a tag named until then.
type keptDigest struct {
	digest oci.Digest
	until  time.Time
}

// knownList is what a version of a list of referrers names.
type knownList struct {
	version record.Version
	digests []oci.Digest
}

// How much a collector remembers of what cannot change, in entries.
const (
	rememberedManifests = 16 << 10
	rememberedTags      = 32 << 10
	rememberedLists     = 32 << 10
)

// New returns a collector over the stores of a registry. It makes no request.
func New(l *registry.Local, store format.Store, segments data.Store, cfg Config, log *slog.Logger) *Collector {
	if cfg.Removed == nil {
		cfg.Removed = func(Kind, oci.Repository, oci.Digest) {}
	}
	if cfg.MultipartAge == 0 {
		cfg.MultipartAge = 2 * store.Ages.Session
	}
	if cfg.MaxSegments == 0 {
		cfg.MaxSegments = format.ManySegments
	}
	if cfg.SaveEvery == 0 {
		cfg.SaveEvery = 256
	}
	if cfg.MaxReferences == 0 {
		cfg.MaxReferences = 8 << 20
	}
	c := &Collector{store: store, segments: segments, registry: l, cfg: cfg, log: log, report: &Report{}, due: NewHints(store, log)}
	c.manifests, _ = lru.New[oci.Digest, *oci.Manifest](rememberedManifests)
	c.tags, _ = lru.New[record.Key, knownTag](rememberedTags)
	c.lists, _ = lru.New[record.Key, knownList](rememberedLists)
	return c
}

// later notes what has not been useless for long enough, for a later pass.
func (c *Collector) later(repo oci.Repository, blobs ...oci.Digest) {
	if !c.cfg.DryRun {
		c.due.Changed(repo, blobs...)
	}
}

// count adds to what the report says of a kind. Safe for concurrent use.
func (c *Collector) count(k Kind, add Count) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.report.of(k)
	n.Found += add.Found
	n.Freed += add.Freed
	n.Rescued += add.Rescued
	n.Left += add.Left
	n.FoundBytes += add.FoundBytes
	n.FreedBytes += add.FreedBytes
}

// each does work for 0 to n-1, some of it at once, until one fails.
func each(ctx context.Context, n int, work func(context.Context, int) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i := range n {
		g.Go(func() error { return work(gctx, i) })
	}
	return g.Wait()
}

// always is for keys that nothing writes again.
var always = record.Always()
