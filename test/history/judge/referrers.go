package judge

import (
	"fmt"
	"maps"

	"holdfast/test/history/call"
)

// referrerPresence says when which manifest was among the referrers of a subject. Only the acknowledgements of pushes and
// deletes are evidence: the entry comes after the manifest, and goes after it, and that is promised of no read of either.
func (b *book) referrerPresence() map[name]map[string]*presence {
	all := make(map[name]map[string]*presence)
	for i := range b.calls {
		c := &b.calls[i]
		d := c.Digest
		if c.Op == call.ManifestDelete {
			d = c.Ref
		} else if c.Op != call.ManifestPut {
			continue
		}
		m := b.manifests[d]
		if !c.Sent() || m.Subject == "" {
			continue
		}
		key := name{c.Repo, m.Subject}
		if all[key] == nil {
			all[key] = make(map[string]*presence)
		}
		p, s := at(all[key], d), span{c.Call, end(c)}
		if c.Op == call.ManifestDelete {
			p.removed = append(p.removed, s)
			if c.OK() {
				p.gone = append(p.gone, s)
			}
			continue
		}
		if c.OK() {
			p.shown = append(p.shown, s)
		}
		if b.mayLeave(c) {
			p.brought = append(p.brought, s)
		}
		if b.flickers(c) {
			p.removed = append(p.removed, s)
		}
	}
	return all
}

func (b *book) referrersPage(c *call.Call, known map[string]*presence) {
	names := make([]string, len(c.Entries))
	of := known
	if c.Filter != "" {
		of = maps.Clone(known)
		maps.DeleteFunc(of, func(d string, _ *presence) bool { return b.manifests[d].ArtifactType != c.Filter })
		if !c.Applied {
			b.problem("M6", "referrers of "+call.Short(c.Ref), "a filter was asked for, and the answer does not say that it was applied", c)
		}
	}
	for i, e := range c.Entries {
		names[i] = e.Digest
		b.entry(c, e)
	}
	b.page(c, names, of, func(string) bool { return true })
}

// entry compares an entry with the manifest that it describes.
func (b *book) entry(c *call.Call, e call.Descriptor) {
	m, ok := b.manifests[e.Digest]
	text := ""
	switch {
	case !ok, m.Subject != c.Ref:
		text = "does not refer to this subject"
	case e.MediaType != m.MediaType:
		text = fmt.Sprintf("has the mediaType %q, want %q", e.MediaType, m.MediaType)
	case e.Size != m.Size:
		text = fmt.Sprintf("has the size %d, want %d", e.Size, m.Size)
	case e.ArtifactType != m.ArtifactType:
		text = fmt.Sprintf("has the artifactType %q, want %q", e.ArtifactType, m.ArtifactType)
	case !maps.Equal(e.Annotations, m.Annotations):
		text = fmt.Sprintf("has the annotations %q, want %q", e.Annotations, m.Annotations)
	}
	if text != "" {
		b.problem("M6", "referrers of "+call.Short(c.Ref), call.Short(e.Digest)+" "+text, c)
	}
}
