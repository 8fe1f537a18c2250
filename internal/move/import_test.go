package move_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/move"
	"holdfast/internal/move/movetest"
	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// do makes a move whose outcome has so many problems.
func do(t *testing.T, to registry.Registry, r move.Request, problems int) *move.Report {
	t.Helper()
	report, err := move.Do(t.Context(), move.Deps{Registry: to}, r, nil)
	if err != nil || report.ProblemsTotal != problems {
		t.Fatalf("%s of %s: %+v, %v", r.Do, r.Place, report, err)
	}
	return report
}

// TestImport: each source's images come in whole, once; a dry run writes nothing.
func TestImport(t *testing.T) {
	images := movetest.Images(40)
	for _, source := range []struct {
		name  string
		kind  string
		write func(t testing.TB, dir string)
	}{
		{"zot with hard links", move.KindZot, func(t testing.TB, dir string) { movetest.Zot(t, dir, false, images) }},
		{"zot with placeholders", move.KindZot, func(t testing.TB, dir string) { movetest.Zot(t, dir, true, images) }},
		{"distribution", move.KindDistribution, func(t testing.TB, dir string) { movetest.Distribution(t, dir, images) }},
	} {
		t.Run(source.name, func(t *testing.T) {
			dir := t.TempDir()
			source.write(t, dir)
			to, requests := counted(t)
			requests.zero()
			r := move.Request{Do: move.OpImport, Place: source.kind + ":" + dir, Prefix: "old", DryRun: true}
			dry := do(t, to, r, 0)
			if n := requests.puts.Load(); n != 0 {
				t.Errorf("a dry run wrote %d records", n)
			}
			r.DryRun = false
			done := do(t, to, r, 0)
			if done.Tags != dry.Tags || done.Repositories != dry.Repositories || done.Manifests < len(images) {
				t.Errorf("a dry run said %+v, and it was %+v", dry, done)
			}
			movetest.Check(t, to, "old/", images)
			requests.zero()
			if again := do(t, to, r, 0); again.Unchanged != again.Repositories || requests.puts.Load() != 0 {
				t.Errorf("the second time: %d writes, %+v", requests.puts.Load(), again)
			}
		})
	}
}

// TestImportNames: what cannot be imported is named, and the rest goes on; once it is mended the next import brings it.
func TestImportNames(t *testing.T) {
	images := movetest.Images(10)
	dir := t.TempDir()
	movetest.Zot(t, dir, false, images)
	blob := func(i movetest.Image, b []byte) string {
		return filepath.Join(dir, string(i.Repository), "blobs", "sha256", digest.FromBytes(b).Encoded())
	}
	cut, missing := images[0], images[1]
	if err := os.WriteFile(blob(cut, cut.Blobs[2]), append([]byte("x"), cut.Blobs[2][1:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(blob(missing, missing.Blobs[2])); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "Upper", "blobs"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "Upper", "index.json"), []byte(`{"schemaVersion":2,"manifests":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	to := movetest.New(t, nil)
	r := move.Request{Do: move.OpImport, Place: "zot:" + dir}
	report := do(t, to, r, 3)
	for _, want := range []struct{ name, err string }{
		{string(cut.Repository) + ":" + string(cut.Tags[0]), "DIGEST_INVALID"},
		{string(missing.Repository) + ":" + string(missing.Tags[0]), "no repository has the bytes"},
		{"Upper:", "lower case"},
	} {
		found := false
		for _, p := range report.Problems {
			found = found || p.Repository+":"+p.Tag == want.name && strings.Contains(p.Err, want.err)
		}
		if !found {
			t.Errorf("%s is not named with %q in %+v", want.name, want.err, report.Problems)
		}
	}
	movetest.Check(t, to, "", images[2:])
	for _, i := range images[:2] {
		if err := os.WriteFile(blob(i, i.Blobs[2]), i.Blobs[2], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	do(t, to, r, 1)
	movetest.Check(t, to, "", images)
}

// TestOverwrite: a tag that names something else is left and named, and set when that is asked for.
func TestOverwrite(t *testing.T) {
	images := movetest.Images(2)
	newer := movetest.Others(1, 1)[0]
	newer.Repository, newer.Tags = images[0].Repository, images[0].Tags
	dir := t.TempDir()
	movetest.Distribution(t, dir, images)
	to, _ := filled(t, []movetest.Image{newer})
	r := move.Request{Do: move.OpImport, Place: "distribution:" + dir}
	do(t, to, r, 1)
	movetest.Check(t, to, "", append(images[1:], newer))
	r.Overwrite = true
	do(t, to, r, 0)
	movetest.Check(t, to, "", images)
}

// TestDeletedInDistribution: a tag that is left of a manifest that was deleted there is named, and not brought back.
func TestDeletedInDistribution(t *testing.T) {
	images := movetest.Images(3)
	dir := t.TempDir()
	movetest.Distribution(t, dir, images)
	gone := images[0]
	link := filepath.Join(dir, "docker/registry/v2/repositories", string(gone.Repository), "_manifests/revisions/sha256", gone.Digest.Encoded(), "link")
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	to := movetest.New(t, nil)
	do(t, to, move.Request{Do: move.OpImport, Place: "distribution:" + dir}, 1)
	movetest.Check(t, to, "", images[1:])
	if _, err := to.Resolve(t.Context(), gone.Repository, oci.Reference{Digest: gone.Digest}); !errors.Is(err, oci.ErrManifestUnknown) {
		t.Errorf("what was deleted was imported: %v", err)
	}
}

// collecting loses a blob of an image after it was pushed and before its manifest is, once: as the collector may, when an import takes longer than the grace.
type collecting struct {
	registry.Registry
	lose movetest.Image
	done atomic.Bool
}

func (c *collecting) PushManifest(ctx context.Context, repo oci.Repository, p registry.Push) (*registry.Pushed, error) {
	if p.Digest == c.lose.Digest && !c.done.Swap(true) {
		if err := c.DeleteBlob(ctx, repo, digest.FromBytes(c.lose.Blobs[2])); err != nil {
			return nil, err
		}
	}
	return c.Registry.PushManifest(ctx, repo, p)
}

// TestCollectedMeanwhile: a blob that is gone when its manifest comes is pushed again.
func TestCollectedMeanwhile(t *testing.T) {
	images := movetest.Images(4)
	dir := t.TempDir()
	movetest.Zot(t, dir, false, images)
	to := movetest.New(t, nil)
	do(t, &collecting{Registry: to.Local, lose: images[1]}, move.Request{Do: move.OpImport, Place: "zot:" + dir}, 0)
	movetest.Check(t, to, "", images)
}

// TestImportKilled: an import that ends at any push goes on where it was.
func TestImportKilled(t *testing.T) {
	images := movetest.Images(12)
	dir := t.TempDir()
	movetest.Zot(t, dir, true, images)
	to := movetest.New(t, nil)
	r := move.Request{Do: move.OpImport, Place: "zot:" + dir}
	for n := range 4 {
		ctx, cancel := context.WithCancel(t.Context())
		f := &endingPushes{Registry: to.Local, stop: cancel}
		f.left.Store(int64(n))
		_, err := move.Do(ctx, move.Deps{Registry: f}, r, nil)
		if cancel(); !errors.Is(err, context.Canceled) {
			t.Fatalf("killed at push %d: %v", n, err)
		}
	}
	do(t, to, r, 0)
	movetest.Check(t, to, "", images)
}

type endingPushes struct {
	registry.Registry
	left atomic.Int64
	stop func()
}

func (e *endingPushes) PushManifest(ctx context.Context, repo oci.Repository, p registry.Push) (*registry.Pushed, error) {
	pushed, err := e.Registry.PushManifest(ctx, repo, p)
	if e.left.Add(-1) <= 0 {
		e.stop()
	}
	return pushed, err
}

// TestExport: what is exported can be imported, with its referrers; names are tags, or with several repositories more than that.
func TestExport(t *testing.T) {
	images := movetest.Images(8)
	from, _ := filled(t, images)
	var index movetest.Image
	for _, i := range images {
		if len(i.Blobs) == 0 {
			index = i
		}
	}
	dir := t.TempDir()
	r := move.Request{Do: move.OpExport, Place: dir, Only: []string{string(index.Repository) + ":latest"}}
	do(t, from, r, 0)
	do(t, from, r, 0) // again: the same
	to := movetest.New(t, nil)
	in := move.Request{Do: move.OpImport, Place: "oci-layout:" + dir, Repository: "new/name"}
	if got := do(t, to, in, 0); got.Tags != 1 || got.Manifests != 4 {
		t.Errorf("an index of two images with a referrer: %+v", got)
	}
	if list, err := to.Referrers(t.Context(), "new/name", index.Digest); err != nil || len(list) != 1 {
		t.Errorf("referrers: %v, %v", list, err)
	}
	in.Repository = ""
	if report, err := move.Do(t.Context(), move.Deps{Registry: to}, in, nil); err == nil {
		t.Errorf("an import of tags into no repository: %+v", report)
	}

	dir = t.TempDir()
	do(t, from, move.Request{Do: move.OpExport, Place: dir, Only: []string{"team-0/app", "team-1/app", "team-2/app", "team-1/app@" + string(images[1].Digest), "nobody/app:v1"}}, 1)
	all := movetest.New(t, nil)
	do(t, all, move.Request{Do: move.OpImport, Place: "oci-layout:" + dir}, 0)
	var tagged []movetest.Image
	for _, i := range images {
		if len(i.Tags) > 0 || len(i.Blobs) == 2 { // untagged ones that nothing leads to are not exported
			tagged = append(tagged, i)
		}
	}
	movetest.Check(t, all, "", tagged)
}

// TestMisused: what makes no sense is told apart from what is not there.
func TestMisused(t *testing.T) {
	to := movetest.New(t, nil)
	for _, r := range []move.Request{
		{Do: move.OpImport, Place: "nothing"},
		{Do: move.OpImport, Place: "docker:" + t.TempDir()},
		{Do: move.OpExport, Place: t.TempDir(), Only: []string{"UPPER"}},
		{Do: "teleport"},
	} {
		var misused *move.MisusedError
		if _, err := move.Do(t.Context(), move.Deps{Registry: to}, r, nil); !errors.As(err, &misused) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	for _, place := range []string{"zot:" + t.TempDir(), "distribution:" + t.TempDir(), "oci-layout:" + t.TempDir()} {
		if _, err := move.Do(t.Context(), move.Deps{Registry: to}, move.Request{Do: move.OpImport, Place: place}, nil); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", place, err)
		}
	}
}
