package spec

import "strings"

// nameRows are repository names, right and wrong: "Pulling manifests", <name>.
func nameRows() []Row { return all(goodNameRows(), badNameRows(), longNameRows()) }

// filled is a repository name of so many bytes.
func (e *Env) filled(length int) string {
	return e.vars["repo"] + "/" + strings.Repeat("a", length-1-len(e.vars["repo"]))
}

// longNameRows are for a store that holds less than the spec allows: what begins a repository is refused with
// the limit, what reads one finds nothing.
func longNameRows() []Row {
	row := Row{Section: "B04"}
	return each(row, []string{
		"POST /v2/{long}/blobs/uploads/", "POST /v2/{long}/blobs/uploads/?digest={zero}", "POST /v2/{long}/blobs/uploads/?mount={zero}&from=a",
		"PUT /v2/{long}/manifests/v1", "GET /v2/{long}/manifests/v1",
	}, func(r *Row, do string) {
		method, rest, _ := strings.Cut(do, " ")
		r.At = ShortNames
		r.Name = "a name that the store cannot hold: " + method + rest[len("/v2/{long}"):]
		r.Given = []Step{func(e *Env) { e.vars["long"] = e.filled(e.target.longestName() + 1) }}
		want := Want{Status: 400, Code: "NAME_INVALID", Says: "at most"}
		if method == "GET" {
			want = Want{Status: 404}
		}
		r.Exchange = Exchange{Do: do, Want: want}
	})
}

func goodNameRows() []Row {
	row := Row{Section: "Pulling manifests, <name>"}
	names := []string{
		"{nonce}", "{repo}/a", "{repo}/0", "{repo}/a.b", "{repo}/a_b", "{repo}/a__b", "{repo}/a-b", "{repo}/a---b", "{repo}/a.b_c__d-e/f",
		"{repo}/manifests", "{repo}/blobs", "{repo}/tags", "{repo}/tags/list", "{repo}/referrers", "{repo}/uploads", "v2/{nonce}", "{repo}/v2",
		"{repo}" + strings.Repeat("/a", 99), "{filled}",
	}
	return each(row, names, func(r *Row, name string) {
		r.Name = name + " is a repository"
		if len(name) > 60 {
			r.Name = name[:60] + "... is a repository"
		}
		if name == "{filled}" {
			r.Name = "the longest name that the store holds is a repository"
		}
		r.Given = []Step{
			func(e *Env) { e.vars["filled"] = e.filled(e.target.longestName()) },
			func(e *Env) { e.vars["repo"] = e.text(name) },
			image("m", "v1"),
		}
		r.Exchange = Exchange{Do: "GET /v2/{repo}/manifests/v1", Want: Want{Status: 200, Exact: "{m.bytes}"}}
		r.Then = []Step{
			tagsAre("v1"), there("/v2/{repo}/blobs/{config}"), noReferrers("/v2/{repo}/referrers/{m}"),
			upload("u"), Exchange{Do: "GET {u}", Want: Want{Status: 204}}.step(),
		}
	})
}

func badNameRows() []Row {
	bad := func(section, says string, names ...string) (rows []Row) {
		for _, name := range names {
			shown := name
			if len(shown) > 40 {
				shown = shown[:40] + "..."
			}
			for _, do := range []string{"GET /v2/" + name + "/tags/list", "GET /v2/" + name + "/manifests/v1", "PUT /v2/" + name + "/manifests/v1",
				"POST /v2/" + name + "/blobs/uploads/", "HEAD /v2/" + name + "/blobs/{zero}", "GET /v2/" + name + "/referrers/{zero}"} {
				method, rest, _ := strings.Cut(do, " ")
				rows = append(rows, Row{Section: section, Name: "the name " + shown + " is 400: " + method + " " + rest[strings.LastIndex(rest, name)+len(name):],
					Exchange: Exchange{Do: do, Want: Want{Status: 400, Code: "NAME_INVALID", Says: says, Heads: []string{"!Location"}}}})
			}
		}
		return rows
	}
	return all(
		bad("B01", "lower", "ACME/app", "acme/App"),
		bad("B02", "", "-a", "a-", "a..b", "a___b", "a/-b", ".a", "a.", "_a", "a-.b", "a/b_"),
		bad("B03", "empty", "a//b", "a/", "/a"),
		bad("B04", "255", strings.Repeat("a", 256), strings.Repeat("a/", 150)+"a"),
		bad("B05", "", "a%00b", "a%0ab", "a%c3%a9", "a%2fb", "a%20b", "a%25b"),
		bad("A11", "", "acme/../priv", "..", "a/./b", "%2e%2e/a"),
		[]Row{
			{Name: "the illegal byte is named", Section: "B05", Exchange: Exchange{Do: "GET /v2/a%00b/tags/list", Want: Want{Status: 400, Code: "NAME_INVALID", Says: "0x00"}}},
			{Name: "a way up is no redirect", Section: "A11", Exchange: Exchange{Do: "GET /v2/../../etc/passwd",
				Want: Want{Status: 400, Or: []int{404}, Code: "NAME_INVALID|NAME_UNKNOWN|UNSUPPORTED", Heads: []string{"!Location"}}}},
			{Name: "another host behind a way up is no redirect", Section: "A52", Exchange: Exchange{Do: "GET /v2/../evil.example",
				Want: Want{Status: 400, Or: []int{404}, Heads: []string{"!Location"}}}},
		},
	)
}

// referenceRows are tags and digests, wrong ones.
func referenceRows() []Row {
	given := []Step{parts(), text("m", imageText("refs"))}
	put := func(section, says, code string, refs ...string) []Row {
		return each(Row{Given: given, Section: section}, refs, func(r *Row, ref string) {
			r.Name = "PUT to " + ref + " is 400"
			if len(ref) > 40 {
				r.Name = "PUT to " + ref[:40] + "... is 400"
			}
			r.Exchange = Exchange{Do: "PUT /v2/{repo}/manifests/" + ref, Body: "{m.bytes}", Header: typed("{image}"), Want: Want{Status: 400, Code: code, Says: says}}
			r.Then = []Step{gone("/v2/{repo}/manifests/{m}")}
		})
	}
	get := func(section, what, code string, status int, refs ...string) []Row {
		return each(Row{Given: []Step{image("m", "v1")}, Section: section}, refs, func(r *Row, ref string) {
			r.Name = "GET " + what + " " + ref
			r.Exchange = Exchange{Do: "GET /v2/{repo}/" + what + "/" + ref, Want: Want{Status: status, Code: code, Heads: []string{"!Location"}}}
		})
	}
	hex := strings.Repeat("a", 64)
	digests := []string{"sha256:", "sha256:" + hex[1:], "sha256:" + hex + "a", "sha256:" + strings.ToUpper(hex), "sha256:" + hex[1:] + "g", "SHA256:" + hex}
	others := []string{"md5:d41d8cd98f00b204e9800998ecf8427e", "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709", "sha384:" + hex + hex[:32], "blake3:" + hex}
	return all(
		put("B07", `\[a-zA-Z0-9_\]`, "MANIFEST_INVALID", strings.Repeat("a", 129), ".x", "-x", "a%20b", "a%2fb", "a%00", "a@b", "%c3%a9"),
		put("B07", "", "MANIFEST_INVALID", ""),
		[]Row{{Name: "PUT to a/b is refused", Section: "B07", Given: given, Exchange: Exchange{
			Do: "PUT /v2/{repo}/manifests/a/b", Body: "{m.bytes}", Header: typed("{image}"), Want: Want{Status: 400, Or: []int{404}, Code: "MANIFEST_INVALID|NAME_INVALID|NAME_UNKNOWN"}}}},
		put("B08", "64", "DIGEST_INVALID", "sha256:zz"),
		put("B09", "", "DIGEST_INVALID", digests...),
		put("B10", "sha256.*sha512", "DIGEST_INVALID", others...),
		put("B11", "128", "DIGEST_INVALID", "sha512:"+hex),
		get("B07", "manifests", "MANIFEST_UNKNOWN", 404, strings.Repeat("a", 129), ".x", "a%20b"),
		get("B09", "blobs", "DIGEST_INVALID", 400, digests...),
		get("B09", "manifests", "DIGEST_INVALID", 400, digests...),
		get("B10", "blobs", "DIGEST_INVALID", 400, others...),
		get("B11", "blobs", "DIGEST_INVALID", 400, "sha512:"+hex),
		get("A13", "blobs", "DIGEST_INVALID", 400, "sha256:..%2f..%2fetc%2fpasswd", "x", "%00"),
	)
}

// routeRows are methods and paths that the API does not have.
func routeRows() []Row {
	given := []Step{image("m", "v1")}
	method := func(do string) Row {
		return Row{Name: do + " is 405 with Allow", Section: "Answers, method not allowed", Given: given,
			Exchange: Exchange{Do: do, Want: Want{Status: 405, Code: "UNSUPPORTED", Heads: []string{"Allow:"}}}}
	}
	path := func(target string) Row {
		return Row{Name: target + " is 404", Section: "Answers, no such endpoint", Given: given,
			Exchange: Exchange{Do: "GET " + target, Want: Want{Status: 404, Heads: []string{"!Location"}}}}
	}
	return []Row{
		method("POST /v2/{repo}/manifests/v1"), method("PATCH /v2/{repo}/manifests/v1"), method("POST /v2/{repo}/blobs/{layer1}"),
		method("PUT /v2/{repo}/blobs/{layer1}"), method("PUT /v2/{repo}/tags/list"), method("DELETE /v2/{repo}/tags/list"),
		method("POST /v2/{repo}/referrers/{m}"), method("POST /v2/_catalog"), method("POST /v2/"),
		method("BREW /v2/"), method("TRACE /v2/"),
		path("/v2/{repo}/nonsense"), path("/v2/{repo}"), path("/etc/passwd"), path("/v1/_ping"), path("/v3/"), path("/"),
		{Name: "a double slash is no redirect", Section: "B03", Exchange: Exchange{Do: "GET //v2/", Want: Want{Status: 404, Or: []int{400}, Heads: []string{"!Location"}}}},
		{Name: "a callback parameter is no redirect", Section: "A52", Exchange: Exchange{Do: "GET /v2/?callback=//evil.example", Want: Want{Status: 200, Or: []int{400}, Heads: []string{"!Location"}}}},
	}
}
