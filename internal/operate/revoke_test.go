package operate

import (
	"bytes"
	"strings"
	"testing"

	"holdfast/internal/access/authn/revoke"
)

// TestRevoke: it is in the root's store, whatever other stores there are.
func TestRevoke(t *testing.T) {
	stores := []Store{inMemory(t, "/", false), inMemory(t, "/a", false)}
	given := stores[0].Records.Records.Now()
	var out bytes.Buffer
	code, err := Do(t.Context(), stores, Request{Do: RevokeUser, User: "alice"}, &out, nil)
	if code != Well || err != nil || !strings.Contains(out.String(), "what alice was given until") {
		t.Fatalf("%d, %v, %s", code, err, &out)
	}
	for i, want := range []bool{true, false} {
		if covered, err := revoke.New(stores[i].Records).Covers(t.Context(), "alice", given); covered != want || err != nil {
			t.Errorf("in %s: %t, %v", stores[i].Path, covered, err)
		}
	}
	out.Reset()
	if code, err := Do(t.Context(), stores, Request{Do: RevokeUser, User: "bob", JSON: true}, &out, nil); code != Well || err != nil || !strings.Contains(out.String(), `"notBefore"`) {
		t.Errorf("%d, %v, %s", code, err, &out)
	}
	if code, err := Do(t.Context(), stores, Request{Do: RevokeUser}, &out, nil); code != Misused || err == nil {
		t.Errorf("nobody: %d, %v", code, err)
	}
}
