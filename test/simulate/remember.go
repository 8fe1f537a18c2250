package simulate

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/internal/format"
	"holdfast/internal/record"
	"holdfast/internal/record/cached"
)

// remembering is what the replicas of a scenario remember links and fences with (package record/cached): each in a memory of its own, which ends with
// it, and all in one shared cache, which is as its kind says.
type remembering uint8

const (
	nothing remembering = iota
	well                // the cache holds what it was given last
	old                 // it holds, by turns, all that it was ever given under a name
	mixed               // it holds, by turns, what it was given under other names, rubbish, and nothing
)

func (r remembering) String() string {
	return [...]string{"", "well", "what is old", "what is mixed up"}[r]
}

// remembering puts what a replica remembers before its records.
func (w *world) remembering(in *incarnation) record.Store {
	return cached.New(w.ctx, records{in}, cached.Config{
		Shared: w.shared, Identity: "simulated", Key: func() []byte { return []byte("simulated") },
	}, slog.New(slog.DiscardHandler))
}

// warmUp has every replica know the fences and see the links, so that it has something to remember.
func (w *world) warmUp() {
	if w.scenario.Remembers == nothing {
		return
	}
	for _, in := range w.replicas[:len(w.replicas)-1] {
		for _, repo := range w.scenario.Repositories {
			if _, err := in.records.Get(w.ctx, format.FenceKey(repo)); err != nil && !errors.Is(err, record.ErrNotFound) {
				w.breaks("warm up: %v", err)
			}
			for _, b := range w.scenario.Blobs {
				if _, err := in.records.Get(format.RecallLink(w.ctx), format.LinkKey(repo, blobDigest(b))); err != nil && !errors.Is(err, record.ErrNotFound) {
					w.breaks("warm up: %v", err)
				}
			}
		}
	}
}

// hostile is the cache that the replicas share.
type hostile struct {
	kind remembering

	mu    sync.Mutex
	given map[string][][]byte
	names []string // in the order in which they were given last
	asked map[string]int
}

var _ cached.Cache = (*hostile)(nil)

func newHostile(kind remembering) *hostile {
	return &hostile{kind: kind, given: map[string][][]byte{}, asked: map[string]int{}}
}

// Get implements cached.Cache, as the kind says.
func (h *hostile) Get(_ context.Context, keys []string) ([][]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([][]byte, len(keys))
	for i, k := range keys {
		turn := h.asked[k]
		h.asked[k]++
		switch given := h.given[k]; {
		case h.kind == mixed:
			out[i] = h.other(k, turn)
		case len(given) == 0:
		case h.kind == old:
			out[i] = given[turn%len(given)]
		default:
			out[i] = given[len(given)-1]
		}
		out[i] = slices.Clone(out[i])
	}
	return out, nil
}

// other returns what was given under another name, the latest first, and then worse.
func (h *hostile) other(name string, turn int) []byte {
	others := slices.DeleteFunc(slices.Clone(h.names), func(n string) bool { return n == name })
	slices.Reverse(others)
	switch turn %= len(others) + 2; {
	case turn == len(others):
		return []byte(strings.Repeat("\x01rubbish", 20))
	case turn > len(others):
		return nil
	}
	given := h.given[others[turn]]
	return given[len(given)-1]
}

// Set implements cached.Cache.
func (h *hostile) Set(_ context.Context, key string, value []byte, _ time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.given[key] = append(h.given[key], slices.Clone(value))
	h.names = append(slices.DeleteFunc(h.names, func(n string) bool { return n == key }), key)
	return nil
}

// Delete implements cached.Cache: what was to be forgotten is not.
func (h *hostile) Delete(context.Context, ...string) error { return nil }

// Add implements cached.Cache.
func (h *hostile) Add(context.Context, string, int64, time.Duration) (int64, error) {
	return 0, errors.New("simulate: nobody counts")
}

// Close implements cached.Cache.
func (h *hostile) Close() error { return nil }
