package simulate

import (
	"slices"
	"time"

	"holdfast/internal/oci"
)

// passedScenarios are about the delete of a manifest that passes its tags and its subject's referrers, while others read, push and delete
// them, and about one that is cut there.
func passedScenarios() []*Scenario {
	m, n, r, large := image("M", "L"), image("N", "L2"), image("R", "L"), image("B", "L")
	r.Subject, large.Pad = n, 260<<10
	index := &Manifest{Name: "I", Children: []*Manifest{m}}
	blobs := []Call{
		PushBlob(0, repoA, "CM"), PushBlob(0, repoA, "L"), PushBlob(0, repoA, "CR"), PushBlob(0, repoA, "CB"), PushBlob(0, repoA, "CN"),
		PushBlob(0, repoA, "L2"), PushManifest(0, repoA, n, "x"),
	}
	of := func(name string, setup []Call, clients ...[]Call) *Scenario {
		return &Scenario{
			Name: name, Setup: slices.Concat(blobs, setup), Clients: clients, Repositories: justA,
			Tags: []oci.Tag{"t", "w", "x"}, Manifests: []*Manifest{m, n, r, large, index}, Blobs: []string{"CM", "L", "CN"},
		}
	}
	crash := func(s *Scenario, faults ...fault) *Scenario {
		s.Only = faults
		return s
	}
	tagged, named := []Call{PushManifest(0, repoA, m, "t")}, []Call{PushManifest(0, repoA, m), PushManifest(0, repoA, n, "t")}
	leaves := of("delete of a manifest whose client leaves", tagged,
		[]Call{Leaving(DeleteManifest(0, repoA, m), time.Minute)},
		[]Call{Pass(1, 2*time.Minute), GetTag(1, repoA, "t"), GetManifest(1, repoA, m), GetTag(1, repoA, "t")})
	leaves.MayFail = true
	return []*Scenario{
		leaves,
		crash(of("large manifest deleted, and its tag read and deleted", []Call{PushManifest(0, repoA, large, "t")},
			[]Call{DeleteManifest(0, repoA, large)},
			[]Call{GetTag(1, repoA, "t"), DeleteTag(1, repoA, "t")}), faultNone),
		of("two deletes of a manifest, a push by two tags, and a delete of that", slices.Concat(tagged, []Call{DeleteManifest(0, repoA, m)}),
			[]Call{DeleteManifest(0, repoA, m)},
			[]Call{PushManifest(1, repoA, m, "t", "w"), GetTag(1, repoA, "t")},
			[]Call{DeleteManifest(2, repoA, m), GetTag(2, repoA, "w")}),
		of("delete of a manifest whose tag is read, and pushed again", tagged,
			[]Call{DeleteManifest(0, repoA, m)},
			[]Call{GetTag(1, repoA, "t"), PushManifest(1, repoA, m, "t")}),
		of("delete of a manifest whose tag is deleted, and pushed again", tagged,
			[]Call{DeleteManifest(0, repoA, m)},
			[]Call{DeleteTag(1, repoA, "t"), PushManifest(1, repoA, m, "t")}),
		crash(of("large manifest deleted, its tag read, and pushed again by digest", []Call{PushManifest(0, repoA, large)},
			[]Call{DeleteManifest(0, repoA, large)},
			[]Call{PushManifest(1, repoA, large, "t")},
			[]Call{GetTag(2, repoA, "t"), PushManifest(2, repoA, large), GetTag(2, repoA, "t")}), faultNone),
		crash(of("delete of a referrer that is cut, and repeated after an hour", []Call{PushManifest(0, repoA, r, "t")},
			[]Call{DeleteManifest(0, repoA, r), Pass(1, 61*time.Minute), DeleteManifest(1, repoA, r)}), faultCrashAfter),
		crash(of("delete of a referrer that is cut, a push that is cut, and a delete", []Call{PushManifest(0, repoA, r)},
			[]Call{DeleteManifest(0, repoA, r), PushManifest(1, repoA, r), DeleteManifest(2, repoA, r)}), faultCrashAfter, faultLost),
		of("delete of a manifest that is cut, and repeated, beside a push by tag", []Call{PushManifest(0, repoA, m, "x")},
			[]Call{DeleteManifest(0, repoA, m), DeleteManifest(1, repoA, m)},
			[]Call{PushManifest(2, repoA, m, "t"), GetTag(2, repoA, "t")}),
		crash(of("delete of a manifest that is cut, and its tag passed by another delete", named,
			[]Call{PushManifest(2, repoA, m, "t")},
			[]Call{DeleteManifest(0, repoA, m), DeleteManifest(1, repoA, n)}), faultCrashAfter),
		of("push and delete of a manifest, and its tags read and moved by a third", tagged,
			[]Call{PushManifest(0, repoA, m, "t", "w")},
			[]Call{DeleteManifest(1, repoA, m)},
			[]Call{GetTag(2, repoA, "t"), PushManifest(2, repoA, n, "t"), GetTag(2, repoA, "w")}),
		of("push and delete of a referrer, and a push by a third", []Call{PushManifest(0, repoA, r)},
			[]Call{PushManifest(0, repoA, r)},
			[]Call{DeleteManifest(1, repoA, r)},
			[]Call{PushManifest(2, repoA, r, "w"), GetTag(2, repoA, "w")}),
		of("two deletes of manifests that one tag has named, and a push", named,
			[]Call{PushManifest(0, repoA, m, "t")},
			[]Call{DeleteManifest(1, repoA, m), GetTag(1, repoA, "t")},
			[]Call{DeleteManifest(2, repoA, n), GetTag(2, repoA, "t")}),
		of("delete of a manifest, and two pushes of it by one tag", named,
			[]Call{PushManifest(0, repoA, m, "t")},
			[]Call{DeleteManifest(1, repoA, m)},
			[]Call{PushManifest(2, repoA, m, "t")}),
		of("two deletes of a manifest, and a push by two tags", tagged,
			[]Call{DeleteManifest(0, repoA, m)},
			[]Call{DeleteManifest(1, repoA, m), GetTag(1, repoA, "t")},
			[]Call{PushManifest(2, repoA, m, "t", "w"), GetTag(2, repoA, "t")}),
		of("push and delete of an index, and its manifest deleted by a third that pushes it", slices.Concat(tagged, []Call{PushManifest(0, repoA, index, "w")}),
			[]Call{PushManifest(0, repoA, index, "t")},
			[]Call{DeleteManifest(1, repoA, index), GetTag(1, repoA, "t")},
			[]Call{PushManifest(2, repoA, index, "t"), DeleteManifest(2, repoA, m)}),
	}
}
