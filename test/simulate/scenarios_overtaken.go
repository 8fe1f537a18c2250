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
	index, referrer := &Manifest{Name: "I", Children: []*Manifest{m}}, &Manifest{Name: "RI", Children: []*Manifest{m}, Subject: n}
	blobs := []Call{PushBlob(0, repoA, "CM"), PushBlob(0, repoA, "L"), PushBlob(0, repoA, "CR")}
	of := func(name string, setup []Call, clients ...[]Call) *Scenario {
		return &Scenario{
			Name: name, Setup: setup, Clients: clients, Repositories: justA,
			Tags: []oci.Tag{"t", "w", "x"}, Manifests: []*Manifest{m, n, r, index, referrer}, Blobs: []string{"CM", "L", "CN"},
		}
	}
	old, late := []Call{Pass(0, 15*time.Minute)}, Pass(1, 40*time.Minute)
	pushed := append(blobs[:3:3], PushBlob(0, repoA, "CN"), PushBlob(0, repoA, "L2"), PushManifest(0, repoA, n, "x"))
	both := slices.Concat(pushed, []Call{PushManifest(0, repoA, m)})
	seen := of("push by tag that is seen by its digest, deleted, and takes long", blobs,
		[]Call{PushManifest(0, repoA, m, "t")},
		[]Call{GetManifest(1, repoA, m), DeleteManifest(1, repoA, m), late})
	byDigest := of("push by digest that is seen, deleted, and takes long", blobs,
		[]Call{PushManifest(0, repoA, m)},
		[]Call{GetManifest(1, repoA, m), DeleteManifest(1, repoA, m), late})
	seen.MayFail, byDigest.MayFail = true, true
	return []*Scenario{
		seen, byDigest,
		of("push by tag of a manifest that was deleted, and is deleted again", slices.Concat(both, []Call{DeleteManifest(0, repoA, m)}),
			[]Call{DeleteManifest(0, repoA, m)},
			[]Call{PushManifest(1, repoA, m, "t"), GetTag(1, repoA, "t")}),
		of("push by tag that is moved after the delete of its manifest", both,
			[]Call{PushManifest(0, repoA, m, "t")},
			[]Call{DeleteManifest(1, repoA, m), PushManifest(1, repoA, n, "t")}),
		of("push by two tags, one of which is moved after the delete of their manifest", both,
			[]Call{PushManifest(0, repoA, m, "t", "w")},
			[]Call{DeleteManifest(1, repoA, m), PushManifest(1, repoA, n, "w")}),
		of("push by a tag that is read after the delete of its manifest", slices.Concat(both, []Call{PushManifest(0, repoA, n, "t")}),
			[]Call{PushManifest(0, repoA, m, "t")},
			[]Call{DeleteManifest(1, repoA, m), GetTag(1, repoA, "t")}),
		of("push by a new tag that is read after the delete of its manifest", both,
			[]Call{PushManifest(0, repoA, m, "t")},
			[]Call{DeleteManifest(1, repoA, m), GetTag(1, repoA, "t")}),
		of("push by a tag that was deleted, and is read after the delete of its manifest",
			slices.Concat(both, []Call{PushManifest(0, repoA, m, "t"), DeleteTag(0, repoA, "t")}),
			[]Call{PushManifest(0, repoA, m, "t")},
			[]Call{DeleteManifest(1, repoA, m), GetTag(1, repoA, "t")}),
		of("push by tag of an index that is renewed, and whose manifest is deleted", slices.Concat(both, []Call{PushManifest(0, repoA, index, "w")}),
			[]Call{PushManifest(0, repoA, index, "t")},
			slices.Concat(old, []Call{PushManifest(1, repoA, index, "w"), DeleteManifest(1, repoA, m)})),
		of("push of a referrer that is deleted and pushed again", slices.Concat(pushed, []Call{PushManifest(0, repoA, r)}),
			[]Call{PushManifest(0, repoA, r)},
			[]Call{DeleteManifest(1, repoA, r), PushManifest(1, repoA, r), GetReferrer(1, repoA, n, r)}),
		of("push of a referring index that is deleted and pushed again, and whose manifest is deleted", slices.Concat(both, []Call{PushManifest(0, repoA, referrer)}),
			[]Call{PushManifest(0, repoA, referrer)},
			[]Call{DeleteManifest(1, repoA, referrer), PushManifest(1, repoA, referrer), DeleteManifest(1, repoA, m)}),
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
