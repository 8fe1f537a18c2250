package cached_test

import (
	"bytes"
	"strings"
	"syscall"
	"testing"
)

// A full disk: readers get their bytes, one line is written, nothing stays, and once there is room again copies are made.
func TestFullDisk(t *testing.T) {
	f := newFixture(t, 64*mib)
	content, small := f.put(1, 3*mib), f.put(2, 1000)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	limit := func(most uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: most, Max: old.Max}); err != nil {
			t.Fatal(err)
		}
	}
	limit(mib + 5)
	t.Cleanup(func() { limit(old.Cur) })
	for range 3 {
		before := f.far.opens.Load()
		if got, err := f.read(1, 0, int64(len(content))); err != nil || !bytes.Equal(got, content) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		// One that copies, and one for the rest; one more that copies when the first had failed before its reader had the file open.
		if opens := f.far.opens.Load() - before; opens < 2 || opens > 3 {
			t.Errorf("%d reads of the store", opens)
		}
	}
	if used, _ := f.Bytes(); used != 0 || f.onDisk() != 0 {
		t.Errorf("%d bytes stay, %d are counted", f.onDisk(), used)
	}
	if n, warnings := f.Counts().Errors.Load(), strings.Count(f.log.String(), "level=WARN"); n < 3 || n > 6 || warnings != 1 {
		t.Errorf("%d errors, %d warnings: %s", n, warnings, f.log.String())
	}
	f.want(2, small, 1)
	f.want(2, small, 0)
	limit(old.Cur)
	f.want(1, content, 1)
	f.want(1, content, 0)
}
