package fsck_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/collect/fsck"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	"holdfast/internal/registry"
)

type kinds = []fsck.Kind

// broken is one thing that is wrong in a full site.
type broken struct {
	name string
	do   func(s *site, b bodies)
	want kinds                   // what is found
	left kinds                   // what is found after a repair
	heal func(s *site, b bodies) // after which nothing is found
}

func of(content string) oci.Digest { return digest.FromString(content) }

func manifestKey(body []byte) record.Key { return format.ManifestKey("a", digest.FromBytes(body)) }

// pushLayer pushes a blob again to every repository that has it.
func pushLayer(s *site, _ bodies) {
	for _, repo := range repositories() {
		s.blob(repo, layer)
	}
}

// shifted is a record store whose clock is behind.
type shifted struct {
	record.Store
	by time.Duration
}

func (s shifted) Now() time.Time { return s.Store.Now().Add(-s.by) }

func brokenThings() []broken {
	referrers := func(b bodies) record.Key { return format.ReferrersKey("a", digest.FromBytes(b.plain)) }
	setState := func(state format.State) func(*format.Blob, []byte) []byte {
		return func(h *format.Blob, _ []byte) []byte { h.State = state; return nil }
	}
	return append(brokenAccess(), []broken{
		{
			name: "a key of nobody", do: func(s *site, _ bodies) { s.put(format.ManifestPrefix("a")+"strange", strings.Repeat("x", 2000)) },
			want: kinds{fsck.UnknownKey}, left: kinds{fsck.UnknownKey},
		},
		{
			name: "a link in another digest's folder", do: func(s *site, _ bodies) {
				s.put(record.Key(strings.Replace(string(format.LinkKey("a", of(layer))), "l/", "l/0", 1)), strings.Repeat("x", 2000))
			},
			want: kinds{fsck.UnknownKey}, left: kinds{fsck.UnknownKey},
		},
		{
			name: "a session without an id", do: func(s *site, _ bodies) { s.put("u/x", strings.Repeat("x", 2000)) },
			want: kinds{fsck.UnknownKey}, left: kinds{fsck.UnknownKey},
		},
		{
			name: "a ledger of quotas that has another's place", do: func(s *site, _ bodies) { s.put("q/r/x", strings.Repeat("x", 2000)) },
			want: kinds{fsck.UnknownKey}, left: kinds{fsck.UnknownKey},
		},
		{
			name: "quotas that do not decode", do: func(s *site, _ bodies) { s.put(format.KeyQuotaBase, strings.Repeat("x", 2000)) },
			want: kinds{fsck.Undecodable}, left: kinds{fsck.Undecodable},
		},
		{
			name: "a fence that does not decode", do: func(s *site, _ bodies) { s.put(format.FenceKey("a"), strings.Repeat("x", 2000)) },
			want: kinds{fsck.Undecodable}, left: kinds{fsck.Undecodable},
		},
		{
			name: "a blob record that does not decode", do: func(s *site, _ bodies) { s.put(format.BlobKey(of(layer)), strings.Repeat("x", 2000)+"\n") },
			want: kinds{fsck.Undecodable}, left: kinds{fsck.Undecodable},
			heal: func(s *site, b bodies) {
				s.remove(format.BlobKey(of(layer)))
				s.wantKinds("without it", s.run(fsck.Config{Repair: true}), fsck.LinkRecordMissing)
				pushLayer(s, b)
			},
		},
		{
			name: "a fence with a state", do: func(s *site, _ bodies) {
				edit(s, format.FenceKey("a"), func(h *format.Fence, _ []byte) []byte { h.State = format.Live; return nil })
			},
			want: kinds{fsck.IllegalState}, left: kinds{fsck.IllegalState},
		},
		{
			name: "a marker that is too small", do: func(s *site, b bodies) {
				s.put(format.MarkerKey("a", digest.FromBytes(b.solo), "solo"), `{"v":1,"n":"x","t":"2030-01-01T00:00:00Z"}`+"\n")
			},
			want: kinds{fsck.IllegalSize},
		},
		{
			name: "a tombstone that is too large", do: func(s *site, b bodies) {
				s.put(format.TagKey("a", "gone"), `{"v":1,"n":"x","t":"2030-01-01T00:00:00Z","st":"dead","digest":"`+string(digest.FromBytes(b.solo))+`"}`+strings.Repeat(" ", 1000)+"\n")
			},
			want: kinds{fsck.IllegalSize},
		},
		{
			name: "a session with an unknown hash", do: func(s *site, _ bodies) {
				edit(s, s.session(format.Open), func(h *format.Upload, _ []byte) []byte { h.Algorithm = "md5"; return nil })
			},
			want: kinds{fsck.IllegalField}, left: kinds{fsck.IllegalField},
		},
		{
			name: "a tag that remembers too much", do: func(s *site, b bodies) {
				edit(s, format.TagKey("a", "solo"), func(h *format.Tag, body []byte) []byte {
					h.Previous = slices.Repeat([]format.Previous{{Digest: digest.FromBytes(b.plain)}}, format.KeptPrevious+1)
					return body
				})
			},
			want: kinds{fsck.IllegalField}, left: kinds{fsck.IllegalField}, heal: func(s *site, b bodies) { s.push("a", b.solo, "solo") },
		},
		{
			name: "a create that came late", do: func(s *site, _ bodies) {
				late := format.Store{Records: shifted{s.records, 2 * time.Hour}, Ages: s.store.Ages}
				head := format.Link{}
				head.State = format.Pending
				if _, err := format.Write(s.ctx(), late, format.LinkKey("late", of(layer)), format.Stored[format.Link]{}, head, nil, false); err == nil {
					s.t.Error("a void value was acknowledged")
				}
			},
			want: kinds{fsck.VoidValue}, left: kinds{fsck.VoidValue},
		},
		{
			name: "no collector for eight days", do: func(s *site, _ bodies) { s.clock.pass(8 * 24 * time.Hour) },
			want: kinds{fsck.LeftOver, fsck.SegmentUnnamed}, left: kinds{fsck.LeftOver, fsck.SegmentUnnamed},
		},
		{
			name: "half a secret", do: func(s *site, _ bodies) {
				s.put(format.KeySecret, `{"v":1,"n":"x","t":"2030-01-01T00:00:00Z","secret":"AAAA"}`+strings.Repeat(" ", 1000)+"\n")
			},
			want: kinds{fsck.SecretBroken}, left: kinds{fsck.SecretBroken},
		},
		{
			name: "a segment that is gone", do: func(s *site, _ bodies) { s.check(s.data.Delete(s.ctx(), s.segmentsOf(layer)[0].ID)) },
			want: kinds{fsck.RecordSegmentMissing}, left: kinds{fsck.ManifestBlobMissing}, heal: pushLayer,
		},
		{
			name: "a segment of many that is short", do: func(s *site, _ bodies) {
				const content = first + second + third
				short := s.segment("short")
				segments := slices.Clone(s.segmentsOf(content))
				segments[1].ID = short.ID
				edit(s, format.BlobKey(of(content)), func(h *format.Blob, _ []byte) []byte { h.Segments = segments; return nil })
				for _, repo := range repositories() {
					edit(s, format.LinkKey(repo, of(content)), func(h *format.Link, _ []byte) []byte { h.Segments = segments; return nil })
				}
			},
			want: kinds{fsck.RecordSegmentMissing}, left: kinds{fsck.ManifestBlobMissing},
			heal: func(s *site, _ bodies) {
				for _, repo := range repositories() {
					s.blob(repo, first+second+third)
				}
			},
		},
		{
			name: "a record of another size", do: func(s *site, _ bodies) {
				edit(s, format.BlobKey(of(layer)), func(h *format.Blob, _ []byte) []byte { h.Size++; return nil })
			},
			want: kinds{fsck.RecordSizeWrong, fsck.LinkSizeWrong}, left: kinds{fsck.ManifestBlobMissing}, heal: pushLayer,
		},
		{
			name: "two records of one segment", do: func(s *site, _ bodies) {
				segments := s.segmentsOf(layer)
				edit(s, format.BlobKey(of(other)), func(h *format.Blob, _ []byte) []byte { h.Segments = segments; return nil })
				for _, repo := range repositories() {
					edit(s, format.LinkKey(repo, of(other)), func(h *format.Link, _ []byte) []byte { h.Segments = segments; return nil })
				}
			},
			want: kinds{fsck.SegmentShared}, left: kinds{fsck.SegmentShared},
		},
		{
			name: "an open session and a record of one segment", do: func(s *site, _ bodies) {
				edit(s, s.session(format.Open), func(h *format.Upload, _ []byte) []byte {
					h.Segments = s.segmentsOf(layer)
					h.Offset = h.Segments[0].Size
					return nil
				})
			},
			want: kinds{fsck.SegmentShared}, left: kinds{fsck.SegmentShared},
		},
		{
			name: "a dead record with links", do: func(s *site, _ bodies) {
				edit(s, format.BlobKey(of(layer)), func(h *format.Blob, _ []byte) []byte { *h = format.Blob{}; h.State = format.Dead; return nil })
			},
			want: kinds{fsck.LinkRecordMissing}, left: kinds{fsck.ManifestBlobMissing}, heal: pushLayer,
		},
		{
			name: "no record with links", do: func(s *site, _ bodies) { s.remove(format.BlobKey(of(layer))) },
			want: kinds{fsck.LinkRecordMissing}, left: kinds{fsck.ManifestBlobMissing}, heal: pushLayer,
		},
		{
			name: "a doomed record with links", do: func(s *site, _ bodies) { edit(s, format.BlobKey(of(layer)), setState(format.Doomed)) },
			want: kinds{fsck.LinkRecordMissing}, left: kinds{fsck.ManifestBlobMissing}, heal: pushLayer,
		},
		{
			name: "a corrupt record whose links were not marked", do: func(s *site, _ bodies) { edit(s, format.BlobKey(of(layer)), setState(format.Corrupt)) },
			want: kinds{fsck.LinkRecordCorrupt}, left: kinds{fsck.ManifestBlobMissing}, heal: pushLayer,
		},
		{
			name: "a link of another size", do: func(s *site, _ bodies) {
				edit(s, format.LinkKey("a", of(layer)), func(h *format.Link, _ []byte) []byte { h.Size++; return nil })
			},
			want: kinds{fsck.LinkSizeWrong},
		},
		{
			name: "bytes that were moved", do: func(s *site, _ bodies) {
				moved := s.segment(first + second + third)
				edit(s, format.BlobKey(of(first+second+third)), func(h *format.Blob, _ []byte) []byte { h.Segments = []format.Segment{moved}; return nil })
			},
			want: kinds{fsck.LinkOutdated},
		},
		{
			name: "a manifest with other bytes", do: func(s *site, b bodies) {
				edit(s, manifestKey(b.solo), func(_ *format.Manifest, _ []byte) []byte { return b.plain })
			},
			want: kinds{fsck.ManifestDigestWrong}, left: kinds{fsck.ManifestDigestWrong}, heal: func(s *site, b bodies) { s.push("a", b.solo, "solo") },
		},
		{
			name: "a manifest that is none", do: func(s *site, _ bodies) { s.manifest([]byte(`{"schemaVersion":2}`)) },
			want: kinds{fsck.ManifestUnreadable}, left: kinds{fsck.ManifestUnreadable},
		},
		{
			name: "a blob's link that is dead", do: func(s *site, _ bodies) {
				edit(s, format.LinkKey("a", of(layer)), func(h *format.Link, _ []byte) []byte { *h = format.Link{}; h.State = format.Dead; return nil })
			},
			want: kinds{fsck.ManifestBlobMissing}, left: kinds{fsck.ManifestBlobMissing}, heal: pushLayer,
		},
		{
			name: "a link in a condemned state for long", do: func(s *site, _ bodies) {
				edit(s, format.LinkKey("a", of(layer)), func(h *format.Link, _ []byte) []byte { h.State = format.Condemned; return nil })
				s.clock.pass(8 * 24 * time.Hour)
			},
			want: kinds{fsck.LeftOver, fsck.SegmentUnnamed}, left: kinds{fsck.LeftOver, fsck.SegmentUnnamed},
		},
		{
			name: "no child of an index", do: func(s *site, b bodies) { s.remove(manifestKey(b.child)) },
			want: kinds{fsck.ManifestChildMissing}, left: kinds{fsck.ManifestChildMissing}, heal: func(s *site, b bodies) { s.push("a", b.child) },
		},
		{
			name: "a child that a user deleted", do: func(s *site, b bodies) {
				s.check(s.next().DeleteManifest(s.ctx(), "a", digest.FromBytes(b.child)))
			},
			want: kinds{fsck.ManifestChildDeleted}, left: kinds{fsck.ManifestChildDeleted}, heal: func(s *site, b bodies) { s.push("a", b.child) },
		},
		{
			name: "a manifest whose push was refused", do: func(s *site, _ bodies) { s.manifest(image(blobRef("never pushed"), "")) },
			want: kinds{fsck.ManifestRefused}, left: kinds{fsck.ManifestRefused}, heal: func(s *site, _ bodies) { s.blob("a", "never pushed") },
		},
		{
			name: "a layer of another size", do: func(s *site, _ bodies) { s.manifest(image(ref("a/b", of(layer), len(layer)+1), "")) },
			want: kinds{fsck.ReferenceSizeWrong}, left: kinds{fsck.ReferenceSizeWrong},
		},
		{
			name: "a child of another size", do: func(s *site, b bodies) {
				s.manifest(index(ref(oci.MediaTypeImageManifest, digest.FromBytes(b.plain), len(b.plain)+1)))
			},
			want: kinds{fsck.ReferenceSizeWrong}, left: kinds{fsck.ReferenceSizeWrong},
		},
		{
			name: "a tag with other bytes", do: func(s *site, b bodies) {
				edit(s, format.TagKey("a", "solo"), func(_ *format.Tag, body []byte) []byte { return b.plain })
			},
			want: kinds{fsck.TagBodyWrong}, left: kinds{fsck.TagBodyWrong}, heal: func(s *site, b bodies) { s.push("a", b.solo, "solo") },
		},
		{
			name: "no manifest of a tag", do: func(s *site, b bodies) { s.remove(manifestKey(b.solo)) },
			want: kinds{fsck.TagManifestMissing}, left: kinds{fsck.TagManifestMissing}, heal: func(s *site, b bodies) { s.push("a", b.solo, "solo", "v0") },
		},
		{
			name: "a delete that was cut after the kill", do: func(s *site, b bodies) { s.kill(b.solo) },
			want: kinds{fsck.TagManifestDeleted}, left: kinds{fsck.TagManifestDeleted},
			heal: func(s *site, b bodies) { _ = s.next().DeleteManifest(s.ctx(), "a", digest.FromBytes(b.solo)) },
		},
		{
			name: "a delete of a large manifest that was cut, and pushed again by digest", do: func(s *site, b bodies) {
				s.kill(b.large)
				s.push("a", b.large)
			},
			want: kinds{fsck.TagManifestDeleted}, left: kinds{fsck.TagManifestDeleted}, heal: func(s *site, b bodies) { s.push("a", b.large, "large") },
		},
		{
			name: "a tag of another media type", do: func(s *site, b bodies) {
				edit(s, format.TagKey("a", "solo"), func(h *format.Tag, body []byte) []byte { h.MediaType = oci.MediaTypeDockerManifest; return body })
			},
			want: kinds{fsck.TagDiffers}, left: kinds{fsck.TagDiffers}, heal: func(s *site, b bodies) { s.push("a", b.solo, "solo") },
		},
		{
			name: "no marker of a tag", do: func(s *site, b bodies) { s.remove(format.MarkerKey("a", digest.FromBytes(b.solo), "solo")) },
			want: kinds{fsck.TagMarkerMissing},
		},
		{
			name: "a referrer that is not listed", do: func(s *site, b bodies) {
				edit(s, referrers(b), func(h *format.Referrers, _ []byte) []byte { h.List = nil; return nil })
			},
			want: kinds{fsck.ReferrerMissing},
		},
		{
			name: "no list of referrers", do: func(s *site, b bodies) { s.remove(referrers(b)) },
			want: kinds{fsck.ReferrerMissing},
		},
		{
			name: "a referrer that is dead", do: func(s *site, b bodies) { s.kill(b.signature) },
			want: kinds{fsck.ReferrerStale},
		},
		{
			name: "a referrer in an old life", do: func(s *site, b bodies) {
				edit(s, referrers(b), func(h *format.Referrers, _ []byte) []byte { h.List[0].Generation = format.RandomID(); return nil })
			},
			want: kinds{fsck.ReferrerMissing, fsck.ReferrerStale},
		},
		{
			name: "a referrer of something else", do: func(s *site, b bodies) {
				edit(s, referrers(b), func(h *format.Referrers, _ []byte) []byte {
					h.List = append(h.List, format.Referrer{Descriptor: oci.Descriptor{MediaType: oci.MediaTypeImageManifest, Digest: digest.FromBytes(b.child), Size: 1}})
					return nil
				})
			},
			want: kinds{fsck.ReferrerStale},
		},
		{
			name: "a referrer with other annotations", do: func(s *site, b bodies) {
				edit(s, referrers(b), func(h *format.Referrers, _ []byte) []byte { h.List[0].Descriptor.Annotations = nil; return nil })
			},
			want: kinds{fsck.ReferrerDiffers},
		},
		{
			name: "a referrer twice", do: func(s *site, b bodies) {
				edit(s, referrers(b), func(h *format.Referrers, _ []byte) []byte { h.List = append(h.List, h.List[0]); return nil })
			},
			want: kinds{fsck.ReferrerTwice},
		},
		{
			name: "a repository without a marker", do: func(s *site, _ bodies) { s.remove(format.RepositoryKey("a")) },
			want: kinds{fsck.RepositoryUnmarked},
		},
		{
			name: "a dead marker of a repository", do: func(s *site, _ bodies) {
				edit(s, format.RepositoryKey("c-d/e.f__g/h"), func(h *format.Marker, _ []byte) []byte { h.State = format.Dead; return nil })
			},
			want: kinds{fsck.RepositoryUnmarked},
		},
		{
			name: "a fence that was set back", do: func(s *site, b bodies) {
				s.check(s.next().DeleteManifest(s.ctx(), "a", s.push("a", b.solo, "solo")))
				s.replicas = []*registry.Local{s.replica()}
				s.push("a", b.solo, "solo", "v0")
				s.remove(format.FenceKey("a"))
			},
			want: kinds{fsck.FenceBehind},
		},
		{
			name: "no segment of an open session", do: func(s *site, _ bodies) {
				u, err := format.Read[format.Upload](s.ctx(), s.store, s.session(format.Open))
				s.check(err)
				s.check(s.data.Delete(s.ctx(), u.Head.Segments[1].ID))
			},
			want: kinds{fsck.SessionSegmentMissing}, left: kinds{fsck.SessionSegmentMissing},
		},
		{
			name: "a session at another offset", do: func(s *site, _ bodies) {
				edit(s, s.session(format.Done), func(h *format.Upload, _ []byte) []byte { h.Offset++; return nil })
			},
			want: kinds{fsck.SessionOffsetWrong}, left: kinds{fsck.SessionOffsetWrong},
		},
	}...)
}

// manifest writes a manifest as a push does that ends there.
func (s *site) manifest(body []byte) {
	s.t.Helper()
	head := format.Manifest{MediaType: oci.MediaTypeImageManifest, Generation: format.RandomID()}
	if m, err := oci.ParseManifest("", body); err == nil {
		head.MediaType = m.MediaType
	}
	head.State = format.Live
	_, err := format.Write(s.ctx(), s.store, manifestKey(body), format.Stored[format.Manifest]{}, head, body, false)
	s.check(err)
}

// kill makes a manifest dead, as a delete does that ends there.
func (s *site) kill(body []byte) {
	s.t.Helper()
	m, err := oci.ParseManifest("", body)
	s.check(err)
	edit(s, manifestKey(body), func(h *format.Manifest, _ []byte) []byte {
		h.State = format.Dead
		if m.Subject != nil {
			h.Subject = m.Subject.Digest
		}
		return nil
	})
}

func TestEachBrokenThingIsFound(t *testing.T) {
	for _, row := range brokenThings() {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s, b := full(t)
			row.do(s, b)
			s.clock.pass(2 * time.Hour)
			before := s.versions()
			report := s.run(fsck.Config{})
			s.wantKinds("found", report, row.want...)
			for _, f := range report.Findings {
				if f.Severity == "" || f.Do == "" || f.Detail == "" || len(f.Keys) == 0 || f.Repaired {
					t.Errorf("an incomplete finding: %+v", f)
				}
			}
			if len(report.Findings) > 0 && report.Worst() != report.Findings[0].Severity {
				t.Errorf("worst %q, first %q", report.Worst(), report.Findings[0].Severity)
			}
			s.wantKinds("found offline", s.run(fsck.Config{Offline: true, Parallel: 1, MaxNames: 1}), row.want...)
			if after := s.versions(); !slices.Equal(before, after) {
				t.Fatal("a run without Repair wrote something")
			}
			segments, links := s.segmentCount(), s.links()
			repaired := s.run(fsck.Config{Repair: true})
			for key, was := range links {
				if now := s.links()[key]; was.shows != "" && now.shows != was.shows && now.fence == was.fence {
					t.Errorf("%s was changed from %s to %s, and the fence is where replicas that remember it have seen it", key, was.shows, now.shows)
				}
			}
			for _, k := range row.want {
				if repaired.Counts[k] == 0 {
					t.Errorf("the repair did not find %s", k)
				}
			}
			if whole := len(row.left) == 0; whole != (repaired.Worst() == "") || whole && len(repaired.Repaired) == 0 {
				t.Errorf("mended %v, worst left %q", repaired.Repaired, repaired.Worst())
			}
			if s.segmentCount() != segments {
				t.Error("a repair deleted segments")
			}
			s.clock.pass(2 * time.Hour)
			s.wantKinds("after the repair", s.run(fsck.Config{}), row.left...)
			if row.heal != nil {
				row.heal(s, b)
				s.clock.pass(2 * time.Hour)
				s.wantKinds("healed", s.run(fsck.Config{}))
			}
		})
	}
}

func (s *site) versions() (all []string) {
	s.t.Helper()
	for _, prefix := range []record.Key{"a/", "b/", "cfg/", "l/", "n/", "r/", "u/"} {
		for entry, err := range s.records.List(s.ctx(), prefix, "") {
			s.check(err)
			all = append(all, string(entry.Key)+" "+string(entry.Version))
		}
	}
	return all
}

// shown is what readers see of a link, "" when they see none, and the fence of its repository.
type shown struct {
	shows string
	fence record.Version
}

func (s *site) links() map[record.Key]shown {
	s.t.Helper()
	all := map[record.Key]shown{}
	for entry, err := range s.records.List(s.ctx(), format.PrefixLinks, "") {
		s.check(err)
		fence, err := s.records.Get(s.ctx(), format.FenceKey(format.UnescapeRepository(string(entry.Key[strings.LastIndexByte(string(entry.Key), '/')+1:]))))
		if !errors.Is(err, record.ErrNotFound) {
			s.check(err)
		}
		one := shown{fence: fence.Version}
		link, err := format.Read[format.Link](s.ctx(), format.Store{Records: s.records, Ages: format.DefaultAges()}, entry.Key)
		if err == nil && link.Present() { // else it is one of the broken things
			one.shows = fmt.Sprint(link.Head.Size, link.Head.Segments)
		}
		all[entry.Key] = one
	}
	return all
}

func (s *site) segmentCount() (n int) {
	s.t.Helper()
	for _, err := range s.data.List(s.ctx(), "") {
		s.check(err)
		n++
	}
	return n
}

func TestEveryKindHasARow(t *testing.T) {
	var rows kinds
	for _, row := range brokenThings() {
		rows = append(rows, row.want...)
	}
	for _, k := range fsck.Kinds() {
		if !slices.Contains(rows, k) {
			t.Errorf("nothing shows that %s is found", k)
		}
	}
}

// What a request under way may have caused is no finding, but for a run that is told that there are none.
func TestAYoungStateIsExcused(t *testing.T) {
	excused := []string{
		"a child that a user deleted", "a manifest whose push was refused", "a delete that was cut after the kill", "a referrer that is dead",
		"a referrer that is not listed", "a corrupt record whose links were not marked", "bytes that were moved", "a blob's link that is dead",
	}
	for _, row := range brokenThings() {
		if !slices.Contains(excused, row.name) {
			continue
		}
		t.Run(row.name, func(t *testing.T) {
			s, b := full(t)
			row.do(s, b)
			s.wantKinds("online", s.run(fsck.Config{Repair: true}))
			s.wantKinds("offline", s.run(fsck.Config{Offline: true}), row.want...)
		})
	}
}
