package rows

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/bench/load"
	"holdfast/bench/site"
)

// Row is one thing that is measured of every subject.
type Row struct {
	Name    string // short, for -only and for files
	Title   string
	Clients int
	Bytes   int64         // that an operation moves, for MB/s and the CPU time of a GB; 0: operations are counted alone
	Limit   int64         // bytes in a second of each connection to the S3 server; 0: none
	Latency time.Duration // added to each S3 request; 0: that of the run

	Once   bool // each client does it once in a round, not again and again for a while
	Times  int  // each client does it so often in a round; 0: for a while
	Rounds int  // so many rounds at most; 0: as many as all
	Anew   bool // it is prepared anew for each round
	Cold   bool // the subject is restarted between preparation and measuring
	Quiet  bool // after the restart it is waited for until what the subject does besides its start is done
	Alone  bool // subjects are started, measured and removed one after the other, because of what they store

	Local   bool        // over a directory
	Extra   []site.Kind // subjects beside the registries
	Without []site.Kind // subjects that cannot do it
	Search  bool        // zot has its index of images
	Ours    bool        // of Holdfast alone
	// Variants are further subjects of Holdfast: over a directory one that commits, or one of several replicas.
	Variants []site.Setup
	// Instead are the subjects, when there are any: no others.
	Instead []site.Setup
	State   string // of the subject, where a thing is measured in several; it is in Name too

	// Prepare fills the subject, which is empty, without latency; the operation is what is measured.
	Prepare func(ctx context.Context, t *Target) (load.Operation, error)
}

// Target is a subject with the clients that load it.
type Target struct {
	*site.Subject
	Client  *load.Client
	S3      *load.S3 // of site.Direct
	Content *load.Content

	names atomic.Int64
}

// Name returns a name of a repository, a tag or an object that was not there before.
func (t *Target) Name(prefix string) string { return fmt.Sprintf("%s-%d", prefix, t.names.Add(1)) }

// Size is how large a run is.
type Size int

// Quick is a run of minutes that shows whether all works; Full has the sizes of the issue, for which it needs some 60 GB of disk and an hour.
const (
	Quick Size = iota
	Normal
	Full
)

// of chooses by the size.
func of[T any](s Size, quick, normal, full T) T { return []T{quick, normal, full}[s] }

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// each does f for 0 to n-1, so many at once. A server that asks for patience gets some: nothing is measured here.
func each(ctx context.Context, n, atOnce int, f func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			for again := 0; ; again++ {
				err := f(ctx, i)
				var other *load.UnexpectedError
				if again == 5 || !errors.As(err, &other) || other.Status != http.StatusServiceUnavailable && other.Status != http.StatusTooManyRequests {
					return err
				}
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(time.Second):
				}
			}
		})
	}
	return group.Wait()
}

// pulls stores n blobs of a size in one repository; the operation pulls one after the other.
func pulls(n int, size int64) func(context.Context, *Target) (load.Operation, error) {
	return func(ctx context.Context, t *Target) (load.Operation, error) {
		blobs, err := t.Content.Blobs(n, size)
		if err != nil {
			return nil, err
		}
		pull := make([]func(context.Context) error, n)
		err = each(ctx, n, 2, func(ctx context.Context, i int) (err error) {
			pull[i], err = t.keep(ctx, "pulled/blobs", blobs[i])
			return err
		})
		if err != nil {
			return nil, err
		}
		var next atomic.Int64
		return load.Plain(func(ctx context.Context, _ int) error {
			return pull[int(next.Add(1)-1)%n](ctx)
		}), nil
	}
}

// partSize is that of Holdfast, and partsAtOnce what it writes of one upload at once.
const (
	partSize    = 8 * mib
	partsAtOnce = 4
)

// keep stores a blob where the subject's clients find it, and returns how they read it.
func (t *Target) keep(ctx context.Context, repo string, b load.Blob) (func(context.Context) error, error) {
	switch t.Kind {
	case site.Direct:
		key := t.Name("object")
		if err := t.write(ctx, key, b); err != nil {
			return nil, err
		}
		at, err := t.S3.Sign(ctx, "GET", key, "")
		return func(ctx context.Context) error { return t.S3.Get(ctx, at, b.Size) }, err
	case site.Nginx:
		return t.file(b)
	default:
		if err := t.Client.PushBlob(ctx, repo, b); err != nil {
			return nil, err
		}
		if err := t.Client.Check(ctx, repo, b); err != nil {
			return nil, err
		}
		return func(ctx context.Context) error { return t.Client.PullBlob(ctx, repo, b) }, nil
	}
}

// write writes an object as Holdfast would.
func (t *Target) write(ctx context.Context, key string, b load.Blob) error {
	if b.Size <= partSize {
		return t.S3.Put(ctx, key, b)
	}
	return t.S3.PutParts(ctx, key, b, partSize, partsAtOnce)
}
