package simulate

import (
	"slices"
	"time"

	"holdfast/internal/oci"
)

// overtakenScenarios are about a push whose manifest is seen, and deleted, before the push has ended: what was deleted does not
// come back.
func overtakenScenarios() []*Scenario {
	m, n, r := image("M", "L"), image("N", "L2"), image("R", "L")
	r.Subject = n
	blobs := []Call{PushBlob(0, repoA, "CM"), PushBlob(0, repoA, "L"), PushBlob(0, repoA, "CR")}
	of := func(name string, setup []Call, clients ...[]Call) *Scenario {
		return &Scenario{
			Name: name, Setup: setup, Clients: clients, Repositories: justA,
			Tags: []oci.Tag{"t", "w", "x"}, Manifests: []*Manifest{m, n, r}, Blobs: []string{"CM", "L", "CN"},
		}
	}
	old := []Call{Pass(0, 15*time.Minute)}
	pushed := append(blobs[:3:3], PushBlob(0, repoA, "CN"), PushBlob(0, repoA, "L2"), PushManifest(0, repoA, n, "x"))
	return []*Scenario{
		of("push by tag that is seen by its digest, and deleted, before it has ended", blobs,
			[]Call{PushManifest(0, repoA, m, "t")},
			[]Call{GetManifest(1, repoA, m), DeleteManifest(1, repoA, m)}),
		of("push by two tags, one of which is seen, and deleted with the manifest, before it has ended", blobs,
			[]Call{PushManifest(0, repoA, m, "t", "w")},
			[]Call{GetTag(1, repoA, "t"), DeleteManifest(1, repoA, m)}),
		of("push by tag that is deleted, and whose tag is moved, before it has ended", pushed,
			[]Call{PushManifest(0, repoA, m, "t")},
			[]Call{DeleteManifest(1, repoA, m), GetTag(1, repoA, "t"), PushManifest(1, repoA, n, "t"), GetManifest(1, repoA, m)}),
		of("push by tag that is deleted, and its tag too, before it has ended", blobs,
			[]Call{PushManifest(0, repoA, m, "t")},
			[]Call{DeleteManifest(1, repoA, m), DeleteTag(1, repoA, "t"), GetManifest(1, repoA, m), GetTag(1, repoA, "t")}),
		of("push by tag of a referrer that is deleted before it has ended", append(pushed[:len(pushed):len(pushed)], PushManifest(0, repoA, n, "t")),
			[]Call{PushManifest(0, repoA, r, "t")},
			[]Call{DeleteManifest(1, repoA, r), GetTag(1, repoA, "t")}),
		of("push by tag whose manifest is renewed before it has ended, and whose tag is moved",
			slices.Concat(pushed, []Call{PushManifest(0, repoA, m, "w")}),
			[]Call{PushManifest(0, repoA, m, "t")},
			slices.Concat(old, []Call{PushManifest(1, repoA, m, "w"), GetTag(1, repoA, "t"), PushManifest(1, repoA, n, "t")})),
		of("push by digest that is seen, and deleted, before it has ended", blobs,
			[]Call{PushManifest(0, repoA, m)},
			[]Call{GetManifest(1, repoA, m), DeleteManifest(1, repoA, m)}),
		of("push by tag that is seen, and deleted, before it has ended", blobs,
			[]Call{PushManifest(0, repoA, m, "t")},
			[]Call{GetTag(1, repoA, "t"), DeleteManifest(1, repoA, m)}),
		of("push by tag that is seen, and deleted with its layer, before it has ended", blobs,
			[]Call{PushManifest(0, repoA, m, "t")},
			[]Call{GetTag(1, repoA, "t"), DeleteManifest(1, repoA, m), DeleteBlob(1, repoA, "L")}),
		of("push by tag that is seen, deleted, and followed by another, before it has ended",
			append(blobs[:3:3], PushBlob(0, repoA, "CN"), PushBlob(0, repoA, "L2"), PushManifest(0, repoA, n, "w")),
			[]Call{PushManifest(0, repoA, m, "t")},
			[]Call{GetTag(1, repoA, "t"), DeleteManifest(1, repoA, m), DeleteBlob(1, repoA, "L"), PushManifest(1, repoA, n, "t")}),
	}
}
