package collect

import (
	"context"
	"slices"

	"holdfast/internal/collect/pulled"
	"holdfast/internal/collect/retain"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// TagDecision says what retention would do with a tag, and why.
type TagDecision struct {
	Repository oci.Repository
	retain.Decision
}

// Preview tells what the policies keep and drop of a repository's tags now. Of a DryRun it writes nothing; else, where a policy goes by
// pulls, since when those are noted.
func (c *Collector) Preview(ctx context.Context, repo oci.Repository) ([]TagDecision, error) {
	v, err := c.look(ctx, repo)
	if err != nil {
		return nil, err
	}
	decisions, err := c.judgeTags(ctx, v)
	if err != nil {
		return nil, err
	}
	out := make([]TagDecision, 0, len(decisions))
	for _, d := range decisions {
		out = append(out, TagDecision{repo, d})
	}
	return out, nil
}

// judgeTags decides about all tags that are there.
func (c *Collector) judgeTags(ctx context.Context, v *view) ([]retain.Decision, error) {
	policy := c.cfg.Policies.For(v.repo)
	pulls, err := c.pulls(ctx, v.repo, policy)
	if err != nil {
		return nil, err
	}
	var tags []retain.Tag
	for _, t := range v.tags {
		if t.digest != "" && !t.dead {
			tags = append(tags, retain.Tag{Name: t.name, Digest: t.digest, Pushed: t.pushed, Pulled: pulls.Of(t.digest)})
		}
	}
	decisions := policy.Decide(tags, c.now())
	for i := range decisions {
		subject, is := retain.Subject(decisions[i].Name)
		if is && policy.DropsReferrers() && c.isGone(v, subject) && c.age(decisions[i].Pushed) >= max(c.store.Ages.Grace, c.cfg.Delay) {
			decisions[i].Keep, decisions[i].Rule = false, "deleteReferrers: "+string(subject)+", to which its name refers, is gone"
		}
	}
	return decisions, nil
}

// pulls reads when manifests were pulled, where a policy asks.
func (c *Collector) pulls(ctx context.Context, repo oci.Repository, policy *retain.Policy) (pulled.Times, error) {
	if !policy.NeedsPullTimes() {
		return pulled.Times{}, nil
	}
	if c.cfg.DryRun {
		return pulled.Look(ctx, c.store, repo)
	}
	return pulled.Read(ctx, c.store, repo)
}

// isGone reports whether a manifest has been gone for the grace, or was never there.
func (c *Collector) isGone(v *view, d oci.Digest) bool {
	m := v.manifests[d]
	return m == nil || m.dead() && c.age(m.Modified) >= c.store.Ages.Grace
}

// dropTags buries the tags that the policy does not keep, each only while it is what the policy saw.
func (c *Collector) dropTags(ctx context.Context, v *view) error {
	if policy := c.cfg.Policies.For(v.repo); !policy.JudgesTags() && !policy.DropsReferrers() {
		return nil
	}
	decisions, err := c.judgeTags(ctx, v)
	if err != nil {
		return err
	}
	decisions = slices.DeleteFunc(decisions, func(d retain.Decision) bool { return d.Keep })
	if len(decisions) == 0 {
		return nil
	}
	// The list may be older than what is dropped for it: only what a fresh one drops as well goes.
	fresh, err := c.look(ctx, v.repo, format.TagPrefix(v.repo), format.ManifestPrefix(v.repo))
	if err != nil {
		return err
	}
	again, err := c.judgeTags(ctx, fresh)
	if err != nil {
		return err
	}
	stays := map[oci.Tag]bool{}
	for _, d := range again {
		stays[d.Name] = d.Keep
	}
	at := map[oci.Tag]*tagSeen{}
	for i := range v.tags {
		at[v.tags[i].name] = &v.tags[i]
	}
	for _, d := range decisions {
		if keep, there := stays[d.Name]; keep || !there {
			continue
		}
		c.count(KindTags, Count{Found: 1})
		if c.cfg.DryRun || c.cfg.KeepTags {
			c.log.InfoContext(ctx, "retention would remove a tag", "repo", v.repo, "tag", d.Name, "digest", d.Digest, "rule", d.Rule)
			continue
		}
		if err := c.dropTag(ctx, v.repo, at[d.Name], d.Rule); err != nil {
			return err
		}
	}
	return nil
}

func (c *Collector) dropTag(ctx context.Context, repo oci.Repository, t *tagSeen, rule string) error {
	tag, err := format.Read[format.Tag](ctx, c.store, t.Key)
	if err != nil {
		return err
	}
	if tag.Version != t.version || !tag.Present() {
		c.count(KindTags, Count{Rescued: 1})
		return nil
	}
	now, err := format.Write(ctx, c.store, t.Key, tag, format.Tombstone(tag, "retention"), nil, false)
	if format.IsConflict(err) {
		c.count(KindTags, Count{Rescued: 1})
		return nil
	}
	if err != nil {
		return err
	}
	c.count(KindTags, Count{Freed: 1})
	c.log.InfoContext(ctx, "retention removed a tag", "repo", repo, "tag", t.name, "digest", t.digest, "rule", rule)
	t.Entry = record.Entry{Key: t.Key, Size: format.DeadSize, Stamp: now.Stamp}
	t.knownTag = knowTag(now)
	c.later(repo)
	return nil
}

// keeps returns the manifests that the policy keeps though no tag leads to them.
func (c *Collector) keeps(ctx context.Context, v *view, at moment) (map[oci.Digest]bool, error) {
	policy := c.cfg.Policies.For(v.repo)
	kept := map[oci.Digest]bool{}
	pulls, err := c.pulls(ctx, v.repo, policy)
	if err != nil {
		return nil, err
	}
	named := map[oci.Digest]bool{}
	for _, t := range v.tags {
		if !t.dead {
			named[t.digest] = true
		}
	}
	for _, m := range v.inOrder {
		if !m.dead() {
			for _, child := range m.parsed.Children {
				named[child.Digest] = true
			}
		}
	}
	var untagged []retain.Tag
	for _, m := range v.inOrder {
		switch {
		case m.dead() || named[m.digest]:
		case m.parsed.Subject != nil:
			kept[m.digest] = c.keepsReferrer(v, policy, m.parsed.Subject.Digest)
		default:
			untagged = append(untagged, retain.Tag{Digest: m.digest, Pushed: at.writtenAt(m), Pulled: pulls.Of(m.digest)})
		}
	}
	for _, d := range policy.DecideUntagged(untagged, at.now) {
		kept[d.Digest] = d.Keep
	}
	return kept, nil
}

// keepsReferrer reports whether a manifest stays whatever becomes of its subject. Without a policy it goes with its subject, and stays when
// that was never here: it may come yet.
func (c *Collector) keepsReferrer(v *view, policy *retain.Policy, subject oci.Digest) bool {
	switch s := v.manifests[subject]; {
	case policy != nil && !policy.DropsReferrers():
		return true
	case s == nil:
		return policy == nil
	case s.dead() && !c.isGone(v, subject):
		c.later(v.repo)
		return true
	}
	return false
}

// forget removes the pull times of manifests that are gone.
func (c *Collector) forget(ctx context.Context, v *view) error {
	prefix := format.PulledPrefix(v.repo)
	for entry, err := range c.store.Records.List(ctx, prefix, "") {
		if err != nil {
			return err
		}
		if entry.Size == format.DeadSize {
			if err := c.purge(ctx, entry); err != nil {
				return err
			}
			continue
		}
		d, err := format.PartDigest(string(entry.Key[len(prefix):]))
		if err != nil || c.cfg.DryRun || c.age(entry.Modified) < c.store.Ages.Grace || !c.isGone(v, d) {
			continue // since when pulls are noted has no digest for a name
		}
		if err := pulled.Forget(ctx, c.store, v.repo, d); err != nil {
			return err
		}
	}
	return nil
}
