package simulate

import (
	"slices"
	"time"

	"holdfast/internal/oci"
)

// agedScenarios are about what was there for a while: it is renewed, or collected, by its age.
func agedScenarios() []*Scenario {
	whole := blobBytes("L")
	m := image("M", "L")
	uploaded := []Call{StartUpload(0, repoA, "u"), Append(0, repoA, "u", 0, whole), Commit(0, repoA, "u", "L", "")}
	old := []Call{Pass(0, 13*time.Hour)}
	of := func(name string, setup []Call, clients ...[]Call) *Scenario {
		return &Scenario{Name: name, Setup: setup, Clients: clients, Repositories: justA, Blobs: []string{"L"}}
	}
	collected := func(s *Scenario) *Scenario {
		s.MayFail, s.Uploads = true, []string{"u"}
		return s
	}
	slow := collected(of("PUT with a slow body whose session was claimed, and is collected",
		[]Call{StartUpload(0, repoA, "u"), Append(0, repoA, "u", 0, whole[:7])},
		[]Call{Commit(0, repoA, "u", "L", whole[7:])},
		[]Call{HalfCommit(1, repoA, "u", "L", whole[7:]), Pass(1, 3*time.Hour), CollectSessions(1)}))
	slow.SegmentBytes = 16
	both := collected(of("a finished upload is collected with its blob while its PUT is sent again",
		slices.Concat([]Call{PushBlob(0, repoA, "L")}, uploaded, old),
		[]Call{Commit(0, repoA, "u", "L", "")},
		[]Call{DeleteBlob(1, repoA, "L"), CollectDigest(1, "L"), CollectSessions(1)}))
	again := collected(of("PUT of a whole body is sent again without it, while its blob is collected", []Call{StartUpload(0, repoA, "u")},
		[]Call{Commit(0, repoA, "u", "L", whole), Pass(0, 13*time.Hour), Commit(1, repoA, "u", "L", "")},
		[]Call{DeleteBlob(2, repoA, "L"), CollectDigest(2, "L")}))
	spare := collected(of("PUT of a whole body that was there already is sent again, while the blob and its segments are collected",
		[]Call{PushBlob(0, repoA, "L"), StartUpload(0, repoA, "u")},
		[]Call{Commit(0, repoA, "u", "L", whole), Pass(0, 3*time.Hour), Commit(2, repoA, "u", "L", ""), GetBlob(2, repoA, "L")},
		[]Call{DeleteBlob(1, repoA, "L"), CollectDigest(1, "L"), CollectSessions(1)}))
	damaged := of("mount and push of a blob that is found damaged", []Call{PushBlob(0, repoA, "L"), Rot("L")},
		[]Call{Mount(0, repoB, "L", repoA), PushBlob(0, repoB, "L")},
		[]Call{GetBlob(1, repoA, "L")})
	damaged.MayFail, damaged.Repositories = true, []oci.Repository{repoA, repoB}
	manifest := &Scenario{
		Name:  "manifest push racing with its delete, long after it was pushed first",
		Setup: []Call{PushBlob(0, repoA, "CM"), PushBlob(0, repoA, "L"), PushManifest(0, repoA, m, "t"), Pass(0, 15*time.Minute)},
		Clients: [][]Call{
			{PushManifest(0, repoA, m, "t")},
			{DeleteManifest(1, repoA, m)},
		},
		Repositories: justA, Tags: []oci.Tag{"t"}, Manifests: []*Manifest{m}, Blobs: []string{"CM", "L"},
	}
	late := *manifest
	late.Name, late.MayFail = "time passes between a manifest and its tag", true
	late.Clients = [][]Call{{PushManifest(0, repoA, m, "t")}, {Pass(1, 40*time.Minute), DeleteTag(1, repoA, "t")}}
	return []*Scenario{
		of("HEAD of an old blob racing with its delete", append([]Call{PushBlob(0, repoA, "L")}, old...),
			[]Call{StatBlob(0, repoA, "L"), GetBlob(2, repoA, "L")},
			[]Call{DeleteBlob(1, repoA, "L"), PushBlob(1, repoA, "L")}),
		of("push of an old blob racing with its delete", append([]Call{PushBlob(0, repoA, "L")}, old...),
			[]Call{PushBlob(0, repoA, "L"), StatBlob(2, repoA, "L")},
			[]Call{DeleteBlob(1, repoA, "L"), CollectDigest(1, "L")}),
		collected(of("a repeated PUT that finds a link older than half the grace, while it is deleted and collected", append(slices.Clone(uploaded), old...),
			[]Call{Commit(0, repoA, "u", "L", ""), StatBlob(2, repoA, "L")},
			[]Call{DeleteBlob(1, repoA, "L"), CollectDigest(1, "L")})),
		collected(of("a claimed session is collected while its PUT is sent again",
			[]Call{StartUpload(0, repoA, "u"), Append(0, repoA, "u", 0, whole), HalfCommit(0, repoA, "u", "L", ""), Pass(0, 3*time.Hour)},
			[]Call{Commit(0, repoA, "u", "L", ""), GetBlob(0, repoA, "L")},
			[]Call{CollectSessions(1)})),
		collected(of("a repeated PUT of a blob that is found damaged", append(slices.Clone(uploaded), Rot("L")),
			[]Call{Commit(0, repoA, "u", "L", "")},
			[]Call{GetBlob(1, repoA, "L")})),
		collected(of("HEAD and push of an old blob that is found damaged", slices.Concat(uploaded, []Call{Rot("L")}, old),
			[]Call{StatBlob(0, repoA, "L"), PushBlob(0, repoA, "L")},
			[]Call{GetBlob(1, repoA, "L")})),
		damaged, both, again, spare, slow, manifest, &late,
	}
}
