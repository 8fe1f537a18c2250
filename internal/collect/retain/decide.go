package retain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/internal/oci"
)

// Tag is what is known of a tag, or of a manifest that no tag names: that has no Name.
type Tag struct {
	Name   oci.Tag
	Digest oci.Digest
	Pushed time.Time // when it was set, or the manifest pushed; zero: not known
	Pulled time.Time // when the manifest was last pulled; zero: never
}

// Decision says whether a tag is kept.
type Decision struct {
	Tag
	Keep bool
	// Rule says to a person which rule keeps the tag, or why none does.
	Rule string
}

// Decide judges all tags of a repository, at a time by the store's clock. The decisions are in the order of the tags, and do not depend on it.
func (p *Policy) Decide(tags []Tag, now time.Time) []Decision {
	out := decisions(tags)
	var groups [][]*Decision
	if p != nil {
		groups = make([][]*Decision, len(p.KeepTags))
	}
	for i := range out {
		d := &out[i]
		subject, belongs := Subject(d.Name)
		switch {
		case p == nil:
			d.keep("there is no policy for the repository")
		case len(p.KeepTags) == 0:
			d.keep("the policy has no keepTags")
		case belongs:
			d.keep(fmt.Sprintf("it belongs to %s, and goes with it", subject))
		case d.Pushed.IsZero():
			d.keep("it is not known when it was pushed")
		default:
			if item := p.itemOf(d.Name); item >= 0 {
				groups[item] = append(groups[item], d)
			} else {
				d.Rule = "no pattern of keepTags matches it"
			}
		}
	}
	for item, group := range groups {
		where := fmt.Sprintf("keepTags[%d]", item)
		if !p.KeepTags[item].none() {
			p.KeepTags[item].judge(group, where, now)
			continue
		}
		for _, d := range group {
			d.keep(where + ": it has no rules but patterns")
		}
	}
	return out
}

// DecideUntagged judges all manifests of a repository that no tag names, no index lists, and that refer to no subject. What it drops is to go
// only once it is older than storage.retention.delay.
func (p *Policy) DecideUntagged(manifests []Tag, now time.Time) []Decision {
	out := decisions(manifests)
	var judged []*Decision
	for i := range out {
		d := &out[i]
		switch {
		case !p.DropsUntagged():
			d.keep("deleteUntagged is false")
		case p == nil || p.KeepUntagged.none():
			d.Rule = "no tag names it"
		case d.Pushed.IsZero():
			d.keep("it is not known when it was pushed")
		default:
			judged = append(judged, d)
		}
	}
	if len(judged) > 0 {
		p.KeepUntagged.judge(judged, "keepUntagged", now)
	}
	return out
}

func decisions(tags []Tag) []Decision {
	out := make([]Decision, len(tags))
	for i, tag := range tags {
		out[i].Tag = tag
	}
	return out
}

func (d *Decision) keep(rule string) { d.Keep, d.Rule = true, rule }

// itemOf returns the item of KeepTags that a tag belongs to, or -1.
func (p *Policy) itemOf(tag oci.Tag) int {
	return slices.IndexFunc(p.KeepTags, func(k KeepTags) bool {
		return len(k.Patterns) == 0 || slices.ContainsFunc(k.Patterns, func(p Pattern) bool { return p.Match(tag) })
	})
}

// judge decides about what belongs together. It may sort group.
func (r Rules) judge(group []*Decision, where string, now time.Time) {
	why := make(map[*Decision][]string, len(group)) // why no rule so far keeps it
	apply := func(d *Decision, kept bool, rule, fact string) {
		switch {
		case d.Keep:
		case kept:
			d.keep(where + ": " + rule + ": " + fact)
		default:
			why[d] = append(why[d], rule+": "+fact)
		}
	}
	for _, d := range group {
		if within := r.PushedWithin; within != 0 {
			apply(d, isWithin(d.Pushed, now, within), "pushedWithin "+short(within), "pushed "+ago(d.Pushed, now))
		}
		if within := r.PulledWithin; within != 0 {
			rule := "pulledWithin " + short(within)
			if fact := "pushed " + ago(d.Pushed, now); isWithin(d.Pushed, now, within) && !isWithin(d.Pulled, now, within) {
				apply(d, true, rule, fact)
			} else {
				apply(d, isWithin(d.Pulled, now, within), rule, "pulled "+ago(d.Pulled, now))
			}
		}
	}
	count := func(limit int, rule string, newer func(a, b *Decision) int) {
		if limit == 0 {
			return
		}
		slices.SortFunc(group, func(a, b *Decision) int {
			return cmp.Or(newer(a, b), b.Pushed.Compare(a.Pushed), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Digest, b.Digest))
		})
		for i, d := range group {
			apply(d, i < limit, fmt.Sprintf("%s %d", rule, limit), fmt.Sprintf("number %d", i+1))
		}
	}
	count(r.MostRecentlyPushedCount, "mostRecentlyPushedCount", func(a, b *Decision) int { return b.Pushed.Compare(a.Pushed) })
	count(r.MostRecentlyPulledCount, "mostRecentlyPulledCount", func(a, b *Decision) int { return b.Pulled.Compare(a.Pulled) })
	for _, d := range group {
		if !d.Keep {
			d.Rule = "no rule of " + where + " keeps it: " + strings.Join(why[d], "; ")
		}
	}
}

func isWithin(t, now time.Time, d time.Duration) bool { return t.After(now.Add(-d)) }

// ago says how long t is past, "never" for none.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := max(now.Sub(t), 0)
	unit := time.Second
	if d >= time.Hour {
		unit = time.Minute
	}
	return short(d.Truncate(unit)) + " ago"
}

// short is d without the units that are 0 at its end: 720h, not 720h0m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
