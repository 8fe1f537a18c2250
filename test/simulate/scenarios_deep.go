package simulate

import "holdfast/internal/oci"

// deepScenarios need three clients, or three turns, to go wrong.
func deepScenarios() []*Scenario {
	m := image("M", "L")
	blobs := []Call{PushBlob(0, repoA, "CM"), PushBlob(0, repoA, "L")}
	of := func(name string, clients ...[]Call) *Scenario {
		return &Scenario{
			Name: name, Setup: blobs, Clients: clients,
			Repositories: justA, Tags: []oci.Tag{"t"}, Manifests: []*Manifest{m}, Blobs: []string{"CM", "L"},
		}
	}
	index := of("deep: index push after a push of its manifest that failed",
		[]Call{PushManifest(0, repoA, m)},
		[]Call{DeleteBlob(1, repoA, "L"), PushManifest(1, repoA, &Manifest{Name: "I", Children: []*Manifest{m}}, "t")})
	index.Manifests = append(index.Manifests, &Manifest{Name: "I", Children: []*Manifest{m}})
	half := of("deep: a manifest that dies, and comes back unverified, while it is pushed",
		[]Call{PushManifest(0, repoA, m, "t")},
		[]Call{DeleteManifest(1, repoA, m), DeleteBlob(1, repoA, "L"), HalfPush(1, repoA, m)})
	half.Setup = append(half.Setup[:2:2], PushManifest(0, repoA, m, "t"))
	return []*Scenario{
		index, half,
		of("deep: two blob deletes and a manifest push",
			[]Call{DeleteBlob(0, repoA, "L")},
			[]Call{DeleteBlob(1, repoA, "L")},
			[]Call{PushManifest(2, repoA, m)}),
		of("deep: two pushes of one manifest, its delete and its layer's",
			[]Call{PushManifest(0, repoA, m, "t")},
			[]Call{PushManifest(1, repoA, m)},
			[]Call{DeleteManifest(2, repoA, m), DeleteBlob(2, repoA, "L")}),
	}
}
