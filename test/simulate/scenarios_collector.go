package simulate

import (
	"slices"
	"time"

	"holdfast/internal/oci"
)

// collectorScenarios are writers against the collector's steps.
func collectorScenarios() []*Scenario {
	m := image("M", "L")
	pushed, deleted := PushBlob(0, repoA, "L"), DeleteBlob(0, repoA, "L")
	of := func(name string, setup []Call, clients ...[]Call) *Scenario {
		return &Scenario{Name: name, Setup: setup, Clients: clients, Repositories: both, Blobs: []string{"L"}, MayFail: true}
	}
	upload := of("a repeated PUT while its blob is deleted and collected",
		[]Call{StartUpload(0, repoA, "u"), Append(0, repoA, "u", 0, blobBytes("L"))},
		[]Call{Commit(0, repoA, "u", "L", ""), DeleteBlob(0, repoA, "L"), CollectDigest(0, "L")},
		[]Call{Commit(1, repoA, "u", "L", "")})
	upload.MayStay = true // its segments are gone for ever: the client has to begin anew
	late := of("a record that lands after its segments were collected",
		nil,
		[]Call{PushBlob(0, repoA, "L")},
		[]Call{Pass(1, 8*24*time.Hour), CollectOrphans(1), PushBlob(1, repoB, "L")})
	late.Only = []fault{faultLate, faultCrashLate, faultLost}
	manifest := &Scenario{
		Name:  "manifest push racing with the collector of its layer's link",
		Setup: []Call{PushBlob(0, repoA, "CM"), pushed},
		Clients: [][]Call{
			{PushManifest(0, repoA, m, "t")},
			{CollectRepository(1, repoA, "L"), CollectDigest(1, "L")},
		},
		Repositories: justA, Tags: []oci.Tag{"t"}, Manifests: []*Manifest{m}, Blobs: []string{"CM", "L"}, MayFail: true,
	}
	ahead := of("everything is collected by one who is a month ahead",
		[]Call{StartUpload(0, repoA, "u"), Append(0, repoA, "u", 0, blobBytes("L"))},
		[]Call{Commit(0, repoA, "u", "L", ""), PushBlob(0, repoB, "L")},
		[]Call{CollectAll(1)})
	ahead.Uploads, ahead.Ahead = []string{"u"}, 30*24*time.Hour
	return []*Scenario{
		ahead,
		of("push to another repository while the digest is collected", []Call{pushed, deleted},
			[]Call{PushBlob(0, repoB, "L"), GetBlob(2, repoB, "L")},
			[]Call{CollectDigest(1, "L")}),
		of("two pushes while the digest is collected", []Call{pushed, deleted},
			[]Call{PushBlob(0, repoA, "L")},
			[]Call{PushBlob(1, repoB, "L")},
			[]Call{CollectDigest(2, "L")}),
		of("push racing with two collectors of its digest", []Call{pushed, deleted},
			[]Call{PushBlob(0, repoA, "L")},
			[]Call{CollectDigest(1, "L")},
			[]Call{CollectDigest(2, "L")}),
		of("mount while source and digest are collected", []Call{pushed},
			[]Call{Mount(0, repoB, "L", repoA), GetBlob(0, repoB, "L")},
			[]Call{DeleteBlob(1, repoA, "L"), CollectDigest(1, "L")}),
		upload, late, manifest,
	}
}

// collectedScenarios are writers against passes over a repository, in which everything is old enough to be collected that nothing needs.
func collectedScenarios() []*Scenario {
	m, n := image("M", "L"), image("N", "L")
	r := &Manifest{Name: "R", Blobs: []string{"CR"}, Subject: m}
	q := &Manifest{Name: "Q", Blobs: []string{"CR"}, Subject: m}
	i := &Manifest{Name: "I", Children: []*Manifest{m}}
	blobs := []Call{PushBlob(0, repoA, "CM"), PushBlob(0, repoA, "L"), PushBlob(0, repoA, "CN"), PushBlob(0, repoA, "CR")}
	old := func(calls ...Call) []Call { return slices.Concat(blobs, calls, []Call{Pass(0, 2*time.Hour)}) }
	all := []string{"CM", "CN", "CR", "L"}
	collect := func(replica int) Call { return CollectRepository(replica, repoA, all...) }
	of := func(name string, setup []Call, clients ...[]Call) *Scenario {
		return &Scenario{
			Name: "collected: " + name, Setup: setup, Clients: clients, Repositories: justA, Blobs: all,
			Tags: []oci.Tag{"t", "w"}, Manifests: []*Manifest{m, n, r, q, i}, MayFail: true,
		}
	}
	promise := of("HEAD of an old blob, and the manifest that follows",
		slices.Concat(blobs, []Call{Pass(0, 25*time.Hour)}),
		[]Call{PromisedPush(0, repoA, m, "t")},
		[]Call{CollectRepositoryAfter(1, 24*time.Hour, repoA, "L", "CM")})
	purged := of("markers of a manifest that died long ago, while it is pushed and deleted again",
		slices.Concat(blobs, []Call{PushManifest(0, repoA, m, "t"), DeleteManifest(0, repoA, m), Pass(0, 26*time.Hour)}),
		[]Call{PushManifest(0, repoA, m, "t"), DeleteManifest(0, repoA, m)},
		[]Call{CollectRepository(1, repoA), GetTag(1, repoA, "t")})
	buried := of("tombstones go while their tag and manifest are pushed",
		slices.Concat(blobs, []Call{PushManifest(0, repoA, m, "t"), DeleteManifest(0, repoA, m), Pass(0, 26*time.Hour)}),
		[]Call{PushManifest(0, repoA, m, "t"), GetTag(0, repoA, "t")},
		[]Call{CollectRepository(1, repoA)})
	living := of("an index, an image and what refers to it live while others come",
		old(PushManifest(0, repoA, m, "t"), PushManifest(0, repoA, r), PushManifest(0, repoA, i, "w")),
		[]Call{DeleteTag(0, repoA, "t"), PushManifest(0, repoA, n, "t")},
		[]Call{collect(1), collect(1)})
	living.Stay = []string{manifestObject(repoA, "M"), manifestObject(repoA, "R"), manifestObject(repoA, "I"), blobObject(repoA, "CM"), blobObject(repoA, "CR"), blobObject(repoA, "L")}
	emptied := of("an empty repository leaves the catalog while somebody pushes",
		slices.Concat(blobs, []Call{PushManifest(0, repoA, m, "t"), DeleteTag(0, repoA, "t"), DeleteManifest(0, repoA, m), Pass(0, 2*time.Hour)}),
		[]Call{PushManifest(0, repoA, m, "t"), InCatalog(0, repoA)},
		[]Call{CollectRepository(1, repoA), CollectRepository(1, repoA)})
	merged := func(name string, setup []Call, clients ...[]Call) *Scenario {
		s := of(name, setup, clients...)
		s.Repositories, s.Blobs, s.Tags, s.Manifests = both, []string{"L"}, nil, nil
		s.MaxSegments, s.MayStay = 1, true
		return s
	}
	parts := []Call{StartUpload(0, repoA, "u"), Append(0, repoA, "u", 0, piece("L", 0, 7)), Append(0, repoA, "u", 7, piece("L", 7, -1)), Commit(0, repoA, "u", "L", "")}
	slow := []Call{StartUpload(0, repoA, "u")}
	for day := range 8 {
		slow = append(slow, Append(0, repoA, "u", day, piece("L", day, day+1)), Pass(0, 23*time.Hour))
	}
	lasting := merged("orphans go, and an upload that takes more than a week stays", slow,
		[]Call{CollectOrphans(1)},
		[]Call{Commit(0, repoA, "u", "L", piece("L", 8, -1)), GetBlob(0, repoA, "L")})
	lasting.Uploads, lasting.MaxSegments = []string{"u"}, 0
	return []*Scenario{
		lasting,
		merged("segments are merged while the blob is read and mounted", parts,
			[]Call{Mount(0, repoB, "L", repoA), GetBlob(2, repoB, "L")},
			[]Call{Merge(1), GetBlob(1, repoA, "L")}),
		merged("segments are merged while the blob is deleted, collected and pushed", parts,
			[]Call{DeleteBlob(0, repoA, "L"), CollectDigest(0, "L"), PushBlob(0, repoA, "L")},
			[]Call{Merge(1), GetBlob(1, repoA, "L")}),
		merged("segments that were merged are freed, and their session is collected", append(slices.Clone(parts), Merge(0), Pass(0, 25*time.Hour)),
			[]Call{GetBlob(0, repoA, "L"), PushBlob(0, repoB, "L")},
			[]Call{Merge(1), CollectSessions(1)}),
		merged("two collectors merge", parts,
			[]Call{Merge(0), GetBlob(0, repoA, "L")},
			[]Call{Merge(1), PushBlob(1, repoB, "L")}),
		of("the tag of an untagged manifest is set again", old(PushManifest(0, repoA, m)),
			[]Call{PushManifest(0, repoA, m, "t"), GetTag(2, repoA, "t")},
			[]Call{collect(1)}),
		of("a tag moves while what it named is collected", old(PushManifest(0, repoA, m, "t"), PushManifest(0, repoA, n)),
			[]Call{PushManifest(0, repoA, n, "t"), PushManifest(0, repoA, m, "w")},
			[]Call{collect(1)}),
		of("the last tag goes, and comes back", old(PushManifest(0, repoA, m, "t")),
			[]Call{DeleteTag(0, repoA, "t"), PushManifest(0, repoA, m, "t")},
			[]Call{collect(1)}),
		of("an index names an untagged manifest", old(PushManifest(0, repoA, m)),
			[]Call{PushManifest(0, repoA, i, "t")},
			[]Call{collect(1)}),
		of("a referrer comes while its subject is collected", old(PushManifest(0, repoA, m)),
			[]Call{PushManifest(0, repoA, r), GetReferrer(2, repoA, m, r)},
			[]Call{collect(1)}),
		of("a second referrer comes", old(PushManifest(0, repoA, m, "t"), PushManifest(0, repoA, r)),
			[]Call{PushManifest(0, repoA, q), GetReferrer(2, repoA, m, q)},
			[]Call{collect(1)}),
		of("a referrer goes with its subject, and comes back", old(PushManifest(0, repoA, m, "t"), PushManifest(0, repoA, r), Pass(0, 2*time.Hour), DeleteTag(0, repoA, "t")),
			[]Call{PushManifest(0, repoA, r), GetReferrer(2, repoA, m, r)},
			[]Call{collect(1), collect(1)}),
		of("a layer without a manifest, and the manifest", old(),
			[]Call{PushManifest(0, repoA, m, "t"), GetBlob(2, repoA, "L")},
			[]Call{collect(1)}),
		of("a layer is pushed again", old(),
			[]Call{PushBlob(0, repoA, "L"), GetBlob(2, repoA, "L")},
			[]Call{collect(1)}),
		of("a layer is mounted elsewhere", old(),
			[]Call{Mount(0, repoA, "L", repoA), StatBlob(2, repoA, "L"), PushManifest(2, repoA, m, "t")},
			[]Call{collect(1)}),
		of("a manifest is deleted, and pushed", old(PushManifest(0, repoA, m, "t")),
			[]Call{DeleteManifest(0, repoA, m), PushManifest(0, repoA, m, "w")},
			[]Call{collect(1)}),
		of("a manifest is deleted while its tag is gone", old(PushManifest(0, repoA, m, "t"), DeleteTag(0, repoA, "t")),
			[]Call{DeleteManifest(0, repoA, m)},
			[]Call{PushManifest(2, repoA, m, "w")},
			[]Call{collect(1)}),
		of("two collectors, and a push", old(PushManifest(0, repoA, m)),
			[]Call{PushManifest(0, repoA, n, "t")},
			[]Call{collect(1)},
			[]Call{collect(2)}),
		of("everything is collected while an image is pushed", old(PushManifest(0, repoA, m)),
			[]Call{PushBlob(0, repoA, "L"), PushManifest(0, repoA, m, "t")},
			[]Call{CollectAll(1)}),
		promise, purged, buried, living, emptied,
	}
}
