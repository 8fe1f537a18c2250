package simulate

import (
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
		[]Call{Pass(1, 8*24*time.Hour), CollectOrphans(1, "L"), PushBlob(1, repoB, "L")})
	late.Only = []fault{faultLate, faultCrashLate, faultLost}
	manifest := &Scenario{
		Name:  "manifest push racing with the collector of its layer's link",
		Setup: []Call{PushBlob(0, repoA, "CM"), pushed},
		Clients: [][]Call{
			{PushManifest(0, repoA, m, "t")},
			{CollectLink(1, repoA, "L"), CollectDigest(1, "L")},
		},
		Repositories: justA, Tags: []oci.Tag{"t"}, Manifests: []*Manifest{m}, Blobs: []string{"CM", "L"}, MayFail: true,
	}
	return []*Scenario{
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
