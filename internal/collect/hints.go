package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/format"
	"holdfast/internal/oci"
)

// Hints collects what a replica's pushes and deletes leave behind, and writes it for the collector: at most one object in a minute. What
// is not written when a replica dies, or does not fit, is found by the next full pass. Safe for concurrent use.
type Hints struct {
	store format.Store
	log   *slog.Logger

	written, dropped atomic.Int64

	mu      sync.Mutex
	changed map[oci.Repository]map[oci.Digest]bool
	size    int
}

// Bounds of hints.
const (
	hintInterval = time.Minute
	hintBlobs    = 20000 // entries in one object: some 2 MB
)

// NewHints returns an empty collection.
func NewHints(store format.Store, log *slog.Logger) *Hints {
	return &Hints{store: store, log: log, changed: map[oci.Repository]map[oci.Digest]bool{}}
}

// Changed notes a repository, and blobs of it that nothing may refer to; see registry.Config. It never waits.
func (h *Hints) Changed(repo oci.Repository, blobs ...oci.Digest) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.size+len(blobs) >= hintBlobs {
		h.dropped.Add(1 + int64(len(blobs)))
		return // the next full pass finds it
	}
	if h.changed[repo] == nil {
		h.changed[repo] = map[oci.Digest]bool{}
		h.size++
	}
	for _, d := range blobs {
		if !h.changed[repo][d] {
			h.changed[repo][d] = true
			h.size++
		}
	}
}

// Written is how many hints were written.
func (h *Hints) Written() int64 { return h.written.Load() }

// Dropped is how many repositories and blobs were to be noted that no hint tells of, for want of room or of an answer of the store.
func (h *Hints) Dropped() int64 { return h.dropped.Load() }

// Run writes what was noted once in a minute until ctx ends, and then once more.
func (h *Hints) Run(ctx context.Context) {
	ticker := time.NewTicker(hintInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			h.flush(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			h.flush(last)
			return
		}
	}
}

func (h *Hints) flush(ctx context.Context) {
	if err := h.Write(ctx); err != nil {
		h.log.WarnContext(ctx, "a hint for the collector was not written; its next full pass makes up for it", "err", err)
	}
}

// Write writes what was noted now. What could not be written is dropped.
func (h *Hints) Write(ctx context.Context) error {
	h.mu.Lock()
	changed := h.changed
	noted := int64(h.size)
	h.changed, h.size = map[oci.Repository]map[oci.Digest]bool{}, 0
	h.mu.Unlock()
	if len(changed) == 0 {
		return nil
	}
	var hint format.Hint
	for _, repo := range slices.Sorted(maps.Keys(changed)) {
		hint.Repositories = append(hint.Repositories, format.HintOf{Repository: repo, Blobs: slices.Sorted(maps.Keys(changed[repo]))})
	}
	hint.State = format.Live
	if _, err := format.Write(ctx, h.store, format.HintKey(format.RandomID()), format.Stored[format.Hint]{}, hint, nil, false); err != nil {
		h.dropped.Add(noted)
		return fmt.Errorf("collect: write a hint: %w", err)
	}
	h.written.Add(1)
	return nil
}

// hinted is what hints say that may be due.
type hinted struct {
	repositories map[oci.Repository]map[oci.Digest]bool
	read         []string // the ids of the hints
	more         bool     // there are more of them
}

// maxHinted bounds the blobs that one batch of hints names.
const maxHinted = 200000

// readHints reads the hints whose time has come: what they name has been as it is for the grace.
func (c *Collector) readHints(ctx context.Context) (hinted, error) {
	out := hinted{repositories: map[oci.Repository]map[oci.Digest]bool{}}
	size := 0
	for entry, err := range c.store.Records.List(ctx, format.PrefixHints, "") {
		if err != nil {
			return out, fmt.Errorf("collect: list hints: %w", err)
		}
		if c.age(entry.Modified) < c.store.Ages.Grace {
			continue
		}
		if size > maxHinted {
			out.more = true
			break
		}
		hint, err := format.Read[format.Hint](ctx, c.store, entry.Key)
		if err := c.stepOver(ctx, string(entry.Key), err); err != nil {
			return out, err
		}
		for _, of := range hint.Head.Repositories {
			blobs := out.repositories[of.Repository]
			if blobs == nil {
				blobs = map[oci.Digest]bool{}
				out.repositories[of.Repository] = blobs
			}
			for _, d := range of.Blobs {
				blobs[d] = true
			}
			size += 1 + len(of.Blobs)
		}
		out.read = append(out.read, string(entry.Key[len(format.PrefixHints):]))
	}
	return out, nil
}

// dropHints removes hints that were followed. Nothing writes their keys again.
func (c *Collector) dropHints(ctx context.Context, ids []string) error {
	if c.cfg.DryRun {
		return nil
	}
	var errs []error
	for _, id := range ids {
		errs = append(errs, c.store.Records.Delete(ctx, format.HintKey(id), always))
	}
	return errors.Join(errs...)
}
