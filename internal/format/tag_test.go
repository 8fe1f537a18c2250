package format

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/oci"
)

// aTag is a live tag that was set at a time with decimals, by name, and moved so often before.
func aTag(alg digest.Algorithm, name string, moves int) Stored[Tag] {
	at := func(i int) time.Time { return time.Date(2026, 1, 2, 3, 4, 60-i, 567e6, time.UTC) }
	h := Tag{Digest: alg.FromString("now"), Pushed: at(0), By: name, MediaType: oci.MediaTypeImageIndex, Size: 1234, Generation: RandomID()}
	h.State, h.T = Live, at(0)
	for i := 1; i <= moves; i++ {
		h.Previous = append(h.Previous, Previous{Digest: alg.FromString(fmt.Sprint("before ", i)), T: at(i), By: name})
	}
	s := Stored[Tag]{Head: h, State: Live}
	s.Version = "1"
	return s
}

// bury encodes a tombstone as Write does, and reads it.
func bury(t *testing.T, old Stored[Tag], by string) Tag {
	t.Helper()
	head, read := Tombstone(old, by), Tag{}
	head.Version, head.Nonce, head.T, head.Fresh = Version, RandomID(), time.Date(2026, 1, 2, 4, 0, 0, 123e6, time.UTC), !old.Exists()
	value, err := Encode(&head, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(value) != DeadSize {
		t.Fatalf("a tombstone of %d bytes", len(value))
	}
	if _, err := Decode(value, &read); err != nil {
		t.Fatal(err)
	}
	return read
}

// TestTombstoneFits: whoever deletes whatever tag, its tombstone has room for what it named last and before that. How many digests fit is asserted
// exactly: fewer would protect less.
func TestTombstoneFits(t *testing.T) {
	names := map[string]string{"nobody": "", "short": "alice", "long": strings.Repeat("n", 128), "escaped": strings.Repeat("<", 128), "wide": strings.Repeat("ü", 128), "invalid": strings.Repeat("\xff", 128)}
	want := map[digest.Algorithm]map[string]int{
		digest.SHA256: {"nobody": 2, "short": 2, "long": 2, "escaped": 2, "wide": 2, "invalid": 2},
		digest.SHA512: {"nobody": 1, "short": 1, "long": 1, "escaped": 1, "wide": 1, "invalid": 1},
	}
	for alg, byName := range want {
		for name, kept := range byName {
			t.Run(fmt.Sprintf("%s by %s", alg, name), func(t *testing.T) {
				old := aTag(alg, names[name], KeptPrevious)
				got := bury(t, old, names[name])
				if got.Digest != old.Head.Digest || got.State != Dead || (got.By == "") != (names[name] == "") {
					t.Errorf("%s, %q by %q", got.Digest, got.State, got.By)
				}
				if len(got.Previous) != kept {
					t.Errorf("%d digests before it, want %d", len(got.Previous), kept)
				}
				for i, p := range got.Previous {
					if was := old.Head.Previous[i]; p.Digest != was.Digest || !p.T.Equal(was.T) || got.Until(i).Before(old.Head.Until(i)) {
						t.Errorf("before it, %d: %+v until %s, was %+v until %s", i, p, got.Until(i), was, old.Head.Until(i))
					}
				}
			})
		}
	}
}

// TestTombstoneOfAnyLength: names of every length, with every number of moves, into every algorithm.
func TestTombstoneOfAnyLength(t *testing.T) {
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		for _, char := range []string{"n", "<", "ü", "\x00", "\xff", "😀"} {
			for n := 0; n <= 130; n++ {
				for moves := range 4 {
					got := bury(t, aTag(alg, strings.Repeat(char, n), moves), strings.Repeat(char, n))
					if want := min(moves, 1); len(got.Previous) < want {
						t.Errorf("%s, %d moves, by %d of %q: it has no digest before it", alg, moves, n, char)
					}
				}
				none := Stored[Tag]{}
				bury(t, none, strings.Repeat(char, n))
			}
		}
	}
}

// TestTombstoneKeepsNames: where there is room it is known who set the tag, and when.
func TestTombstoneKeepsNames(t *testing.T) {
	old := aTag(digest.SHA256, "alice", 1)
	got := bury(t, old, "bob")
	was := got.AsPrevious()
	if !was.T.Equal(old.Head.Pushed) || was.By != "alice" || was.DeletedBy != "bob" || !was.Deleted.Equal(got.T) {
		t.Errorf("it was %+v", was)
	}
	if got.Previous[0] != old.Head.Previous[0] {
		t.Errorf("before that %+v, want %+v", got.Previous[0], old.Head.Previous[0])
	}
}

// TestTombstoneNamesADigestOnce: what was deleted and brought back takes no room from what was before.
func TestTombstoneNamesADigestOnce(t *testing.T) {
	old := aTag(digest.SHA512, "alice", 2)
	old.Head.Previous[0].Digest = old.Head.Digest
	got := bury(t, old, "alice")
	if len(got.Previous) != 1 || got.Previous[0].Digest != old.Head.Previous[1].Digest {
		t.Errorf("before it %+v, want %s", got.Previous, old.Head.Previous[1].Digest)
	}
}
