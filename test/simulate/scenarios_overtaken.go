package simulate

import "holdfast/internal/oci"

// overtakenScenarios are about a push whose manifest is seen, and deleted, before the push has ended: what was deleted does not
// come back.
func overtakenScenarios() []*Scenario {
	m, n := image("M", "L"), image("N", "L2")
	blobs := []Call{PushBlob(0, repoA, "CM"), PushBlob(0, repoA, "L")}
	of := func(name string, setup []Call, clients ...[]Call) *Scenario {
		return &Scenario{
			Name: name, Setup: setup, Clients: clients, Repositories: justA,
			Tags: []oci.Tag{"t", "w"}, Manifests: []*Manifest{m, n}, Blobs: []string{"CM", "L", "CN"},
		}
	}
	return []*Scenario{
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
			append(blobs[:2:2], PushBlob(0, repoA, "CN"), PushBlob(0, repoA, "L2"), PushManifest(0, repoA, n, "w")),
			[]Call{PushManifest(0, repoA, m, "t")},
			[]Call{GetTag(1, repoA, "t"), DeleteManifest(1, repoA, m), DeleteBlob(1, repoA, "L"), PushManifest(1, repoA, n, "t")}),
	}
}
