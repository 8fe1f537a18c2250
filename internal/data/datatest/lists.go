package datatest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/internal/data"
)

// readers reads one segment from many places at once.
func (s *suite) readers() {
	content := s.randomBytes(2*s.PartSize + 3*65_536)
	id := s.mustStore(content)
	var wg sync.WaitGroup
	for i := range int64(8) {
		wg.Go(func() {
			offset := i * 10_007
			r, err := s.store.Open(s.Context(), id, offset, -1)
			if err != nil {
				s.Errorf("open from %d: %v", offset, err)
				return
			}
			if err := errors.Join(compare(r, content[offset:]), r.Close()); err != nil {
				s.Errorf("read from %d: %v", offset, err)
			}
		})
	}
	wg.Wait()
}

// writers writes many segments at once.
func (s *suite) writers() {
	const writers = 8
	ids, contents := make([]data.ID, writers), make([][]byte, writers)
	for i := range writers {
		ids[i], contents[i] = s.newID(), s.randomBytes(int64(i)*200_003)
	}
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			w, err := s.store.Create(s.Context(), ids[i])
			if err != nil {
				s.Errorf("create: %v", err)
				return
			}
			defer w.Abort()
			if _, err := io.Copy(w, bytes.NewReader(contents[i])); err != nil {
				s.Errorf("write: %v", err)
				return
			}
			if i%4 == 3 {
				return // aborted
			}
			if _, err := w.Commit(s.Context()); err != nil {
				s.Errorf("commit: %v", err)
			}
		})
	}
	wg.Wait()
	if s.Failed() {
		return
	}
	for i, id := range ids {
		if i%4 == 3 {
			s.wantAbsent(id)
		} else {
			s.wantSegment(id, contents[i])
		}
	}
}

func (s *suite) remove() {
	content := s.randomBytes(s.PartSize + 1)
	id, kept := s.mustStore(content), s.mustStore([]byte("kept"))
	for range 2 { // the second time nothing is there, which is no error
		if err := s.store.Delete(s.Context(), id); err != nil {
			s.Fatal(err)
		}
		s.wantAbsent(id)
	}
	s.wantSegment(kept, []byte("kept"))
}

// list works with ids that lie side by side, between which a random id does not fall.
func (s *suite) list() {
	prefix := string(s.newID()[:16])
	contents := map[data.ID]int64{}
	var ids []data.ID
	for i := range 6 {
		id := s.newIDBelow(prefix + fmt.Sprintf("%x", (i*5)%6*3))
		s.mustStoreAs(id, s.randomBytes(int64(100+i)))
		contents[id] = int64(100 + i)
		ids = append(ids, id)
	}
	slices.Sort(ids)
	floor := data.ID(prefix + strings.Repeat("0", 16))

	entries := s.listBelow(prefix, before(floor))
	if diff := cmp.Diff(ids, idsOf(entries)); diff != "" {
		s.Fatalf("list (-want +got):\n%s", diff)
	}
	for _, entry := range entries {
		if entry.Size != contents[entry.ID] {
			s.Errorf("list says %d bytes of %s, want %d", entry.Size, entry.ID, contents[entry.ID])
		}
		if age := time.Since(entry.Modified).Abs(); age > 10*time.Minute {
			s.Errorf("list says that %s was written %s from now", entry.ID, age)
		}
	}
	for i, id := range ids {
		if diff := cmp.Diff(ids[i+1:], idsOf(s.listBelow(prefix, id))); diff != "" {
			s.Errorf("list after %s (-want +got):\n%s", id, diff)
		}
		if diff := cmp.Diff(ids[i:], idsOf(s.listBelow(prefix, before(id)))); diff != "" {
			s.Errorf("list after what is before %s (-want +got):\n%s", id, diff)
		}
	}
	for _, err := range s.store.List(s.Context(), data.ID(strings.Repeat("f", 32))) {
		s.Errorf("list after the greatest id: an entry, %v", err)
	}
	// A loop that breaks off, or whose body deletes, is nobody's loss.
	for entry, err := range s.store.List(s.Context(), before(floor)) {
		if err != nil {
			s.Fatal(err)
		}
		if !strings.HasPrefix(string(entry.ID), prefix) {
			break
		}
		if err := s.store.Delete(s.Context(), entry.ID); err != nil {
			s.Fatal(err)
		}
	}
	if left := s.listBelow(prefix, before(floor)); len(left) != 0 {
		s.Errorf("list after all were deleted: %v", idsOf(left))
	}
}

func (s *suite) listFresh() {
	for i := range 5 {
		id := s.mustStore(s.randomBytes(int64(i) * 100))
		entries := s.listBelow(string(id), before(id))
		if len(entries) != 1 || entries[0].ID != id || entries[0].Size != int64(i)*100 {
			s.Fatalf("list after a commit of %d bytes: %+v", i*100, entries)
		}
		if err := s.store.Delete(s.Context(), id); err != nil {
			s.Fatal(err)
		}
		s.wantAbsent(id)
	}
}

func idsOf(entries []data.Entry) []data.ID {
	ids := make([]data.ID, 0, len(entries))
	for _, entry := range entries {
		ids = append(ids, entry.ID)
	}
	return ids
}
