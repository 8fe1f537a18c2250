package observe

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"holdfast/test/cluster"
)

const (
	rulesFile     = "../../deploy/observe/rules.yml"
	rulesTests    = "../../deploy/observe/rules_test.yml"
	promConfig    = "../../deploy/observe/prometheus.yml"
	dashboardFile = "../../deploy/observe/dashboard.json"
	runbooks      = "../../docs/runbooks.md"
)

// rule is an alert.
type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	decode := yaml.NewDecoder(strings.NewReader(read(t, rulesFile)))
	decode.KnownFields(true)
	if err := decode.Decode(&file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("there is no rule")
	}
	return all
}

// panel is a part of the dashboard.
type panel struct {
	Title   string `json:"title"`
	Type    string `json:"type"`
	ID      int    `json:"id"`
	GridPos struct{ H, W, X, Y int }
	Targets []struct {
		Expr    string `json:"expr"`
		Instant bool   `json:"instant"`
	} `json:"targets"`
}

func panels(t *testing.T) []panel {
	t.Helper()
	var dashboard struct {
		UID    string  `json:"uid"`
		Panels []panel `json:"panels"`
	}
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &dashboard); err != nil {
		t.Fatal(err)
	}
	if dashboard.UID == "" || len(dashboard.Panels) == 0 {
		t.Fatal("the dashboard is empty")
	}
	return dashboard.Panels
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tool runs a program with an input, and fails the test when it fails.
func tool(t *testing.T, input, name string, args ...string) string {
	t.Helper()
	path, err := cluster.Tool(name)
	if err != nil {
		t.Fatal(err, "; or scripts/tools.sh observe")
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func TestRules(t *testing.T) {
	tool(t, "", "promtool", "check", "rules", "--lint-fatal", rulesFile)
	tool(t, "", "promtool", "check", "config", "--lint-fatal", promConfig)
	tool(t, "", "promtool", "test", "rules", rulesTests)
}

// TestEveryRuleIsTested: an alert that no test makes fire may never fire.
func TestEveryRuleIsTested(t *testing.T) {
	tests := read(t, rulesTests)
	for _, r := range rules(t) {
		if !strings.Contains(tests, `alertname="`+r.Alert+`", severity="`+r.Labels["severity"]+`"`) {
			t.Errorf("no test makes %s fire", r.Alert)
		}
	}
}

// TestEveryAlertHasARunbook: whoever is woken finds what it means, where to look and what to do; and no runbook is of an alert that is gone.
func TestEveryAlertHasARunbook(t *testing.T) {
	text := read(t, runbooks)
	sections := map[string]string{}
	for _, section := range strings.Split(text, "\n## ")[1:] {
		title, body, _ := strings.Cut(section, "\n")
		if strings.HasPrefix(title, "Holdfast") {
			sections[title] = body
		}
	}
	for _, r := range rules(t) {
		if want := "docs/runbooks.md#" + strings.ToLower(r.Alert); r.Annotations["runbook"] != want {
			t.Errorf("%s: the runbook is %q, want %q", r.Alert, r.Annotations["runbook"], want)
		}
		if r.Annotations["summary"] == "" || !slices.Contains([]string{"critical", "warning"}, r.Labels["severity"]) {
			t.Errorf("%s has no summary, or no severity", r.Alert)
		}
		for _, part := range []string{"**Means.**", "**Look.**", "**Do.**"} {
			if !strings.Contains(sections[r.Alert], part) {
				t.Errorf("%s: its runbook has no %s", r.Alert, part)
			}
		}
		delete(sections, r.Alert)
	}
	for title := range maps.Keys(sections) {
		t.Errorf("there is a runbook for %s, and no such alert", title)
	}
}

// TestPanels: nothing overlaps, every panel has an id and something to show.
func TestPanels(t *testing.T) {
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range panels(t) {
		if ids[p.ID] || p.Title == "" || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %d %q: an id twice, no title or no query", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%q lies over %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

var metricName = regexp.MustCompile(`\b(holdfast_[a-z0-9_]+|process_[a-z0-9_]+|go_[a-z0-9_]+)\b`)

// named are the metrics that an expression names, without the endings of a histogram's series.
func named(expr string) (names []string) {
	for _, name := range metricName.FindAllString(expr, -1) {
		if base, ok := strings.CutSuffix(name, "_seconds_bucket"); ok {
			name = base + "_seconds"
		}
		names = append(names, name)
	}
	return names
}
