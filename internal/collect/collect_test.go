package collect_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"holdfast/internal/collect"
	"holdfast/internal/collect/retain"
	datamem "holdfast/internal/data/mem"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/registry"
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

// TestKeeps: what a tag leads to stays for ever: an index its manifests, a subject its referrers, and all of them their blobs.
func TestKeeps(t *testing.T) {
	for name, full := range map[string]bool{"what changed": false, "everything": true} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, h *house) {
				for _, l := range []string{"config", "layer", "signature"} {
					h.blob("a", l)
				}
				child := image("", "layer")
				h.manifest("a", child)
				h.manifest("a", index(child), "many")
				signature := h.manifest("a", image(child, "signature"))
				of := h.manifest("a", image(image(child, "signature")))
				for range 5 {
					h.pass(day + 1)
					h.hints.Changed("a", digest.FromString("layer"), digest.FromString("config"))
					h.collect(full, collect.Config{})
				}
				for _, d := range []oci.Digest{digest.FromString(child), signature, of} {
					if _, err := h.registry.Resolve(t.Context(), "a", oci.Reference{Digest: d}); err != nil {
						t.Errorf("%s: %v", d, err)
					}
				}
				h.wantImage("a", "many", "layer", "signature")
				if list, err := h.registry.Referrers(t.Context(), "a", digest.FromString(child)); err != nil || len(list) != 1 {
					t.Errorf("the referrers are %v, %v", list, err)
				}
			})
		})
	}
}

// TestGoesWithItsSubject: what refers to a manifest goes with it; what refers to one that was never here stays, for it may come yet.
func TestGoesWithItsSubject(t *testing.T) {
	in(t, func(t *testing.T, h *house) {
		h.push("a", "latest", "layer")
		h.blob("a", "signature")
		with := h.manifest("a", image(image("", "layer"), "signature"))
		before := h.manifest("a", image("not here yet", "signature"))
		h.pass(2 * day)
		if err := h.registry.DeleteTag(t.Context(), "a", "latest"); err != nil {
			t.Fatal(err)
		}
		h.pass(day + 1)
		h.collect(false, collect.Config{})
		h.wantGone("a", with)
		if _, err := h.registry.Resolve(t.Context(), "a", oci.Reference{Digest: before}); err != nil {
			t.Error(err)
		}
	})
}

// TestHeadIsAPromise: a blob that a replica said exists survives half the grace at least, and asking costs one write in that time.
func TestHeadIsAPromise(t *testing.T) {
	in(t, func(t *testing.T, h *house) {
		d := h.blob("a", "layer")
		h.pass(day - time.Hour)
		for range 10 {
			if _, err := h.registry.StatBlob(t.Context(), "a", d); err != nil {
				t.Fatal(err)
			}
		}
		for range 11 {
			h.pass(time.Hour)
			h.collect(true, collect.Config{})
		}
		if _, err := h.read("a", d); err != nil {
			t.Errorf("eleven hours after it was said to be there: %v", err)
		}
		h.pass(day)
		h.collect(true, collect.Config{})
		if got := h.bytes(); got != 0 {
			t.Errorf("%d bytes of a blob that nobody wants", got)
		}
	})
}

// TestSessions: an upload that nobody goes on with is ended after a day, and its bytes freed; those of one that became a blob stay.
func TestSessions(t *testing.T) {
	in(t, func(t *testing.T, h *house) {
		upload := func(content string) registry.Upload {
			u, err := h.registry.StartUpload(t.Context(), "a", digest.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			if u, err = h.registry.AppendUpload(t.Context(), "a", u.ID, registry.Chunk{Start: -1, Size: int64(len(content)), Body: strings.NewReader(content)}); err != nil {
				t.Fatal(err)
			}
			return u
		}
		left, finished, twice := upload("left"), upload("finished"), upload("finished")
		for _, u := range []registry.Upload{finished, twice} {
			if err := h.registry.CommitUpload(t.Context(), "a", u.ID, digest.FromString("finished"), registry.Chunk{Start: -1}); err != nil {
				t.Fatal(err)
			}
		}
		h.manifest("a", `{"schemaVersion":2,"mediaType":"`+oci.MediaTypeImageManifest+`","config":`+descriptor("a/config", "finished")+`,"layers":[]}`, "latest")
		h.pass(2*time.Hour + 1)
		h.collect(false, collect.Config{})
		if got, want := h.bytes(), sizeOf("left", "finished"); got != want {
			t.Errorf("%d bytes after two hours, want %d: the copy of what was there goes", got, want)
		}
		if _, err := h.registry.UploadStatus(t.Context(), "a", left.ID); err != nil {
			t.Error(err)
		}
		h.pass(day)
		h.collect(false, collect.Config{})
		if got, want := h.bytes(), sizeOf("finished"); got != want {
			t.Errorf("%d bytes after a day, want %d", got, want)
		}
		h.pass(3 * day)
		h.collect(false, collect.Config{})
		if got := h.keys("u/"); len(got) != 0 {
			t.Errorf("sessions stay: %s", got)
		}
		if got, err := h.read("a", digest.FromString("finished")); err != nil || got != "finished" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// TestOrphans: bytes that nothing names go after a week, and not before.
func TestOrphans(t *testing.T) {
	in(t, func(t *testing.T, h *house) {
		d := h.blob("a", "layer")
		if err := h.registry.PushBlob(t.Context(), "a", d, strings.NewReader("layer"), 5); err != nil { // whose bytes are there
			t.Fatal(err)
		}
		h.push("a", "latest", "layer")
		for _, want := range []int64{16, 16, 11} {
			if got := h.bytes(); got != want {
				t.Errorf("%d bytes, want %d", got, want)
			}
			h.pass(4 * day)
			h.collect(true, collect.Config{MaxReferences: 1}) // in shares
		}
		h.wantImage("a", "latest", "layer")
	})
}

// TestMerges: a blob that came in very many chunks becomes one segment, the old ones go a day later, and it can be read at any time.
func TestMerges(t *testing.T) {
	in(t, func(t *testing.T, h *house) {
		content := strings.Repeat("chunk ", 100)
		u, err := h.registry.StartUpload(t.Context(), "a", digest.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			if u, err = h.registry.AppendUpload(t.Context(), "a", u.ID, registry.Chunk{Start: int64(6 * i), Size: 6, Body: strings.NewReader("chunk ")}); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.registry.CommitUpload(t.Context(), "a", u.ID, digest.FromString(content), registry.Chunk{Start: -1}); err != nil {
			t.Fatal(err)
		}
		h.manifest("a", `{"schemaVersion":2,"mediaType":"`+oci.MediaTypeImageManifest+`","config":`+descriptor("a/config", content)+`,"layers":[]}`, "latest")
		before, err := h.registry.Blob(t.Context(), "a", digest.FromString(content))
		if err != nil {
			t.Fatal(err)
		}
		for day1, want := range []int{101, 1, 1} {
			h.pass(day + time.Minute)
			h.collect(false, collect.Config{})
			if day1 > 0 {
				h.collect(true, collect.Config{})
			}
			if n := h.count(); n != want {
				t.Errorf("%d segments, want %d", n, want)
			}
			if got, err := h.read("a", digest.FromString(content)); err != nil || got != content {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			r, err := before.Bytes.Open(t.Context(), 0, before.Size) // who found the blob before it was merged
			if err != nil {
				t.Error(err)
				continue
			}
			if got, err := io.ReadAll(r); err != nil || string(got) != content {
				t.Errorf("%d bytes by the old link, %v", len(got), err)
			}
		}
	})
}

// TestDryRun: it finds what a pass frees, and writes nothing.
func TestDryRun(t *testing.T) {
	for name, full := range map[string]bool{"what changed": false, "everything": true} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, h *house) {
				h.push("a", "latest", "old layer")
				h.push("b", "latest", "old layer")
				h.push("b", "other", "second layer")
				h.pass(2 * day)
				h.push("a", "latest", "new layer")
				h.push("b", "latest", "new layer")
				if err := h.registry.DeleteTag(t.Context(), "b", "other"); err != nil {
					t.Fatal(err)
				}
				if err := h.hints.Write(t.Context()); err != nil {
					t.Fatal(err)
				}
				h.pass(day + 1)
				before := h.versions()
				dry := h.collect(full, collect.Config{DryRun: true})
				if diff := cmp.Diff(before, h.versions()); diff != "" {
					t.Errorf("it wrote:\n%s", diff)
				}
				wet := h.collect(full, collect.Config{})
				for _, k := range []collect.Kind{collect.KindManifests, collect.KindLinks, collect.KindBlobs} {
					if dry.Counts[k] == nil || wet.Counts[k] == nil || dry.Counts[k].Found != wet.Counts[k].Freed || dry.Counts[k].FoundBytes != wet.Counts[k].FreedBytes {
						t.Errorf("%s: the dry run found %+v, the pass freed %+v", k, dry.Counts[k], wet.Counts[k])
					}
				}
				if wet.FreedBytes() != sizeOf("old layer", "second layer") {
					t.Errorf("%d bytes freed", wet.FreedBytes())
				}
			})
		})
	}
}

// TestUnclear: a repository with something that cannot be read is left alone, with all that it may need, and others are not.
func TestUnclear(t *testing.T) {
	in(t, func(t *testing.T, h *house) {
		damaged := h.push("a", "latest", "layer of a", "shared layer")
		h.push("b", "latest", "layer of b", "shared layer")
		h.pass(2 * day)
		key := format.ManifestKey("a", damaged)
		rec, err := h.records.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		text := bytes.Replace(rec.Value, []byte(`"layers"`), []byte(`"lawyers"`), 1)
		text = bytes.Replace(text, []byte(`,"i":true`), []byte(`         `), 1) // else it would be void, as a create that landed too late
		if _, err := h.records.Put(t.Context(), key, text, record.IfVersion(rec.Version)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(h.registry.DeleteTag(t.Context(), "a", "latest"), h.registry.DeleteTag(t.Context(), "b", "latest")); err != nil {
			t.Fatal(err)
		}
		h.pass(day + 1)
		r, err := h.collector(collect.Config{}).Pass(t.Context(), collect.Progress{Full: true}, nil)
		if err != nil || len(r.Skipped) != 1 || !strings.Contains(r.Skipped[0], "repository a") {
			t.Errorf("%+v, %v", r.Skipped, err)
		}
		if got, want := h.bytes(), sizeOf("layer of a", "shared layer", "config"); got != want {
			t.Errorf("%d bytes, want %d", got, want)
		}
	})
}

// TestRetention: tags that no rule keeps go, one that moved meanwhile does not, and what they named follows after the grace.
func TestRetention(t *testing.T) {
	pattern, err := retain.ParsePattern("^v")
	if err != nil {
		t.Fatal(err)
	}
	glob, err := retain.ParseGlob("**")
	if err != nil {
		t.Fatal(err)
	}
	policies := retain.Policies{{Repositories: []retain.Glob{glob}, DeleteUntagged: true, KeepTags: []retain.KeepTags{
		{Patterns: []retain.Pattern{pattern}, Rules: retain.Rules{MostRecentlyPushedCount: 2}},
	}}}
	in(t, func(t *testing.T, h *house) {
		for i, tag := range []oci.Tag{"v1", "v2", "v3", "nightly"} {
			h.push("a", tag, fmt.Sprint("layer ", i))
			h.pass(time.Hour)
		}
		if _, err := h.collector(collect.Config{Policies: policies, KeepTags: true}).Pass(t.Context(), collect.Progress{Full: true}, nil); err != nil {
			t.Fatal(err)
		}
		h.wantImage("a", "v1", "layer 0")
		preview, err := h.collector(collect.Config{Policies: policies}).Preview(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		var dropped []oci.Tag
		for _, d := range preview {
			if d.Rule == "" {
				t.Errorf("no reason for %s", d.Name)
			}
			if !d.Keep {
				dropped = append(dropped, d.Name)
			}
		}
		if diff := cmp.Diff([]oci.Tag{"nightly", "v1"}, dropped); diff != "" {
			t.Error(diff)
		}
		h.collect(true, collect.Config{Policies: policies})
		page, err := h.registry.Tags(t.Context(), "a", "", 10)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]oci.Tag{"v2", "v3"}, page.Names); diff != "" {
			t.Error(diff)
		}
		h.pass(day + 1)
		h.collect(false, collect.Config{Policies: policies})
		if got, want := h.bytes(), sizeOf("layer 1", "layer 2", "config"); got != want {
			t.Errorf("%d bytes, want %d", got, want)
		}
		h.wantImage("a", "v2", "layer 1")
		h.wantImage("a", "v3", "layer 2")
	})
}

// TestNoConditionalDelete: on a store without it tombstones stay, the report says so, and all else is as ever.
func TestNoConditionalDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, noDelete{recordmem.New(recordmem.Config{})}, datamem.Config{})
		h.push("a", "latest", "layer")
		h.pass(2 * day)
		if err := h.registry.DeleteTag(t.Context(), "a", "latest"); err != nil {
			t.Fatal(err)
		}
		var r *collect.Report
		for range 4 {
			h.pass(day + 1)
			r = h.collect(true, collect.Config{})
		}
		if h.bytes() != 0 {
			t.Errorf("%d bytes stay", h.bytes())
		}
		if n := r.Counts[collect.KindTombstones]; n == nil || n.Left == 0 || n.Freed != 0 {
			t.Errorf("it says %+v of tombstones", n)
		}
		if len(h.keys("b/")) != 2 || len(h.keys("l/")) != 2 {
			t.Errorf("the tombstones: %s %s", h.keys("b/"), h.keys("l/"))
		}
		h.push("a", "latest", "layer")
		h.wantImage("a", "latest", "layer")
		h.pass(day + 1)
		h.collect(true, collect.Config{})
		h.wantImage("a", "latest", "layer")
	})
}

// noDelete is a store that removes only without a condition.
type noDelete struct{ record.Store }

func (s noDelete) Delete(ctx context.Context, key record.Key, cond record.Cond) error {
	if !cond.Unconditional() {
		return fmt.Errorf("delete %s: %w", key, record.ErrUnsupported)
	}
	return s.Store.Delete(ctx, key, cond)
}
