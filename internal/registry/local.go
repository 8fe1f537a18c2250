package registry

import (
	"context"
	"errors"
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
	Redirect     bool  // blobs have URLs, where the store gives them
	MaxNameBytes int   // longest repository name that the store can hold; 0: the spec's 255

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
	log     *slog.Logger
	ages    Ages
	maxBlob atomic.Int64
	urls    bool
	maxName int
	secret  []byte
	changed func(repo oci.Repository, blobs ...oci.Digest)

	repos    *memory[oci.Repository, repoMemory]
	refs     *memory[oci.Digest, *oci.Manifest]
	children *memory[childKey, uint64]

	after sync.WaitGroup // work that goes on after an answer
}

// Sizes of the memories, in entries: some tens of MiB at most.
const (
	rememberedRepos     = 8192
	rememberedManifests = 1024
	rememberedChildren  = 16384
)

// New opens a registry over two stores. It makes at most four requests: it reads the format and the
// cluster's secret, and creates them in an empty store. Errors: *FormatError for a store of a newer format.
func New(ctx context.Context, records record.Store, segments data.Store, cfg Config, log *slog.Logger) (*Local, error) {
	if cfg.Ages == (Ages{}) {
		cfg.Ages = format.DefaultAges()
	}
	if err := cfg.Ages.Check(); err != nil {
		return nil, err
	}
	l := &Local{records: records, format: format.Store{Records: records, Ages: cfg.Ages}, data: segments, log: log, ages: cfg.Ages, urls: cfg.Redirect, maxName: cfg.MaxNameBytes}
	l.maxBlob.Store(cfg.MaxBlobBytes)
	if l.changed = cfg.Changed; l.changed == nil {
		l.changed = func(oci.Repository, ...oci.Digest) {}
	}
	l.repos = newMemory[oci.Repository, repoMemory](rememberedRepos)
	l.refs = newMemory[oci.Digest, *oci.Manifest](rememberedManifests)
	l.children = newMemory[childKey, uint64](rememberedChildren)
	if err := l.openFormat(ctx); err != nil {
		return nil, err
	}
	var err error
	if l.secret, err = l.openSecret(ctx); err != nil {
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

// FormatError is a store that a newer version wrote.
type FormatError struct{ Found int }

// Error names both formats.
func (e *FormatError) Error() string {
	return fmt.Sprintf("the store has format %d, this version speaks format %d: run the version that wrote it, or a newer one", e.Found, format.Version)
}

type formatHead struct {
	format.Meta
	Format   int      `json:"format"`
	Features []string `json:"features"`
}

func (l *Local) openFormat(ctx context.Context) error {
	s, err := read[formatHead](ctx, l, format.KeyFormat)
	if err != nil {
		return err
	}
	if !s.Exists() {
		s, err = write(ctx, l, format.KeyFormat, s, formatHead{Format: format.Version, Features: []string{}}, nil, false)
		if err != nil && !isConflict(err) {
			return err
		}
	}
	if s.Head.Format != format.Version || len(s.Head.Features) > 0 {
		return &FormatError{Found: s.Head.Format}
	}
	return nil
}

type secretHead struct {
	format.Meta
	Secret []byte `json:"secret"`
}

// openSecret returns the cluster's secret, which the first replica makes.
func (l *Local) openSecret(ctx context.Context) ([]byte, error) {
	s, err := read[secretHead](ctx, l, format.KeySecret)
	if err != nil {
		return nil, err
	}
	if !s.Exists() {
		s, err = write(ctx, l, format.KeySecret, s, secretHead{Secret: []byte(format.RandomID() + format.RandomID())}, nil, false)
		if err != nil && !isConflict(err) {
			return nil, err
		}
	}
	if len(s.Head.Secret) < 32 {
		return nil, errors.New("registry: the cluster's secret in the store is damaged: restore cfg/secret, or delete it and restart every replica (uploads in progress are lost)")
	}
	return s.Head.Secret, nil
}
