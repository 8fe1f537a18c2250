package spec

// pullRows is "Pull": end-1 to end-3.
func pullRows() []Row {
	return all(supportRows(), pullManifestRows(), pullBlobRows())
}

func supportRows() []Row {
	const section = "Determining Support, end-1"
	return []Row{
		{Name: "GET /v2/ is 200", Section: section, Exchange: Exchange{Do: "GET /v2/", Want: Want{Status: 200}}},
		{Name: "HEAD /v2/ is 200", Section: section, Exchange: Exchange{Do: "HEAD /v2/", Want: Want{Status: 200}}},
		{Name: "a proxy's ns parameter is ignored", Section: "Proxying", Given: []Step{image("m", "v1")},
			Exchange: Exchange{Do: "GET /v2/{repo}/manifests/v1?ns=docker.io", Want: Want{Status: 200, Exact: "{m.bytes}"}}},
	}
}

func pullManifestRows() []Row {
	const section, exists = "Pulling manifests, end-3", "Checking if content exists in the registry, end-3"
	found := Want{Status: 200, Exact: "{m.bytes}", Heads: []string{
		"Content-Type: {image}", "Docker-Content-Digest: {m}", "Content-Length: {m.size}",
	}}
	seen := found
	seen.Exact = ""
	given := []Step{image("m", "v1")}
	return []Row{
		{Name: "by tag: the bytes, their type and digest", Section: section, Given: given,
			Exchange: Exchange{Do: "GET /v2/{repo}/manifests/v1", Want: found}},
		{Name: "by digest: the bytes, their type and digest", Section: section, Given: given,
			Exchange: Exchange{Do: "GET /v2/{repo}/manifests/{m}", Want: found}},
		{Name: "a manifest pushed by digest alone is found", Section: section, Given: []Step{image("m")},
			Exchange: Exchange{Do: "GET /v2/{repo}/manifests/{m}", Want: found}},
		{Name: "HEAD by tag: size and digest", Section: exists, Given: given,
			Exchange: Exchange{Do: "HEAD /v2/{repo}/manifests/v1", Want: seen}},
		{Name: "HEAD by digest: size and digest", Section: exists, Given: given,
			Exchange: Exchange{Do: "HEAD /v2/{repo}/manifests/{m}", Want: seen}},
		{Name: "the type is the pushed one, whatever the client accepts", Section: section, Given: given,
			Exchange: Exchange{Do: "GET /v2/{repo}/manifests/v1", Header: []string{"Accept: {docker}"}, Want: found}},
		{Name: "a long Accept list is no obstacle", Section: section, Given: given,
			Exchange: Exchange{Do: "GET /v2/{repo}/manifests/v1", Header: []string{"Accept: {image}, {index};q=0.5, */*;q=0.1", "Accept: {docker}"}, Want: found}},
		{Name: "an index is found with its type", Section: section,
			Given:    []Step{image("m"), manifest("i", "{index}", `{"schemaVersion":2,"mediaType":"{index}","manifests":[{m.m}]}`, "v1")},
			Exchange: Exchange{Do: "GET /v2/{repo}/manifests/v1", Want: Want{Status: 200, Exact: "{i.bytes}", Heads: []string{"Content-Type: {index}", "Docker-Content-Digest: {i}"}}}},
		{Name: "an unknown tag is 404", Section: section, Given: given,
			Exchange: Exchange{Do: "GET /v2/{repo}/manifests/v2", Want: Want{Status: 404, Code: "MANIFEST_UNKNOWN"}}},
		{Name: "an unknown digest is 404", Section: section, Given: given,
			Exchange: Exchange{Do: "GET /v2/{repo}/manifests/{zero}", Want: Want{Status: 404, Code: "MANIFEST_UNKNOWN"}}},
		{Name: "an unknown repository is 404", Section: section,
			Exchange: Exchange{Do: "GET /v2/{repo}/manifests/v1", Want: Want{Status: 404, Code: "MANIFEST_UNKNOWN|NAME_UNKNOWN"}}},
		{Name: "HEAD of an unknown tag is 404", Section: exists, Given: given,
			Exchange: Exchange{Do: "HEAD /v2/{repo}/manifests/v2", Want: Want{Status: 404}}},
		{Name: "HEAD in an unknown repository is 404", Section: exists,
			Exchange: Exchange{Do: "HEAD /v2/{repo}/manifests/v2", Want: Want{Status: 404}}},
		{Name: "a manifest of another repository is 404", Section: section, Given: []Step{imageTo("{other}", "m", "v1"), image("n", "v2")},
			Exchange: Exchange{Do: "GET /v2/{repo}/manifests/{m}", Want: Want{Status: 404, Code: "MANIFEST_UNKNOWN"}}},
	}
}

func pullBlobRows() []Row {
	const section, exists = "Pulling blobs, end-2", "Checking if content exists in the registry, end-2"
	given := []Step{blob("b", "some bytes {nonce}")}
	heads := []string{"Docker-Content-Digest: {b}", "Content-Length: {b.size}"}
	return []Row{
		{Name: "a blob is found, with its digest", Section: section, Given: given,
			Exchange: Exchange{Do: "GET /v2/{repo}/blobs/{b}", Want: Want{Status: 200, Exact: "{b.bytes}", Heads: heads}}},
		{Name: "HEAD: size and digest", Section: exists, Given: given,
			Exchange: Exchange{Do: "HEAD /v2/{repo}/blobs/{b}", Want: Want{Status: 200, Heads: heads}}},
		{Name: "an empty blob is found", Section: section, Given: []Step{blob("b", "")},
			Exchange: Exchange{Do: "GET /v2/{repo}/blobs/{b}", Want: Want{Status: 200, Heads: heads, Check: func(e *Env, a *Answer) {
				if len(a.Body) != 0 {
					e.Errorf("the empty blob has %d bytes", len(a.Body))
				}
			}}}},
		{Name: "an unknown blob is 404", Section: section, Given: given,
			Exchange: Exchange{Do: "GET /v2/{repo}/blobs/{zero}", Want: Want{Status: 404, Code: "BLOB_UNKNOWN"}}},
		{Name: "an unknown sha512 blob is 404", Section: section, Given: given,
			Exchange: Exchange{Do: "GET /v2/{repo}/blobs/{zero512}", Want: Want{Status: 404, Code: "BLOB_UNKNOWN"}}},
		{Name: "an unknown repository is 404", Section: section,
			Exchange: Exchange{Do: "GET /v2/{repo}/blobs/{zero}", Want: Want{Status: 404, Code: "BLOB_UNKNOWN|NAME_UNKNOWN"}}},
		{Name: "HEAD of an unknown blob is 404", Section: exists, Given: given,
			Exchange: Exchange{Do: "HEAD /v2/{repo}/blobs/{zero}", Want: Want{Status: 404}}},
		{Name: "a blob of another repository is 404", Section: section, Given: []Step{blobTo("{other}", "b", "only there {nonce}"), blob("c", "{nonce}")},
			Exchange: Exchange{Do: "GET /v2/{repo}/blobs/{b}", Want: Want{Status: 404, Code: "BLOB_UNKNOWN"}},
			Then:     []Step{there("/v2/{other}/blobs/{b}")}},
		{Name: "HEAD of a blob of another repository is 404", Section: exists, Given: []Step{blobTo("{other}", "b", "only there {nonce}"), blob("c", "{nonce}")},
			Exchange: Exchange{Do: "HEAD /v2/{repo}/blobs/{b}", Want: Want{Status: 404}}},
	}
}
