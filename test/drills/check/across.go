package check

import (
	"net/http"
	"slices"

	"holdfast/test/drills/load"
)

// proof is an answer after which a blob is there for everybody.
type proof struct {
	client int
	at     int64 // when the answer had come
}

// blobs judges the blobs that nobody deletes: once any client was told that one is there, no other is told
// that it is not. What a client was told itself its model knows.
func blobs(v *Verdict, calls []load.Call) {
	proofs, deleted := make(map[load.Key][]proof), make(map[load.Key]bool)
	for _, c := range calls {
		k, ok := load.KeyOf(c)
		switch {
		case !ok || k.Kind != load.Blob:
		case c.Op == load.BlobDelete:
			deleted[k] = true
		case c.OK() && (c.Op != load.BlobMount || c.Status == http.StatusCreated):
			proofs[k] = append(proofs[k], proof{c.Client, c.Ret})
		}
	}
	for _, c := range calls {
		k, ok := load.KeyOf(c)
		if !ok || k.Kind != load.Blob || !isRead(c) || c.Status != http.StatusNotFound || deleted[k] {
			continue
		}
		own := slices.ContainsFunc(proofs[k], func(p proof) bool { return p.client == c.Client && p.at < c.Call })
		if !own && slices.ContainsFunc(proofs[k], func(p proof) bool { return p.at < c.Call }) {
			v.problem(&v.False404, c, "is said not to be there, and another client was told that it is")
		}
	}
}

// sharedLists judges lists for the tags that all clients set and none deletes: one that was set before a list
// was asked for is in it.
func sharedLists(v *Verdict, calls []load.Call) {
	set := make(map[load.Key]int64) // when the first put was acknowledged
	for _, c := range calls {
		k, ok := load.KeyOf(c)
		if !ok || c.Op != load.ManifestPut || k.Kind != load.Tag || load.Whose(k.Ref) != 0 || !c.OK() {
			continue
		}
		if at, before := set[k]; !before || c.Ret < at {
			set[k] = c.Ret
		}
	}
	for _, c := range calls {
		if c.Op != load.TagsList || c.Failed() {
			continue
		}
		for k, at := range set {
			if k.Repo != c.Repo || at >= c.Call || slices.Contains(c.Names, k.Ref) {
				continue
			}
			count := &v.False404
			if c.Final {
				count = &v.Lost
			}
			v.problem(count, c, "lacks %s, which was set", k.Ref)
		}
	}
}
