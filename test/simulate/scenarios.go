package simulate

import "holdfast/internal/oci"

// The repositories of the scenarios.
const (
	repoA = oci.Repository("a")
	repoB = oci.Repository("b")
)

var (
	justA = []oci.Repository{repoA}
	both  = []oci.Repository{repoA, repoB}
)

// Scenarios returns all scenarios.
func Scenarios() []*Scenario {
	var all []*Scenario
	for _, list := range [][]*Scenario{blobScenarios(), uploadScenarios(), manifestScenarios(), tagScenarios(), referrerScenarios(), collectorScenarios(), collectedScenarios(), claimScenarios(), agedScenarios(), overtakenScenarios(), passedScenarios(), restoredScenarios(), conditionalScenarios(), deepScenarios(), rememberingScenarios()} {
		all = append(all, list...)
	}
	return all
}

// blobScenarios are about links and records.
func blobScenarios() []*Scenario {
	return []*Scenario{
		{
			Name:         "two pushes of one layer to two repositories",
			Clients:      [][]Call{{PushBlob(0, repoA, "L")}, {PushBlob(1, repoB, "L")}},
			Repositories: both, Blobs: []string{"L"},
		},
		{
			Name:         "two pushes of one layer to one repository",
			Clients:      [][]Call{{PushBlob(0, repoA, "L")}, {PushBlob(1, repoA, "L")}},
			Repositories: justA, Blobs: []string{"L"},
		},
		{
			Name:    "mount racing with blob delete",
			Setup:   []Call{PushBlob(0, repoA, "L")},
			Clients: [][]Call{{Mount(0, repoB, "L", repoA), GetBlob(2, repoB, "L")}, {DeleteBlob(1, repoA, "L")}},

			Repositories: both, Blobs: []string{"L"},
		},
		{
			Name:    "mount racing with delete of what it mounts",
			Setup:   []Call{PushBlob(0, repoA, "L"), PushBlob(0, repoB, "L")},
			Clients: [][]Call{{Mount(0, repoB, "L", repoA), GetBlob(2, repoB, "L")}, {DeleteBlob(1, repoB, "L")}},

			Repositories: both, Blobs: []string{"L"},
		},
		{
			Name:         "push racing with blob delete",
			Setup:        []Call{PushBlob(0, repoA, "L")},
			Clients:      [][]Call{{PushBlob(0, repoA, "L"), StatBlob(2, repoA, "L")}, {DeleteBlob(1, repoA, "L")}},
			Repositories: justA, Blobs: []string{"L"},
		},
		{
			Name:         "two deletes of one blob, and a push",
			Setup:        []Call{PushBlob(0, repoA, "L")},
			Clients:      [][]Call{{DeleteBlob(0, repoA, "L")}, {DeleteBlob(1, repoA, "L")}, {PushBlob(2, repoA, "L")}},
			Repositories: justA, Blobs: []string{"L"},
		},
		{
			Name:         "a blob of three segments, read while the store breaks off",
			Setup:        []Call{PushBlob(0, repoA, "L")},
			SegmentBytes: 16,
			Clients:      [][]Call{{GetBlob(0, repoA, "L"), StatBlob(1, repoA, "L")}, {GetBlob(1, repoA, "L")}},
			Repositories: justA, Blobs: []string{"L"},
		},
	}
}

// uploadScenarios are about sessions.
func uploadScenarios() []*Scenario {
	one, two, rest := piece("L", 0, 7), piece("L", 7, 20), piece("L", 20, -1)
	start := StartUpload(0, repoA, "u", "/1", "/2", "/3")
	upload := func(name string, setup []Call, clients ...[]Call) *Scenario {
		return &Scenario{Name: name, Setup: setup, Clients: clients, Repositories: justA, Blobs: []string{"L"}, Uploads: []string{"u"}}
	}
	return []*Scenario{
		upload("two PATCHes at the start of one session",
			[]Call{start},
			[]Call{Append(0, repoA, "u/1", 0, one), Status(2, repoA, "u/1")},
			[]Call{Append(1, repoA, "u/2", 0, two)}),
		upload("two PATCHes in the middle of one session",
			[]Call{start, Append(0, repoA, "u", 0, one)},
			[]Call{Append(0, repoA, "u/1", 7, two), Append(2, repoA, "u/1", 20, rest)},
			[]Call{Append(1, repoA, "u/2", 7, two)}),
		upload("two PATCHes that do not say where they belong",
			[]Call{start, Append(0, repoA, "u", 0, one)},
			[]Call{Append(0, repoA, "u", -1, two)},
			[]Call{Append(1, repoA, "u", -1, rest)}),
		upload("a PATCH sent again after an unknown outcome",
			[]Call{start, Append(0, repoA, "u", 0, one)},
			[]Call{Append(0, repoA, "u/1", 7, two), Append(2, repoA, "u/1", 7, two), Commit(0, repoA, "u/1", "L", rest)},
			[]Call{Status(1, repoA, "u/2"), Status(1, repoA, "u/2")}),
		upload("PUT racing with PATCH",
			[]Call{start, Append(0, repoA, "u", 0, one+two)},
			[]Call{Commit(0, repoA, "u/1", "L", rest), GetBlob(2, repoA, "L")},
			[]Call{Append(1, repoA, "u/2", 20, rest)}),
		upload("PUT without a body racing with PATCH",
			[]Call{start, Append(0, repoA, "u", 0, one+two+rest)},
			[]Call{Commit(0, repoA, "u", "L", "")},
			[]Call{Append(1, repoA, "u", -1, rest)}),
		upload("PUT racing with cancel",
			[]Call{start, Append(0, repoA, "u", 0, one+two)},
			[]Call{Commit(0, repoA, "u", "L", rest)},
			[]Call{Cancel(1, repoA, "u"), Status(1, repoA, "u")}),
		upload("PUT racing with itself on another replica",
			[]Call{start, Append(0, repoA, "u", 0, one+two)},
			[]Call{Commit(0, repoA, "u", "L", rest), GetBlob(2, repoA, "L")},
			[]Call{Commit(1, repoA, "u", "L", rest), StatBlob(2, repoA, "L")}),
		upload("PATCH racing with cancel",
			[]Call{start},
			[]Call{Append(0, repoA, "u/1", 0, one)},
			[]Call{Cancel(1, repoA, "u/2"), Append(2, repoA, "u/3", 0, one)}),
	}
}

// manifestScenarios are about manifests and what they refer to.
func manifestScenarios() []*Scenario {
	m := image("M", "L")
	index := &Manifest{Name: "I", Children: []*Manifest{m}}
	blobs := []Call{PushBlob(0, repoA, "CM"), PushBlob(0, repoA, "L")}
	pushed := append(blobs, PushManifest(0, repoA, m, "t"))
	of := func(name string, setup []Call, clients ...[]Call) *Scenario {
		return &Scenario{
			Name: name, Setup: setup, Clients: clients,
			Repositories: justA, Tags: []oci.Tag{"t"}, Manifests: []*Manifest{m, index}, Blobs: []string{"CM", "L"},
		}
	}
	return []*Scenario{
		of("manifest push racing with blob delete", blobs,
			[]Call{PushManifest(0, repoA, m, "t"), GetManifest(2, repoA, m)},
			[]Call{DeleteBlob(1, repoA, "L")}),
		of("manifest push racing with blob delete at one replica", blobs,
			[]Call{PushManifest(0, repoA, m, "t")},
			[]Call{DeleteBlob(0, repoA, "L"), PushBlob(0, repoA, "L")}),
		of("manifest push racing with blob delete, and the same by somebody else", blobs,
			[]Call{PushManifest(0, repoA, m, "t")},
			[]Call{DeleteBlob(1, repoA, "L"), PushBlob(1, repoA, "L"), PushManifest(1, repoA, m)}),
		of("manifest push racing with blob delete and push", blobs,
			[]Call{PushManifest(0, repoA, m, "t")},
			[]Call{DeleteBlob(1, repoA, "L"), PushBlob(1, repoA, "L")}),
		of("manifest push racing with its delete", pushed,
			[]Call{PushManifest(0, repoA, m, "t"), GetTag(2, repoA, "t")},
			[]Call{DeleteManifest(1, repoA, m)}),
		of("manifest push racing with its delete and a blob delete", pushed,
			[]Call{PushManifest(0, repoA, m, "t")},
			[]Call{DeleteManifest(1, repoA, m), DeleteBlob(1, repoA, "L")}),
		of("manifest push by digest racing with its delete", pushed,
			[]Call{PushManifest(0, repoA, m), GetManifest(2, repoA, m)},
			[]Call{DeleteManifest(1, repoA, m)}),
		of("index push racing with its manifest's delete and a blob delete", pushed,
			[]Call{PushManifest(0, repoA, index, "t")},
			[]Call{DeleteManifest(1, repoA, m), DeleteBlob(1, repoA, "L")}),
		of("two deletes of one manifest", pushed,
			[]Call{DeleteManifest(0, repoA, m), GetTag(2, repoA, "t")},
			[]Call{DeleteManifest(1, repoA, m), PushManifest(1, repoA, m, "t")}),
	}
}

// tagScenarios are about tags that move.
func tagScenarios() []*Scenario {
	one, two, three := image("M1", "L"), image("M2", "L"), image("M3", "L")
	blobs := []Call{PushBlob(0, repoA, "CM1"), PushBlob(0, repoA, "CM2"), PushBlob(0, repoA, "CM3"), PushBlob(0, repoA, "L")}
	of := func(name string, setup []Call, clients ...[]Call) *Scenario {
		return &Scenario{
			Name: name, Setup: append(append([]Call{}, blobs...), setup...), Clients: clients,
			Repositories: justA, Tags: []oci.Tag{"t", "v"}, Manifests: []*Manifest{one, two, three}, Blobs: []string{"CM1", "CM2", "L"},
		}
	}
	large, larger := image("M1", "L"), image("M2", "L")
	large.Pad, larger.Pad = 260<<10, 260<<10
	big := of("a tag of large manifests that is always set while its old digests are deleted",
		[]Call{PushManifest(0, repoA, large, "t")},
		[]Call{PushManifest(0, repoA, larger, "t"), DeleteManifest(0, repoA, large)},
		[]Call{GetTag(1, repoA, "t"), GetTag(1, repoA, "t")})
	big.Manifests = []*Manifest{large, larger}
	return []*Scenario{
		of("two pushes move one tag", []Call{PushManifest(0, repoA, one, "t")},
			[]Call{PushManifest(0, repoA, two, "t"), GetTag(2, repoA, "t")},
			[]Call{PushManifest(1, repoA, three, "t"), GetTag(2, repoA, "t")}),
		of("manifest push racing with tag delete", []Call{PushManifest(0, repoA, one, "t")},
			[]Call{PushManifest(0, repoA, two, "t")},
			[]Call{DeleteTag(1, repoA, "t"), GetTag(2, repoA, "t")}),
		of("delete by digest racing with a new tag", []Call{PushManifest(0, repoA, one, "t")},
			[]Call{PushManifest(0, repoA, one, "v"), GetTag(2, repoA, "v")},
			[]Call{DeleteManifest(1, repoA, one), GetTag(2, repoA, "t")}),
		of("delete by digest racing with the tag's move", []Call{PushManifest(0, repoA, one, "t")},
			[]Call{PushManifest(0, repoA, two, "t")},
			[]Call{DeleteManifest(1, repoA, one), GetTag(2, repoA, "t")}),
		of("one push of two tags racing with delete by digest", []Call{PushManifest(0, repoA, one, "t")},
			[]Call{PushManifest(0, repoA, one, "t", "v")},
			[]Call{DeleteManifest(1, repoA, one)}),
		of("a tag that is always set while its old digests are deleted", []Call{PushManifest(0, repoA, one, "t")},
			[]Call{PushManifest(0, repoA, two, "t"), DeleteManifest(0, repoA, one), PushManifest(0, repoA, one, "t"), DeleteManifest(0, repoA, two)},
			[]Call{GetTag(1, repoA, "t"), GetTag(1, repoA, "t")}),
		big,
	}
}

// layers adds blobs that a scenario looks at.
func layers(s *Scenario, blobs ...string) *Scenario {
	s.Blobs = append(s.Blobs, blobs...)
	return s
}

// referrerScenarios are about manifests with a subject.
func referrerScenarios() []*Scenario {
	subject := image("S", "L")
	first, second := image("R1", "L"), image("R2", "L")
	first.Subject, second.Subject = subject, subject
	blobs := []Call{PushBlob(0, repoA, "CS"), PushBlob(0, repoA, "CR1"), PushBlob(0, repoA, "CR2"), PushBlob(0, repoA, "L"), PushManifest(0, repoA, subject, "t")}
	of := func(name string, setup []Call, clients ...[]Call) *Scenario {
		return &Scenario{
			Name: name, Setup: append(append([]Call{}, blobs...), setup...), Clients: clients,
			Repositories: justA, Tags: []oci.Tag{"t"}, Manifests: []*Manifest{subject, first, second}, Blobs: []string{"L"},
		}
	}
	return []*Scenario{
		of("two referrers of one subject", nil,
			[]Call{PushManifest(0, repoA, first)},
			[]Call{PushManifest(1, repoA, second)}),
		of("referrer push racing with its subject's delete", nil,
			[]Call{PushManifest(0, repoA, first)},
			[]Call{DeleteManifest(1, repoA, subject)}),
		of("referrer push racing with its own delete", []Call{PushManifest(0, repoA, first)},
			[]Call{PushManifest(0, repoA, first)},
			[]Call{DeleteManifest(1, repoA, first)}),
		layers(of("referrer push racing with its own delete and a blob delete", []Call{PushManifest(0, repoA, first)},
			[]Call{PushManifest(0, repoA, first)},
			[]Call{DeleteManifest(1, repoA, first), DeleteBlob(1, repoA, "CR1")}), "CR1"),
		of("referrer pushed again while its delete goes on", []Call{PushManifest(0, repoA, first)},
			[]Call{DeleteManifest(0, repoA, first), PushManifest(0, repoA, first)},
			[]Call{DeleteManifest(1, repoA, first)}),
		of("referrers pushed and deleted at once", []Call{PushManifest(0, repoA, first)},
			[]Call{DeleteManifest(0, repoA, first)},
			[]Call{PushManifest(1, repoA, second)}),
	}
}
