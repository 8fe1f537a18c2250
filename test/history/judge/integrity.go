package judge

import (
	"cmp"
	"net/http"
	"slices"

	"holdfast/test/history/call"
)

// integrity asks that a manifest which is there for certain, from the acknowledgement of its push to the first delete of it, has
// its blobs: none is read as missing, none is deleted. It also asks that a blob which is said to be in use may be.
func (b *book) integrity() {
	losses := b.losses()
	for at, puts := range b.puts {
		for _, p := range puts {
			if p.OK() {
				b.keeps(at, p, losses)
			}
		}
	}
	for i := range b.calls {
		if c := &b.calls[i]; c.Op == call.BlobDelete && c.Refused() && c.Code == "DENIED" && !b.mayBeUsed(c) {
			b.problem("I3", "blob "+c.Repo+" "+call.Short(c.Ref), "the blob is said to be in use, and no manifest that names it can be there", c)
		}
	}
}

// losses are the calls that say that a blob is not there, or take it away, by blob and in the order of calls.
func (b *book) losses() map[name][]*call.Call {
	all := make(map[name][]*call.Call)
	for i := range b.calls {
		c := &b.calls[i]
		gone := c.Refused() && c.Status == http.StatusNotFound
		switch c.Op {
		case call.BlobGet, call.BlobHead:
			if gone {
				all[name{c.Repo, c.Ref}] = append(all[name{c.Repo, c.Ref}], c)
			}
		case call.BlobDelete:
			if gone || c.OK() {
				all[name{c.Repo, c.Ref}] = append(all[name{c.Repo, c.Ref}], c)
			}
		case call.ManifestPut:
			for _, d := range c.Missing {
				all[name{c.Repo, d}] = append(all[name{c.Repo, d}], c)
			}
		}
	}
	return all
}

func (b *book) keeps(at name, p *call.Call, losses map[name][]*call.Call) {
	until := int64(never)
	var ends *call.Call
	for _, d := range b.deletes[at] {
		if end(d) > p.Call {
			until, ends = d.Call, d
			break
		}
	}
	for _, blob := range b.manifests[at.ref].Blobs {
		all := losses[name{at.repo, blob}]
		n, _ := slices.BinarySearchFunc(all, p.Ret, func(c *call.Call, t int64) int { return cmp.Compare(c.Call, t+1) })
		for _, c := range all[n:] {
			if c.Call >= until {
				break
			}
			if c.Ret >= until {
				continue
			}
			calls := []*call.Call{p, c}
			if ends != nil {
				calls = append(calls, ends)
			}
			b.problem("I3", "manifest "+at.repo+" "+call.Short(at.ref), "the manifest is there, and its blob "+call.Short(blob)+" is not", calls...)
			return
		}
	}
}

// mayBeUsed reports whether a manifest that names a blob may be there at some time of c.
func (b *book) mayBeUsed(c *call.Call) bool {
	return slices.ContainsFunc(b.named[name{c.Repo, c.Ref}], func(d string) bool {
		at := name{c.Repo, d}
		return slices.ContainsFunc(b.puts[at], func(p *call.Call) bool {
			if p.Call > c.Ret || !b.mayLeave(p) {
				return false
			}
			return !slices.ContainsFunc(b.deletes[at], func(d *call.Call) bool {
				return d.OK() && d.Call > end(p) && d.Ret < c.Call
			})
		})
	})
}
