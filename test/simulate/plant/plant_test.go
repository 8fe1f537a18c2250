package plant

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var all = flag.Bool("all", false, "look for every planted bug, not only for the first of each kind")

// budget is how long the simulation may look for one bug.
const budget = 30 * time.Second

// TestPlantedBugsAreFound runs the simulation once for each planted bug: it must find it. A bug whose old
// text is no longer in the code fails the test with its name.
func TestPlantedBugsAreFound(t *testing.T) {
	root, err := Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "simulate.test")
	if err := Build(t.Context(), root, "./test/simulate", binary, true); err != nil {
		t.Fatal(err)
	}
	t.Run("none", func(t *testing.T) {
		if out, err := simulate(t.Context(), binary, Bug{Name: "none"}, 5*time.Second); err != nil {
			t.Fatalf("a violation where nothing is planted: %v\n%s", err, out)
		}
	})
	bugs := Bugs()
	if !*all {
		bugs = bugs[:3]
	}
	for _, bug := range bugs {
		t.Run(bug.Name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			out, found := look(t.Context(), binary, bug)
			if !found {
				t.Fatalf("not found within %s: %s\n%s", budget, bug.Rule, out)
			}
			t.Logf("found after %s: %s", time.Since(start).Round(time.Millisecond), bug.Rule)
		})
	}
}

// look runs the simulation with a bug awake, and reports whether it saw a violation.
func look(ctx context.Context, binary string, bug Bug) (string, bool) {
	out, err := simulate(ctx, binary, bug, budget)
	return out, err != nil && strings.Contains(out, "is broken") && !strings.Contains(out, "the simulation itself is broken")
}

func simulate(ctx context.Context, binary string, bug Bug, budget time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*budget+30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.run", "TestHunt", "-hunt", bug.Scenarios, "-budget", budget.String())
	cmd.Env = append(os.Environ(), Variable+"="+bug.Name, "GOMAXPROCS=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}
