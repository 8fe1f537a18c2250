package registry_test

import (
	"errors"
	"testing"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// What a replica remembers of a session decides nothing: whatever other replicas did with it since, the commit is judged by what is stored.
func TestARememberedSessionThatIsOld(t *testing.T) {
	tests := map[string]struct {
		elsewhere func(t *testing.T, other *registry.Local, id string) error
		content   string // that is committed, without a body
		want      error
	}{
		"nothing happened":               {content: "first "},
		"nothing happened, other bytes":  {content: "other", want: oci.ErrDigestInvalid},
		"a chunk came, and is committed": {elsewhere: appendElsewhere, content: "first last"},
		"a chunk came, and is left out":  {elsewhere: appendElsewhere, content: "first ", want: oci.ErrDigestInvalid},
		"it was cancelled":               {elsewhere: cancelElsewhere, content: "first ", want: oci.ErrBlobUploadUnknown},
		"it was committed":               {elsewhere: commitElsewhere, content: "first "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStores(t)
			here, other := s.replica(), s.replica()
			id := s.upload(here, "a", "first ")
			if test.elsewhere != nil {
				if err := test.elsewhere(t, other, id); err != nil {
					t.Fatal(err)
				}
			}
			d := digest.FromString(test.content)
			for range 2 { // the second time nothing is remembered
				if err := here.CommitUpload(t.Context(), "a", id, d, registry.Chunk{Start: -1}); !errors.Is(err, test.want) {
					t.Fatalf("commit: %v, want %v", err, test.want)
				}
			}
			got, err := read(t, other, "a", d)
			if test.want == nil && (err != nil || string(got) != test.content) {
				t.Errorf("the blob: %q, %v", got, err)
			}
			if test.want != nil && !errors.Is(err, oci.ErrBlobUnknown) {
				t.Errorf("a blob that was refused: %q, %v", got, err)
			}
			if sessions := here.Memories()["session"]; sessions.Hits.Load() != 1 {
				t.Errorf("the session was remembered %d times, want once", sessions.Hits.Load())
			}
		})
	}
}

func appendElsewhere(t *testing.T, other *registry.Local, id string) error {
	_, err := other.AppendUpload(t.Context(), "a", id, chunk("last"))
	return err
}

func cancelElsewhere(t *testing.T, other *registry.Local, id string) error {
	return other.CancelUpload(t.Context(), "a", id)
}

func commitElsewhere(t *testing.T, other *registry.Local, id string) error {
	return other.CommitUpload(t.Context(), "a", id, digest.FromString("first "), registry.Chunk{Start: -1})
}
