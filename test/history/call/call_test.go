package call

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHistoryFile(t *testing.T) {
	calls := []Call{
		{
			Client: 1, N: 2, Op: ManifestPut, Repo: "r", Ref: "a", Target: "balancer", Attempts: 1, Call: 3, Ret: 4, Status: 201,
			Manifest: &Manifest{MediaType: "m", Size: 5, Blobs: []string{"b"}, Annotations: map[string]string{"k": "v"}},
		},
		{Client: 2, N: 1, Op: Referrers, Ref: "sha256:1", Entries: []Descriptor{{Digest: "sha256:2"}}, More: true},
	}
	file := filepath.Join(t.TempDir(), "history.jsonl")
	if err := Write(file, calls); err != nil {
		t.Fatal(err)
	}
	got, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(calls, got); diff != "" {
		t.Error(diff)
	}
}

func TestOutcomes(t *testing.T) {
	for _, test := range []struct {
		call                         Call
		ok, failed, unknown, refused bool
		outcome                      string
	}{
		{Call{Op: ManifestPut, Attempts: 1, Status: 201}, true, false, false, false, "201"},
		{Call{Op: ManifestPut, Attempts: 1, Status: 404}, false, false, false, true, "404"},
		{Call{Op: ManifestPut, Attempts: 1, Status: 429}, false, true, true, false, "429"},
		{Call{Op: ManifestPut, Attempts: 1, Status: 503}, false, true, true, false, "503"},
		{Call{Op: ManifestPut, Attempts: 1}, false, true, true, false, "none"},
		{Call{Op: ManifestPut, Attempts: 1, Status: 201, Cut: true}, false, true, true, false, "cut"},
		{Call{Op: ManifestPut}, false, true, false, false, "unsent"},
		{Call{Op: ManifestGet, Attempts: 1, Status: 503}, false, true, false, false, "503"},
	} {
		c := test.call
		if c.OK() != test.ok || c.Failed() != test.failed || c.Unknown() != test.unknown || c.Refused() != test.refused || c.Outcome() != test.outcome {
			t.Errorf("%+v: ok %t, failed %t, unknown %t, refused %t, %q", c, c.OK(), c.Failed(), c.Unknown(), c.Refused(), c.Outcome())
		}
	}
}
