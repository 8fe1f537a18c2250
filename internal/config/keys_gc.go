package config

import (
	"errors"
	"regexp/syntax"
	"slices"
	"strings"
	"time"

	"holdfast/internal/collect/retain"
)

// gcKeys are the keys of a store's garbage collector and of its retention.
func gcKeys() []key {
	keys := []key{
		{path: "gc", kind: parseBool, into: func(t *target) any { return &t.store.GC.Enabled }},
		{path: "gcDelay", kind: parseDuration, into: func(t *target) any { return &t.store.GC.Delay }},
		{path: "gcInterval", kind: parseDuration, into: func(t *target) any { return &t.store.GC.Interval }},
		{path: "gcTimeWindow", kind: parseWindow, into: func(t *target) any { return &t.store.GC.Window }},
		{path: "gcMaxSchedulerDelay", kind: parseDuration, state: silent}, // passes of replicas do not meet: they hold leases
		{path: "gcRequestsPerSecond", kind: parseCount, into: func(t *target) any { return &t.store.GC.RequestsPerSecond }},
		{path: "retention.dryRun", kind: parseBool, into: func(t *target) any { return &t.store.Retention.DryRun }},
		{path: "retention.delay", kind: parseDuration, into: func(t *target) any { return &t.store.Retention.Delay }},
		{path: "retention.policies[]", add: addPolicy, items: policies},
	}
	keys = append(keys, below("retention.policies[]", []key{
		{path: "repositories", kind: parseGlobs, into: func(t *target) any { return &t.policy.Repositories }},
		{path: "deleteReferrers", kind: parseBool, into: func(t *target) any { return &t.policy.DeleteReferrers }},
		{path: "deleteUntagged", kind: parseBool, into: func(t *target) any { return &t.policy.DeleteUntagged }},
		{path: "keepTags[]", add: addKeepTags, items: keepTags},
		{path: "keepTags[].patterns", kind: parsePatterns, into: func(t *target) any { return &t.keep.Patterns }},
	})...)
	keys = append(keys, below("retention.policies[].keepTags[]", ruleKeys(func(t *target) *retain.Rules { return &t.keep.Rules }))...)
	return append(keys, below("retention.policies[].keepUntagged", ruleKeys(func(t *target) *retain.Rules { return &t.policy.KeepUntagged }))...)
}

func ruleKeys(rules func(*target) *retain.Rules) []key {
	return []key{
		{path: "pulledWithin", kind: parseDuration, into: func(t *target) any { return &rules(t).PulledWithin }},
		{path: "pushedWithin", kind: parseDuration, into: func(t *target) any { return &rules(t).PushedWithin }},
		{path: "mostRecentlyPushedCount", kind: parseCount, into: func(t *target) any { return &rules(t).MostRecentlyPushedCount }},
		{path: "mostRecentlyPulledCount", kind: parseCount, into: func(t *target) any { return &rules(t).MostRecentlyPulledCount }},
	}
}

func addPolicy(t *target) *target {
	t.store.Retention.Policies = append(t.store.Retention.Policies, retain.Policy{DeleteUntagged: true})
	all := policies(t)
	return all[len(all)-1]
}

func policies(t *target) []*target {
	var all []*target
	for i := range t.store.Retention.Policies {
		all = append(all, &target{config: t.config, store: t.store, policy: &t.store.Retention.Policies[i]})
	}
	return all
}

func addKeepTags(t *target) *target {
	t.policy.KeepTags = append(t.policy.KeepTags, retain.KeepTags{})
	all := keepTags(t)
	return all[len(all)-1]
}

func keepTags(t *target) []*target {
	var all []*target
	for i := range t.policy.KeepTags {
		all = append(all, &target{config: t.config, store: t.store, policy: t.policy, keep: &t.policy.KeepTags[i]})
	}
	return all
}

func parseCount(n *node) (any, *Problem) {
	v, problem := parseInt(n)
	if problem == nil && v.(int64) < 0 {
		problem = wrong(n, "is negative", "0 or more")
	}
	return v, problem
}

// parsePatterns takes a list, or a text for a list of one. zot takes a text with commas for a list too, and so cuts v[0-9]{1,3} into two patterns.
func parsePatterns(n *node) (any, *Problem) {
	return parseEach(n, "regular expressions", func(item *node) (retain.Pattern, *Problem) {
		p, err := retain.ParsePattern(item.text)
		var bad *syntax.Error
		switch {
		case errors.As(err, &bad):
			return p, wrong(item, "is not a regular expression: "+string(bad.Code), "one that RE2 knows")
		case err != nil:
			return p, wrong(item, "is not a regular expression", "one that RE2 knows")
		}
		return p, nil
	})
}

// parseGlobs is parsePatterns for the names of repositories.
func parseGlobs(n *node) (any, *Problem) {
	return parseEach(n, "globs", func(item *node) (retain.Glob, *Problem) {
		g, err := retain.ParseGlob(item.text)
		if err != nil {
			return g, wrong(item, "is not a glob", `a glob, as "team/**": * within a component, ** for any components, ?, [a-z], {a,b}`)
		}
		return g, nil
	})
}

func parseEach[T any](n *node, what string, parse func(*node) (T, *Problem)) (any, *Problem) {
	items := n.items
	switch {
	case n.scalar() && strings.Contains(n.text, ","):
		return nil, wrong(n, "is a text with commas in it, which zot would cut there", "a list of "+what)
	case n.scalar() && n.text == "":
		items = nil
	case n.scalar():
		items = []*node{n}
	case n.kind != listNode:
		return nil, mistyped(n, "a list of "+what)
	}
	var all []T
	for _, item := range items {
		if !item.scalar() {
			return nil, &Problem{Pos: item.Pos, Wrong: "has an item of the wrong type", Got: item.kindName(), Want: "a text"}
		}
		one, problem := parse(item)
		if problem != nil {
			problem.Pos = item.Pos
			return nil, problem
		}
		all = append(all, one)
	}
	return all, nil
}

// collector fills in what one key of the collector has from another, and raises what is too short.
func (w *walker) collector(s *Store, path string) {
	if s.GC.Delay < MinGCDelay {
		w.warn(path+".gcDelay", "is less than 1h, and taken for 1h: a push may take so long, and what it has found must stay until it ends")
		s.GC.Delay = MinGCDelay
	}
	switch {
	case w.nodes[path+".retention.delay"] == nil:
		s.Retention.Delay = s.GC.Delay
	case s.Retention.Delay < s.GC.Delay:
		w.warn(path+".retention.delay", "is less than gcDelay, and taken for it: no manifest is removed sooner after it lost its last tag")
		s.Retention.Delay = s.GC.Delay
	}
	policies := s.Retention.Policies
	if len(policies) > 0 && !s.GC.Enabled {
		w.warn(path+".retention", "has no effect while gc is false: the collector is what removes tags")
	}
	if slices.ContainsFunc(policies, func(p retain.Policy) bool { return len(p.Repositories) == 0 }) {
		w.warn(path+".retention.policies", "has a policy without repositories: it is for none")
	}
}

const (
	defaultScrubInterval = 24 * time.Hour
	minScrubInterval     = 2 * time.Hour
)

func (w *walker) scrub(s *Scrub) {
	switch {
	case s.Interval == 0:
		s.Interval = defaultScrubInterval
	case s.Interval < minScrubInterval:
		if s.Enabled {
			w.warn("extensions.scrub.interval", "is less than 2h, and taken for 2h, as in zot")
		}
		s.Interval = minScrubInterval
	}
}
