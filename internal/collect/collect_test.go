package collect_test

import (
	"testing"

	"holdfast/internal/collect"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// TestFrees: what no tag names goes after the grace, down to the last byte and the last key, and nothing else does.
func TestFrees(t *testing.T) {
	for name, full := range map[string]bool{"what changed": false, "everything": true} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, h *house) {
				old := h.push("a", "latest", "old layer", "shared layer")
				h.push("b", "latest", "shared layer", "other layer")
				h.pass(2 * day)
				h.push("a", "latest", "new layer")
				h.collect(full, collect.Config{})
				if got, want := h.bytes(), sizeOf("config", "old layer", "shared layer", "other layer", "new layer"); got != want {
					t.Errorf("%d bytes at once, want %d: the grace has not passed", got, want)
				}
				if _, err := h.registry.Resolve(t.Context(), "a", oci.Reference{Digest: old}); err != nil {
					t.Errorf("the manifest that the tag named: %v", err)
				}
				h.pass(day + 1)
				r := h.collect(full, collect.Config{})
				h.wantGone("a", old)
				h.wantImage("a", "latest", "new layer")
				h.wantImage("b", "latest", "shared layer", "other layer")
				if got, want := h.bytes(), sizeOf("config", "shared layer", "other layer", "new layer"); got != want {
					t.Errorf("%d bytes, want %d\n%+v", got, want, r)
				}
				if r.FreedBytes() != sizeOf("old layer") || r.Counts[collect.KindManifests].Freed != 1 || r.Counts[collect.KindLinks].Freed != 2 {
					t.Errorf("it says: %d bytes, %+v %+v", r.FreedBytes(), r.Counts[collect.KindManifests], r.Counts[collect.KindLinks])
				}
			})
		})
	}
}

// TestEverythingGoes: of a repository whose tags are deleted nothing stays, but its fence.
func TestEverythingGoes(t *testing.T) {
	in(t, func(t *testing.T, h *house) {
		h.push("a", "latest", "layer")
		h.manifest("a", image(image("", "layer")))
		h.pass(2 * day)
		if err := h.registry.DeleteTag(t.Context(), "a", "latest"); err != nil {
			t.Fatal(err)
		}
		for range 6 {
			h.pass(day + 1)
			h.collect(false, collect.Config{})
		}
		h.pass(day + 1)
		h.collect(true, collect.Config{})
		h.pass(day + 1)
		h.collect(true, collect.Config{})
		if got := h.bytes(); got != 0 {
			t.Errorf("%d bytes stay", got)
		}
		for _, prefix := range []record.Key{"b/", "l/", "n/", "u/", "h/"} {
			if keys := h.keys(prefix); len(keys) > 0 {
				t.Errorf("%s stay", keys)
			}
		}
		if keys := h.keys("r/"); len(keys) != 1 {
			t.Errorf("%s stay, want the fence only", keys)
		}
	})
}
