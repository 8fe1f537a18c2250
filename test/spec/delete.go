package spec

// deleteRows is "Content Management": end-9, end-10.
func deleteRows() []Row { return all(deleteTagRows(), deleteManifestRows(), deleteBlobRows()) }

func remove(target string) Exchange {
	return Exchange{Do: "DELETE " + target, Want: Want{Status: 202}}
}

func missing(name, section, target, code string, given ...Step) Row {
	return Row{Name: name + " is 404", Section: section, Given: given, Exchange: Exchange{Do: "DELETE " + target, Want: Want{Status: 404, Code: code}}}
}

func deleteTagRows() []Row {
	const section = "Deleting tags, end-9"
	tag := "/v2/{repo}/manifests/v1"
	return []Row{
		{Name: "a deleted tag is gone, its manifest stays", Section: section, Given: []Step{image("m", "v1", "v2")}, Exchange: remove(tag),
			Then: []Step{gone(tag), holds("/v2/{repo}/manifests/v2", "{m.bytes}"), holds("/v2/{repo}/manifests/{m}", "{m.bytes}"), tagsAre("v2")}},
		{Name: "the last tag's manifest stays", Section: section, Given: []Step{image("m", "v1")}, Exchange: remove(tag),
			Then: []Step{gone(tag), holds("/v2/{repo}/manifests/{m}", "{m.bytes}"), tagsAre()}},
		{Name: "a deleted tag can be pushed again", Section: section, Given: []Step{image("m", "v1"), remove(tag).step()},
			Exchange: Exchange{Do: "PUT " + tag, Body: "{m.bytes}", Header: typed("{image}"), Want: Want{Status: 201}}, Then: []Step{holds(tag, "{m.bytes}"), tagsAre("v1")}},
		missing("an unknown tag", section, "/v2/{repo}/manifests/v2", "MANIFEST_UNKNOWN", image("m", "v1")),
		missing("a tag deleted before", section, tag, "MANIFEST_UNKNOWN", image("m", "v1"), remove(tag).step()),
		missing("a tag of an unknown repository", section, tag, "MANIFEST_UNKNOWN|NAME_UNKNOWN"),
		missing("a malformed tag", section, "/v2/{repo}/manifests/.x", "MANIFEST_UNKNOWN", image("m", "v1")),
	}
}

func deleteManifestRows() []Row {
	const section = "Deleting Manifests, end-9"
	m := "/v2/{repo}/manifests/{m}"
	push := Exchange{Do: "PUT /v2/{repo}/manifests/v1", Body: "{m.bytes}", Header: typed("{image}"), Want: Want{Status: 201}}
	return []Row{
		{Name: "a deleted manifest is gone with its tags", Section: section, Given: []Step{image("m", "v1", "v2"), manifest("n", "{image}", imageText("n"), "v3")}, Exchange: remove(m),
			Then: []Step{gone(m), gone("/v2/{repo}/manifests/v1"), gone("/v2/{repo}/manifests/v2"), holds("/v2/{repo}/manifests/v3", "{n.bytes}"), tagsAre("v3")}},
		{Name: "a tag that has moved on stays", Section: section, Given: []Step{image("m", "v1"), manifest("n", "{image}", imageText("n"), "v1")}, Exchange: remove(m),
			Then: []Step{gone(m), holds("/v2/{repo}/manifests/v1", "{n.bytes}"), tagsAre("v1")}},
		{Name: "a manifest without tags", Section: section, Given: []Step{image("m")}, Exchange: remove(m), Then: []Step{gone(m)}},
		{Name: "an index leaves its children", Section: section, Given: []Step{image("c", "v1"), manifest("m", "{index}", `{"schemaVersion":2,"mediaType":"{index}","manifests":[{c.m}]}`, "v2")},
			Exchange: remove(m), Then: []Step{gone(m), holds("/v2/{repo}/manifests/v1", "{c.bytes}")}},
		{Name: "a deleted manifest can be pushed again", Section: section, Given: []Step{image("m", "v1"), remove(m).step()}, Exchange: push,
			Then: []Step{holds(m, "{m.bytes}"), holds("/v2/{repo}/manifests/v1", "{m.bytes}"), tagsAre("v1")}},
		{Name: "another repository keeps the same manifest", Section: section, Given: []Step{imageTo("{other}", "m", "v1"), parts(), manifest("m", "{image}", imageText("m {nonce}"), "v1")}, Exchange: remove(m),
			Then: []Step{gone(m), holds("/v2/{other}/manifests/v1", "{m.bytes}")}},
		{Name: "a manifest by sha512", Section: section, Given: []Step{parts(), text("m", imageText("512")),
			Exchange{Do: "PUT /v2/{repo}/manifests/{m.sha512}", Body: "{m.bytes}", Header: typed("{image}"), Want: Want{Status: 201}}.step()},
			Exchange: remove("/v2/{repo}/manifests/{m.sha512}"), Then: []Step{gone("/v2/{repo}/manifests/{m.sha512}")}},
		missing("an unknown manifest", section, "/v2/{repo}/manifests/{zero}", "MANIFEST_UNKNOWN", image("m", "v1")),
		missing("a manifest deleted before", section, m, "MANIFEST_UNKNOWN", image("m", "v1"), remove(m).step()),
		{Name: "a malformed digest is 400", Section: section, Given: []Step{image("m", "v1")},
			Exchange: Exchange{Do: "DELETE /v2/{repo}/manifests/sha256:abc", Want: Want{Status: 400, Or: []int{404}, Code: "DIGEST_INVALID"}}},
	}
}

func deleteBlobRows() []Row {
	const section = "Deleting Blobs, end-10"
	b := "/v2/{repo}/blobs/{b}"
	used := []Step{image("m", "v1"), func(e *Env) { e.vars["b"] = e.vars["layer1"] }}
	return []Row{
		{Name: "a deleted blob is gone", Section: section, Given: []Step{blob("b", "bytes {nonce}")}, Exchange: remove(b), Then: []Step{gone(b)}},
		{Name: "another repository keeps the same blob", Section: section, Given: []Step{blob("b", "bytes {nonce}"), blobTo("{other}", "b", "bytes {nonce}")},
			Exchange: remove(b), Then: []Step{gone(b), holds("/v2/{other}/blobs/{b}", "{b.bytes}")}},
		{Name: "a deleted blob can be pushed again", Section: section, Given: []Step{blob("b", "bytes {nonce}"), remove(b).step(), blob("b", "bytes {nonce}")},
			Exchange: Exchange{Do: "GET " + b, Want: Want{Status: 200, Exact: "{b.bytes}"}}},
		{Name: "a deleted blob can be mounted again", Section: section, Given: []Step{blobTo("{other}", "b", "bytes {nonce}"), blob("b", "bytes {nonce}"), remove(b).step(),
			Exchange{Do: "POST /v2/{repo}/blobs/uploads/?mount={b}&from={other}", Want: Want{Status: 201}}.step()},
			Exchange: Exchange{Do: "GET " + b, Want: Want{Status: 200, Exact: "{b.bytes}"}}},
		{Name: "a deleted blob is unknown to a manifest", Section: section, Given: []Step{parts(), remove("/v2/{repo}/blobs/{layer1}").step(), text("m", imageText("late"))},
			Exchange: Exchange{Do: "PUT /v2/{repo}/manifests/v1", Body: "{m.bytes}", Header: typed("{image}"), Want: Want{Status: 404, Code: "MANIFEST_BLOB_UNKNOWN"}}},
		{Name: "a blob of a live manifest is 405 and stays", Section: "A68", Given: used,
			Exchange: Exchange{Do: "DELETE " + b, Want: Want{Status: 405, Code: "DENIED", Says: "sha256:"}}, Then: []Step{there(b), holds("/v2/{repo}/manifests/v1", "{m.bytes}")}},
		{Name: "a config of a live manifest is 405 and stays", Section: "A68", Given: used,
			Exchange: Exchange{Do: "DELETE /v2/{repo}/blobs/{config}", Want: Want{Status: 405, Code: "DENIED"}}, Then: []Step{there("/v2/{repo}/blobs/{config}")}},
		{Name: "a blob of a deleted manifest can be deleted", Section: "A68", Given: append(used[:2:2], remove("/v2/{repo}/manifests/{m}").step()), Exchange: remove(b), Then: []Step{gone(b)}},
		{Name: "at once in one repository, read by another, gone everywhere", Section: "A23", Given: []Step{blob("b", "bytes {nonce}"), blobTo("{other}", "b", "bytes {nonce}"), there(b), there(b), there(b), there("/v2/{other}/blobs/{b}")},
			Exchange: remove(b), Then: []Step{func(e *Env) {
				for range 12 {
					there("/v2/{other}/blobs/{b}")(e)
					gone(b)(e)
				}
			}}},
		missing("an unknown blob", section, "/v2/{repo}/blobs/{zero}", "BLOB_UNKNOWN", image("m", "v1")),
		missing("a blob deleted before", section, b, "BLOB_UNKNOWN", blob("b", "bytes {nonce}"), remove(b).step()),
		missing("a blob of another repository", section, b, "BLOB_UNKNOWN", blobTo("{other}", "b", "bytes {nonce}"), image("m", "v1")),
		{Name: "a malformed digest is 400", Section: section, Given: []Step{image("m", "v1")},
			Exchange: Exchange{Do: "DELETE /v2/{repo}/blobs/sha256:abc", Want: Want{Status: 400, Code: "DIGEST_INVALID"}}},
	}
}

// noDeleteRows is a registry that does not delete: 405, and all stays (A44).
func noDeleteRows() []Row {
	row := Row{Section: "A44", At: Limited, Given: []Step{image("m", "v1"), blob("b", "bytes {nonce}")}}
	rows := each(row, []string{"/v2/{repo}/manifests/v1", "/v2/{repo}/manifests/{m}", "/v2/{repo}/blobs/{b}"}, func(r *Row, target string) {
		r.Name = "DELETE " + target + " is 405 and changes nothing"
		r.Exchange = Exchange{Do: "DELETE " + target, Want: Want{Status: 405, Code: "UNSUPPORTED"}}
		r.Then = []Step{there(target)}
	})
	return append(rows, Row{Name: "an upload can be cancelled", Section: "A44", At: Limited, Given: []Step{upload("u")},
		Exchange: Exchange{Do: "DELETE {u}", Want: Want{Status: 204}}})
}
