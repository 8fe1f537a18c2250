package simulate

import "slices"

// claimScenarios are about sessions that are claimed before a record names their segments (ADR 5).
func claimScenarios() []*Scenario {
	most, rest, other, whole := piece("L", 0, sharedBytes), piece("L", sharedBytes, -1), piece("L+", sharedBytes, -1), blobBytes("L")
	begun := []Call{StartUpload(0, repoA, "u", "/1", "/2"), Append(0, repoA, "u", 0, most)}
	full := []Call{StartUpload(0, repoA, "u", "/1", "/2"), Append(0, repoA, "u", 0, whole)}
	claimed := append(slices.Clone(full), HalfCommit(0, repoA, "u", "L", ""))
	second := []Call{StartUpload(0, repoA, "v"), Append(0, repoA, "v", 0, whole)}
	of := func(name string, setup []Call, clients ...[]Call) *Scenario {
		return &Scenario{
			Name: name, Setup: setup, Clients: clients,
			Repositories: justA, Blobs: []string{"L", "L+"}, Uploads: []string{"u"},
		}
	}
	withV := func(s *Scenario) *Scenario {
		s.Setup, s.Uploads = append(slices.Clone(s.Setup), second...), append(s.Uploads, "v")
		return s
	}
	return []*Scenario{
		of("PUT without a body racing with itself on another replica", full,
			[]Call{Commit(0, repoA, "u", "L", ""), GetBlob(2, repoA, "L")},
			[]Call{Commit(1, repoA, "u", "L", "")}),
		of("PUT crashing after each step, resumed by another replica", begun,
			[]Call{Commit(0, repoA, "u", "L", rest), Commit(1, repoA, "u", "L", rest), GetBlob(2, repoA, "L")}),
		of("PUT without a body crashing after each step, resumed by another replica", full,
			[]Call{Commit(0, repoA, "u", "L", ""), Commit(1, repoA, "u", "L", ""), GetBlob(2, repoA, "L")}),
		of("PUT crashing after each step, then one with another digest", begun,
			[]Call{Commit(0, repoA, "u", "L", rest), Commit(1, repoA, "u", "L+", other), Commit(2, repoA, "u", "L", rest), GetBlob(1, repoA, "L")}),
		of("PUT racing with one of other last bytes, whose blob is collected", begun,
			[]Call{Commit(0, repoA, "u", "L", rest), GetBlob(2, repoA, "L")},
			[]Call{Commit(1, repoA, "u", "L+", other), DeleteBlob(1, repoA, "L+"), CollectDigest(1, "L+")}),
		of("PUT racing with one of other last bytes, and with PATCH", begun,
			[]Call{Commit(0, repoA, "u", "L", rest)},
			[]Call{Commit(1, repoA, "u", "L+", other)},
			[]Call{Append(2, repoA, "u", -1, rest)}),
		of("PUT with a wrong digest racing with a right one", begun,
			[]Call{Commit(0, repoA, "u", "L+", rest), Commit(0, repoA, "u", "L", rest)},
			[]Call{Commit(1, repoA, "u", "L", rest), GetBlob(2, repoA, "L")}),
		of("PUT without a body and with a wrong digest racing with a right one", full,
			[]Call{Commit(0, repoA, "u", "L+", "")},
			[]Call{Commit(1, repoA, "u", "L", ""), GetBlob(2, repoA, "L")}),
		of("cancel racing with a claimed session", claimed,
			[]Call{Commit(0, repoA, "u/1", "L", ""), GetBlob(2, repoA, "L")},
			[]Call{Cancel(1, repoA, "u/2"), Status(1, repoA, "u/2")}),
		of("PATCH and PUT of another digest racing with a claimed session", claimed,
			[]Call{Commit(0, repoA, "u/1", "L", ""), GetBlob(2, repoA, "L")},
			[]Call{Append(1, repoA, "u/2", -1, rest), Commit(1, repoA, "u/2", "L+", "")}),
		withV(of("two sessions push one blob, one of which crashed between claim and record", claimed,
			[]Call{Commit(0, repoA, "u", "L", ""), GetBlob(2, repoA, "L")},
			[]Call{Commit(1, repoA, "v", "L", "")})),
		withV(of("two sessions push one blob, one of which crashes and is resumed", full,
			[]Call{Commit(0, repoA, "u", "L", ""), Commit(2, repoA, "u", "L", "")},
			[]Call{Commit(1, repoA, "v", "L", ""), GetBlob(1, repoA, "L")})),
		of("PUT of a whole body racing with PATCH, and with itself", []Call{StartUpload(0, repoA, "u", "/1", "/2")},
			[]Call{Commit(0, repoA, "u", "L", whole), GetBlob(2, repoA, "L")},
			[]Call{Append(1, repoA, "u", 0, most), Commit(1, repoA, "u", "L", whole)}),
	}
}
