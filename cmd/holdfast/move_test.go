package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"holdfast/internal/move"
	"holdfast/internal/move/movetest"
)

// TestMoveCommands: import, backup, restore and export by the command line, with their exit codes and reports.
func TestMoveCommands(t *testing.T) {
	dir := t.TempDir()
	images := movetest.Images(8)
	movetest.Zot(t, filepath.Join(dir, "zot"), false, images)
	config := func(name string) string {
		text, err := json.Marshal(map[string]any{"storage": map[string]any{"rootDirectory": filepath.Join(dir, name)}})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name+".json")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	run := func(want int, args ...string) (r move.Report) {
		t.Helper()
		code, stdout, stderr := outcome(t, append(args, "--json")...)
		if code != want {
			t.Fatalf("%v: code %d, want %d: %s%s", args, code, want, stdout, stderr)
		}
		if want == exitUsage || stdout == "" {
			return r
		}
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatalf("%v: %v in %s", args, err, stdout)
		}
		return r
	}
	one, two, saved := config("one"), config("two"), filepath.Join(dir, "saved")
	run(exitConfig, "backup", one, saved) // no registry has been there
	if r := run(0, "import", one, "--from", "zot:"+filepath.Join(dir, "zot")); r.Manifests < len(images) {
		t.Errorf("an import: %+v", r)
	}
	backup := run(0, "backup", one, saved)
	if r := run(0, "restore", two, saved, string(images[0].Repository)); r.Repositories != 1 || r.Snapshot != backup.Snapshot {
		t.Errorf("a restore of one repository: %+v", r)
	}
	run(0, "restore", two, saved)
	if r := run(0, "restore", two, saved); r.Unchanged != backup.Repositories {
		t.Errorf("a second restore: %+v", r)
	}
	run(0, "export", two, string(images[0].Repository), "--to", "oci-layout:"+filepath.Join(dir, "layout"))
	run(exitFailure, "restore", two, saved, "no/such")
	run(exitFailure, "export", two, "no/such", "--to", "oci-layout:"+filepath.Join(dir, "layout"))
	run(exitFailure, "restore", two, filepath.Join(dir, "nowhere"))
	run(exitUsage, "import", two, "--from", "nothing")
	run(exitUsage, "export", two, "UPPER", "--to", "oci-layout:"+filepath.Join(dir, "layout"))
	run(exitUsage, "export", two, "a/b", "--to", "docker:x")
	run(exitUsage, "backup", two)
}
