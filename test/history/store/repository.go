package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"path"
	"strings"

	"holdfast/test/history/call"
)

// inlineBytes is up to where a tag carries its manifest.
const inlineBytes = 256 << 10

// inRepository checks a record below r/.
func (k *check) inRepository(key string, r *record) {
	prefix, kind, rest := inRepository(key)
	switch {
	case kind == "m" && r.alive():
		k.manifest(prefix, rest, r)
	case kind == "t" && r.alive():
		k.tag(prefix, rest, r)
	case kind == "s":
		k.referrers(prefix, rest, r)
	}
}

// manifest: its bytes are the digest's, its repository has its blobs, and its subject lists it.
func (k *check) manifest(prefix, digest string, r *record) {
	sum := sha256.Sum256(r.body)
	if "sha256-"+hex.EncodeToString(sum[:]) != digest {
		k.problem("%sm/%s: its bytes have the digest %x", prefix, digest, sum)
		return
	}
	var m struct {
		Config, Subject *struct{ Digest string }
		Layers          []struct{ Digest string }
	}
	if err := json.Unmarshal(r.body, &m); err != nil {
		k.problem("%sm/%s: %v", prefix, digest, err)
		return
	}
	if marker := "n/" + repositoryPart(prefix); !k.c.Records[marker].alive() {
		k.problem("%sm/%s is there, and the repository has no marker", prefix, digest)
	}
	if k.history.doubtful[prefix+digest] {
		return // nobody was told that it is there, or a delete ran meanwhile: it may be left without what it names
	}
	if m.Config != nil {
		m.Layers = append(m.Layers, *m.Config)
	}
	for _, l := range m.Layers {
		if key := "l/" + digestPath(l.Digest) + "/" + repositoryPart(prefix); !k.c.Records[key].alive() {
			k.problem("%sm/%s is there, and its repository has not its blob %s", prefix, digest, l.Digest)
		}
	}
	if m.Subject == nil {
		return
	}
	list := k.c.Records[prefix+"s/"+digestPart(m.Subject.Digest)]
	for _, e := range listOf(list) {
		if e == digest+" "+r.Generation {
			return
		}
	}
	k.problem("%sm/%s is there, and its subject %s does not list it", prefix, digest, m.Subject.Digest)
}

// listOf returns the entries of a list of referrers: digest and generation.
func listOf(r *record) (all []string) {
	if r == nil {
		return nil
	}
	for _, e := range r.List {
		all = append(all, digestPart(e.Descriptor.Digest)+" "+e.Generation)
	}
	return all
}

func repositoryPart(prefix string) string { return path.Base(strings.TrimSuffix(prefix, "/")) }

// tag: what it names is there, with the same bytes, and a marker says that it names it.
func (k *check) tag(prefix, tag string, r *record) {
	digest := digestPart(r.Digest)
	if k.c.Records[prefix+"g/"+digest+"/"+tag] == nil {
		k.problem("%st/%s names %s, and no marker says so", prefix, tag, digest)
	}
	m := k.c.Records[prefix+"m/"+digest]
	switch {
	case !m.alive() && k.history.doubtful[prefix+digest]: // a pusher or a deleter died in between (ADR 4)
	case !m.alive():
		k.problem("%st/%s names %s, which is not there", prefix, tag, digest)
	case len(m.body) <= inlineBytes && !bytes.Equal(m.body, r.body):
		k.problem("%st/%s has other bytes than its manifest %s", prefix, tag, digest)
	}
}

// referrers: each entry is of a manifest that is there, in the life that it has.
func (k *check) referrers(prefix, subject string, r *record) {
	for _, e := range listOf(r) {
		digest, generation, _ := strings.Cut(e, " ")
		m := k.c.Records[prefix+"m/"+digest]
		if (!m.alive() || m.Generation != generation) && !k.history.doubtful[prefix+digest] {
			k.problem("%ss/%s lists %s, which is not there in that life", prefix, subject, digest)
		}
	}
}

// finalReads: what each replica said in the end is what the store holds.
func (k *check) finalReads() {
	for _, c := range k.history.final {
		var key, holds string
		switch {
		case c.Op == call.BlobGet:
			key = linkKey(c.Repo, c.Ref)
		case c.ByDigest():
			key = manifestKey(c.Repo, c.Ref)
		default:
			key = tagKeyOf(c.Repo, c.Ref)
		}
		r := k.c.Records[key]
		if r.alive() {
			if holds = "it"; strings.Contains(key, "/t/") && strings.HasPrefix(key, "r/") {
				holds = r.Digest
			}
		}
		said := ""
		if c.Status != http.StatusNotFound {
			if said = "it"; !c.ByDigest() {
				said = c.Digest
			}
		}
		if said != holds {
			k.problem("%s: the store has %q, and was read so: %s", key, holds, c)
		}
	}
}
