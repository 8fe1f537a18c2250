package fsck_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"holdfast/internal/collect/fsck"
	"holdfast/internal/format"
)

func TestATableSaysThatThereIsNothing(t *testing.T) {
	s, _ := full(t)
	var out bytes.Buffer
	s.check(s.run(fsck.Config{}).WriteTable(&out))
	if !strings.HasSuffix(out.String(), "\nno findings\n") {
		t.Errorf("the table ends otherwise:\n%s", out.String())
	}
}

func TestAReportOfFindings(t *testing.T) {
	s, b := full(t)
	s.remove(format.RepositoryKey("a"))
	s.remove(format.RepositoryKey("a/b"))
	s.kill(b.solo)
	s.check(s.data.Delete(s.ctx(), s.segmentsOf(layer)[0].ID))
	s.clock.pass(2 * time.Hour)
	r := s.run(fsck.Config{MaxFindings: 1})
	var out bytes.Buffer
	s.check(r.WriteTable(&out))
	for _, line := range []string{
		"\nlinks         22\n", "SEVERITY  KIND", "lost      record-segment-missing  b/", "wrong     repository-unmarked     n/", "waste     tag-manifest-deleted    r/",
		"1 more of repository-unmarked", "1 more of tag-manifest-deleted", "  Mend it: the catalog does not show this repository.",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("there is no %q in\n%s", line, out.String())
		}
	}
	text, err := json.Marshal(r)
	s.check(err)
	for _, field := range []string{`"kind":"record-segment-missing"`, `"severity":"lost"`, `"keys":["b/`, `"checked":{"fences":`, `"repository-unmarked":2`, `"repaired":[]`, `"started":"2030-01-01T04:00:00Z"`} {
		if !strings.Contains(string(text), field) {
			t.Errorf("there is no %s in %s", field, text)
		}
	}
	if r.Worst() != fsck.Lost {
		t.Errorf("worst %q", r.Worst())
	}
}

func TestOrphansHaveTheirBytes(t *testing.T) {
	s, _ := full(t)
	before := s.run(fsck.Config{}).Bytes
	s.segment("named by nothing")
	if young := s.run(fsck.Config{}); young.Bytes.UnnamedYoung != before.UnnamedYoung+16 || len(young.Findings) > 0 {
		t.Errorf("young: %+v", young.Bytes)
	}
	s.clock.pass(format.DefaultAges().Orphan + time.Second)
	for _, most := range []int{0, 1} {
		r := s.run(fsck.Config{MaxNames: most})
		var sum int64
		for _, f := range r.Findings {
			sum += f.Bytes
		}
		if want := before.UnnamedYoung + 16; r.Bytes.UnnamedOrphan != want || sum != want || r.Bytes.UnnamedYoung != 0 {
			t.Errorf("%d names at once: %+v, the findings have %d bytes, want %d", most, r.Bytes, sum, want)
		}
	}
}
