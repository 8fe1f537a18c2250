package spec

import (
	"bytes"
	"compress/gzip"
	"strings"
	"time"
)

// limitRows are sizes and numbers that would cost a careless server dear.
func limitRows() []Row {
	return []Row{
		{Name: "a layer that unpacks to 10 GiB is bytes like others", Section: "A67", Given: []Step{func(e *Env) { e.keep("b", bomb(e), "") }, upload("u")},
			Exchange: Exchange{Do: "PUT {u?}digest={b}", Body: "{b.bytes}", Header: octets, Want: Want{Status: 201}},
			Then: []Step{func(e *Env) {
				began := time.Now()
				e.exchange(Exchange{Do: "HEAD /v2/{repo}/blobs/{b}", Want: Want{Status: 200, Heads: []string{"Content-Length: {b.size}"}}})
				if took := time.Since(began); took > 5*time.Second {
					e.Errorf("a HEAD of it takes %v", took)
				}
			}}},
		{Name: "a thousand uploads begun and left", Section: "A65", Exchange: Exchange{Do: "GET /v2/", Want: Want{Status: 200, Check: func(e *Env, _ *Answer) {
			for range 10 {
				got := e.together(100, func(int) Exchange { return Exchange{Do: "POST /v2/{repo}/blobs/uploads/"} })
				if got[202]+got[429] != 100 {
					e.Fatalf("a hundred POST are answered by %v, want 202 or 429", got)
				}
			}
		}}}},
		{Name: "a path of 4 KiB is answered", Section: "B04", Exchange: Exchange{Do: "GET /v2/" + strings.Repeat("a", 4096) + "/tags/list", Want: Want{Status: 400, Code: "NAME_INVALID", Says: "255"}}},
		{Name: "32 parameters are taken", Section: "A03", Given: []Step{image("m", "v1")},
			Exchange: Exchange{Do: "GET /v2/{repo}/tags/list?a=1" + strings.Repeat("&a=1", 31), Want: Want{Status: 200}}},
		{Name: "100 headers are no obstacle", Section: "A03", Exchange: Exchange{Do: "GET /v2/", Header: strings.Split(strings.TrimSuffix(strings.Repeat("X-Any: thing\n", 90), "\n"), "\n"), Want: Want{Status: 200}}},
		{Name: "parameters that are no escape are 400", Section: "A03", Given: []Step{image("m", "v1")},
			Exchange: Exchange{Do: "GET /v2/{repo}/tags/list?n=%zz", Want: Want{Status: 400, Code: "UNSUPPORTED"}}},
	}
}

// maxBlobRows is a registry whose blobs have a largest size (B38, A66): 413, and nothing is left.
func maxBlobRows() []Row {
	large := Want{Status: 413, Code: "SIZE_INVALID", Says: "1048576|1 ?MiB"}
	size := func(n int) Step {
		return func(e *Env) { e.keep("b", long(n, e.vars["nonce"]), "") }
	}
	put := Exchange{Do: "PUT {u?}digest={b}", Body: "{b.bytes}", Header: octets, Want: large}
	stream, post, patch, fits, range2, last := put, put, put, put, put, put
	stream.Header = append(octets[:1:1], "Transfer-Encoding: chunked")
	post.Do = "POST /v2/{repo}/blobs/uploads/?digest={b}"
	patch.Do = "PATCH {u}"
	fits.Want = Want{Status: 201}
	range2.Do, range2.Header, range2.Body = "PATCH {u}", []string{"Content-Range: 0-1048576", "Content-Length: 1048577"}, "{b.bytes}"
	last.Body, last.Header = "xy", []string{"Content-Range: 1048575-1048576"}
	row := func(name, section string, n int, x Exchange, then ...Step) Row {
		return Row{Name: name, Section: section, At: Limited, Given: []Step{size(n), upload("u")}, Exchange: x, Then: then}
	}
	none := gone("/v2/{repo}/blobs/{b}")
	over := row("a last chunk that passes the limit is 413", "B38", MaxBlob-1, last)
	over.Given = append(over.Given, func(e *Env) { chunk("u", "0-1048574", "{b.bytes}")(e) })
	return []Row{
		row("a blob of the largest size is 201", "B38", MaxBlob, fits, there("/v2/{repo}/blobs/{b}")),
		row("a byte more is 413", "B38", MaxBlob+1, put, none),
		row("a byte more in a single POST is 413", "B38", MaxBlob+1, post, none),
		row("a byte more in a chunk is 413", "B38", MaxBlob+1, patch),
		row("a Content-Range that ends beyond is 413", "B38", MaxBlob+1, range2),
		row("a stream that does not end in time is 413", "A66", 8*MaxBlob, stream, none),
		over,
	}
}

// bomb returns some 10 MB that gunzip makes 10 GiB of: a thousand times ten
// mebibytes of zeros, which a gzip stream may simply repeat. It ends in the
// row's own word, so that no other row has pushed it.
func bomb(e *Env) string {
	e.Helper()
	var one bytes.Buffer
	w := gzip.NewWriter(&one)
	if _, err := w.Write(make([]byte, 10<<20)); err != nil {
		e.Fatal(err)
	}
	if err := w.Close(); err != nil {
		e.Fatal(err)
	}
	return strings.Repeat(one.String(), 1024) + e.vars["nonce"]
}

// browserRows are answers that a browser, or a client that trusts a host, could be misled by.
func browserRows() []Row {
	page := blob("b", "<html><script>alert('{nonce}')</script></html>")
	safe := []string{
		"Content-Type: application/octet-stream", "X-Content-Type-Options: nosniff",
		"Content-Security-Policy: ~default-src 'none'.*sandbox", "Content-Disposition: ~attachment",
	}
	relative := func(name string, headers ...string) Row {
		return Row{Name: name + " does not show in Location", Section: "A51",
			Exchange: Exchange{Do: "POST /v2/{repo}/blobs/uploads/", Header: headers, Want: Want{Status: 202, Heads: []string{"Location: ~^/v2/{repo}/blobs/uploads/"}}}}
	}
	return []Row{
		{Name: "a page pushed as a layer is no page", Section: "A54", Given: []Step{page},
			Exchange: Exchange{Do: "GET /v2/{repo}/blobs/{b}", Header: []string{"Accept: text/html"}, Want: Want{Status: 200, Exact: "{b.bytes}", Heads: safe}}},
		{Name: "nor is a part of it", Section: "A54", Given: []Step{page},
			Exchange: Exchange{Do: "GET /v2/{repo}/blobs/{b}", Header: []string{"Accept: text/html", "Range: bytes=0-9"}, Want: Want{Status: 206, Heads: safe}}},
		{Name: "a manifest is not guessed at", Section: "A54", Given: []Step{image("m", "v1")},
			Exchange: Exchange{Do: "GET /v2/{repo}/manifests/v1", Want: Want{Status: 200, Heads: []string{"X-Content-Type-Options: nosniff"}}}},
		{Name: "an error is not guessed at, and shows no script", Section: "A54",
			Exchange: Exchange{Do: "GET /v2/%3Cscript%3E/tags/list", Want: Want{Status: 400, Code: "NAME_INVALID", Heads: []string{"X-Content-Type-Options: nosniff"}, Check: func(e *Env, a *Answer) {
				if bytes.Contains(a.Body, []byte("<script>")) {
					e.Errorf("the error repeats a tag: %s", a.Body)
				}
			}}}},
		{Name: "another origin is not let in", Section: "A53", Given: []Step{image("m", "v1")},
			Exchange: Exchange{Do: "GET /v2/{repo}/manifests/v1", Header: []string{"Origin: https://evil.example"}, Want: Want{Status: 200, Heads: []string{"!Access-Control-Allow-Origin"}}}},
		relative("a strange Host", "Host: evil.example"),
		relative("X-Forwarded-Host", "X-Forwarded-Host: evil2.example", "X-Forwarded-Proto: https"),
		relative("Forwarded", "Forwarded: host=evil3.example;proto=https"),
	}
}
