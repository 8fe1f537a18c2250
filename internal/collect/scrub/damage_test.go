package scrub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"holdfast/internal/collect/scrub"
	"holdfast/internal/data"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

const (
	imageType = oci.MediaTypeImageManifest
	indexType = oci.MediaTypeImageIndex
)

func TestADamagedBlobIsMarkedAndAPushHealsIt(t *testing.T) {
	for how, kind := range map[string]scrub.Kind{flip: scrub.Altered, cut: scrub.Short, lose: scrub.Missing} {
		t.Run(how, func(t *testing.T) {
			each(t, func(w *world) {
				const layer = "the layer that rots"
				m := w.image("a/one", layer, "latest", "v1")
				w.index("a/one", w.index("a/one", m, imageType), indexType, "all")
				w.image("b", layer, "b")
				w.image("c", "another layer", "c")
				w.push("d", layer) // that nothing refers to
				w.image("e", layer, "was")
				w.image("e", "a new layer", "was") // the tag has moved
				w.whole()

				d := digest.FromString(layer)
				id := w.segment(d)
				w.damage(id, how)
				report := w.scrub()
				want := []scrub.Damage{{
					Kind: kind, Digest: d, Key: string(format.BlobKey(d)), Segment: id,
					Repositories: []oci.Repository{"a/one", "b", "d", "e"}, Tags: []string{"a/one:latest", "a/one:v1", "a/one:all", "b:b"},
				}}
				sortTags(want, report.Damaged)
				if diff := cmp.Diff(want, report.Damaged); diff != "" {
					w.t.Errorf("damages (-want +got):\n%s", diff)
				}
				logged := w.log.errors(w.t)
				if len(logged) != 1 || logged[0]["msg"] != "a stored blob is damaged" || logged[0]["digest"] != string(d) || logged[0]["segment"] != string(id) ||
					len(logged[0]["repositories"].([]any)) != 4 || len(logged[0]["tags"].([]any)) != 4 {
					w.t.Errorf("logged %v", logged)
				}
				if n := w.counts.Damaged.Load(); n != 1 {
					w.t.Errorf("counted %d damages, want 1", n)
				}
				w.wantGone(d, "a/one", "b", "d", "e")
				w.wantThere(digest.FromString("another layer"), "c")

				// It is told of as long as it is not healed.
				if again := w.scrub().Damaged; len(again) != 1 || again[0].Kind != scrub.Marked || len(again[0].Tags) != 4 || len(w.log.errors(w.t)) != 1 {
					w.t.Errorf("in the next round: %+v", again)
				}
				if n := w.counts.Damaged.Load(); n != 1 {
					w.t.Errorf("counted %d damages, want 1", n)
				}
				for _, repo := range []oci.Repository{"a/one", "b", "d", "e"} {
					w.push(repo, layer)
				}
				w.whole()
				w.wantThere(d, "a/one", "b", "d", "e")
			})
		})
	}
}

// sortTags brings tags, which come manifest by manifest in the order of their digests, into the order of their names.
func sortTags(all ...[]scrub.Damage) {
	for _, damages := range all {
		for _, damage := range damages {
			slices.Sort(damage.Tags)
		}
	}
}

func TestABlobOfSeveralSegments(t *testing.T) {
	content := strings.Repeat("0123456789", 350) // four segments of the mem driver
	for how, want := range map[string]struct {
		kind  scrub.Kind
		known bool
	}{flip: {scrub.Altered, false}, cut: {scrub.Short, true}, lose: {scrub.Missing, true}} {
		run(t, how, func(w *world) {
			d := w.push("a", content)
			segments := w.record(d).Head.Segments
			report := w.whole()
			if len(segments) != 4 || report.Records != 1 || report.Segments != 4 || report.Bytes != 3500 {
				w.t.Errorf("%d segments; report %+v", len(segments), report)
			}
			w.damage(segments[2].ID, how)
			got := w.scrub().Damaged
			segment := data.ID("")
			if want.known {
				segment = segments[2].ID
			}
			if len(got) != 1 || got[0].Kind != want.kind || got[0].Segment != segment {
				w.t.Errorf("damaged %+v, want %s of %q", got, want.kind, segment)
			}
			w.wantGone(d, "a")
			w.push("a", content)
			w.whole()
			w.wantThere(d, "a")
		})
	}
}

// A blob that goes, or moves, while it is read has no damage.
func TestWhatChangesMeanwhileIsNotDamaged(t *testing.T) {
	collect := func(w *world, d oci.Digest) {
		store := w.deps().Records
		rec := w.record(d)
		var err error
		for _, to := range []format.State{format.Condemned, format.Doomed} {
			if rec, err = format.Swap(w.t.Context(), store, format.BlobKey(d), rec, to); err != nil {
				w.t.Fatal(err)
			}
		}
		for _, s := range rec.Head.Segments {
			if err := w.data.Delete(w.t.Context(), s.ID); err != nil {
				w.t.Fatal(err)
			}
		}
		head := format.Blob{}
		head.State = format.Dead
		if _, err = format.Write(w.t.Context(), store, format.BlobKey(d), rec, head, nil, false); err != nil {
			w.t.Fatal(err)
		}
	}
	const content = "a blob"
	for at := 1; at <= 2; at++ { // while it is read for the first, and for the second time
		run(t, fmt.Sprintf("collected at read %d", at), func(w *world) {
			d := w.push("a", content)
			if err := w.local.DeleteBlob(w.t.Context(), "a", d); err != nil {
				w.t.Fatal(err)
			}
			if at == 2 {
				w.data.spoiled[w.segment(d)] = flip // a connection that lied once
			}
			n := 0
			w.data.before = func(context.Context, data.ID) error {
				if n++; n == at {
					collect(w, d)
				}
				return nil
			}
			if w.whole(); n != at {
				w.t.Errorf("%d reads, want %d", n, at)
			}
			if rec := w.record(d); !rec.Is(format.Dead) {
				w.t.Errorf("the record is %s", rec.State)
			}
		})
		run(t, fmt.Sprintf("repaired at read %d", at), func(w *world) {
			d := w.push("a", content)
			segments := w.record(d).Head.Segments
			w.damage(segments[0].ID, flip)
			n := 0
			w.data.before = func(ctx context.Context, _ data.ID) error {
				if n++; n == at {
					if marked, err := w.local.MarkCorrupt(ctx, d, segments); err != nil || !marked {
						w.t.Fatal(marked, err)
					}
					w.push("a", content)
				}
				return nil
			}
			if w.whole(); n < at+at%2 {
				w.t.Errorf("%d reads", n)
			}
			w.wantThere(d, "a")
		})
	}
	run(t, "deleted and pushed again", func(w *world) {
		d := w.push("a", content)
		if err := w.local.DeleteBlob(w.t.Context(), "a", d); err != nil {
			w.t.Fatal(err)
		}
		n := 0
		w.data.before = func(context.Context, data.ID) error {
			if n++; n == 1 {
				collect(w, d)
				w.push("a", content)
			}
			return nil
		}
		if report := w.whole(); report.Records != 1 || n != 2 {
			w.t.Errorf("%d records in %d reads", report.Records, n)
		}
		w.wantThere(d, "a")
	})
	run(t, "repaired, and then read wrong once", func(w *world) {
		d := w.push("a", content)
		segments := w.record(d).Head.Segments
		w.damage(segments[0].ID, flip)
		n := 0
		w.data.before = func(ctx context.Context, id data.ID) error {
			switch n++; n {
			case 1:
				if marked, err := w.local.MarkCorrupt(ctx, d, segments); err != nil || !marked {
					w.t.Fatal(marked, err)
				}
				w.push("a", content)
				w.data.spoiled[w.segment(d)] = flip
			case 2: // this one is spoiled already
				w.data.spoiled = map[data.ID]string{}
			}
			return nil
		}
		if w.whole(); n != 3 {
			w.t.Errorf("%d reads, want 3", n)
		}
		w.wantThere(d, "a")
	})
	run(t, "read wrong once", func(w *world) {
		d := w.push("a", content)
		n := 0
		w.data.spoiled[w.segment(d)] = flip
		w.data.before = func(_ context.Context, id data.ID) error {
			n++
			w.data.spoiled = map[data.ID]string{}
			return nil
		}
		if w.whole(); n != 2 {
			w.t.Errorf("%d reads, want 2", n)
		}
		w.wantThere(d, "a")
	})
}

// Whoever marks may die after each of its writes: the next round finishes it.
func TestMarkingThatDies(t *testing.T) {
	for puts := range int64(8) { // the record, and of each of three repositories the link and the fence
		for _, applied := range []bool{false, true} {
			run(t, fmt.Sprintf("at put %d, applied %t", puts, applied), func(w *world) {
				const content = "a blob"
				repos := []oci.Repository{"a", "b", "c"}
				for _, repo := range repos {
					w.push(repo, content)
				}
				d := digest.FromString(content)
				w.damage(w.segment(d), lose)
				dying := &dying{Store: w.records, applied: applied}
				dying.left.Store(1 << 40)
				healthy := w.local
				w.local = w.open(dying)
				dying.left.Store(puts)
				_, err := scrub.Run(w.t.Context(), w.deps(), w.cfg)
				if dead := puts < 7; dead != (err != nil) {
					w.t.Errorf("run = %v", err)
				}
				w.local = healthy
				report := w.scrub()
				if len(report.Damaged) != 1 || len(report.Damaged[0].Repositories) != 3 {
					w.t.Errorf("damaged %+v", report.Damaged)
				}
				w.wantGone(d, repos...)
			})
		}
	}
}

// dying is a store that takes so many more writes.
type dying struct {
	record.Store
	left    atomic.Int64
	applied bool
}

func (s *dying) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	if s.left.Add(-1) >= 0 {
		return s.Store.Put(ctx, key, value, cond)
	}
	if s.applied && s.left.Load() == -1 {
		_, _ = s.Store.Put(ctx, key, value, cond)
	}
	return record.Stamp{}, record.ErrUnavailable
}

func TestADamagedManifestIsReportedAndLeft(t *testing.T) {
	run(t, "", func(w *world) {
		m := w.image("a/b", "a layer", "one", "two")
		w.index("a/b", m, imageType, "all")
		w.image("c", "a layer", "one")
		keys := []record.Key{format.ManifestKey("a/b", m), format.TagKey("a/b", "two")}
		versions := map[record.Key]record.Version{}
		for _, key := range keys {
			versions[key] = w.flipRecord(key)
		}
		report := w.scrub()
		want := []scrub.Damage{
			{Kind: scrub.Manifest, Digest: m, Key: string(keys[0]), Repositories: []oci.Repository{"a/b"}, Tags: []string{"a/b:all", "a/b:one", "a/b:two"}},
			{Kind: scrub.Tag, Digest: m, Key: string(keys[1]), Repositories: []oci.Repository{"a/b"}, Tags: []string{"a/b:two"}},
		}
		sortTags(want, report.Damaged)
		if diff := cmp.Diff(want, report.Damaged); diff != "" {
			w.t.Errorf("damages (-want +got):\n%s", diff)
		}
		for _, key := range keys {
			if rec, err := w.records.Get(w.t.Context(), key); err != nil || rec.Version != versions[key] {
				w.t.Errorf("%s was changed, %v", key, err)
			}
		}
		if logged := w.log.errors(w.t); len(logged) != 2 || logged[0]["msg"] != "a stored manifest is damaged" {
			w.t.Errorf("logged %v", logged)
		}
	})
}

// flipRecord changes the last byte of a value.
func (w *world) flipRecord(key record.Key) record.Version {
	w.t.Helper()
	rec, err := w.records.Get(w.t.Context(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	value := append([]byte{}, rec.Value...)
	value[len(value)-1] ^= 1
	stamp, err := w.records.Put(w.t.Context(), key, value, record.IfVersion(rec.Version))
	if err != nil {
		w.t.Fatal(err)
	}
	return stamp.Version
}

func TestRecordsThatCannotBeReadKeepNobodyFromTheOthers(t *testing.T) {
	run(t, "", func(w *world) {
		w.image("a", "a layer", "one")
		before := w.whole()
		d := digest.FromString("of nothing")
		strange := []record.Key{format.BlobKey(d), "b/00/strange", format.ManifestKey("a", d), format.ManifestPrefix("a") + "strange", format.TagKey("a", "strange")}
		for _, key := range strange {
			if _, err := w.records.Put(w.t.Context(), key, []byte(strings.Repeat("x", 2000)), record.IfAbsent()); err != nil {
				w.t.Fatal(err)
			}
		}
		report := w.scrub()
		found := map[string]bool{}
		for _, damage := range report.Damaged {
			found[damage.Key] = damage.Kind == scrub.Record
		}
		for _, key := range strange {
			if !found[string(key)] {
				w.t.Errorf("%s is not reported", key)
			}
		}
		if len(report.Damaged) != len(strange) || report.Records != before.Records || report.Manifests != before.Manifests {
			w.t.Errorf("report %+v", report)
		}
	})
}

func TestARoundStopsWhenAllSeemsDamaged(t *testing.T) {
	run(t, "", func(w *world) {
		var ids []data.ID
		for i := range 5 {
			ids = append(ids, w.segment(w.push("a", fmt.Sprint("blob ", i))))
		}
		for _, id := range ids {
			w.damage(id, lose)
		}
		w.cfg.MaxDamaged = 2
		for _, want := range []int64{2, 4} {
			report, err := scrub.Run(w.t.Context(), w.deps(), w.cfg)
			if !errors.Is(err, scrub.ErrTooMuch) || report.DamagedTotal != want || !report.Ended.IsZero() || report.Stopped.IsZero() || w.counts.Damaged.Load() != want {
				w.t.Errorf("%+v, %v", report, err)
			}
		}
		if report := w.scrub(); report.DamagedTotal != 5 || !report.Stopped.IsZero() {
			w.t.Errorf("%+v", report)
		}
	})
}
