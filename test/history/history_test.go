package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/test/cluster"
	"holdfast/test/history/judge"
	"holdfast/test/history/site"
	"holdfast/test/history/trial"
	"holdfast/test/simulate/plant"
)

// modest is the rate that a busy machine of two cores reaches with the race detector on.
const modest = 8

// all reports whether everything is to run, which takes half an hour.
func all(t *testing.T) bool {
	t.Helper()
	switch v := os.Getenv("HOLDFAST_HISTORY"); v {
	case "":
		return false
	case "all":
		return true
	default:
		t.Fatalf("HOLDFAST_HISTORY=%s: want nothing or all", v)
		return false
	}
}

// start starts an installation that ends with the test.
func start(t *testing.T, opt site.Options) *site.Site {
	t.Helper()
	if !opt.Faults && !opt.Zot {
		running, err := cluster.ParseEnv(os.Getenv("HOLDFAST_TEST_S3"))
		if err != nil {
			t.Fatal(err)
		}
		opt.S3 = running[cluster.VersityGW]
	}
	if opt.Binary == "" {
		var err error
		if opt.Binary, err = cluster.Build(t.Context(), t.TempDir()); err != nil {
			t.Fatal(err)
		}
	}
	if !opt.Zot {
		opt.HAProxy = "../../deploy/haproxy/haproxy.cfg"
	}
	s, err := site.Start(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Complaints())
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func try(t *testing.T, s *site.Site, opt trial.Options) *trial.Result {
	t.Helper()
	opt.Log = t.Output()
	r, err := trial.Run(t.Context(), s, opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestHolds: nothing is broken, and the rules hold.
func TestHolds(t *testing.T) {
	r := try(t, start(t, site.Options{}), trial.Options{Seed: 1, Time: 15 * time.Second, Rate: modest})
	t.Log(r)
	if r.Conclusion() != trial.Holds {
		t.Errorf("concludes %d", r.Conclusion())
	}
}

// TestHoldsUnderFaults: replicas are killed and stopped and the store fails, and the rules hold.
func TestHoldsUnderFaults(t *testing.T) {
	if !all(t) {
		return
	}
	s := start(t, site.Options{Faults: true})
	for seed := range uint64(5) {
		r := try(t, s, trial.Options{Seed: seed, Time: time.Minute, Rate: modest, Faults: true})
		t.Log(r)
		if r.Conclusion() != trial.Holds {
			t.Errorf("seed %d concludes %d", seed, r.Conclusion())
		}
	}
}

// TestSeesPlantedBugs: the checker can fail. Each bug runs in real processes, and is seen through HTTP alone.
func TestSeesPlantedBugs(t *testing.T) {
	root, err := plant.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "holdfast")
	if err := plant.Build(t.Context(), root, "./cmd/holdfast", binary, false); err != nil {
		t.Fatal(err)
	}
	bugs := visible
	if !all(t) {
		bugs = bugs[:2]
	}
	for _, bug := range bugs {
		if !slices.ContainsFunc(plant.Bugs(), func(b plant.Bug) bool { return b.Name == bug.name }) {
			t.Errorf("there is no bug %s any more", bug.name)
			continue
		}
		t.Run(bug.name, func(t *testing.T) {
			s := start(t, site.Options{Binary: binary, Env: []string{plant.Variable + "=" + bug.name}, Faults: bug.faults})
			began := time.Now()
			for seed := bug.first; time.Since(began) < bug.within; seed++ {
				r := try(t, s, trial.Options{Seed: seed, Time: bug.each, Faults: bug.faults})
				if r.Conclusion() == trial.Broken {
					t.Logf("seen after %s\n%s", time.Since(began).Round(time.Second), r)
					return
				}
			}
			t.Errorf("not seen within %s", bug.within)
		})
	}
}

// visible are bugs of package plant that clients can see: the seed of the first history, how long each is, and after how long to
// give up.
var visible = []struct {
	name         string
	first        uint64
	each, within time.Duration
	faults       bool
}{
	{"acknowledged-before-the-tag", 1, 4 * time.Second, time.Minute, false},
	{"offset-not-checked", 1, 4 * time.Second, time.Minute, false},
	{"tags-outlive-their-manifest", 1, 10 * time.Second, 2 * time.Minute, false},
	{"tag-before-manifest", 1, 20 * time.Second, 4 * time.Minute, false},
	{"acknowledged-before-the-link", 1, 10 * time.Second, 2 * time.Minute, false},
	{"session-overwritten", 1, 20 * time.Second, 4 * time.Minute, false},
	{"cancelled-goes-on", 1, 20 * time.Second, 4 * time.Minute, false},
	{"no-fence-read", 1, 40 * time.Second, 8 * time.Minute, false},
	{"delete-without-second-look", 1, 40 * time.Second, 8 * time.Minute, false},
	{"referrer-of-any-life", 1, 40 * time.Second, 8 * time.Minute, false},
	{"error-is-404", 183, 12 * time.Second, 4 * time.Minute, true}, // this seed begins with a store that fails for all
}

// TestSeesZotLoseTags: stateless replicas of zot, as its own documents set them up, lose tags that were acknowledged. It
// runs when ZOT names a program.
func TestSeesZotLoseTags(t *testing.T) {
	binary := os.Getenv("ZOT")
	if binary == "" {
		t.Log("ZOT is not set: zot is not looked at")
		return
	}
	s := start(t, site.Options{Binary: binary, Zot: true})
	r := try(t, s, trial.Options{Seed: 1, Time: 30 * time.Second, Tags: true, Judge: judge.Options{Relaxed: true}})
	t.Log(r)
	if !slices.ContainsFunc(r.Problems, func(p judge.Problem) bool { return p.Rule == "M1" }) {
		t.Error("no tag is lost")
	}
}

// TestCommand: a history is written, read and judged again with the same result, and exit codes say which.
func TestCommand(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		name, text string
		want       int
	}{
		{"holds", `{"op":"blob.push","repo":"r","ref":"sha256:1","call_ns":1,"ret_ns":2,"attempts":1,"status":201}`, 0},
		{"broken", `{"op":"blob.head","repo":"r","ref":"sha256:1","call_ns":1,"ret_ns":2,"attempts":1,"status":200}`, 1},
		{"no history", `{`, exitFailed},
	} {
		file := filepath.Join(dir, "in.jsonl")
		if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs strings.Builder
		folder := filepath.Join(dir, test.name)
		if got := run([]string{"-check", file, "-out", folder}, &out, &errs); got != test.want {
			t.Errorf("%s: exits with %d, want %d: %s%s", test.name, got, test.want, &out, &errs)
		}
		_, err := os.Stat(filepath.Join(folder, "problem-1.html"))
		if drawn := err == nil; drawn != (test.want == 1) {
			t.Errorf("%s: a picture was drawn: %t", test.name, drawn)
		}
	}
	if got := run([]string{"-target", "nowhere"}, &strings.Builder{}, &strings.Builder{}); got != exitFailed {
		t.Errorf("a target that is no URL: exits with %d", got)
	}
}
