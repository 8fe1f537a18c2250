package retain

import (
	"slices"
	"time"

	"holdfast/internal/oci"
)

// Policies are the policies of a store. The first one for a repository is its only one.
type Policies []Policy

// Policy says what is kept of the repositories that it is for. The fields are the keys of zot's file.
type Policy struct {
	// Repositories are globs of which one must match. Without any the policy is for none.
	Repositories []Glob
	// DeleteReferrers drops what refers to a subject that is gone.
	DeleteReferrers bool
	// DeleteUntagged drops manifests that no tag names, but for those that KeepUntagged keeps. In a file that does not say it is true.
	DeleteUntagged bool
	// KeepTags say which tags are kept: a tag is judged by the first item that it belongs to. Without any all tags are kept.
	KeepTags []KeepTags
	// KeepUntagged keeps manifests that no tag names. Without rules it keeps none.
	KeepUntagged Rules
}

// KeepTags says which of the tags that belong to it are kept.
type KeepTags struct {
	// Patterns of which one must match for a tag to belong here. Without any all tags do.
	Patterns []Pattern
	// Rules of which one must keep a tag. Without any all tags that belong here are kept.
	Rules
}

// Rules keep what any one of them keeps. A field that is 0 is no rule.
type Rules struct {
	PulledWithin            time.Duration // pulled, or pushed, later than this before now
	PushedWithin            time.Duration // pushed later than this before now
	MostRecentlyPushedCount int           // the newest by their push
	MostRecentlyPulledCount int           // the newest by their pull
}

func (r Rules) none() bool { return r == Rules{} }

// For returns the policy for a repository, nil when there is none. All methods of a Policy take nil for that.
func (p Policies) For(repo oci.Repository) *Policy {
	for i := range p {
		if slices.ContainsFunc(p[i].Repositories, func(g Glob) bool { return g.Match(repo) }) {
			return &p[i]
		}
	}
	return nil
}

// NeedPullTimes reports whether a rule of any policy goes by pulls.
func (p Policies) NeedPullTimes() bool {
	return slices.ContainsFunc(p, func(one Policy) bool { return one.NeedsPullTimes() })
}

// NeedsPullTimes reports whether a rule of the policy goes by pulls, so that Tag.Pulled must be known.
func (p *Policy) NeedsPullTimes() bool {
	byPull := func(r Rules) bool { return r.PulledWithin != 0 || r.MostRecentlyPulledCount != 0 }
	return p != nil && (p.DeleteUntagged && byPull(p.KeepUntagged) || slices.ContainsFunc(p.KeepTags, func(k KeepTags) bool { return byPull(k.Rules) }))
}

// JudgesTags reports whether Decide may drop a tag at all.
func (p *Policy) JudgesTags() bool { return p != nil && len(p.KeepTags) > 0 }

// DropsUntagged reports whether manifests that no tag names may be dropped: so it is without a policy.
func (p *Policy) DropsUntagged() bool { return p == nil || p.DeleteUntagged }

// DropsReferrers reports whether what refers to a subject that is gone is dropped: not without a policy.
func (p *Policy) DropsReferrers() bool { return p != nil && p.DeleteReferrers }
