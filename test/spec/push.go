package spec

// pushRows is "Pushing a blob monolithically": end-4a, end-4b, end-4c, end-6.
func pushRows() []Row {
	return all(twoStepRows(), oneStepRows(), algorithmRows(), badPushRows())
}

func twoStepRows() []Row {
	const section = "POST then PUT, end-4a, end-6"
	given := []Step{text("b", "a blob {nonce}"), upload("u")}
	put := Exchange{Do: "PUT {u?}digest={b}", Body: "{b.bytes}", Header: octets, Save: "at", Want: Want{
		Status: 201, Heads: []string{"Location:", "Docker-Content-Digest: {b}"},
	}}
	streamed := put
	streamed.Header = []string{"Content-Type: application/octet-stream", "Transfer-Encoding: chunked"}
	untyped := put
	untyped.Header = nil
	pull := holds("{at}", "{b.bytes}")
	return []Row{
		{Name: "POST gives a place to push to", Section: section,
			Exchange: Exchange{Do: "POST /v2/{repo}/blobs/uploads/", Want: Want{Status: 202, Heads: []string{"Location: ~^/v2/{repo}/blobs/uploads/[^/]+"}}}},
		{Name: "every POST gives another place", Section: section, Given: []Step{upload("u"), upload("v")},
			Exchange: Exchange{Do: "GET {u}", Want: Want{Status: 204, Check: func(e *Env, _ *Answer) {
				if e.vars["u"] == e.vars["v"] {
					e.Errorf("two uploads at %s", e.vars["u"])
				}
			}}}},
		{Name: "PUT of the whole is 201 with a pullable Location", Section: section, Given: given, Exchange: put, Then: []Step{pull}},
		{Name: "PUT without Content-Length is 201", Section: section, Given: given, Exchange: streamed, Then: []Step{pull}},
		{Name: "PUT without Content-Type is 201", Section: section, Given: given, Exchange: untyped, Then: []Step{pull}},
		{Name: "a blob that is there already is 201 again", Section: section,
			Given: []Step{blob("b", "a blob {nonce}"), upload("u")}, Exchange: put, Then: []Step{pull}},
		{Name: "the same PUT again gives the same answer", Section: section,
			Given: append(given[:2:2], put.step()), Exchange: put, Then: []Step{Exchange{Do: "PUT {u?}digest={b}", Want: Want{Status: 201}}.step(), pull}},
		{Name: "the same PUT again, without the bytes", Section: section,
			Given: append(given[:2:2], put.step()), Exchange: Exchange{Do: "PUT {u?}digest={b}", Save: "at", Want: put.Want}, Then: []Step{pull}},
		{Name: "the same blob in two repositories", Section: section,
			Given: append([]Step{blobTo("{other}", "b", "a blob {nonce}")}, given...), Exchange: put, Then: []Step{pull, there("/v2/{other}/blobs/{b}")}},
		{Name: "PUT of 5 MB is 201", Section: section, Given: []Step{upload("u"), func(e *Env) { e.keep("b", long(5_000_000, e.vars["nonce"]), "") }},
			Exchange: put, Then: []Step{pull}},
	}
}

func oneStepRows() []Row {
	const section = "Single POST, end-4b"
	given := []Step{text("b", "a blob {nonce}")}
	post := Exchange{Do: "POST /v2/{repo}/blobs/uploads/?digest={b}", Body: "{b.bytes}", Header: octets, Save: "at",
		Want: Want{Status: 201, Heads: []string{"Location:", "Docker-Content-Digest: {b}"}}}
	wrong := post
	wrong.Body, wrong.Save, wrong.Want = "other bytes", "", Want{Status: 400, Code: "DIGEST_INVALID"}
	long512 := post
	long512.Do, long512.Want = "POST /v2/{repo}/blobs/uploads/?digest={b.sha512}", Want{Status: 201}
	return []Row{
		{Name: "POST of the whole is 201 with a pullable Location", Section: section, Given: given, Exchange: post, Then: []Step{holds("{at}", "{b.bytes}")}},
		{Name: "POST of the whole by sha512", Section: section, Given: given, Exchange: long512, Then: []Step{holds("/v2/{repo}/blobs/{b.sha512}", "{b.bytes}")}},
		{Name: "POST of the whole, empty", Section: section, Given: []Step{text("b", "")}, Exchange: post, Then: []Step{there("/v2/{repo}/blobs/{b}")}},
		{Name: "other bytes than the digest's are 400 and leave nothing", Section: section, Given: given, Exchange: wrong, Then: []Step{gone("/v2/{repo}/blobs/{b}")}},
	}
}

func algorithmRows() []Row {
	const section = "Pushing a blob in chunks, end-4c"
	start := func(alg string) Step {
		return Exchange{Do: "POST /v2/{repo}/blobs/uploads/?digest-algorithm=" + alg, Save: "u", Want: Want{Status: 202, Heads: []string{"Location:"}}}.step()
	}
	put := Exchange{Do: "PUT {u?}digest={b.sha512}", Want: Want{Status: 201, Heads: []string{"Location:", "Docker-Content-Digest: {b.sha512}"}}}
	whole := put
	whole.Body, whole.Header = "{b.bytes}", octets
	found := []Step{holds("/v2/{repo}/blobs/{b.sha512}", "{b.bytes}")}
	return []Row{
		{Name: "sha512 announced, in chunks", Section: section, Exchange: put, Then: found,
			Given: []Step{text("b", "hello world"), start("sha512"), chunk("u", "0-4", "hello"), chunk("u", "5-10", " world")}},
		{Name: "sha512 announced, in one PUT", Section: section, Exchange: whole, Then: found, Given: []Step{text("b", "{nonce}"), start("sha512")}},
		{Name: "sha512 not announced, in chunks", Section: section, Exchange: put, Then: found,
			Given: []Step{text("b", "hello world"), upload("u"), chunk("u", "0-4", "hello"), chunk("u", "5-10", " world")}},
		{Name: "sha512 not announced, in one PUT", Section: section, Exchange: whole, Then: found, Given: []Step{text("b", "{nonce}"), upload("u")}},
		{Name: "sha512 announced, sha256 pushed", Section: section, Given: []Step{text("b", "{nonce}"), start("sha512")},
			Exchange: Exchange{Do: "PUT {u?}digest={b}", Body: "{b.bytes}", Header: octets, Want: Want{Status: 201, Or: []int{400}}}},
		{Name: "sha256 announced", Section: section, Given: []Step{text("b", "{nonce}"), start("sha256")},
			Exchange: Exchange{Do: "PUT {u?}digest={b}", Body: "{b.bytes}", Header: octets, Want: Want{Status: 201}}},
		{Name: "sha512 of other bytes is 400", Section: section, Given: []Step{text("b", "{nonce}"), start("sha512")},
			Exchange: Exchange{Do: "PUT {u?}digest={zero512}", Body: "{b.bytes}", Header: octets, Want: Want{Status: 400, Code: "DIGEST_INVALID"}}},
		{Name: "an unknown algorithm is 400", Section: "B22",
			Exchange: Exchange{Do: "POST /v2/{repo}/blobs/uploads/?digest-algorithm=md5", Want: Want{Status: 400, Code: "DIGEST_INVALID", Says: "sha256.*sha512"}}},
	}
}

func badPushRows() []Row {
	const section = "Pushing blobs, end-6"
	bad := Row{Section: section, Given: []Step{text("b", "a blob {nonce}"), upload("u")}, Then: []Step{gone("/v2/{repo}/blobs/{b}")},
		Exchange: Exchange{Body: "{b.bytes}", Header: octets, Want: Want{Status: 400, Code: "DIGEST_INVALID"}}}
	rows := each(bad, [][2]string{
		{"a malformed digest", "sha256:abc"},
		{"no algorithm", "abc"},
		{"an unsupported algorithm", "md5:d41d8cd98f00b204e9800998ecf8427e"},
		{"an empty digest", ""},
	}, func(r *Row, v [2]string) { r.Name, r.Do = v[0]+" is 400", "PUT {u?}digest="+v[1] })
	missing := bad
	missing.Name, missing.Section, missing.Do, missing.Says = "no digest is 400", "B23", "PUT {u}", "digest"
	other := bad
	other.Name, other.Section, other.Do = "other bytes than the digest's are 400 and leave nothing", "A26", "PUT {u?}digest={zero}"
	other.Then = append([]Step{gone("/v2/{repo}/blobs/{zero}"), there("/v2/")}, bad.Then...)
	retry := bad
	retry.Name = "after a wrong digest the upload can still end well"
	retry.Given = append(bad.Given[:2:2], Exchange{Do: "PUT {u?}digest={zero}", Body: "{b.bytes}", Header: octets, Want: Want{Status: 400, Code: "DIGEST_INVALID"}}.step(),
		func(e *Env) {
			// Whether the refused body counts is the registry's choice; the status tells.
			a := e.exchange(Exchange{Do: "GET {u}", Save: "u", Want: Want{Status: 204}})
			if a.Header.Get("Range") != "0-0" {
				e.vars["rest"] = ""
			} else {
				e.vars["rest"] = e.vars["b.bytes"]
			}
		})
	retry.Do, retry.Body, retry.Want = "PUT {u?}digest={b}", "{rest}", Want{Status: 201}
	retry.Then = []Step{holds("/v2/{repo}/blobs/{b}", "{b.bytes}")}
	post := bad
	post.Name, post.Section, post.Do = "POST with a malformed digest is 400", "Single POST, end-4b", "POST /v2/{repo}/blobs/uploads/?digest=sha256:abc"
	return append(rows, missing, other, retry, post)
}

// long returns n bytes that differ with the word.
func long(n int, word string) string {
	b := make([]byte, n)
	x := uint64(14695981039346656037)
	for i := range b {
		x = (x ^ uint64(word[i%len(word)])) * 1099511628211
		b[i] = byte(x >> 32)
	}
	return string(b)
}
