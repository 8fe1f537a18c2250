package recordtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/internal/record"
)

// createAll creates the names below the test's prefix, in parallel and not in their order.
func (s *suite) createAll(names []string) {
	s.Helper()
	inParallel(len(names), func(i int) {
		// 7919 is a prime greater than any number of names here: each name comes once.
		name := names[i*7919%len(names)]
		if _, err := s.store.Put(s.Context(), s.key(name), nonce(s.T, 24), record.IfAbsent()); err != nil {
			s.Errorf("create %s: %v", name, err)
		}
	})
	if s.Failed() {
		s.FailNow()
	}
}

// wantList checks that the list below prefix (of the test's) after the name has exactly these names.
func (s *suite) wantList(prefix, after string, want []string) {
	s.Helper()
	afterKey := record.Key("")
	if after != "" {
		afterKey = s.key(after)
	}
	if want == nil {
		want = []string{}
	}
	if diff := cmp.Diff(want, s.names(s.list(s.key(prefix), afterKey))); diff != "" {
		s.Fatalf("list %q after %q (-want +got):\n%s", prefix, after, diff)
	}
}

func (s *suite) listOrder() {
	names := []string{
		"a", "a-", "a.", "a0", "A", "a_b", "a-b", "a.b", "a!", "a!b", "aa", "a-a", "aA", "Aa", "m", "m-v", "m.b", "m_", "m0",
		"0", "00", "1", "10", "2", "9", "!", "-x", "x.x", "x..", "_x", "Z", "z", "~",
		"sha256-" + strings.Repeat("0", 64), "sha256-" + strings.Repeat("f", 64), "sha512-" + strings.Repeat("a", 128),
		"library.my!app", "library.my-app", "library.my.app",
		strings.Repeat("n", 254), strings.Repeat("n", 255), strings.Repeat("n", 254) + "-", strings.Repeat("n", 254) + "o",
		// A folder sorts by its slash: after '-' and '.', before '0'.
		"d-e", "d.e", "d!/x", "d/x", "d/y-", "d/y.z", "d/z/deep", "d0", "d_",
		"f!", "f/" + strings.Repeat("p", 255) + "/q", "f-g/h", "f.g/h", "f0/h",
	}
	s.createAll(names)
	slices.Sort(names)
	s.wantList("", "", names)
}

// listCharacters holds what key parts may be made of: every printable ASCII character but the slash.
func (s *suite) listCharacters() {
	var names []string
	for c := byte(0x21); c < 0x7f; c++ {
		if c != '/' {
			names = append(names, "x"+string(rune(c))+"y")
		}
	}
	names = append(names, "100%25", "%2F", "a+b c", "a=1&b=2", "<&amp;>")
	s.createAll(names)
	slices.Sort(names)
	s.wantList("", "", names)
	for _, name := range []string{"x%y", "x+y", "%2F", "a+b c", "x&y", "<&amp;>"} {
		s.mustGet(s.key(name))
		s.wantList("", name, names[slices.Index(names, name)+1:])
	}
}

func (s *suite) listFolder() {
	s.wantList("", "", nil)
	s.wantList("none/", "", nil)
	names := []string{"f-/k", "f./k", "f/a", "f/b/c", "f/b/d", "f/b-", "f/c", "f0/k", "F/a", "ff/a"}
	s.createAll(names)
	s.wantList("f/", "", []string{"f/a", "f/b-", "f/b/c", "f/b/d", "f/c"})
	s.wantList("f/b/", "", []string{"f/b/c", "f/b/d"})
	s.wantList("f-/", "", []string{"f-/k"})
	s.wantList("F/", "", []string{"F/a"})
	s.wantList("f/none/", "", nil)
}

func (s *suite) listAfter() {
	names := []string{"f/a", "f/b", "f/b-", "f/c/x", "f/c/y", "f/c0", "f/d", "g/a"}
	s.createAll(names)
	for _, c := range []struct {
		after string
		want  []string
	}{
		{"f/a", names[1:7]},                 // a key
		{"f/b", names[2:7]},                 // a key that another begins with
		{"f/aa", names[1:7]},                // no key, between two
		{"f/!", names[0:7]},                 // before the first
		{"f/c/x", names[4:7]},               // inside a folder
		{"f/c/z", names[5:7]},               // the end of a folder
		{"f/c", names[3:7]},                 // a folder's name: its keys are greater
		{"f/d", nil},                        // the last
		{"f/e", nil},                        // past the last
		{"f/zzzzzz", nil},                   //
		{"f/~", nil},                        // the greatest character
		{"f/c-", names[3:7]},                // sorts before the folder c/
		{"f/" + long('~', 255), nil},        // the greatest name
		{"f/" + long('b', 255), names[3:7]}, // a long name that is not there
	} {
		s.wantList("f/", c.after, c.want)
	}
	// Deleted keys still serve as a place to go on from.
	if err := s.store.Delete(s.Context(), s.key("f/b"), record.Always()); err != nil {
		s.Fatal(err)
	}
	s.wantList("f/", "f/b", names[2:7])
}

func long(c byte, n int) string { return strings.Repeat(string(rune(c)), n) }

func (s *suite) listStamps() {
	for i := range 3 {
		key := s.key(fmt.Sprint(i))
		_, stamp := s.mustCreate(key, 64+i)
		if i > 0 {
			s.mustSwap(key, stamp.Version)
		}
	}
	for _, entry := range s.list(s.prefix, "") {
		rec := s.mustGet(entry.Key)
		if entry.Version != rec.Version || entry.Size != int64(len(rec.Value)) {
			s.Errorf("list %+v, get version %q and %d bytes", entry, rec.Version, len(rec.Value))
		}
		if off := entry.Modified.Sub(rec.Modified).Abs(); off > resolution {
			s.Errorf("list %s says Modified %s, get %s", entry.Key, entry.Modified, rec.Modified)
		}
		if behind := entry.Modified.Sub(s.store.Now()); behind > resolution {
			s.Errorf("Now runs behind the Modified %s of a list by %s", entry.Modified, behind)
		}
	}
}

func (s *suite) listFresh() {
	want := map[record.Key]record.Version{}
	check := func(what string) {
		s.Helper()
		got := map[record.Key]record.Version{}
		for _, entry := range s.list(s.prefix, "") {
			got[entry.Key] = entry.Version
		}
		if diff := cmp.Diff(want, got); diff != "" {
			s.Fatalf("list after %s (-want +got):\n%s", what, diff)
		}
	}
	for i := range 8 {
		key := s.key(fmt.Sprintf("%d", 7919*i%8))
		_, stamp := s.mustCreate(key, 64)
		want[key] = stamp.Version
		check("a create")
		_, stamp = s.mustSwap(key, stamp.Version)
		want[key] = stamp.Version
		check("a swap")
		if i%3 == 0 {
			if err := s.store.Delete(s.Context(), key, record.Always()); err != nil {
				s.Fatal(err)
			}
			delete(want, key)
			check("a delete")
		}
	}
}

// listPages holds more keys than a page of any store has, so that a list makes several requests.
func (s *suite) listPages() {
	const keys = 1_050
	names := make([]string, keys)
	for i := range names {
		names[i] = fmt.Sprintf("t/v1.%d-rc%d", i/3, i%3)
	}
	s.createAll(names)
	slices.Sort(names)
	s.wantList("t/", "", names)
	s.wantList("t/", names[500], names[501:])
	s.wantList("t/", names[keys-2], names[keys-1:])

	// A loop that breaks off frees the store: writes go on, at once.
	for _, stop := range []int{1, keys - 1} {
		seen := 0
		for _, err := range s.store.List(s.Context(), s.key("t/"), "") {
			if err != nil {
				s.Fatal(err)
			}
			if seen++; seen == stop {
				break
			}
		}
		s.mustCreate(s.key(fmt.Sprintf("broken-off-%d", stop)), 64)
	}

	// The body of a loop may write, also for long: nothing waits for it.
	seen := 0
	for entry, err := range s.store.List(s.Context(), s.key("t/"), "") {
		if err != nil {
			s.Fatal(err)
		}
		if seen++; seen%300 == 0 {
			s.mustSwap(entry.Key, entry.Version)
		}
	}
	if seen != keys {
		s.Fatalf("a list whose body writes saw %d of %d keys", seen, keys)
	}

	// A list that is cut says so: it never looks like a whole one.
	ctx, cancel := context.WithTimeout(s.Context(), time.Hour)
	defer cancel()
	seen = 0
	var cut error
	for _, err := range s.store.List(ctx, s.key("t/"), "") {
		if err != nil {
			cut = errors.Join(cut, err)
			continue
		}
		if cut != nil {
			s.Fatal("a list went on after its error")
		}
		seen++
		cancel()
	}
	if seen < keys || cut != nil {
		s.wantError("cut list", cut, context.Canceled)
	}
}
