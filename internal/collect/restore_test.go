package collect_test

import (
	"errors"
	"testing"
	"time"

	"holdfast/internal/collect"
	"holdfast/internal/collect/retain"
	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// moved is a house in which a tag moved from an old image to a new one, ten minutes ago, and nobody else names either of them.
func (h *house) moved() (older, newer oci.Digest) {
	h.t.Helper()
	older = h.push("a", "t", "old layer")
	h.pass(2 * day)
	newer = h.push("a", "t", "new layer")
	h.pass(10 * time.Minute)
	return older, newer
}

func (h *house) deleteTag() {
	h.t.Helper()
	if err := h.registry.DeleteTag(h.t.Context(), "a", "t"); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) restore(d oci.Digest) error {
	h.t.Helper()
	return h.registry.Restore(h.t.Context(), "a", "t", d)
}

// wantBefore compares what the tag named before, and whether it can be restored.
func (h *house) wantBefore(want ...registry.Named) {
	h.t.Helper()
	history, err := h.registry.History(h.t.Context(), "a", "t")
	if err != nil {
		h.t.Fatal(err)
	}
	for i, n := range history.Before {
		if i >= len(want) || n.Digest != want[i].Digest || n.Present != want[i].Present {
			h.t.Errorf("before: %+v, want %+v", history.Before, want)
			break
		}
	}
	if len(history.Before) < len(want) {
		h.t.Errorf("before: %+v, want %+v", history.Before, want)
	}
}

// keptFor is how much longer the history promises to keep what the tag named before, number i.
func (h *house) keptFor(i int) time.Duration {
	h.t.Helper()
	history, err := h.registry.History(h.t.Context(), "a", "t")
	if err != nil {
		h.t.Fatal(err)
	}
	return history.Before[i].KeptUntil.Sub(h.store.Records.Now())
}

// TestRestoreAfterAnOverwrite: until the history says, whatever is collected; and after that no more.
func TestRestoreAfterAnOverwrite(t *testing.T) {
	in(t, func(t *testing.T, h *house) {
		older, _ := h.moved()
		h.pass(h.keptFor(0) - time.Second)
		h.collect(true, collect.Config{})
		h.wantBefore(registry.Named{Digest: older, Present: true})
		if err := h.restore(""); err != nil {
			t.Fatal(err)
		}
		h.wantImage("a", "t", "old layer")
		h.pass(2 * day)
		h.collect(true, collect.Config{})
		h.wantImage("a", "t", "old layer")
	})
	in(t, func(t *testing.T, h *house) {
		older, _ := h.moved()
		h.pass(h.keptFor(0) + time.Second)
		h.collect(true, collect.Config{})
		h.wantBefore(registry.Named{Digest: older})
		if err := h.restore(older); !errors.Is(err, oci.ErrManifestUnknown) {
			t.Errorf("after the grace, and the collector: %v", err)
		}
		h.wantImage("a", "t", "new layer")
	})
}

// TestRestoreAfterADelete: what a tag named that moved shortly before it was deleted is told, kept and restored as well; and so it is when the
// tag is pushed again.
func TestRestoreAfterADelete(t *testing.T) {
	for name, again := range map[string]bool{"deleted": false, "deleted and pushed again": true} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, h *house) {
				older, newer := h.moved()
				h.deleteTag()
				want := []registry.Named{{Digest: newer, Present: true}, {Digest: older, Present: true}}
				if again {
					h.pass(10 * time.Minute)
					h.push("a", "t", "newest layer")
				}
				h.wantBefore(want...)
				h.pass(h.keptFor(1) - time.Second)
				h.collect(true, collect.Config{})
				h.wantBefore(want...)
				if err := h.restore(older); err != nil {
					t.Fatal(err)
				}
				h.wantImage("a", "t", "old layer")
				h.pass(day - 11*time.Minute) // since the delete, a day and no more
				h.collect(true, collect.Config{})
				h.wantImage("a", "t", "old layer")
			})
			in(t, func(t *testing.T, h *house) {
				older, newer := h.moved()
				h.deleteTag()
				if again {
					h.push("a", "t", "newest layer")
				}
				h.pass(day + time.Minute)
				h.collect(true, collect.Config{})
				for _, d := range []oci.Digest{older, newer} {
					if err := h.restore(d); !errors.Is(err, oci.ErrManifestUnknown) {
						t.Errorf("after the grace, and the collector: %v", err)
					}
				}
			})
		})
	}
}

// TestRestoreOfWhatRetentionRemoved: retention says that it was it, and what the tag named before is kept in the very pass that removes the tag.
func TestRestoreOfWhatRetentionRemoved(t *testing.T) {
	in(t, func(t *testing.T, h *house) {
		older, newer := h.moved()
		all, err := retain.ParseGlob("**")
		if err != nil {
			t.Fatal(err)
		}
		releases, err := retain.ParsePattern("v.*")
		if err != nil {
			t.Fatal(err)
		}
		policy := retain.Policy{Repositories: []retain.Glob{all}, DeleteUntagged: true, KeepTags: []retain.KeepTags{{Patterns: []retain.Pattern{releases}}}}
		h.collect(true, collect.Config{Policies: retain.Policies{policy}})
		history, err := h.registry.History(t.Context(), "a", "t")
		if err != nil || history.Digest != "" || history.By != "retention" || history.Before[0].DeletedBy != "retention" {
			t.Errorf("%+v, %v", history, err)
		}
		h.wantBefore(registry.Named{Digest: newer, Present: true}, registry.Named{Digest: older, Present: true})
		if err := h.restore(older); err != nil {
			t.Fatal(err)
		}
		h.wantImage("a", "t", "old layer")
	})
}

// TestRestoreOfAnIndex: an index that no tag names any more is kept with its manifests and their layers.
func TestRestoreOfAnIndex(t *testing.T) {
	in(t, func(t *testing.T, h *house) {
		child := image("", "layer")
		h.blob("a", "config")
		h.blob("a", "layer")
		d := h.manifest("a", child)
		h.manifest("a", index(child), "t")
		h.pass(2 * day)
		h.deleteTag()
		h.pass(day - time.Second)
		h.collect(true, collect.Config{})
		if err := h.restore(""); err != nil {
			t.Fatal(err)
		}
		h.pass(2 * day)
		h.collect(true, collect.Config{})
		h.wantImage("a", "t", "layer")
		if _, err := h.registry.Resolve(t.Context(), "a", oci.Reference{Digest: d}); err != nil {
			t.Errorf("its manifest: %v", err)
		}
	})
}
