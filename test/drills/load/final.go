package load

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Key is something that a call named: a tag, a manifest or a blob of a repository.
type Key struct{ Kind, Repo, Ref string }

// The kinds of keys.
const (
	Tag      = "tag"
	Manifest = "manifest"
	Blob     = "blob"
)

// KeyOf returns what a call is about, and false for calls about nothing in particular.
func KeyOf(c Call) (Key, bool) {
	switch c.Op {
	case BlobCommit, BlobMount, BlobGet, BlobRange, BlobHead, BlobDelete:
		return Key{Blob, c.Repo, c.Ref}, true
	case ManifestPut, ManifestGet, ManifestDelete, TagDelete:
		if strings.Contains(c.Ref, ":") {
			return Key{Manifest, c.Repo, c.Ref}, true
		}
		return Key{Tag, c.Repo, c.Ref}, true
	}
	return Key{}, false
}

// ReadBack reads everything that the clients ever named, as they would, directly at each of targets, and
// records it as final calls of theirs. A read that is not answered is made again a few times.
func (l *Load) ReadBack(ctx context.Context, opt Options, targets []string) {
	owned := make(map[int]map[Key]bool) // a key without a kind: the referrers of Ref
	next := make(map[int]int)
	for _, c := range l.History.Calls() {
		if owned[c.Client] == nil {
			owned[c.Client] = make(map[Key]bool)
		}
		next[c.Client] = max(next[c.Client], c.N)
		if k, ok := KeyOf(c); ok && c.Write() {
			owned[c.Client][k] = true
			if k.Kind == Tag && c.Digest != "" {
				owned[c.Client][Key{Manifest, c.Repo, c.Digest}] = true
			}
			if c.Subject != "" {
				owned[c.Client][Key{"", c.Repo, c.Subject}] = true
			}
		}
	}
	var wg sync.WaitGroup
	for id, keys := range owned {
		w := newWorker(l, id, defaults(opt))
		w.n = next[id]
		wg.Go(func() {
			defer w.http.CloseIdleConnections()
			for _, target := range targets {
				w.readBack(ctx, target, keys)
			}
		})
	}
	wg.Wait()
}

func (w *worker) readBack(ctx context.Context, target string, keys map[Key]bool) {
	for key := range keys {
		w.untilAnswered(ctx, Call{Repo: key.Repo, Ref: key.Ref, Target: target, Final: true}, func(c *Call) {
			switch key.Kind {
			case Blob:
				c.Op = BlobGet
				w.get(ctx, c, "")
			case "":
				c.Op = ReferrersList
				w.readReferrers(ctx, c)
			default:
				c.Op = ManifestGet
				w.readManifest(ctx, c)
			}
		})
	}
	repos := slices.Clone(w.repos)
	for _, repo := range repos {
		w.untilAnswered(ctx, Call{Op: TagsList, Repo: repo, Target: target, Final: true}, func(c *Call) { w.list(ctx, c, 100) })
	}
}

func (w *worker) untilAnswered(ctx context.Context, as Call, read func(*Call)) {
	for range 4 {
		c := as
		read(&c)
		if !c.Failed() || c.Status == http.StatusInternalServerError || ctx.Err() != nil {
			w.history.Add(c)
			return
		}
		as.Err, as.Status = c.Err, c.Status
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
	w.history.Add(as)
}
