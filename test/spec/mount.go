package spec

// mountRows is "Mounting a blob from another repository": end-11.
func mountRows() []Row {
	const section = "Mounting a blob from another repository, end-11"
	given := []Step{blobTo("{other}", "b", "a blob {nonce}")}
	mount := func(query string, want Want) Exchange {
		return Exchange{Do: "POST /v2/{repo}/blobs/uploads/?" + query, Save: "at", Want: want}
	}
	mounted := Want{Status: 201, Heads: []string{"Location:", "Docker-Content-Digest: {b}"}}
	started := Want{Status: 202, Heads: []string{"Location:"}}
	found := []Step{holds("{at}", "{b.bytes}"), holds("/v2/{repo}/blobs/{b}", "{b.bytes}")}
	push := []Step{Exchange{Do: "PUT {at?}digest={b}", Body: "{b.bytes}", Header: octets, Want: Want{Status: 201}}.step(), there("/v2/{repo}/blobs/{b}")}
	refused := func(query, code string) Row {
		return Row{Name: query + " is 400", Section: "A21", Given: given,
			Exchange: Exchange{Do: "POST /v2/{repo}/blobs/uploads/?" + query, Want: Want{Status: 400, Code: code}},
			Then:     []Step{gone("/v2/{repo}/blobs/{b}")}}
	}
	return []Row{
		{Name: "a known blob is 201 with a pullable Location", Section: section, Given: given, Exchange: mount("mount={b}&from={other}", mounted), Then: found},
		{Name: "the parameters' order does not matter", Section: section, Given: given, Exchange: mount("from={other}&mount={b}", mounted), Then: found},
		{Name: "an escaped slash in from is a slash", Section: section, Given: []Step{blobTo("{other}", "b", "a blob {nonce}"), escape("other")},
			Exchange: mount("mount={b}&from={other.escaped}", mounted), Then: found},
		{Name: "into a repository that has it already is 201", Section: section, Given: append(given[:1:1], blob("b", "a blob {nonce}")),
			Exchange: mount("mount={b}&from={other}", mounted), Then: found},
		{Name: "a sha512 blob", Section: section, Given: []Step{text("b", "a blob {nonce}"),
			Exchange{Do: "POST /v2/{other}/blobs/uploads/?digest={b.sha512}", Body: "{b.bytes}", Header: octets, Want: Want{Status: 201}}.step()},
			Exchange: mount("mount={b.sha512}&from={other}", Want{Status: 201}), Then: []Step{holds("/v2/{repo}/blobs/{b.sha512}", "{b.bytes}")}},
		{Name: "a mounted blob serves a manifest", Section: section,
			Given:    []Step{partsTo("{other}"), mount("mount={config}&from={other}", Want{Status: 201}).step(), mount("mount={layer1}&from={other}", Want{Status: 201}).step(), text("m", imageText("mounted"))},
			Exchange: Exchange{Do: "PUT /v2/{repo}/manifests/v1", Body: "{m.bytes}", Header: typed("{image}"), Want: Want{Status: 201}}},
		{Name: "an unknown blob is 202, an upload", Section: section, Given: []Step{text("b", "a blob {nonce}"), blobTo("{other}", "c", "{nonce}")},
			Exchange: mount("mount={b}&from={other}", started), Then: push},
		{Name: "an unknown source repository is 202, an upload", Section: section, Given: []Step{text("b", "a blob {nonce}")},
			Exchange: mount("mount={b}&from={other}", started), Then: push},
		{Name: "a blob that the source has no more is 202", Section: section, Given: append(given[:1:1],
			Exchange{Do: "DELETE /v2/{other}/blobs/{b}", Want: Want{Status: 202}}.step()), Exchange: mount("mount={b}&from={other}", started), Then: push},
		{Name: "without from: mounted, or an upload", Section: section, Given: given, Exchange: mount("mount={b}", Want{Status: 201, Or: []int{202}, Heads: []string{"Location:"}})},
		{Name: "without from, unknown: an upload", Section: section, Given: []Step{text("b", "a blob {nonce}")}, Exchange: mount("mount={b}", started), Then: push},
		refused("mount={b}&from=../..", "NAME_INVALID"),
		refused("mount={b}&from=%00", "NAME_INVALID"),
		refused("mount={b}&from=ACME", "NAME_INVALID"),
		refused("mount=sha256:x&from={other}", "DIGEST_INVALID"),
		refused("mount=md5:d41d8cd98f00b204e9800998ecf8427e&from={other}", "DIGEST_INVALID"),
	}
}

// escape sets {NAME.escaped}: the variable as a query's value with %2F for each slash.
func escape(name string) Step {
	return func(e *Env) {
		var out []byte
		for _, c := range []byte(e.vars[name]) {
			if c == '/' {
				out = append(out, "%2F"...)
			} else {
				out = append(out, c)
			}
		}
		e.vars[name+".escaped"] = string(out)
	}
}
