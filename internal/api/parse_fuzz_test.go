package api

import (
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"holdfast/internal/oci"
)

// paths of the API as they come in, good and bad, for the corpora.
var seedPaths = []string{
	"", "/", "/v2", "/v2/", "/v2/_catalog", "/v2//", "/v2x", "/v2/a/tags/list", "/v2/a/b/manifests/v1", "/v2/a/blobs/uploads", "/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/x",
	"/v2/manifests/manifests/manifests", "/v2/blobs/blobs/uploads", "/v2/a/uploads/x", "/v2/blobs/uploads/", "/v2/tags/list", "/v2/a%2fb/tags/list", "/v2/a/manifests/%2e%2e", "/v2/a/manifests/%zz",
	"/v2/../../etc/passwd", "/v2/a/referrers/sha256:aa", "/v2/a/blobs/", "/v2/a/manifests/", "/v2/a%00/blobs/sha256%3aaa", "/v2/a/blobs/uploads/..%2F..%2f",
}

// FuzzParseRoute: whatever the path, it is taken apart; and a path whose parts are right is the one that is
// made of them.
func FuzzParseRoute(f *testing.F) {
	for _, path := range seedPaths {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		rt := parseRoute(path)
		if strings.Contains(rt.last, "/") {
			t.Fatalf("%q: the last part %q holds a slash", path, rt.last)
		}
		if rt.endpoint != endpointNone && rt.endpoint.methods() == "" {
			t.Fatalf("%q: endpoint %d has no methods", path, rt.endpoint)
		}
		repo, err := oci.ParseRepository(rt.name)
		if err != nil {
			return
		}
		if made := pathOf(rt.endpoint, repo, rt.last); made != "" && parseRoute(made) != rt {
			t.Errorf("%q is %+v; the path made of it, %q, is %+v", path, rt, made, parseRoute(made))
		}
	})
}

// pathOf is the inverse of parseRoute, where there is one.
func pathOf(e endpoint, repo oci.Repository, last string) string {
	escaped := url.PathEscape(last)
	if strings.Contains(strings.ToLower(last), "%2f") {
		escaped = strings.ReplaceAll(strings.ReplaceAll(escaped, "%252F", "%2F"), "%252f", "%2f") // stays escaped within
	}
	switch e {
	case endpointBlob:
		return blobPath(repo, oci.Digest(escaped))
	case endpointUploads:
		return uploadPath(repo, "")
	case endpointUpload:
		return uploadPath(repo, escaped)
	case endpointManifest:
		return manifestPath(repo, escaped)
	case endpointTags:
		return "/v2/" + string(repo) + "/tags/list"
	case endpointReferrers:
		return "/v2/" + string(repo) + "/referrers/" + escaped
	case endpointNone, endpointBase, endpointCatalog:
	}
	return ""
}

// FuzzPaths: a path made of a right name and a reference is that endpoint's, with these parts, whatever
// words of the API the name's components are.
func FuzzPaths(f *testing.F) {
	const d = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for _, name := range []string{"a", "a/b", "manifests", "blobs", "blobs/uploads", "a/blobs/uploads", "tags/list", "a/tags/list", "referrers", "v2", "a/manifests/b", "uploads"} {
		f.Add(name, "v1")
		f.Add(name, "list")
		f.Add(name, "uploads")
		f.Add(name, d)
	}
	f.Fuzz(func(t *testing.T, name, reference string) {
		repo, err := oci.ParseRepository(name)
		ref, wrong := oci.ParseReference(reference)
		if err != nil || wrong != nil {
			return
		}
		want := map[string]route{
			manifestPath(repo, reference):                      {endpointManifest, name, reference},
			"/v2/" + name + "/tags/list":                       {endpointTags, name, ""},
			uploadPath(repo, ""):                               {endpointUploads, name, ""},
			"/v2/" + name + "/blobs/uploads":                   {endpointUploads, name, ""},
			uploadPath(repo, reference):                        {endpointUpload, name, reference},
			"/v2/" + name + "/referrers/" + string(ref.Digest): {endpointReferrers, name, string(ref.Digest)},
		}
		if ref.Digest != "" {
			want[blobPath(repo, ref.Digest)] = route{endpointBlob, name, reference}
		}
		for path, rt := range want {
			if got := parseRoute(path); got != rt {
				t.Errorf("%q is %+v, want %+v", path, got, rt)
			}
		}
	})
}

var (
	contentRange = regexp.MustCompile(`^([0-9]+)-([0-9]+)$`)
	byteRanges   = regexp.MustCompile(`^(?i:bytes)=[ \t]*([0-9]*)-([0-9]*)$`)
)

// FuzzParseContentRange: what is taken is what the spec's form says, and a length that does not overflow.
func FuzzParseContentRange(f *testing.F) {
	for _, s := range []string{"", "0-0", "0-9", "5-2", "-1-5", " 0-9", "bytes 0-9/10", "0-9,10-19", "0-9223372036854775806", "0-9223372036854775807", "9223372036854775808-9", "00-01", "0-", "-0", "٠-٩"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, err := parseContentRange(http.Header{"Content-Range": {s}})
		parts := contentRange.FindStringSubmatch(s)
		if parts == nil {
			if err == nil {
				t.Errorf("%q is %d to %d, want an error", s, first, last)
			}
			return
		}
		from, to := number(parts[1]), number(parts[2])
		right := from.Cmp(to) <= 0 && to.Cmp(big.NewInt(1<<63-1)) < 0
		if right != (err == nil) || right && (from.Int64() != first || to.Int64() != last) {
			t.Errorf("%q is %d to %d, %v", s, first, last, err)
		}
	})
}

func number(s string) *big.Int {
	n, _ := new(big.Int).SetString(s, 10)
	return n
}

// FuzzParseRange: what is served lies within the blob and is what RFC 9110, 14.1.2, says, counted with
// numbers of any size.
func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"bytes=0-0", "bytes=0-", "bytes=-1", "bytes=-0", "bytes=-", "bytes=5-2", "bytes=0-0,2-3", "Bytes=1-2", "lines=1-2", "bytes=99999999999999999999-", "bytes=1-99999999999999999999", "bytes=-99999999999999999999", "bytes= 1-2 ", "bytes=9-9"} {
		f.Add(s, int64(10))
		f.Add(s, int64(0))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		got, ok := parseRange(header, size)
		if ok && (got.offset < 0 || got.length < 0 || got.offset > size || got.length > size-got.offset || !got.whole && got.length == 0) {
			t.Fatalf("%q of %d bytes is %+v", header, size, got)
		}
		parts := byteRanges.FindStringSubmatch(strings.Trim(header, " \t"))
		if parts == nil || parts[1] == "" && parts[2] == "" {
			if !ok || !got.whole || got.length != size {
				t.Errorf("%q of %d bytes is %+v, %t, want all of it", header, size, got, ok)
			}
			return
		}
		want, satisfiable := rangeOf(parts[1], parts[2], size)
		if ok != satisfiable || ok && got != want {
			t.Errorf("%q of %d bytes is %+v, %t, want %+v, %t", header, size, got, ok, want, satisfiable)
		}
	})
}

// rangeOf is parseRange for one range of a first and a last byte, one of which may be "".
func rangeOf(from, to string, size int64) (byteRange, bool) {
	whole := big.NewInt(size)
	if from == "" {
		n := number(to)
		if n.Cmp(whole) > 0 {
			n = whole
		}
		return byteRange{offset: size - n.Int64(), length: n.Int64()}, n.Sign() > 0
	}
	first, last := number(from), big.NewInt(size-1)
	if first.Cmp(whole) >= 0 || to != "" && number(to).Cmp(first) < 0 {
		return byteRange{}, false
	}
	if to != "" && number(to).Cmp(last) < 0 {
		last = number(to)
	}
	return byteRange{offset: first.Int64(), length: last.Int64() - first.Int64() + 1}, true
}

// FuzzPageQuery: what is taken of a list's parameters is within bounds, and the pointer to the next page is
// this path with the same parameters.
func FuzzPageQuery(f *testing.F) {
	for _, q := range []string{"", "n=1", "n=0", "n=-1", "n=&last=a", "n=1&n=2", "n=99999999999999999999", "last=v1", "last=..", "n=1&last=a&x=%26&x=%0d%0a", "%zz", "a;b", "n=+1", strings.Repeat("&", 64)} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r := &http.Request{URL: &url.URL{Path: "/v2/a/tags/list", RawQuery: raw}}
		q, n, last, err := pageQuery(r, func(s string) error { _, err := oci.ParseTag(s); return err })
		if err != nil {
			return
		}
		if n < 0 || n > maxPage && (n != defaultPage || q.Has("n")) || len(q) > maxParameters {
			t.Fatalf("%q gives n %d, %d parameters", raw, n, len(q))
		}
		if _, err := oci.ParseTag(last); err != nil && last != "" {
			t.Fatalf("%q gives last %q", raw, last)
		}
		w := httptest.NewRecorder()
		setNext(w, r, q, n, "v1")
		link, found := strings.CutSuffix(strings.TrimPrefix(w.Header().Get("Link"), "<"), `>; rel="next"`)
		if !found || strings.ContainsAny(link, "<>\r\n \"") {
			t.Fatalf("%q gives the link %q", raw, w.Header().Get("Link"))
		}
		next, err := url.Parse(link)
		if err != nil || next.Host != "" || next.Path != r.URL.Path {
			t.Fatalf("%q gives the link %q: %v", raw, link, err)
		}
		again, m, at, err := pageQuery(&http.Request{URL: next}, func(string) error { return nil })
		if len(q)+2 > maxParameters && err != nil {
			return // n and last did not fit in
		}
		if err != nil || m != min(n, maxPage) || at != "v1" {
			t.Fatalf("the link of %q, %q, gives n %d, last %q, %v", raw, link, m, at, err)
		}
		for name, values := range q {
			if name != "n" && name != "last" && strings.Join(values, "&") != strings.Join(again[name], "&") {
				t.Errorf("the link of %q, %q, has another %q", raw, link, name)
			}
		}
	})
}

// FuzzPushTags: tags are set only when all of them are right, and once each.
func FuzzPushTags(f *testing.F) {
	for _, q := range []string{"", "tag=a", "tag=a&tag=b&tag=a", "tag=.a", "tag=", "tag=a%2fb", strings.Repeat("tag=a&", 46), strings.Repeat("tag=a&", 47)} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := query(&http.Request{URL: &url.URL{RawQuery: raw}})
		if err != nil {
			return
		}
		tags, err := pushTags(oci.Reference{Digest: "sha256:any"}, q["tag"])
		seen := map[oci.Tag]bool{}
		for _, tag := range tags {
			if _, wrong := oci.ParseTag(string(tag)); wrong != nil || seen[tag] {
				t.Errorf("%q sets %q: %v", raw, tags, wrong)
			}
			seen[tag] = true
		}
		for _, text := range q["tag"] {
			if err == nil && !seen[oci.Tag(text)] {
				t.Errorf("%q does not set %q", raw, text)
			}
		}
	})
}

// FuzzMatches: If-None-Match matches when the digest is among its tags, and never when it is nowhere in it.
func FuzzMatches(f *testing.F) {
	const d = oci.Digest("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	for _, s := range []string{"", "*", `"x"`, `W/"x"`, ",,", `"` + string(d) + `"`, `W/"` + string(d) + `"`, string(d), `"` + string(d), string(d[:20]), `"a,*"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if matches([]string{header}, d) && !strings.Contains(header, string(d)) && !strings.Contains(header, "*") {
			t.Errorf("%q matches", header)
		}
		for _, h := range [][]string{{header + "," + etag(d)}, {etag(d) + "," + header}, {header + ", W/" + etag(d) + " ," + header}, {header, etag(d)}} {
			if !matches(h, d) {
				t.Errorf("%q does not match", h)
			}
		}
	})
}
