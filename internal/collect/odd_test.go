package collect_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/collect"
	"holdfast/internal/collect/retain"
	"holdfast/internal/data"
	datamem "holdfast/internal/data/mem"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/registry"
)

// put writes anything at a key.
func (h *house) put(key record.Key, value string) {
	h.t.Helper()
	cond := record.IfAbsent()
	if rec, err := h.records.Get(h.t.Context(), key); err == nil {
		cond = record.IfVersion(rec.Version)
	}
	if _, err := h.records.Put(h.t.Context(), key, []byte(value), cond); err != nil {
		h.t.Fatal(err)
	}
}

// TestOneBadValueStopsNobody: what cannot be read is reported and left, and everything else is collected, by both kinds of pass.
func TestOneBadValueStopsNobody(t *testing.T) {
	bad := strings.Repeat("x", 2000)
	for name, full := range map[string]bool{"what changed": false, "everything": true} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, h *house) {
				h.push("a", "latest", "layer of a")
				useless := h.push("b", "latest", "layer of b")
				h.put(format.TagKey("a", "bad"), bad)
				h.put("u/00/00000000000000000000000000000000", bad)
				h.put("h/0", bad)
				h.put("l/foo", bad)
				h.put("l/00/foo", bad)
				h.put("b/foo", bad)
				h.pass(2 * day)
				if err := errors.Join(h.registry.DeleteTag(t.Context(), "b", "latest"), h.registry.DeleteTag(t.Context(), "a", "latest")); err != nil {
					t.Fatal(err)
				}
				h.pass(day + 1)
				r, err := h.collector(collect.Config{}).Pass(t.Context(), collect.Progress{Full: full}, nil)
				if err != nil || len(r.Skipped) == 0 {
					t.Errorf("%v, and it left alone %s", err, r.Skipped)
				}
				h.wantGone("b", useless)
				if got, want := h.bytes(), sizeOf("layer of a", "config"); got != want {
					t.Errorf("%d bytes, want %d: a has something that cannot be read", got, want)
				}
			})
		})
	}
}

// TestNothingStaysForEver: what rules keep for a time goes after it, also when only changes are looked at.
func TestNothingStaysForEver(t *testing.T) {
	glob, err := retain.ParseGlob("**")
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]collect.Config{
		"a delay longer than the grace": {Delay: 3 * day},
		"untagged pushed within a day":  {Policies: retain.Policies{{Repositories: []retain.Glob{glob}, DeleteUntagged: true, KeepUntagged: retain.Rules{PushedWithin: 2 * day}}}},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, h *house) {
				h.blob("a", "config")
				h.blob("a", "layer")
				d := h.manifest("a", image("", "layer"))
				c := h.collector(cfg)
				for range 10 {
					h.pass(day + time.Minute)
					if _, err := c.Pass(t.Context(), collect.Progress{Full: cfg.Delay == 0}, nil); err != nil {
						t.Fatal(err)
					}
				}
				h.wantGone("a", d)
				if h.bytes() != 0 {
					t.Errorf("%d bytes stay", h.bytes())
				}
			})
		})
	}
}

// ahead is a store whose clock is ahead, as this process sees it.
type ahead struct {
	record.Store
	by time.Duration
}

func (a ahead) Now() time.Time { return a.Store.Now().Add(a.by) }

// TestClockAhead: a collector that takes the time for a month later kills nothing that is young by the store's own times.
func TestClockAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, recordmem.New(recordmem.Config{}), datamem.Config{})
		d := h.push("a", "latest", "layer")
		young := h.manifest("a", image("", "layer", "layer"))
		h.blob("a", "alone")
		h.push("a", "latest", "other")
		h.pass(time.Minute)
		store := format.Store{Records: ahead{h.records, 30 * day}, Ages: h.store.Ages}
		for _, full := range []bool{true, false} {
			if _, err := collect.New(h.registry, store, h.segments, collect.Config{}, discard()).Pass(t.Context(), collect.Progress{Full: full}, nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range []oci.Digest{d, young} {
			if _, err := h.registry.Resolve(t.Context(), "a", oci.Reference{Digest: m}); err != nil {
				t.Error(err)
			}
		}
		if got, err := h.read("a", digest.FromString("alone")); err != nil || got != "alone" {
			t.Errorf("%q, %v", got, err)
		}
		h.wantImage("a", "latest", "other")
	})
}

// TestClockAheadOfAll: such a collector takes nothing that goes by its age alone: sessions, segments, tombstones, tags by a policy, markers.
func TestClockAheadOfAll(t *testing.T) {
	in(t, func(t *testing.T, h *house) {
		all, err := retain.ParseGlob("**")
		if err != nil {
			t.Fatal(err)
		}
		policies := retain.Policies{{Repositories: []retain.Glob{all}, DeleteUntagged: true, KeepTags: []retain.KeepTags{{Rules: retain.Rules{PushedWithin: 7 * day}}}}}
		h.push("a", "kept", "layer")
		h.push("a", "deleted", "layer", "other")
		if err := h.registry.DeleteTag(t.Context(), "a", "deleted"); err != nil {
			t.Fatal(err)
		}
		u, err := h.registry.StartUpload(t.Context(), "a", digest.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = h.registry.AppendUpload(t.Context(), "a", u.ID, registry.Chunk{Start: -1, Size: 5, Body: strings.NewReader("layer")}); err != nil {
			t.Fatal(err)
		}
		h.segment("on its way")
		h.pass(time.Minute)
		records, bytes := h.decided(), h.bytes()
		store := format.Store{Records: ahead{h.records, 30 * day}, Ages: h.store.Ages}
		for _, full := range []bool{true, false} {
			if _, err := collect.New(h.registry, store, h.segments, collect.Config{Policies: policies}, discard()).Pass(t.Context(), collect.Progress{Full: full}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if got := h.decided(); !slices.Equal(got, records) || h.bytes() != bytes {
			t.Errorf("the records were\n%q, and are\n%q; the segments %d bytes, and %d", records, got, bytes, h.bytes())
		}
		h.wantImage("a", "kept", "layer")
		if _, err := h.registry.AppendUpload(t.Context(), "a", u.ID, registry.Chunk{Start: 5, Size: 1, Body: strings.NewReader("!")}); err != nil {
			t.Error(err)
		}
	})
}

// segment is one that nothing names: its record is still to come.
func (h *house) segment(content string) {
	h.t.Helper()
	w, err := h.segments.Create(h.t.Context(), data.ID(strings.Repeat("ab", 16)))
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		h.t.Fatal(err)
	}
	if _, err := w.Commit(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

// decided are the keys of what clients and passes decide about; "+" where there is no tombstone.
func (h *house) decided() []string {
	h.t.Helper()
	var keys []string
	for _, prefix := range []record.Key{"b/", "l/", "n/", "r/", "u/"} {
		for e, err := range h.records.List(h.t.Context(), prefix, "") {
			if err != nil {
				h.t.Fatal(err)
			}
			switch {
			case strings.HasSuffix(string(e.Key), "/f"): // raised
			case e.Size == format.DeadSize:
				keys = append(keys, string(e.Key))
			default:
				keys = append(keys, string(e.Key)+"+")
			}
		}
	}
	return keys
}

// TestVoidGoes: what landed too late to count is buried after a day, and does not keep a repository in the catalog.
func TestVoidGoes(t *testing.T) {
	in(t, func(t *testing.T, h *house) {
		late := format.Store{Records: ahead{h.records, -2 * time.Hour}, Ages: h.store.Ages}
		tag := format.Tag{Digest: digest.FromString("m"), MediaType: oci.MediaTypeImageManifest}
		tag.State = format.Live
		if _, err := format.Write(t.Context(), late, format.TagKey("a", "late"), format.Stored[format.Tag]{}, tag, nil, false); err == nil {
			t.Error("a void tag was acknowledged")
		}
		marker := format.Marker{}
		marker.State = format.Live
		if _, err := format.Write(t.Context(), h.store, format.RepositoryKey("a"), format.Stored[format.Marker]{}, marker, nil, false); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			h.pass(day + 1)
			h.collect(true, collect.Config{})
		}
		if keys := append(h.keys("n/"), h.keys("r/ca/a/t/")...); len(keys) > 0 {
			t.Errorf("%s stay", keys)
		}
	})
}

// TestRepeatedPutOfWhatWasThere: the same PUT is answered 201 also after the collector has ended its session, whose bytes another upload had
// brought.
func TestRepeatedPutOfWhatWasThere(t *testing.T) {
	in(t, func(t *testing.T, h *house) {
		h.push("a", "latest", "layer")
		u, err := h.registry.StartUpload(t.Context(), "a", digest.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if u, err = h.registry.AppendUpload(t.Context(), "a", u.ID, registry.Chunk{Start: -1, Size: 5, Body: strings.NewReader("layer")}); err != nil {
			t.Fatal(err)
		}
		commit := func() error {
			return h.registry.CommitUpload(t.Context(), "a", u.ID, digest.FromString("layer"), registry.Chunk{Start: -1})
		}
		if err := commit(); err != nil {
			t.Fatal(err)
		}
		h.pass(3 * time.Hour)
		h.collect(false, collect.Config{})
		if got, want := h.bytes(), sizeOf("layer", "config"); got != want {
			t.Errorf("%d bytes, want %d", got, want)
		}
		if err := commit(); err != nil {
			t.Errorf("the same PUT: %v", err)
		}
	})
}

// TestForgottenLinkHeals: a link that a marker of damage had not come to, when it died, is moved on by the read that finds it.
func TestForgottenLinkHeals(t *testing.T) {
	in(t, func(t *testing.T, h *house) {
		d := h.blob("a", "layer")
		if err := h.registry.MountBlob(t.Context(), "b", d, registry.Source{Repository: "a"}); err != nil {
			t.Fatal(err)
		}
		old, err := format.Read[format.Blob](t.Context(), h.store, format.BlobKey(d))
		if err != nil {
			t.Fatal(err)
		}
		// The record and a's link are corrupt, b's is not; then a pushes again, and the old segment goes.
		link, err := format.Read[format.Link](t.Context(), h.store, format.LinkKey("a", d))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := format.Swap(t.Context(), h.store, format.BlobKey(d), old, format.Corrupt); err != nil {
			t.Fatal(err)
		}
		if _, err := format.Swap(t.Context(), h.store, format.LinkKey("a", d), link, format.Corrupt); err != nil {
			t.Fatal(err)
		}
		if err := h.registry.PushBlob(t.Context(), "a", d, strings.NewReader("layer"), 5); err != nil {
			t.Fatal(err)
		}
		if marked, err := h.registry.MarkCorrupt(t.Context(), d, old.Head.Segments); marked || err != nil {
			t.Errorf("marked %t, %v", marked, err)
		}
		if err := h.segments.Delete(t.Context(), old.Head.Segments[0].ID); err != nil {
			t.Fatal(err)
		}
		if got, err := h.read("b", d); err != nil || got != "layer" {
			t.Errorf("%q, %v", got, err)
		}
		now, err := format.Read[format.Link](t.Context(), h.store, format.LinkKey("b", d))
		if err != nil || now.Head.Segments[0] == old.Head.Segments[0] {
			t.Errorf("the link names %+v, %v", now.Head.Segments, err)
		}
	})
}
