package api_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestTags(t *testing.T) {
	list := "GET " + app + "/tags/list"
	parameter := func(query, says string) exchange {
		return exchange{name: "refused: " + query[:min(len(query), 40)], do: list + query, status: 400, code: "UNSUPPORTED", says: says}
	}
	all := exactly(`{"name":"acme/app","tags":["v1","v2"]}`)
	run(t, options{}, []exchange{
		{name: "end-8a lists all", do: list, status: 200, text: all, heads: []string{"Content-Type: application/json", "!Link"}},
		{name: "HEAD has no body", do: "HEAD " + app + "/tags/list", status: 200, text: exactly("")},
		{name: "end-8b gives a page and the next", do: list + "?n=1", status: 200, text: exactly(`{"name":"acme/app","tags":["v1"]}`), heads: []string{"Link: <" + app + `/tags/list?last=v1&n=1>; rel="next"`}},
		{name: "end-8b gives the last page", do: list + "?n=1&last=v1", status: 200, text: exactly(`{"name":"acme/app","tags":["v2"]}`), heads: []string{"!Link"}},
		{name: "a page of exactly all has no next", do: list + "?n=2", status: 200, text: all, heads: []string{"!Link"}},
		{name: "a page of nothing", do: list + "?n=0", status: 200, text: exactly(`{"name":"acme/app","tags":[]}`), heads: []string{"!Link"}},
		{name: "a page larger than all", do: list + "?n=9999999999999999999999", status: 200, text: all, heads: []string{"!Link"}},
		{name: "after a tag that is not there", do: list + "?last=v1.5", status: 200, text: exactly(`{"name":"acme/app","tags":["v2"]}`)},
		{name: "after the last tag", do: list + "?last=v2", status: 200, text: exactly(`{"name":"acme/app","tags":[]}`)},
		{name: "an empty last is none", do: list + "?last=", status: 200, text: all},
		{name: "unknown parameters are kept for the next page", do: list + "?n=1&ns=docker.io", status: 200, heads: []string{"Link: <" + app + `/tags/list?last=v1&n=1&ns=docker.io>; rel="next"`}},
		{name: "a repository without tags", given: []exchange{{do: "DELETE " + app + "/manifests/v1"}, {do: "DELETE " + app + "/manifests/v2"}}, do: list, status: 200, text: exactly(`{"name":"acme/app","tags":[]}`)},
		{name: "an unknown repository", do: "GET " + nothing + "/tags/list", status: 404, code: "NAME_UNKNOWN", says: "acme/nothing"},
		{name: "POST is 405", do: "POST " + app + "/tags/list", status: 405, code: "UNSUPPORTED", heads: []string{"Allow: GET, HEAD"}},
		parameter("?n=-1", "0 or more"), parameter("?n=abc", "0 or more"), parameter("?n=1.5", "0 or more"), parameter("?n=", "0 or more"),
		parameter("?n=9e9", "0 or more"), parameter("?n=%2b1", "0 or more"), parameter("?n=1&n=2", "once"),
		parameter("?last=..", "last"), parameter("?last=%0d%0a", "last"), parameter("?last="+strings.Repeat("a", 300), "last"), parameter("?last=a&last=b", "once"),
		parameter("?%zz", "percent"), parameter("?a;b", "percent"), parameter("?"+strings.Repeat("a=1&", 20000), "64"),
	})
}

func TestCatalog(t *testing.T) {
	list := "GET /v2/_catalog"
	run(t, options{}, []exchange{
		{name: "lists what has manifests", do: list, status: 200, text: exactly(`{"repositories":["acme/app"]}`), heads: []string{"Content-Type: application/json", "!Link"}},
		{name: "HEAD has no body", do: "HEAD /v2/_catalog", status: 200, text: exactly("")},
		{name: "after the last", do: list + "?last=zzz", status: 200, text: exactly(`{"repositories":[]}`)},
		{name: "a huge page", do: list + "?n=9999999999999", status: 200},
		{name: "a page and the next", given: []exchange{
			{do: "POST /v2/b/b-b/blobs/uploads/?mount=" + configDigest, status: 201},
			{do: "PUT /v2/b/b-b/manifests/v1", body: imageText(`"layers":[]`), status: 201},
		}, do: list + "?n=1", status: 200, text: exactly(`{"repositories":["acme/app"]}`), heads: []string{`Link: </v2/_catalog?last=acme%2Fapp&n=1>; rel="next"`}},
		{name: "a wrong page", do: list + "?n=x", status: 400, code: "UNSUPPORTED"},
		{name: "a last that is no name", do: list + "?last=ACME", status: 400, code: "UNSUPPORTED", says: "last"},
		{name: "POST is 405", do: "POST /v2/_catalog", status: 405, code: "UNSUPPORTED", heads: []string{"Allow: GET, HEAD"}},
	})
}

func TestReferrers(t *testing.T) {
	list := "GET " + app + "/referrers/" + imageD
	sigDescriptor := strings.TrimSuffix(descriptor(imageType, signature), "}") + `,"artifactType":"` + sigType + `"}`
	some := func(descriptors ...string) *string {
		return exactly(`{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[` + strings.Join(descriptors, ",") + `]}`)
	}
	second := imageText(`"layers":[],"artifactType":"application/vnd.example.sbom","subject":` + descriptor(imageType, image))
	two := []exchange{{do: "PUT " + app + "/manifests/sbom", body: second, status: 201}}
	first := min(signatD, digestOf(second))
	run(t, options{}, []exchange{
		{name: "end-12a lists what refers to it", do: list, status: 200, text: some(sigDescriptor), heads: []string{"Content-Type: " + indexType, "!Oci-Filters-Applied", "!Link"}},
		{name: "HEAD has no body", do: "HEAD " + app + "/referrers/" + imageD, status: 200, text: exactly("")},
		{name: "end-12b filters", do: list + "?artifactType=" + sigType, status: 200, text: some(sigDescriptor), heads: []string{"Oci-Filters-Applied: artifactType"}},
		{name: "end-12b filters all away", do: list + "?artifactType=application/x", status: 200, text: some(), heads: []string{"Oci-Filters-Applied: artifactType"}},
		{name: "an empty filter is none", do: list + "?artifactType=", status: 200, text: some(sigDescriptor), heads: []string{"!Oci-Filters-Applied"}},
		{name: "pages are by digest", given: two, do: list + "?n=1", status: 200, heads: []string{fmt.Sprintf("Link: <%s/referrers/%s?last=%s&n=1>; rel=\"next\"", app, imageD, strings.Replace(first, ":", "%3A", 1))}},
		{name: "the last page", given: two, do: list + "?n=1&last=" + first, status: 200, heads: []string{"!Link"}},
		{name: "a page of nothing", do: list + "?n=0", status: 200, text: some(), heads: []string{"!Link"}},
		{name: "of an unknown subject there are none", do: "GET " + app + "/referrers/" + unknown, status: 200, text: some()},
		{name: "of an unknown repository there are none", do: "GET " + nothing + "/referrers/" + unknown, status: 200, text: some()},
		{name: "of no digest", do: "GET " + app + "/referrers/sha256:xyz", status: 400, code: "DIGEST_INVALID"},
		{name: "of a tag", do: "GET " + app + "/referrers/v1", status: 400, code: "DIGEST_INVALID"},
		{name: "a filter that is no media type", do: list + "?artifactType=%ff", status: 400, code: "UNSUPPORTED", says: "media type"},
		{name: "a long filter", do: list + "?artifactType=a/" + strings.Repeat("b", 10<<10), status: 400, code: "UNSUPPORTED"},
		{name: "two filters", do: list + "?artifactType=a/b&artifactType=a/c", status: 400, code: "UNSUPPORTED", says: "once"},
		{name: "a wrong page", do: list + "?n=x", status: 400, code: "UNSUPPORTED"},
		{name: "after no digest", do: list + "?last=x", status: 400, code: "UNSUPPORTED"},
		{name: "POST is 405", do: "POST " + app + "/referrers/" + imageD, status: 405, code: "UNSUPPORTED"},
	})
}
