package judge

import (
	"strings"
	"testing"
	"time"

	"holdfast/test/history/call"
)

// Digests of the histories here: of manifests d1, d2, an index of d1, a referrer of d1; of blobs b1, b2.
const (
	d1, d2, idx, ref = "sha256:d1", "sha256:d2", "sha256:idx", "sha256:ref"
	b1, b2           = "sha256:b1", "sha256:b2"
	repo             = "p/r"
)

var manifests = map[string]call.Manifest{
	d1:  {MediaType: "image", Size: 11, Blobs: []string{b1}},
	d2:  {MediaType: "image", Size: 12, Blobs: []string{b1, b2}},
	idx: {MediaType: "index", Size: 13, Children: []string{d1}},
	ref: {MediaType: "image", Size: 14, Subject: d1, ArtifactType: "kind", Annotations: map[string]string{"k": "v"}},
}

// with changes a call.
type with func(*call.Call)

// of makes a call that is answered by status between two times; 0 is no answer.
func of(op, what string, from, to int64, status int, more ...with) call.Call {
	c := call.Call{Op: op, Repo: repo, Ref: what, Target: "balancer", Attempts: 1, Call: from, Ret: to, Status: status, Offset: -1}
	for _, m := range more {
		m(&c)
	}
	return c
}

func put(tag, d string, from, to int64, status int, more ...with) call.Call {
	m := manifests[d]
	c := of(call.ManifestPut, tag, from, to, status, more...)
	c.Digest, c.Manifest = d, &m
	return c
}

func get(what, d string, from, to int64, more ...with) call.Call {
	c := of(call.ManifestGet, what, from, to, 200, more...)
	if c.Digest = d; d == "" {
		c.Status = 404
	}
	return c
}

func blob(op, d string, from, to int64, status int, more ...with) call.Call {
	return of(op, d, from, to, status, more...)
}

func page(op string, from, to int64, names string, more ...with) call.Call {
	c := of(op, "", from, to, 200)
	c.Names = strings.Fields(names)
	for _, m := range more {
		m(&c)
	}
	return c
}

func after(name string) with { return func(c *call.Call) { c.After = name } }
func limit(n int) with       { return func(c *call.Call) { c.Limit = n } }
func more(c *call.Call)      { c.More = true }
func unsent(c *call.Call)    { c.Attempts = 0 }
func denied(c *call.Call)    { c.Code = "DENIED" }
func wrong(c *call.Call)     { c.Wrong = "other bytes" }
func lacks(d string) with {
	return func(c *call.Call) { c.Missing, c.Code = []string{d}, "MANIFEST_BLOB_UNKNOWN" }
}
func tags(names ...string) with { return func(c *call.Call) { c.Tags = names } }
func in(repository string) with { return func(c *call.Call) { c.Repo = repository } }
func filter(kind string) with   { return func(c *call.Call) { c.Filter, c.Applied = kind, true } }
func notApplied(c *call.Call)   { c.Applied = false }
func badSum(c *call.Call)       { c.BadSum = true }
func offset(n int64) with       { return func(c *call.Call) { c.Offset = n } }
func final(c *call.Call)        { c.Final = true }
func entries(all ...call.Descriptor) with {
	return func(c *call.Call) { c.Ref, c.Entries = d1, all }
}

// chunk is a part of the blob b1, of 10 bytes, as upload "u".
func chunk(op string, begin, n, from, to int64, status int, more ...with) call.Call {
	c := of(op, b1, from, to, status)
	c.Session, c.Size, c.Begin, c.Len, c.Said = "u", 10, begin, n, n > 0
	for _, m := range more {
		m(&c)
	}
	return c
}

// blobsFirst pushes the blobs that all manifests name.
func blobsFirst(calls ...call.Call) []call.Call {
	return append([]call.Call{blob(call.Push, b1, 0, 1, 201), blob(call.Push, b2, 0, 1, 201)}, calls...)
}

// judged is a history and the rule that it breaks; "" for none.
type judged struct {
	name   string
	calls  []call.Call
	breaks string
}

func run(t *testing.T, tests []judged) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Helper()
			expect(t, History(test.calls, Options{Prefix: "p", Timeout: 10 * time.Second}), test.breaks)
		})
	}
}

func expect(t *testing.T, v *Verdict, breaks string) {
	t.Helper()
	if len(v.Undecided) > 0 {
		t.Errorf("undecided: %v", v.Undecided)
	}
	found := breaks == ""
	for i := range v.Problems {
		p := &v.Problems[i]
		if p.Rule != breaks {
			t.Errorf("breaks %s", p)
		}
		found = found || p.Rule == breaks
		var page strings.Builder
		if _, err := p.View(&page); err != nil {
			t.Errorf("no picture of %s: %v", p, err)
		}
	}
	if !found {
		t.Errorf("breaks nothing, want %s", breaks)
	}
}
