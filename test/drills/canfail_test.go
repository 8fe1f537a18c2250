package drills

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/test/drills/check"
	"holdfast/test/fault"
)

// TestALossIsFound: the drills' own test. One tag goes from the store behind the registry's back, and a drill sees it.
func TestALossIsFound(t *testing.T) {
	r := prepare(t, drill{id: "loss"})
	r.warmUp()
	for r.load.History.Len() < 300 {
		r.sleep(r.size.warm)
	}
	r.load.Stop()
	r.load.ReadBack(t.Context(), r.loadOpt, r.cluster.Replicas)
	if v := check.History(r.load.History.Calls()); !v.Sound() {
		t.Fatalf("found before anything was lost: %s", strings.Join(v.Problems, "\n"))
	}

	lost := 0
	r.must(filepath.WalkDir(r.cluster.S3Folder(), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && lost == 0 && strings.Contains(path, "/t/c") && !entry.IsDir() {
			var info fs.FileInfo
			if info, err = entry.Info(); err == nil && info.Size() >= 600 { // else a tombstone: nothing to lose
				lost++
				return os.Remove(path)
			}
		}
		if errors.Is(err, fs.ErrNotExist) { // the server removes folders that have become empty
			return nil
		}
		return err
	}))
	r.load.ReadBack(t.Context(), r.loadOpt, r.cluster.Replicas)
	// At each replica: the tag itself, and its place in the list.
	if v := check.History(r.load.History.Calls()); lost != 1 || v.Lost != 2*len(r.cluster.Replicas) {
		t.Errorf("%d tags went, and the check found %d losses\n%s", lost, v.Lost, strings.Join(v.Problems, "\n"))
	}
}

// TestAFailureIsSeen: clients are told when the store fails, and the history has it.
func TestAFailureIsSeen(t *testing.T) {
	r := prepare(t, drill{id: "failure"})
	r.warmUp()
	r.everywhere(fault.Rule{Fault: fault.InternalError(), Share: 0.9})
	r.sleep(r.size.warm)
	r.load.Stop()
	if v := check.History(r.load.History.Calls()); v.Failed["503"] == 0 {
		t.Errorf("the store answered 500 to nine of ten requests, and the history shows no failure: %v", v.Failed)
	}
}
