package retain

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"holdfast/internal/oci"
)

var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func patterns(t *testing.T, texts ...string) []Pattern {
	t.Helper()
	var out []Pattern
	for _, text := range texts {
		p, err := ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func globs(t *testing.T, texts ...string) []Glob {
	t.Helper()
	var out []Glob
	for _, text := range texts {
		g, err := ParseGlob(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, g)
	}
	return out
}

// tag was pushed and pulled so long ago; a negative time is none.
func tag(name string, pushed, pulled time.Duration) Tag {
	at := func(d time.Duration) time.Time {
		if d < 0 {
			return time.Time{}
		}
		return now.Add(-d)
	}
	return Tag{Name: oci.Tag(name), Digest: digest.FromString(name), Pushed: at(pushed), Pulled: at(pulled)}
}

const never = -1

func TestDecide(t *testing.T) {
	sig := "sha256-" + strings.Repeat("a", 64)
	subject := "sha256:" + strings.Repeat("a", 64)
	for name, tt := range map[string]struct {
		policy *Policy
		tags   []Tag
		want   []string // + or - for keep, the name, and the rule
	}{
		"no policy": {nil, []Tag{tag("a", 1000*day, never)}, []string{"+a there is no policy for the repository"}},
		"no keepTags": {&Policy{DeleteUntagged: true}, []Tag{tag("a", 1000*day, never)},
			[]string{"+a the policy has no keepTags"}},
		"patterns only": {&Policy{KeepTags: []KeepTags{{Patterns: patterns(t, `^v\d+`, "prod")}}}, []Tag{tag("v1", 1000*day, never), tag("my-prod-1", 0, 0), tag("rev1", 0, 0)},
			[]string{"+v1 keepTags[0]: it has no rules but patterns", "+my-prod-1 keepTags[0]: it has no rules but patterns", "-rev1 no pattern of keepTags matches it"}},
		"an item without anything keeps the rest": {&Policy{KeepTags: []KeepTags{{Patterns: patterns(t, "^v"), Rules: Rules{PushedWithin: day}}, {}}}, []Tag{tag("v1", 2*day, never), tag("x", 1000*day, never)},
			[]string{"-v1 no rule of keepTags[0] keeps it: pushedWithin 24h: pushed 48h ago", "+x keepTags[1]: it has no rules but patterns"}},
		"the first item decides": {&Policy{KeepTags: []KeepTags{{Patterns: patterns(t, "a"), Rules: Rules{PushedWithin: time.Hour}}, {Patterns: patterns(t, "ab")}}}, []Tag{tag("ab", day, never)},
			[]string{"-ab no rule of keepTags[0] keeps it: pushedWithin 1h: pushed 24h ago"}},
		"pushedWithin": {&Policy{KeepTags: []KeepTags{{Rules: Rules{PushedWithin: 720 * time.Hour}}}},
			[]Tag{tag("new", 3*time.Hour+12*time.Minute+59*time.Second, never), tag("edge", 720*time.Hour, 0), tag("inside", 720*time.Hour-1, never), tag("now", 0, never)},
			[]string{"+new keepTags[0]: pushedWithin 720h: pushed 3h12m ago", "-edge no rule of keepTags[0] keeps it: pushedWithin 720h: pushed 720h ago",
				"+inside keepTags[0]: pushedWithin 720h: pushed 719h59m ago", "+now keepTags[0]: pushedWithin 720h: pushed 0s ago"}},
		"pulledWithin counts a push": {&Policy{KeepTags: []KeepTags{{Rules: Rules{PulledWithin: 2 * day}}}},
			[]Tag{tag("pulled", 9*day, day), tag("pushed", 90*time.Second, 9*day), tag("old", 9*day, 3*day), tag("unused", 9*day, never)},
			[]string{"+pulled keepTags[0]: pulledWithin 48h: pulled 24h ago", "+pushed keepTags[0]: pulledWithin 48h: pushed 1m30s ago",
				"-old no rule of keepTags[0] keeps it: pulledWithin 48h: pulled 72h ago", "-unused no rule of keepTags[0] keeps it: pulledWithin 48h: pulled never"}},
		"mostRecentlyPushedCount, ties by name": {&Policy{KeepTags: []KeepTags{{Rules: Rules{MostRecentlyPushedCount: 2}}}},
			[]Tag{tag("c", day, never), tag("b", day, never), tag("a", 2*day, 0), tag("d", time.Hour, never)},
			[]string{"-c no rule of keepTags[0] keeps it: mostRecentlyPushedCount 2: number 3", "+b keepTags[0]: mostRecentlyPushedCount 2: number 2",
				"-a no rule of keepTags[0] keeps it: mostRecentlyPushedCount 2: number 4", "+d keepTags[0]: mostRecentlyPushedCount 2: number 1"}},
		"mostRecentlyPulledCount, never pulled last, then by push": {&Policy{KeepTags: []KeepTags{{Rules: Rules{MostRecentlyPulledCount: 2}}}},
			[]Tag{tag("a-older", 9*day, never), tag("b-newer", 8*day, never), tag("pulled", 99*day, 98*day)},
			[]string{"-a-older no rule of keepTags[0] keeps it: mostRecentlyPulledCount 2: number 3", "+b-newer keepTags[0]: mostRecentlyPulledCount 2: number 2", "+pulled keepTags[0]: mostRecentlyPulledCount 2: number 1"}},
		"any rule keeps": {&Policy{KeepTags: []KeepTags{{Rules: Rules{PulledWithin: day, PushedWithin: day, MostRecentlyPushedCount: 1, MostRecentlyPulledCount: 1}}}},
			[]Tag{tag("pulled", 9*day, time.Hour), tag("old", 10*day, 9*day), tag("newest", 2*day, never)},
			[]string{"+pulled keepTags[0]: pulledWithin 24h: pulled 1h ago",
				"-old no rule of keepTags[0] keeps it: pushedWithin 24h: pushed 240h ago; pulledWithin 24h: pulled 216h ago; mostRecentlyPushedCount 1: number 3; mostRecentlyPulledCount 1: number 2",
				"+newest keepTags[0]: mostRecentlyPushedCount 1: number 1"}},
		"counts are of an item": {&Policy{KeepTags: []KeepTags{{Patterns: patterns(t, "^a"), Rules: Rules{MostRecentlyPushedCount: 1}}, {Patterns: patterns(t, "^b"), Rules: Rules{MostRecentlyPushedCount: 1}}}},
			[]Tag{tag("a1", 1, never), tag("a2", 2, never), tag("b1", 3, never), tag("b2", 4, never)},
			[]string{"+a1 keepTags[0]: mostRecentlyPushedCount 1: number 1", "-a2 no rule of keepTags[0] keeps it: mostRecentlyPushedCount 1: number 2",
				"+b1 keepTags[1]: mostRecentlyPushedCount 1: number 1", "-b2 no rule of keepTags[1] keeps it: mostRecentlyPushedCount 1: number 2"}},
		"an unknown push is kept and not counted": {&Policy{KeepTags: []KeepTags{{Rules: Rules{MostRecentlyPushedCount: 1}}}}, []Tag{tag("unknown", never, never), tag("known", 9*day, never)},
			[]string{"+unknown it is not known when it was pushed", "+known keepTags[0]: mostRecentlyPushedCount 1: number 1"}},
		"what belongs to a digest is kept and not counted": {&Policy{KeepTags: []KeepTags{{Rules: Rules{MostRecentlyPushedCount: 1}}}},
			[]Tag{tag(sig+".sig", 0, 0), tag(sig+".att", 0, 0), tag(sig+".sbom", 0, 0), tag(sig, 0, 0), tag("image", 9*day, never)},
			[]string{"+" + sig + ".sig it belongs to " + subject + ", and goes with it", "+" + sig + ".att it belongs to " + subject + ", and goes with it",
				"+" + sig + ".sbom it belongs to " + subject + ", and goes with it", "+" + sig + " it belongs to " + subject + ", and goes with it", "+image keepTags[0]: mostRecentlyPushedCount 1: number 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := slices.Clone(tt.tags)
			got := tt.policy.Decide(tt.tags, now)
			if diff := cmp.Diff(tt.want, lines(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, tt.tags); diff != "" {
				t.Errorf("the tags were changed:\n%s", diff)
			}
			slices.Reverse(before)
			reversed := tt.policy.Decide(before, now)
			slices.Reverse(reversed)
			if diff := cmp.Diff(got, reversed); diff != "" {
				t.Errorf("another order of the tags, other decisions:\n%s", diff)
			}
		})
	}
}

func lines(decisions []Decision) []string {
	var out []string
	for _, d := range decisions {
		sign := "-"
		if d.Keep {
			sign = "+"
		}
		out = append(out, fmt.Sprintf("%s%s %s", sign, d.Name, d.Rule))
	}
	return out
}

func TestDecideUntagged(t *testing.T) {
	manifest := func(content string, pushed, pulled time.Duration) Tag {
		m := tag(content, pushed, pulled)
		m.Name = ""
		return m
	}
	old, used, unknown := manifest("old", 9*day, 8*day), manifest("used", 9*day, day), manifest("unknown", never, never)
	for name, tt := range map[string]struct {
		policy *Policy
		want   []bool // old, used, unknown
	}{
		"no policy":                {nil, []bool{false, false, false}},
		"not to be deleted":        {&Policy{}, []bool{true, true, true}},
		"to be deleted":            {&Policy{DeleteUntagged: true}, []bool{false, false, false}},
		"rules":                    {&Policy{DeleteUntagged: true, KeepUntagged: Rules{PulledWithin: 2 * day}}, []bool{false, true, true}},
		"a count":                  {&Policy{DeleteUntagged: true, KeepUntagged: Rules{MostRecentlyPulledCount: 1}}, []bool{false, true, true}},
		"rules that nothing needs": {&Policy{KeepUntagged: Rules{PulledWithin: 2 * day}}, []bool{true, true, true}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []bool
			for _, d := range tt.policy.DecideUntagged([]Tag{old, used, unknown}, now) {
				got = append(got, d.Keep)
				if d.Rule == "" {
					t.Errorf("no rule for %v", d)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFor(t *testing.T) {
	policies := Policies{{Repositories: nil}, {Repositories: globs(t, "infra/*", "prod/**")}, {Repositories: globs(t, "infra/**", "{a,b}[0-9]/?")}, {Repositories: globs(t, "all")}}
	for repo, want := range map[oci.Repository]int{
		"infra/x": 1, "infra/x/y": 2, "infra": 2, "prod": 1, "prod/a/b/c": 1, "a1/x": 2, "b2/xy": -1, "all": 3, "all/x": -1, "other": -1,
	} {
		got := -1
		if p := policies.For(repo); p != nil {
			got = slices.IndexFunc(policies, func(one Policy) bool { return cmp.Equal(one, *p) })
		}
		if got != want {
			t.Errorf("%s: policy %d, want %d", repo, got, want)
		}
	}
	if (Policies)(nil).For("a") != nil {
		t.Error("a policy of none")
	}
}

func TestNeeds(t *testing.T) {
	byPull := Rules{MostRecentlyPulledCount: 1}
	for name, tt := range map[string]struct {
		policy               *Policy
		pulls                bool
		tags, untagged, refs bool
	}{
		"none":       {nil, false, false, true, false},
		"zero":       {&Policy{}, false, false, false, false},
		"by push":    {&Policy{KeepTags: []KeepTags{{Rules: Rules{PushedWithin: 1, MostRecentlyPushedCount: 1}}}, DeleteReferrers: true}, false, true, false, true},
		"by pull":    {&Policy{KeepTags: []KeepTags{{}, {Rules: byPull}}, DeleteUntagged: true}, true, true, true, false},
		"within":     {&Policy{KeepTags: []KeepTags{{Rules: Rules{PulledWithin: 1}}}}, true, true, false, false},
		"untagged":   {&Policy{KeepUntagged: byPull, DeleteUntagged: true}, true, false, true, false},
		"not needed": {&Policy{KeepUntagged: byPull}, false, false, false, false},
	} {
		p := tt.policy
		if p.NeedsPullTimes() != tt.pulls || p.JudgesTags() != tt.tags || p.DropsUntagged() != tt.untagged || p.DropsReferrers() != tt.refs {
			t.Errorf("%s: %t %t %t %t", name, p.NeedsPullTimes(), p.JudgesTags(), p.DropsUntagged(), p.DropsReferrers())
		}
		if p != nil && (Policies{{}, *p}).NeedPullTimes() != tt.pulls {
			t.Errorf("%s: the policies differ from the policy", name)
		}
	}
}

func TestSubject(t *testing.T) {
	hex := strings.Repeat("0", 64)
	for name, want := range map[string]bool{
		"sha256-" + hex: true, "sha256-" + hex + ".sig": true, "sha256-" + hex + ".sbom": true, "sha512-" + hex + hex: true,
		"sha256-" + hex[1:]: false, "sha256-" + hex + "0": false, "sha256": false, "v1.sig": false, "sha256.": false, "shasum-1.sig": false,
		"a-sha256-" + hex: false, "": false,
	} {
		d, got := Subject(oci.Tag(name))
		if got != want || got && !strings.HasPrefix(name, strings.Replace(string(d), ":", "-", 1)) {
			t.Errorf("%s: %s, %t; want %t", name, d, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	if _, err := ParsePattern("("); err == nil {
		t.Error("( is a pattern")
	}
	if _, err := ParseGlob("["); err == nil {
		t.Error("[ is a glob")
	}
	if (Glob{}).Match("a") || !(Pattern{}).Match("a") {
		t.Error("the zero Glob matches, or the zero Pattern does not")
	}
}

// More permissive rules keep whatever less permissive ones keep, and the order in which tags come means nothing.
func TestMorePermissiveKeepsMore(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		policy, tags := randomPolicy(t, r), randomTags(r)
		before := kept(policy.Decide(tags, now))
		wider, how := widen(policy, r)
		after := kept(wider.Decide(tags, now))
		for name := range before {
			if !after[name] {
				t.Fatalf("seed %d: %s drops %s\n%+v\n%s", seed, how, name, policy, strings.Join(lines(wider.Decide(tags, now)), "\n"))
			}
		}
		r.Shuffle(len(tags), func(i, j int) { tags[i], tags[j] = tags[j], tags[i] })
		if diff := cmp.Diff(before, kept(policy.Decide(tags, now))); diff != "" {
			t.Fatalf("seed %d: shuffled (-before +after):\n%s", seed, diff)
		}
	}
}

func kept(decisions []Decision) map[oci.Tag]bool {
	out := map[oci.Tag]bool{}
	for _, d := range decisions {
		if d.Keep {
			out[d.Name] = true
		}
	}
	return out
}

func randomTags(r *rand.Rand) []Tag {
	var tags []Tag
	for i := range r.IntN(12) {
		tags = append(tags, tag(fmt.Sprintf("%c%d", 'a'+rune(r.IntN(4)), i), time.Duration(r.IntN(6)-1)*day, time.Duration(r.IntN(6)-1)*day))
	}
	return tags
}

func randomPolicy(t *testing.T, r *rand.Rand) *Policy {
	p := &Policy{}
	for range 1 + r.IntN(3) {
		item := KeepTags{Rules: Rules{
			PulledWithin: time.Duration(r.IntN(4)) * day, PushedWithin: time.Duration(r.IntN(4)) * day,
			MostRecentlyPushedCount: r.IntN(3), MostRecentlyPulledCount: r.IntN(3),
		}}
		for range r.IntN(3) {
			item.Patterns = append(item.Patterns, patterns(t, string('a'+rune(r.IntN(4))))...)
		}
		p.KeepTags = append(p.KeepTags, item)
	}
	return p
}

// widen makes a policy more permissive in one way. A pattern more, or an item more at the front, does not: its tags compete with others.
func widen(p *Policy, r *rand.Rand) (*Policy, string) {
	wider := &Policy{KeepTags: slices.Clone(p.KeepTags)}
	rules := &wider.KeepTags[r.IntN(len(wider.KeepTags))].Rules
	more := time.Duration(1+r.IntN(3)) * day
	if rules.none() { // adding a rule to an item without any is less permissive
		wider.KeepTags = append(wider.KeepTags, KeepTags{Rules: Rules{PushedWithin: more}})
		return wider, "an item more at the end"
	}
	switch r.IntN(6) {
	case 0:
		rules.PulledWithin += more
		return wider, "a longer pulledWithin"
	case 1:
		rules.PushedWithin += more
		return wider, "a longer pushedWithin"
	case 2:
		rules.MostRecentlyPushedCount++
		return wider, "a greater mostRecentlyPushedCount"
	case 3:
		rules.MostRecentlyPulledCount++
		return wider, "a greater mostRecentlyPulledCount"
	case 4:
		*rules = Rules{}
		return wider, "no rules"
	}
	wider.KeepTags = nil
	return wider, "no keepTags"
}
