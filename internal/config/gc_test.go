package config

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/internal/collect/retain"
	"holdfast/internal/oci"
)

func TestCollectorKeys(t *testing.T) {
	c, w := mustLoad(t, "c.yaml", `
storage:
  rootDirectory: /d
  gcDelay: 2h
  gcInterval: 0
  gcTimeWindow: 22:00-6:30
  gcMaxSchedulerDelay: 1s
  gcRequestsPerSecond: 0
  retention: {delay: 36h}
  subPaths:
    /a: {rootDirectory: /a, gc: true, gcDelay: 3h, gcRequestsPerSecond: 10, retention: {dryRun: true}}
    /b: {rootDirectory: /b}
extensions: {scrub: {}}
`)
	window := Window{Start: 22 * time.Hour, End: 6*time.Hour + 30*time.Minute}
	for path, tt := range map[string]struct {
		got, want Store
	}{
		"storage": {c.Storage.Store, Store{GC: GC{Enabled: true, Delay: 2 * time.Hour, Window: window}, Retention: Retention{Delay: 36 * time.Hour}}},
		"/a":      {c.Storage.SubPaths["a"], Store{GC: GC{Enabled: true, Delay: 3 * time.Hour, Interval: time.Hour, RequestsPerSecond: 10}, Retention: Retention{Delay: 3 * time.Hour, DryRun: true}}},
		"/b":      {c.Storage.SubPaths["b"], Store{GC: GC{Delay: 24 * time.Hour, Interval: time.Hour, RequestsPerSecond: 200}, Retention: Retention{Delay: 24 * time.Hour}}},
	} {
		if diff := cmp.Diff(tt.want.GC, tt.got.GC); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
		if diff := cmp.Diff(tt.want.Retention, tt.got.Retention); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	if w != nil {
		t.Errorf("warnings: %q", w)
	}
}

func TestScrub(t *testing.T) {
	for text, want := range map[string]Scrub{
		"": {false, 24 * time.Hour}, "extensions: {scrub: {}}": {true, 24 * time.Hour}, "extensions: {scrub: {interval: 3h}}": {true, 3 * time.Hour}, "extensions: {scrub: ~}": {false, 24 * time.Hour},
		"extensions: {scrub: {enable: false, interval: 1h}}": {false, 2 * time.Hour}, "extensions: {scrub: {interval: 0, enable: 'true'}}": {true, 24 * time.Hour},
	} {
		if c, _ := mustLoad(t, "c.yaml", local+text+"\n"); c.Scrub != want {
			t.Errorf("%q: %v, want %v", text, c.Scrub, want)
		}
	}
}

func TestRetentionPolicies(t *testing.T) {
	const text = `
storage:
  rootDirectory: /d
  retention:
    policies:
      - repositories: ["infra/*", "{a,b}/**"]
        deleteReferrers: true
        deleteUntagged: false
        keepTags:
          - patterns: ['^v\d{1,3}$', "$${x}"]
            pulledWithin: 168h
          - mostRecentlyPushedCount: 10
            mostRecentlyPulledCount: "3"
          -
        keepUntagged: {pushedWithin: 24h}
      - repositories: "**"
        keepTags: {patterns: prod, pushedWithin: 0s}
`
	c, w := mustLoad(t, "c.yaml", text)
	want := retain.Policies{
		{
			Repositories: []retain.Glob{glob(t, "infra/*"), glob(t, "{a,b}/**")}, DeleteReferrers: true,
			KeepTags: []retain.KeepTags{
				{Patterns: []retain.Pattern{pattern(t, `^v\d{1,3}$`), pattern(t, "${x}")}, Rules: retain.Rules{PulledWithin: 168 * time.Hour}},
				{Rules: retain.Rules{MostRecentlyPushedCount: 10, MostRecentlyPulledCount: 3}},
				{},
			},
			KeepUntagged: retain.Rules{PushedWithin: 24 * time.Hour},
		},
		{Repositories: []retain.Glob{glob(t, "**")}, DeleteUntagged: true, KeepTags: []retain.KeepTags{{Patterns: []retain.Pattern{pattern(t, "prod")}}}},
	}
	if diff := cmp.Diff(want, c.Storage.Retention.Policies); diff != "" || w != nil {
		t.Errorf("(-want +got):\n%s\nwarnings: %q", diff, w)
	}
	again, _ := mustLoad(t, "c.yaml", c.Redacted())
	if diff := cmp.Diff(c, again); diff != "" {
		t.Errorf("Redacted loads as another configuration (-want +got):\n%s\n%s", diff, c.Redacted())
	}
}

func pattern(t *testing.T, text string) retain.Pattern {
	t.Helper()
	p, err := retain.ParsePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func glob(t *testing.T, text string) retain.Glob {
	t.Helper()
	g, err := retain.ParseGlob(text)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// The example of docs/operations.md is what it says.
func TestRetentionOfTheManual(t *testing.T) {
	manual, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(manual), "\n## Retention\n")
	_, text, _ := strings.Cut(section, "```yaml\n")
	text, _, _ = strings.Cut(text, "```")
	c, w := mustLoad(t, "c.yaml", text)
	if w != nil {
		t.Errorf("warnings: %q", w)
	}
	at := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	tag := func(name oci.Tag, pushedDays int) retain.Tag {
		return retain.Tag{Name: name, Pushed: at.AddDate(0, 0, -pushedDays)}
	}
	for _, tt := range []struct {
		repo oci.Repository
		tag  retain.Tag
		want bool
	}{
		{"prod/shop", tag("v1.2.3", 5000), true},
		{"prod/shop", tag("pr-7", 6), true},
		{"prod/shop", tag("pr-7", 8), false},
		{"prod/shop", tag("main", 8), true},
		{"sandbox/me/try", tag("x", 31), false},
		{"sandbox/me/try", tag("x", 29), true},
		{"tools/make", tag("x", 5000), true},
	} {
		got := c.Storage.Retention.Policies.For(tt.repo).Decide([]retain.Tag{tt.tag}, at)[0]
		if got.Keep != tt.want {
			t.Errorf("%s:%s: %t, %s", tt.repo, tt.tag.Name, got.Keep, got.Rule)
		}
	}
}

func TestWindow(t *testing.T) {
	at := func(hour, minute int) time.Time {
		return time.Date(2026, 11, 28, hour, minute, 59, 0, time.UTC).In(time.FixedZone("", 5*3600))
	}
	for text, tt := range map[string]struct{ in, out []time.Time }{
		"":            {in: []time.Time{at(0, 0), at(12, 0), at(23, 59)}},
		"01:00-05:00": {in: []time.Time{at(1, 0), at(4, 59)}, out: []time.Time{at(0, 59), at(5, 0), at(23, 0)}},
		"22:00-06:30": {in: []time.Time{at(22, 0), at(23, 59), at(0, 0), at(6, 29)}, out: []time.Time{at(21, 59), at(6, 30), at(12, 0)}},
		"00:00-00:01": {in: []time.Time{at(0, 0)}, out: []time.Time{at(0, 1), at(23, 59)}},
		"23:00-00:00": {in: []time.Time{at(23, 0), at(23, 59)}, out: []time.Time{at(0, 0), at(22, 59)}},
	} {
		v, problem := parseWindow(&node{kind: textNode, text: text})
		if problem != nil {
			t.Fatal(problem)
		}
		w := v.(Window)
		if w.String() != text {
			t.Errorf("%q is %q", text, w.String())
		}
		for _, now := range tt.in {
			if !w.Contains(now) {
				t.Errorf("%s is not in %s", now.UTC(), text)
			}
		}
		for _, now := range tt.out {
			if w.Contains(now) {
				t.Errorf("%s is in %s", now.UTC(), text)
			}
		}
	}
}

func TestCollectorProblems(t *testing.T) {
	retention := func(policy string) string {
		return "storage:\n  rootDirectory: /d\n  retention: {policies: [" + policy + "]}\n"
	}
	const wantWindow = `, want two times of a day in UTC, as "22:00-06:00" (c.yaml:1:44)`
	window := func(text string) string { return "storage: {rootDirectory: /d, gcTimeWindow: " + text + "}\n" }
	for text, want := range map[string]string{
		window("'1'"):           `storage.gcTimeWindow: is not a time window: got "1"` + wantWindow,
		window("'-'"):           `storage.gcTimeWindow: is not a time window: got "-"` + wantWindow,
		window("01:00-24:00"):   `storage.gcTimeWindow: is not a time window: got "01:00-24:00"` + wantWindow,
		window("'3:00-4:00-5'"): `storage.gcTimeWindow: is not a time window: got "3:00-4:00-5"` + wantWindow,
		window("01:00-01:00"):   `storage.gcTimeWindow: starts when it ends: got "01:00-01:00"` + wantWindow,
		window("[a]"):           `storage.gcTimeWindow: has the wrong type: got a list` + wantWindow,
		"storage: {rootDirectory: /d, gcDelay: -1h}\n":             `storage.gcDelay: is negative: got "-1h", want 0 or more (c.yaml:1:39)`,
		"storage: {rootDirectory: /d, gcInterval: -1h}\n":          `storage.gcInterval: is negative: got "-1h", want 0 or more (c.yaml:1:42)`,
		"storage: {rootDirectory: /d, gcRequestsPerSecond: -1}\n":  `storage.gcRequestsPerSecond: is negative: got -1, want 0 or more (c.yaml:1:51)`,
		"storage: {rootDirectory: /d, retention: {delay: -1h}}\n":  `storage.retention.delay: is negative: got "-1h", want 0 or more (c.yaml:1:49)`,
		"storage: {rootDirectory: /d, retention: {policies: 1}}\n": `storage.retention.policies: has the wrong type: got a number, want a list of mappings (c.yaml:1:52)`,
		retention(`{repositories: [ok, "[a"]}`):                    `storage.retention.policies[0].repositories: is not a glob: got "[a", want a glob, as "team/**": * within a component, ** for any components, ?, [a-z], {a,b} (c.yaml:3:46)`,
		retention(`{}, {keepTags: [{patterns: [ok, "(x"]}]}`):      `storage.retention.policies[1].keepTags[0].patterns: is not a regular expression: missing closing ): got "(x", want one that RE2 knows (c.yaml:3:58)`,
		retention(`{keepTags: [{patterns: "v[0-9]{1,3}"}]}`):       `storage.retention.policies[0].keepTags[0].patterns: is a text with commas in it, which zot would cut there: got "v[0-9]{1,3}", want a list of regular expressions (c.yaml:3:49)`,
		retention(`{keepTags: [{patterns: [[a]]}]}`):               `storage.retention.policies[0].keepTags[0].patterns: has an item of the wrong type: got a list, want a text (c.yaml:3:50)`,
		retention(`{keepTags: [{patterns: {a: b}}]}`):              `storage.retention.policies[0].keepTags[0].patterns: has the wrong type: got a mapping, want a list of regular expressions (c.yaml:3:49)`,
		retention(`{keepTags: [v1]}`):                              `storage.retention.policies[0].keepTags[0]: has the wrong type: got a text, want a mapping of keys (c.yaml:3:38)`,
		retention(`{keepTags: [{mostRecentlyPushedCount: -1}]}`):   `storage.retention.policies[0].keepTags[0].mostRecentlyPushedCount: is negative: got -1, want 0 or more (c.yaml:3:64)`,
		retention(`{keepUntagged: {pushedWithin: -5h}}`):           `storage.retention.policies[0].keepUntagged.pushedWithin: is negative: got "-5h", want 0 or more (c.yaml:3:56)`,
		retention(`{keepTag: []}`):                                 `storage.retention.policies[0].keepTag: is not a key: got "keepTag", want "keepTags" (c.yaml:3:27)`,
		local + "extensions: {scrub: {interval: 5}}\n":             `extensions.scrub.interval: is a duration without a unit: got 5, want a duration with a unit, as "90s" or "1h30m" (c.yaml:2:32)`,
		local + "extensions: {scrub: true}\n":                      `extensions.scrub: has the wrong type: got a boolean, want a mapping of keys (c.yaml:2:21)`,
	} {
		_, r, _ := loadText("c.yaml", text)
		var got []string
		for _, p := range r.Problems {
			got = append(got, strings.TrimPrefix(p.String(), "config: "))
		}
		if diff := cmp.Diff([]string{want}, got); diff != "" {
			t.Errorf("%s(-want +got):\n%s", text, diff)
		}
	}
}

func TestCollectorWarnings(t *testing.T) {
	const short = "is less than 1h, and taken for 1h: a push may take so long, and what it has found must stay until it ends"
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"delays too short": {"storage: {rootDirectory: /d, gcDelay: 59m, retention: {delay: 1m}, subPaths: {/a: {rootDirectory: /a, gcDelay: 0}}}\n", []string{
			"config: storage.gcDelay, storage.subPaths./a.gcDelay: " + short,
			"config: storage.retention.delay: is less than gcDelay, and taken for it: no manifest is removed sooner after it lost its last tag"}},
		"retention without a collector": {"storage: {rootDirectory: /d, gc: false, retention: {policies: [{repositories: [a]}]}}\n",
			[]string{"config: storage.retention: has no effect while gc is false: the collector is what removes tags"}},
		"for nothing":    {"storage: {rootDirectory: /d, retention: {policies: [{deleteUntagged: true}]}}\n", []string{"config: storage.retention.policies: has a policy without repositories: it is for none"}},
		"scrub":          {local + "extensions: {scrub: {interval: 1h}}\n", []string{"config: extensions.scrub.interval: is less than 2h, and taken for 2h, as in zot"}},
		"nothing to say": {"storage: {rootDirectory: /d, gc: true, gcDelay: 1h, gcInterval: 10m, gcMaxSchedulerDelay: 1s, retention: {dryRun: true, delay: 1h}}\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			c, got := mustLoad(t, "c.yaml", tt.text)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if c.Storage.GC.Delay < MinGCDelay || c.Storage.Retention.Delay < c.Storage.GC.Delay || c.Scrub.Interval < 2*time.Hour {
				t.Errorf("%+v %+v %+v", c.Storage.GC, c.Storage.Retention, c.Scrub)
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	for text, want := range map[string]Metrics{
		"": {false, "/metrics"}, "extensions: {metrics: {}}": {true, "/metrics"}, "extensions: {metrics: {enable: false}}": {false, "/metrics"},
		"extensions: {metrics: {enable: true, prometheus: {path: /m/of}}}": {true, "/m/of"}, "extensions: {metrics: {prometheus: {path: ''}}}": {true, "/metrics"},
	} {
		if c, w := mustLoad(t, "c.yaml", local+text+"\n"); c.Metrics != want || w != nil {
			t.Errorf("%q: %v, want %v; warnings %q", text, c.Metrics, want, w)
		}
	}
	for _, path := range []string{"metrics", "/v2/", "/v2/metrics", "/readyz", "/", "'/m?a'"} {
		if _, _, err := loadText("c.yaml", local+"extensions: {metrics: {prometheus: {path: "+path+"}}}\n"); err == nil || !strings.Contains(err.Error(), "extensions.metrics.prometheus.path") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
