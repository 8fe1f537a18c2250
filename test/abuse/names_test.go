package abuse

import (
	"fmt"
	"strings"
)

// eachRoute asks for a repository name at all routes that have one.
func (a *attack) eachRoute(name string, check func(*answer)) {
	a.Helper()
	for _, do := range []string{
		"GET /v2/" + name + "/tags/list", "GET /v2/" + name + "/manifests/v1", "HEAD /v2/" + name + "/manifests/v1", "PUT /v2/" + name + "/manifests/v1",
		"DELETE /v2/" + name + "/manifests/v1", "POST /v2/" + name + "/blobs/uploads/", "GET /v2/" + name + "/blobs/" + unknown,
		"DELETE /v2/" + name + "/blobs/" + unknown, "GET /v2/" + name + "/referrers/" + unknown, "PATCH /v2/" + name + "/blobs/uploads/x",
	} {
		check(a.ask("alice", do).has("!Location"))
	}
}

// nameRows are repository names.
func nameRows() []row {
	bad := func(number, what, says string, names ...string) row {
		return row{number: number, name: what, run: func(a *attack) {
			for _, name := range names {
				a.eachRoute(name, func(ans *answer) {
					ans.a.Helper()
					if ans.Header.Get("Content-Length") == "" || !strings.HasPrefix(ans.asked, "HEAD") {
						ans.is(400, "NAME_INVALID", says)
					}
				})
			}
		}}
	}
	return []row{
		bad("B01", "upper case in a name", "lower case", "ACME/app", "acme/App"),
		bad("B02", "components that break the rule", `component`, "-a", "a-", "a..b", "a___b", "a/-b", ".a", "_a", "a/b_"),
		bad("B03", "empty components", "empty", "a//b", "a/", "/a"),
		bad("B04", "256 characters", "255", strings.Repeat("a", 256), strings.Repeat("a/", 128)+"a"),
		bad("B05", "bytes that no name has", "illegal byte 0x", "a%00b", "a%0ab", "a%c3%a9", "a%2fb", "a%20b"),
		{number: "B04", name: "100 components, and the longest name", run: func(a *attack) {
			deep := a.repo + strings.Repeat("/a", 97)
			long := a.repo + "/" + strings.Repeat("b", 226-len(a.repo)) // what a gateway over a file system holds
			for _, repo := range []string{deep, long} {
				a.blob(repo, "x "+a.word)
				a.there(repo, "blobs/"+digest("x "+a.word)).holds("x " + a.word)
			}
			a.ask("alice", "GET /v2/"+a.repo+"/"+strings.Repeat("c", 254-len(a.repo))+"/tags/list").is(404, "NAME_UNKNOWN")
		}},
		{number: "A11", name: "a way up is no way", run: func(a *attack) {
			for _, target := range []string{
				"/v2/../../etc/passwd", "/v2/acme/../priv/manifests/x", "/v2/acme/app/../../priv/tags/list", "/v2/%2e%2e/%2e%2e/etc/passwd",
				"/v2/acme/./app/tags/list",
			} {
				a.ask("alice", "GET "+target).is(400, "NAME_INVALID").has("!Location")
			}
		}},
		{number: "A13", name: "a path in the place of a digest", run: func(a *attack) {
			for _, d := range []string{"sha256:..%2f..%2fetc%2fpasswd", "..%2f..%2fetc%2fpasswd", "%00", "x"} {
				a.ask("alice", "GET /v2/"+a.repo+"/blobs/"+d).is(400, "DIGEST_INVALID").has("!Location")
			}
		}},
		{number: "A14", name: "a path in the place of an upload", run: func(a *attack) {
			for _, do := range []string{"GET", "PATCH", "DELETE", "PUT"} {
				target := "/v2/" + a.repo + "/blobs/uploads/..%2f..%2f..%2fx"
				if do == "PUT" {
					target += "?digest=" + unknown
				}
				a.ask("alice", do+" "+target).is(404, "BLOB_UPLOAD_UNKNOWN").has("!Location")
			}
		}},
	}
}

// referenceRows are tags and digests.
func referenceRows() []row {
	hex := strings.Repeat("a", 64)
	digests := []string{"sha256:", "sha256:" + hex[1:], "sha256:" + hex + "a", "sha256:" + strings.ToUpper(hex), "sha256:" + hex[1:] + "g"}
	others := []string{"md5:d41d8cd98f00b204e9800998ecf8427e", "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709", "sha384:" + hex + hex[:32], "blake3:" + hex}
	put := func(number, name, code, says string, refs ...string) row {
		return row{number: number, name: name, run: func(a *attack) {
			config, layer := a.parts(a.repo)
			for _, ref := range refs {
				a.put(a.repo, ref, image(config, layer, a.word)).is(400, code, says)
			}
			a.gone(a.repo, "manifests/"+digest(image(config, layer, a.word)))
		}}
	}
	all := func(number, name, says string, refs ...string) row {
		return row{number: number, name: name, run: func(a *attack) {
			for _, ref := range refs {
				for _, do := range []string{"GET /v2/%s/blobs/%s", "HEAD /v2/%s/blobs/%s", "DELETE /v2/%s/blobs/%s", "GET /v2/%s/manifests/%s", "PUT /v2/%s/manifests/%s", "GET /v2/%s/referrers/%s",
					"POST /v2/%s/blobs/uploads/?digest=%s", "POST /v2/%s/blobs/uploads/?mount=%s"} {
					if ans := a.ask("alice", fmt.Sprintf(do, a.repo, ref)); strings.HasPrefix(do, "HEAD") {
						ans.is(400)
					} else {
						ans.is(400, "DIGEST_INVALID", says)
					}
				}
			}
		}}
	}
	return []row{
		put("B07", "tags that are none", "MANIFEST_INVALID", `\[a-zA-Z0-9_\]\[a-zA-Z0-9\._-\]\{0,127\}`, strings.Repeat("a", 129), ".x", "-x", "a%20b", "a%2fb", "a%00", ""),
		{number: "B07", name: "a tag of two parts, and reading what no tag can be", run: func(a *attack) {
			m := a.image(a.repo, "v1")
			a.put(a.repo, "a/b", m).oneOf([]int{400, 404}, "MANIFEST_INVALID|NAME_INVALID|NAME_UNKNOWN")
			for _, ref := range []string{strings.Repeat("a", 129), ".x", "a%20b"} {
				a.ask("alice", "GET /v2/"+a.repo+"/manifests/"+ref).is(404, "MANIFEST_UNKNOWN")
				a.ask("alice", "DELETE /v2/"+a.repo+"/manifests/"+ref).is(404, "MANIFEST_UNKNOWN")
			}
		}},
		put("B08", "a tag that looks like a digest", "DIGEST_INVALID", "64", "sha256:zz"),
		all("B09", "digests of a wrong length or case", "hex", digests...),
		all("B10", "algorithms that are not taken", "sha256.*sha512", others...),
		all("B11", "sha512 with 64 digits", "128", "sha512:"+hex),
		put("A27", "another digest than the body's", "DIGEST_INVALID", "", unknown, "sha512:"+strings.Repeat("0", 128)),
		{number: "B18", name: "referrers of no digest", run: func(a *attack) {
			a.ask("alice", "GET /v2/"+a.repo+"/referrers/sha256:xyz").is(400, "DIGEST_INVALID")
		}},
		{number: "B19", name: "referrers of what is not there", run: func(a *attack) {
			a.image(a.repo, "v1")
			for _, repo := range []string{a.repo, a.repo + "/nothing"} {
				a.ask("alice", "GET /v2/"+repo+"/referrers/"+unknown).is(200, "", `"manifests":\[\]`).has("Content-Type: " + indexType)
			}
		}},
		{number: "B20", name: "an artifactType that is none", run: func(a *attack) {
			for _, t := range []string{"%ff", "a", "a%2fb%0a", strings.Repeat("a", 10<<10)} {
				a.ask("alice", "GET /v2/"+a.repo+"/referrers/"+unknown+"?artifactType="+t).is(400, "UNSUPPORTED", "media type|at most")
			}
		}},
		{number: "B21", name: "47 tags in one push, and one that is none", run: func(a *attack) {
			config, layer := a.parts(a.repo)
			m := image(config, layer, a.word)
			a.put(a.repo, digest(m)+"?tag=t"+strings.Repeat("&tag=t", 46), m).is(414, "MANIFEST_INVALID", "46")
			a.put(a.repo, digest(m)+"?tag=good&tag=.bad&tag=fine", m).is(400, "MANIFEST_INVALID", "tag 2")
			a.gone(a.repo, "manifests/good")
			a.gone(a.repo, "manifests/fine")
			a.gone(a.repo, "manifests/"+digest(m))
		}},
		{number: "B22", name: "an algorithm for an upload that is not taken", run: func(a *attack) {
			a.ask("alice", "POST /v2/"+a.repo+"/blobs/uploads/?digest-algorithm=md5").is(400, "DIGEST_INVALID", "sha256.*sha512")
		}},
	}
}

// tags lists the tags of the repository.
func (a *attack) tags(query string) *answer {
	a.Helper()
	return a.ask("alice", "GET /v2/"+a.repo+"/tags/list"+query)
}

// listRows are parameters of lists.
func listRows() []row {
	return []row{
		{number: "A02", name: "a page of 9999999999999", run: func(a *attack) {
			a.image(a.repo, "v1")
			for _, n := range []string{"9999999999999", "99999999999999999999999"} {
				a.ask("alice", "GET /v2/_catalog?n="+n).is(200, "", `"repositories":\[`)
				a.tags("?n="+n).is(200, "", `"tags":\["v1"\]`).has("!Link")
			}
		}},
		{number: "A03", name: "20 000 parameters", run: func(a *attack) {
			a.image(a.repo, "v1")
			a.tooLong(a.text("alice", "GET /v2/"+a.repo+"/tags/list?a1=1"+strings.Repeat("&a1=1", 20_000), ""))
			a.tags("?a1=1"+strings.Repeat("&a1=1", 100)).is(400, "UNSUPPORTED", "parameters")
			a.tags("?a1=1" + strings.Repeat("&a1=1", 31)).is(200)
		}},
		{number: "B13", name: "numbers that are none", run: func(a *attack) {
			a.image(a.repo, "v1")
			for _, n := range []string{"n=-1", "n=abc", "n=1.5", "n=", "n=9e9", "n=1&n=2"} {
				a.tags("?"+n).is(400, "UNSUPPORTED", `\bn\b`)
				a.ask("alice", "GET /v2/_catalog?"+n).is(400, "UNSUPPORTED", `\bn\b`)
				a.ask("alice", "GET /v2/"+a.repo+"/referrers/"+unknown+"?"+n).is(400, "UNSUPPORTED", `\bn\b`)
			}
		}},
		{number: "B14", name: "a page of nothing", run: func(a *attack) {
			a.image(a.repo, "v1")
			a.tags("?n=0").is(200, "", `"tags":\[\]`).has("!Link")
			a.ask("alice", "GET /v2/_catalog?n=0").is(200, "", `"repositories":\[\]`).has("!Link")
		}},
		{number: "B15", name: "more than a page holds", slow: true, at: once, run: func(a *attack) {
			m := a.image(a.repo)
			for page := range 23 {
				var tags []string
				for n := range 46 {
					tags = append(tags, fmt.Sprintf("tag=t%04d", page*46+n))
				}
				a.put(a.repo, digest(m)+"?"+strings.Join(tags, "&"), m).is(201)
			}
			ans := a.tags("?n=5000").is(200).has(`Link: ~^</v2/.*last=t0999.*>; rel="next"$`)
			if got := strings.Count(string(ans.Body), `"t`); got != 1000+1 { // "tags" too
				a.Errorf("a page of %d tags, want 1000", got-1)
			}
		}},
		{number: "B16", name: "last that is no name", run: func(a *attack) {
			a.image(a.repo, "v1")
			for _, last := range []string{"..", strings.Repeat("a", 300), "a%0d%0ab", "a/b"} {
				a.tags("?last="+last).is(400, "UNSUPPORTED", "last")
			}
			a.ask("alice", "GET /v2/_catalog?last=A%00").is(400, "UNSUPPORTED", "last")
		}},
		{number: "B17", name: "last that was deleted", run: func(a *attack) {
			a.image(a.repo, "a", "b", "c")
			a.ask("alice", "DELETE /v2/"+a.repo+"/manifests/b").is(202)
			a.tags("?last=b").is(200, "", `"tags":\["c"\]`)
			a.tags("?n=1&last=a").is(200, "", `"tags":\["c"\]`)
		}},
	}
}
