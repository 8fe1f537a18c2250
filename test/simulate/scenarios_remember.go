package simulate

import (
	"slices"
	"strings"

	"holdfast/internal/oci"
)

// rememberingScenarios are those in which links go, with replicas that remember them; and some of their own.
func rememberingScenarios() []*Scenario {
	var all []*Scenario
	for _, list := range [][]*Scenario{blobScenarios(), manifestScenarios(), referrerScenarios(), collectorScenarios(), collectedScenarios(), agedScenarios(), deepScenarios(), overtakenScenarios()} {
		for _, s := range list {
			if takesLinks(s) {
				all = append(all, with(s, old))
			}
		}
	}
	for _, s := range ownRememberingScenarios() {
		all = append(all, with(s, well), with(s, old))
	}
	for _, s := range mixedScenarios() {
		all = append(all, with(s, mixed))
	}
	return all
}

// takesLinks reports whether a scenario is about links that go.
func takesLinks(s *Scenario) bool {
	for _, script := range append(slices.Clone(s.Clients), s.Setup) {
		for _, c := range script {
			for _, word := range []string{"delete blob", "collect ", " rot"} {
				if strings.Contains(c.Name, word) {
					return true
				}
			}
		}
	}
	return false
}

// with is a scenario whose replicas remember.
func with(s *Scenario, r remembering) *Scenario {
	remembering := *s
	remembering.Name, remembering.Remembers = "remembering "+r.String()+": "+s.Name, r
	return &remembering
}

// ownRememberingScenarios are about what one replica remembers while another takes it.
func ownRememberingScenarios() []*Scenario {
	m := image("M", "L")
	blobs := []Call{PushBlob(0, repoA, "CM"), PushBlob(0, repoA, "L")}
	of := func(name string, setup []Call, clients ...[]Call) *Scenario {
		return &Scenario{
			Name: name, Setup: setup, Clients: clients,
			Repositories: justA, Tags: []oci.Tag{"t"}, Manifests: []*Manifest{m}, Blobs: []string{"CM", "L"},
		}
	}
	return []*Scenario{
		of("a blob is read while it is deleted", blobs,
			[]Call{DeleteBlob(1, repoA, "L")},
			[]Call{GetBlob(0, repoA, "L")}),
		of("a blob is asked for while it is deleted, and pushed again", blobs,
			[]Call{StatBlob(0, repoA, "L"), GetBlob(0, repoA, "L"), StatBlob(2, repoA, "L")},
			[]Call{DeleteBlob(1, repoA, "L"), StatBlob(1, repoA, "L"), PushBlob(1, repoA, "L")}),
		of("a blob is deleted, pushed again and deleted, and a manifest pushed elsewhere", blobs,
			[]Call{DeleteBlob(1, repoA, "L"), PushBlob(1, repoA, "L"), DeleteBlob(1, repoA, "L")},
			[]Call{PushManifest(0, repoA, m, "t"), GetBlob(2, repoA, "L")}),
		of("a blob is deleted while a manifest is pushed by a replica that has just seen it pushed", append(slices.Clone(blobs), DeleteBlob(1, repoA, "L")),
			[]Call{PushBlob(0, repoA, "L"), PushManifest(0, repoA, m, "t")},
			[]Call{DeleteBlob(1, repoA, "L"), StatBlob(2, repoA, "L")}),
		of("a blob is condemned and restored while manifests come and go", append(slices.Clone(blobs), PushManifest(0, repoA, m, "t")),
			[]Call{DeleteBlob(1, repoA, "L"), DeleteManifest(1, repoA, m), DeleteBlob(1, repoA, "L")},
			[]Call{StatBlob(0, repoA, "L"), PushManifest(0, repoA, m, "t")}),
	}
}

// mixedScenarios are about a cache that gives what is another's.
func mixedScenarios() []*Scenario {
	m := image("M", "L")
	return []*Scenario{
		{
			Name:         "a manifest whose layer another repository has",
			Setup:        []Call{PushBlob(0, repoA, "CM"), PushBlob(1, repoB, "L")},
			Clients:      [][]Call{{PushManifest(2, repoA, m, "t"), StatBlob(2, repoA, "L")}, {DeleteBlob(1, repoB, "L")}},
			Repositories: both, Tags: []oci.Tag{"t"}, Manifests: []*Manifest{m}, Blobs: []string{"CM", "L"},
		},
		{
			Name:         "a manifest of two repositories, one of which loses the layer",
			Setup:        []Call{PushBlob(0, repoA, "CM"), PushBlob(0, repoA, "L"), PushBlob(1, repoB, "CM"), PushBlob(1, repoB, "L")},
			Clients:      [][]Call{{PushManifest(2, repoA, m, "t")}, {PushManifest(0, repoB, m, "t")}, {DeleteBlob(1, repoA, "L")}},
			Repositories: both, Tags: []oci.Tag{"t"}, Manifests: []*Manifest{m}, Blobs: []string{"CM", "L"},
		},
	}
}
