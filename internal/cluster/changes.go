package cluster

import "time"

// Change is something that is not as it was.
type Change struct {
	Kind    string `json:"kind"`              // of a fixed set: docs/api.md lists them
	Subject string `json:"subject,omitempty"` // the id of a process, or the path of a store
	Text    string `json:"text,omitempty"`
}

// The kinds of changes.
const (
	ChangeJoined    = "replica-joined"
	ChangeLeft      = "replica-left"
	ChangeState     = "replica-state" // Text is the new one; "lost" is one of them
	ChangePassBegan = "pass-began"
	ChangePassEnded = "pass-ended"
	ChangeDamage    = "damage-found"
	ChangeFeature   = "feature-enabled" // Text is its name
	ChangeProblem   = "problem"         // Text is its kind: one that was not there
	ChangeSolved    = "problem-gone"    // one that is not there any more
)

// Changes are what differs between two views, an earlier and a later one, that a watcher wants to be told of. Numbers that move all the time are not.
func Changes(old, now View) []Change {
	var out []Change
	before := map[string]State{}
	for _, r := range old.Replicas {
		before[r.ID] = r.State
	}
	for _, r := range now.Replicas {
		switch state, was := before[r.ID]; {
		case !was:
			out = append(out, Change{ChangeJoined, r.ID, string(r.State)})
		case state != r.State:
			out = append(out, Change{ChangeState, r.ID, string(r.State)})
		}
		delete(before, r.ID)
	}
	for _, r := range old.Replicas {
		if _, gone := before[r.ID]; gone {
			out = append(out, Change{ChangeLeft, r.ID, string(r.State)})
		}
	}
	stores := map[string]Store{}
	for _, s := range old.Stores {
		stores[s.Path] = s
	}
	for _, s := range now.Stores {
		if was, ok := stores[s.Path]; ok {
			out = append(out, storeChanges(was, s)...)
		}
	}
	return append(out, problemChanges(old.Problems, now.Problems)...)
}

func storeChanges(old, now Store) []Change {
	var out []Change
	if a, b := old.Collector, now.Collector; a != nil && b != nil {
		if started := passStart(b); !started.IsZero() && !started.Equal(passStart(a)) {
			out = append(out, Change{ChangePassBegan, now.Path, b.Holder})
		}
		if !b.Ended.Equal(a.Ended) {
			text := ""
			if b.Last != nil {
				text = b.Last.Failed
			}
			out = append(out, Change{ChangePassEnded, now.Path, text})
		}
	}
	if damaged(now) > damaged(old) {
		out = append(out, Change{Kind: ChangeDamage, Subject: now.Path})
	}
	enabled := map[string]bool{}
	for _, f := range old.Features {
		enabled[f.Name] = f.Enabled
	}
	for _, f := range now.Features {
		if f.Enabled && !enabled[f.Name] {
			out = append(out, Change{ChangeFeature, now.Path, f.Name})
		}
	}
	return out
}

func passStart(c *Collector) time.Time {
	if c.Running == nil || c.Holder == "" {
		return time.Time{}
	}
	return c.Running.Started
}

func damaged(s Store) int64 {
	if s.Scrub == nil {
		return 0
	}
	return s.Scrub.Damaged
}

func problemChanges(old, now []Problem) []Change {
	type key struct{ kind, subject string }
	before := map[key]bool{}
	for _, p := range old {
		before[key{p.Kind, p.Subject}] = true
	}
	after := map[key]bool{}
	var out []Change
	for _, p := range now {
		k := key{p.Kind, p.Subject}
		if !before[k] && !after[k] {
			out = append(out, Change{ChangeProblem, p.Subject, p.Kind})
		}
		after[k] = true
	}
	for _, p := range old {
		k := key{p.Kind, p.Subject}
		if !after[k] {
			out = append(out, Change{ChangeSolved, p.Subject, p.Kind})
			after[k] = true
		}
	}
	return out
}
