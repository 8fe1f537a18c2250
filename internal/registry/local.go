package registry

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/data"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// Config is what an operator can choose. The zero value is the documented default.
type Config struct {
	Ages         Ages  // zero: format.DefaultAges
	MaxBlobBytes int64 // 0: no limit
	// Redirects says for each request, by its context, whether a blob of so many bytes has a URL, where the store gives them. nil: none has.
	Redirects    func(ctx context.Context, bytes int64) bool
	OpenEarly    bool // small blobs that were served lately are opened while their links are read: for a store whose answers take time
	MaxNameBytes int  // longest repository name that the store can hold; 0: the spec's 255

	// Pulls is where blobs are read that clients pull: the same segments, perhaps through copies; nil: as all else.
	Pulls    data.Store
	Features []format.Feature // that this program knows
	Scales   format.Scales    // nil: nobody asks what repositories hold

	// Joined: the caller has looked at the store's contract, and writes by it (cluster.Member.Join), so that New does not look again.
	Joined bool
	// Secret is the cluster's secret, if the caller has read it just before; the zero value: New reads it.
	Secret format.Stored[format.Secret]

	// Changed is told of what the collector may find something in, once the grace has passed: a repository, and blobs of it that nothing may
	// refer to; without a repository, blobs that came in very many segments. It is called often, at once by many, and must not wait. nil: nobody wants to know.
	Changed func(repo oci.Repository, blobs ...oci.Digest)
}

// Local is a Registry over a record store and a data store. It keeps nothing that another Local over the
// same stores would have to know: any number of them may run at once.
type Local struct {
	records record.Store
	format  format.Store // the values in records
	data    data.Store
	pulls   data.Store // for clients
	log     *slog.Logger
	ages    Ages
	maxBlob atomic.Int64
	urls    func(ctx context.Context, bytes int64) bool
	maxName int
	keys    keyring
	changed func(repo oci.Repository, blobs ...oci.Digest)

	repos    *memory[oci.Repository, repoMemory]
	refs     *memory[oci.Digest, *oci.Manifest]
	children *memory[childKey, uint64]
	places   *memory[oci.Digest, []segment] // nil without Config.OpenEarly
	hashed   *memory[data.ID, hashedFile]
	sessions *memory[string, stored[uploadHead]] // by the id of the upload

	after sync.WaitGroup // work that goes on after an answer
}

// Sizes of the memories, in entries: some tens of MiB at most.
const (
	rememberedRepos     = 8192
	rememberedManifests = 1024
	rememberedChildren  = 16384
)

// New opens a registry over two stores. It makes at most four requests: it reads the format and the
// cluster's secret, where Config says neither, and creates them in an empty store. Errors: *FormatError for a store of a newer format.
func New(ctx context.Context, records record.Store, segments data.Store, cfg Config, log *slog.Logger) (*Local, error) {
	if cfg.Ages == (Ages{}) {
		cfg.Ages = format.DefaultAges()
	}
	if err := cfg.Ages.Check(); err != nil {
		return nil, err
	}
	l := &Local{records: records, format: format.Store{Records: records, Ages: cfg.Ages, Scales: cfg.Scales}, data: segments, log: log, ages: cfg.Ages, urls: cfg.Redirects, maxName: cfg.MaxNameBytes}
	if l.urls == nil {
		l.urls = func(context.Context, int64) bool { return false }
	}
	if l.pulls = cfg.Pulls; l.pulls == nil {
		l.pulls = segments
	}
	l.maxBlob.Store(cfg.MaxBlobBytes)
	if l.changed = cfg.Changed; l.changed == nil {
		l.changed = func(oci.Repository, ...oci.Digest) {}
	}
	l.repos = newMemory[oci.Repository, repoMemory](rememberedRepos)
	l.refs = newMemory[oci.Digest, *oci.Manifest](rememberedManifests)
	l.children = newMemory[childKey, uint64](rememberedChildren)
	if cfg.OpenEarly {
		l.places = newMemory[oci.Digest, []segment](rememberedPlaces)
	}
	l.hashed = newMemory[data.ID, hashedFile](rememberedHashes)
	l.sessions = newMemory[string, stored[uploadHead]](rememberedSessions)
	if !cfg.Joined {
		if _, err := format.LookAtContract(ctx, l.format, cfg.Features); err != nil {
			return nil, err
		}
	}
	if err := l.openSecret(ctx, cfg.Secret); err != nil {
		return nil, err
	}
	return l, nil
}

// SetMaxBlobBytes changes Config.MaxBlobBytes for the requests that begin from now on.
func (l *Local) SetMaxBlobBytes(most int64) { l.maxBlob.Store(most) }

// Close waits for the work that goes on after answers: seconds at most, the requests are bounded.
func (l *Local) Close() { l.after.Wait() }

// afterwards runs work that an answer does not wait for. Losing it costs the collector a look, nothing else.
func (l *Local) afterwards(ctx context.Context, what string, work func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	l.after.Go(func() {
		defer cancel()
		if err := work(ctx); err != nil && !isConflict(err) {
			l.log.WarnContext(ctx, "work after an answer was not done; the collector makes up for it", "work", what, "err", err)
		}
	})
}

// checkName refuses to begin a repository that the store cannot hold.
func (l *Local) checkName(repo oci.Repository) error {
	if l.maxName == 0 || len(repo) <= l.maxName {
		return nil
	}
	return &oci.Error{
		Code:    oci.NameInvalid,
		Message: fmt.Sprintf("a repository name has at most %d bytes in this registry's store, this one has %d", l.maxName, len(repo)),
		Detail:  oci.Field{Field: "name", Got: oci.Clip(string(repo))},
	}
}

// bounded starts a request's clock, after the last byte of its body: no conditional write happens later
// than the age Request after this. Within a process the store's clock goes on with the monotonic
// clock, so a timer keeps the rule.
func (l *Local) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, l.ages.Request)
}

// FormatError is a store that asks for more than this version knows.
type FormatError = format.NewerError
