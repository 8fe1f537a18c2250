package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"holdfast/test/history/call"
)

const (
	repo = "p/m-v.x"
	tag  = "1.0"
)

// sample is a small bucket in order: one blob of two segments in one repository, a manifest that names it and its
// tag, a referrer of that, the session that brought the blob, one that goes on, and a segment that a request left.
type sample struct {
	*Contents
	blob, manifest, referrer string
	calls                    []call.Call
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func id(n string) string { return strings.Repeat(n, 32) }

func newSample() *sample {
	s := &sample{Contents: &Contents{
		Sizes: make(map[string]int64), Records: make(map[string]*record), Lengths: make(map[string]int64),
		Sums: make(map[string]string), bytes: make(map[string][]byte),
	}}
	s.segment("a", "first ")
	s.segment("b", "second")
	s.segment("c", "third")
	s.segment("d", "left")
	s.blob = "sha256:" + sumOf("first second")
	segments := []segment{{id("a"), 6}, {id("b"), 6}}
	s.put(blobKey(s.blob), &record{State: "live", Size: 12, Segments: segments})
	s.put(linkKey(repo, s.blob), &record{State: "live", Size: 12, Segments: segments})
	s.put("u/ee/"+id("e"), &record{State: "done", Digest: s.blob, Offset: 12, Segments: segments})
	s.put("u/ff/"+id("f"), &record{State: "open", Offset: 5, Segments: []segment{{id("c"), 5}}})
	s.put(repoPrefix(repo)+"f", &record{})
	s.put("n/"+part(repo), &record{State: "live"})
	s.Sizes["cfg/format"] = 1024

	s.manifest = s.putManifest(map[string]any{"layers": []any{map[string]any{"digest": s.blob}}}, "g1")
	s.put(tagKeyOf(repo, tag), &record{State: "live", Digest: s.manifest, body: s.Records[manifestKey(repo, s.manifest)].body})
	s.put(repoPrefix(repo)+"g/"+digestPart(s.manifest)+"/"+tag, &record{})
	s.referrer = s.putManifest(map[string]any{"subject": map[string]any{"digest": s.manifest}}, "g2")
	list := &record{}
	_ = json.Unmarshal([]byte(`{"list":[{"descriptor":{"digest":"`+s.referrer+`"},"g":"g2"}]}`), list) // ours
	s.put(s.listKey(), list)

	s.calls = []call.Call{
		{Op: call.Commit, Repo: repo, Ref: s.blob, Sum: sumOf("left"), Attempts: 1, Status: 201},
		{Op: call.ManifestPut, Repo: repo, Ref: tag, Digest: s.manifest, Attempts: 1, Status: 201},
		{Op: call.ManifestGet, Repo: repo, Ref: tag, Digest: s.manifest, Attempts: 1, Status: 200, Final: true},
		{Op: call.ManifestHead, Repo: repo, Ref: s.manifest, Digest: s.manifest, Attempts: 1, Status: 200, Final: true},
		{Op: call.BlobGet, Repo: repo, Ref: s.blob, Attempts: 1, Status: 200, Final: true},
	}
	return s
}

func (s *sample) listKey() string { return repoPrefix(repo) + "s/" + digestPart(s.manifest) }

func (s *sample) segment(n, text string) {
	s.Lengths[id(n)], s.Sums[id(n)], s.bytes[id(n)] = int64(len(text)), sumOf(text), []byte(text)
	s.Sizes["d/"+n+n+"/"+id(n)] = int64(len(text))
}

func (s *sample) put(key string, r *record) {
	r.length = 1024
	s.Records[key], s.Sizes[key] = r, r.length
}

func (s *sample) kill(key string) {
	s.put(key, &record{State: "dead"})
	s.Records[key].length = 512
}

func (s *sample) putManifest(m map[string]any, generation string) string {
	body, _ := json.Marshal(m) // maps of strings
	d := "sha256:" + sumOf(string(body))
	s.put(manifestKey(repo, d), &record{State: "live", Generation: generation, body: body})
	return d
}

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*sample)
		want   string // a part of the only problem; "" for none
	}{
		{"all in order", func(*sample) {}, ""},
		{"a key of no kind", func(s *sample) { s.Sizes["x/y"] = 1 }, "x/y: the format has no such key"},
		{"a live value as short as a dead one", func(s *sample) { s.Records["n/"+part(repo)].length = 512 }, "512 bytes in the state"},
		{"a dead value as long as a live one", func(s *sample) { s.put("n/p.o", &record{State: "dead"}) }, "1024 bytes in the state"},

		{"a condemned record", func(s *sample) { s.Records[blobKey(s.blob)].State = "condemned" }, "nothing condemns one"},
		{"a record of the wrong size", func(s *sample) { s.Records[blobKey(s.blob)].Size, s.Records[linkKey(repo, s.blob)].Size = 13, 13 }, "have 12 bytes, the blob 13"},
		{"bytes that are not the digest's", func(s *sample) { s.bytes[id("b")] = []byte("sECOND") }, "its bytes have the digest"},
		{"bytes of one segment that are not the digest's", func(s *sample) {
			s.put(blobKey("sha256:"+sumOf("other")), &record{State: "live", Size: 4, Segments: []segment{{id("d"), 4}}})
			s.put(linkKey("p/o", "sha256:"+sumOf("other")), &record{State: "pending"})
		}, "its bytes have the digest"},
		{"one segment of two blobs", func(s *sample) {
			s.put(blobKey("sha256:"+sumOf("first ")), &record{State: "live", Size: 6, Segments: []segment{{id("a"), 6}}})
			s.put(linkKey("p/o", "sha256:"+sumOf("first ")), &record{State: "pending"})
		}, "both name the segment"},

		{"a record without a link", func(s *sample) {
			s.put(blobKey("sha256:"+sumOf("left")), &record{State: "live", Size: 4, Segments: []segment{{id("d"), 4}}})
		}, "or was to have this blob"},
		{"a link without a record", func(s *sample) {
			s.put(linkKey("p/o", "sha256:"+sumOf("o")), &record{State: "live"})
		}, "there is no blob record"},
		{"a link to other bytes", func(s *sample) { s.Records[linkKey(repo, s.blob)].Segments = nil }, "name different bytes"},
		{"a link that waits", func(s *sample) { s.put(linkKey("p/o", s.blob), &record{State: "pending"}) }, ""},
		{"a condemned link", func(s *sample) { s.Records[linkKey(repo, s.blob)].State = "condemned" }, "nobody is deleting it"},

		{"a session without its bytes", func(s *sample) { s.Records["u/ff/"+id("f")].Offset = 9 }, "its offset is 9"},
		{"a session with a blob's bytes", func(s *sample) {
			s.put("u/11/"+id("1"), &record{State: "aborted", Offset: 6, Segments: []segment{{id("a"), 6}}})
			delete(s.Records, "u/ee/"+id("e"))
		}, "both name the segment"},
		{"two sessions with the same bytes", func(s *sample) {
			s.put("u/11/"+id("1"), &record{State: "open", Offset: 5, Segments: []segment{{id("c"), 5}}})
		}, "both name the segment"},
		{"a session that lost to another push", func(s *sample) {
			s.put("u/11/"+id("1"), &record{State: "done", Digest: s.blob, Offset: 4, Segments: []segment{{id("d"), 4}}})
		}, ""},
		{"a segment that nothing names", func(s *sample) { s.segment("2", "nobody's") }, "is named by nothing"},
		{"one more than requests sent", func(s *sample) { s.segment("2", "left") }, "is named by nothing"},
		{"what a chunk without an answer left", func(s *sample) {
			s.segment("2", "chunk")
			s.calls = append(s.calls, call.Call{Op: call.Append, Sum: sumOf("chunk"), Attempts: 1, Status: 503})
		}, ""},
		{"what an acknowledged chunk left", func(s *sample) {
			s.segment("2", "chunk")
			s.calls = append(s.calls, call.Call{Op: call.Append, Sum: sumOf("chunk"), Attempts: 1, Status: 202})
		}, "is named by nothing"},
		{"a multipart upload that goes on", func(s *sample) { s.Unending = 1 }, "were never ended"},

		{"a manifest with other bytes", func(s *sample) { s.Records[manifestKey(repo, s.referrer)].body = []byte("{}") }, "its bytes have the digest"},
		{"a manifest of a repository without a marker", func(s *sample) {
			delete(s.Records, "n/"+part(repo))
			s.kill(manifestKey(repo, s.referrer))
			s.Records[s.listKey()].List = nil
		}, "has no marker"},
		{"a manifest without its blob", func(s *sample) {
			s.kill(linkKey(repo, s.blob))
			s.calls = s.calls[:4]
		}, "its repository has not its blob"},
		{"a manifest in doubt without its blob", func(s *sample) {
			s.kill(linkKey(repo, s.blob))
			s.calls = append(s.calls[:4], call.Call{Op: call.ManifestPut, Repo: repo, Digest: s.manifest, Attempts: 1, Status: 503})
		}, ""},
		{"a referrer that is not listed", func(s *sample) { s.Records[s.listKey()].List = nil }, "does not list it"},
		{"a referrer that is not listed, and was deleted and came again", func(s *sample) {
			s.Records[s.listKey()].List = nil
			s.calls = append(s.calls,
				call.Call{Op: call.ManifestPut, Repo: repo, Digest: s.referrer, Attempts: 1, Status: 201, Call: 5, Ret: 9},
				call.Call{Op: call.ManifestDelete, Repo: repo, Ref: s.referrer, Attempts: 1, Status: 202, Call: 6, Ret: 8})
		}, "does not list it"},
		{"a referrer in doubt that is not listed", func(s *sample) {
			s.Records[s.listKey()].List = nil
			s.calls = append(s.calls,
				call.Call{Op: call.ManifestPut, Repo: repo, Digest: s.referrer, Attempts: 1, Status: 201, Call: 5, Ret: 9, Manifest: &call.Manifest{Blobs: []string{"b"}}},
				call.Call{Op: call.ManifestDelete, Repo: repo, Ref: s.referrer, Attempts: 1, Status: 202, Call: 6, Ret: 8},
				call.Call{Op: call.BlobDelete, Repo: repo, Ref: "b", Attempts: 1, Status: 202, Call: 6, Ret: 8})
		}, ""},
		{"an entry of another life", func(s *sample) {
			s.kill(manifestKey(repo, s.referrer))
		}, "not there in that life"},
		{"a tag without a marker", func(s *sample) { delete(s.Records, repoPrefix(repo)+"g/"+digestPart(s.manifest)+"/"+tag) }, "no marker says so"},
		{"a tag with other bytes", func(s *sample) { s.Records[tagKeyOf(repo, tag)].body = []byte("{}") }, "has other bytes than its manifest"},
		{"a tag of nothing", func(s *sample) {
			delete(s.Records, manifestKey(repo, s.manifest))
			s.calls = append(s.calls[:3], s.calls[4:]...)
		}, "which is not there"},

		{"a tag that nobody could read", func(s *sample) { s.calls[2].Status = 404 }, "the store has"},
		{"a blob that is not in the store", func(s *sample) {
			s.calls = append(s.calls, call.Call{Op: call.BlobGet, Repo: "p/o", Ref: s.blob, Attempts: 1, Status: 200, Final: true})
		}, "the store has"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSample()
			test.change(s)
			r := Check(s.Contents, s.calls, true)
			switch {
			case test.want == "" && len(r.Problems) > 0:
				t.Errorf("problems where there is none: %q", r.Problems)
			case test.want != "" && (len(r.Problems) != 1 || !strings.Contains(r.Problems[0], test.want)):
				t.Errorf("problems are %q, want one of %q", r.Problems, test.want)
			}
		})
	}
}

func TestReport(t *testing.T) {
	s := newSample()
	s.put(linkKey("p/o", s.blob), s.Records[linkKey(repo, s.blob)])
	r := Check(s.Contents, s.calls, true)
	want := Report{Objects: len(s.Sizes), Blobs: 1, Links: 2, Logical: 24, Physical: 12, Waiting: 5, Garbage: 4}
	if r.Objects != want.Objects || r.Blobs != 1 || r.Links != 2 || r.Logical != 24 || r.Physical != 12 || r.Waiting != 5 || r.Garbage != 4 {
		t.Errorf("%s\nwant %s", r, &want)
	}
}

func TestParse(t *testing.T) {
	r, err := parse([]byte(`{"st":"live","size":3}   ` + "\nbody\nof it"))
	if err != nil || r.State != "live" || r.Size != 3 || string(r.body) != "body\nof it" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := parse([]byte("no head")); err == nil {
		t.Error("a value without a head is read")
	}
}
