package spec

import (
	"fmt"
	"strings"
)

// refusal is a manifest that must not be stored: body, what it is answered, what that must say.
type refusal struct {
	name, number, body string
	status             int
	code, says         string
}

// refusals makes rows that push and then look that nothing was stored.
func refusals(list []refusal) []Row {
	var rows []Row
	for _, r := range list {
		if r.status == 0 {
			r.status, r.code = 400, "MANIFEST_INVALID"
		}
		rows = append(rows, Row{
			Name: fmt.Sprintf("%s: %d", r.name, r.status), Section: r.number,
			Given:    []Step{parts(), text("m", r.body)},
			Exchange: Exchange{Do: "PUT /v2/{repo}/manifests/v1", Body: "{m.bytes}", Header: typed("{image}"), Want: Want{Status: r.status, Code: r.code, Says: r.says}},
			Then:     []Step{gone("/v2/{repo}/manifests/v1"), gone("/v2/{repo}/manifests/{m}")},
		})
	}
	return rows
}

// badManifestRows are documents that are no manifest.
func badManifestRows() []Row {
	typedAs := func(mediaType, name, number, body string, want Want) Row {
		return Row{Name: name, Section: number, Given: []Step{parts(), text("m", body)},
			Exchange: Exchange{Do: "PUT /v2/{repo}/manifests/v1", Body: "{m.bytes}", Header: typed(mediaType), Want: want},
			Then:     []Step{gone("/v2/{repo}/manifests/v1")}}
	}
	invalid := Want{Status: 400, Code: "MANIFEST_INVALID"}
	good := imageText("good")
	deep := strings.Repeat(`{"a":`, 200_000) + "1" + strings.Repeat("}", 200_000)
	return all(refusals([]refusal{
		{name: "no body", number: "B43", says: "JSON|object|empty"},
		{name: "null", number: "B43", body: "null", says: "object"},
		{name: "a list", number: "B43", body: "[]", says: "object"},
		{name: "a string", number: "B43", body: `"x"`, says: "object"},
		{name: "a number", number: "B43", body: "1", says: "object"},
		{name: "a syntax error", number: "B44", body: `{"schemaVersion":2,"config":}`, says: "offset|byte|position|[0-9]"},
		{name: "cut short", number: "B44", body: `{"schemaVersion":2,"config":{config.c},"layers":[`},
		{name: "trailing data", number: "A08", body: good + `{"x":1}`},
		{name: "a byte order mark", number: "A08", body: "\xef\xbb\xbf" + good},
		{name: "invalid UTF-8", number: "A08", body: strings.Replace(good, "good", "g\xff\xfed", 1)},
		{name: "a key twice", number: "B44", body: `{"schemaVersion":2,"config":{config.c},"layers":[],"layers":[{layer1.d}]}`, says: "layers|twice|duplicate"},
		{name: "depth over 64", number: "B44", body: `{"schemaVersion":2,"config":{config.c},"layers":[],"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}", says: "deep|depth|64"},
		{name: "200 000 nested objects", number: "A04", body: deep},
		{name: "no schemaVersion", number: "B45", body: `{"config":{config.c},"layers":[]}`, says: "schemaVersion.*2"},
		{name: "schemaVersion 1", number: "B45", body: `{"schemaVersion":1,"config":{config.c},"layers":[]}`, says: "schemaVersion.*2"},
		{name: "schemaVersion as a string", number: "B45", body: `{"schemaVersion":"2","config":{config.c},"layers":[]}`, says: "schemaVersion.*2"},
		{name: "schemaVersion 3", number: "B45", body: `{"schemaVersion":3,"config":{config.c},"layers":[]}`, says: "schemaVersion.*2"},
		{name: "layers and manifests", number: "A05", body: `{"schemaVersion":2,"mediaType":"{image}","config":{config.c},"layers":[{layer1.d}],"manifests":[]}`, says: "manifests"},
		{name: "layers and manifests, untyped", number: "A05", body: `{"schemaVersion":2,"config":{config.c},"layers":[],"manifests":[]}`, says: "manifests"},
		{name: "mediaType of an index", number: "A06", body: `{"schemaVersion":2,"mediaType":"{index}","config":{config.c},"layers":[]}`, says: "mediaType"},
		{name: "mediaType of Docker's image", number: "A06", body: `{"schemaVersion":2,"mediaType":"{docker}","config":{config.c},"layers":[]}`, says: "mediaType"},
		{name: "an index under an image's Content-Type", number: "A06", body: `{"schemaVersion":2,"manifests":[]}`},
		{name: "annotations of numbers", number: "B58", body: `{"schemaVersion":2,"config":{config.c},"layers":[],"annotations":{"a":1}}`, says: "annotations"},
		{name: "annotations that are a list", number: "B58", body: `{"schemaVersion":2,"config":{config.c},"layers":[],"annotations":["a"]}`, says: "annotations"},
	}), []Row{
		typedAs("{index}", "an image under an index's Content-Type", "A06", good, invalid),
		typedAs("text/html", "an unknown Content-Type is 415", "B48", good, Want{Status: 415, Code: "MANIFEST_INVALID", Says: "vnd.oci.image.manifest.v1"}),
		typedAs("application/json", "a Content-Type of plain JSON is 415", "B48", good, Want{Status: 415, Code: "MANIFEST_INVALID"}),
		typedAs("application/vnd.docker.distribution.manifest.v1+prettyjws", "Docker's schema 1 is 415", "B48", good, Want{Status: 415, Code: "MANIFEST_INVALID"}),
		typedAs("a b c", "a malformed Content-Type is 415", "B48", good, Want{Status: 415, Or: []int{400}, Code: "MANIFEST_INVALID"}),
		{Name: "another digest than the body's is 400", Section: "A27", Given: []Step{parts(), text("m", good)},
			Exchange: Exchange{Do: "PUT /v2/{repo}/manifests/{zero}", Body: "{m.bytes}", Header: typed("{image}"), Want: Want{Status: 400, Code: "DIGEST_INVALID"}},
			Then:     []Step{gone("/v2/{repo}/manifests/{zero}"), gone("/v2/{repo}/manifests/{m}")}},
		{Name: "another sha512 than the body's is 400", Section: "A27", Given: []Step{parts(), text("m", good)},
			Exchange: Exchange{Do: "PUT /v2/{repo}/manifests/{zero512}", Body: "{m.bytes}", Header: typed("{image}"), Want: Want{Status: 400, Code: "DIGEST_INVALID"}}},
	}, tooLargeRows())
}

// tooLargeRows are manifests over 4 MiB.
func tooLargeRows() []Row {
	large := Want{Status: 413, Code: "MANIFEST_INVALID", Says: "4194304|4 ?MiB"}
	body := func(n int) func(*Env) string {
		return func(e *Env) string { filled("big", n)(e); return e.vars["big"] }
	}
	put := Exchange{Do: "PUT /v2/{repo}/manifests/v1", Header: typed("{image}"), Make: body(4<<20 + 1), Want: large}
	five, stream := put, put
	five.Make = body(5 << 20)
	stream.Make, stream.Header = body(5<<20), append(typed("{image}"), "Transfer-Encoding: chunked")
	after := []Step{gone("/v2/{repo}/manifests/v1")}
	return []Row{
		{Name: "a manifest of 4 MiB and a byte is 413", Section: "B61", Exchange: put, Then: after},
		{Name: "a manifest of 5 MiB is 413", Section: "A01", Exchange: five, Then: after},
		{Name: "a manifest of 5 MiB without Content-Length is 413", Section: "A01", Exchange: stream, Then: after},
	}
}

// badDescriptorRows are manifests whose descriptors are wrong.
func badDescriptorRows() []Row {
	layer := func(descriptor string) string {
		return `{"schemaVersion":2,"mediaType":"{image}","config":{config.c},"layers":[` + descriptor + `]}`
	}
	sized := func(size string) string {
		return layer(`{"mediaType":"{layer}","digest":"{layer1}","size":` + size + `}`)
	}
	config := func(member string) string {
		return `{"schemaVersion":2,"mediaType":"{image}",` + member + `"layers":[]}`
	}
	subject := func(descriptor string) string {
		return `{"schemaVersion":2,"mediaType":"{image}","config":{config.c},"layers":[],"subject":` + descriptor + `}`
	}
	embedded := func(data string) string {
		return layer(`{"mediaType":"{layer}","digest":"{layer1}","size":{layer1.size},"data":` + data + `}`)
	}
	many := func(n int, descriptor string) string { return strings.Repeat(descriptor+",", n-1) + descriptor }
	missing := func(says string) refusal { return refusal{status: 404, code: "MANIFEST_BLOB_UNKNOWN", says: says} }
	unknown := func(name, body, says string) refusal {
		r := missing(says)
		r.name, r.number, r.body = name, "B54", body
		return r
	}
	never := `{"mediaType":"{layer}","digest":"{zero}","size":5}`
	return all(refusals([]refusal{
		{name: "no config", number: "B49", body: config(""), says: "config"},
		{name: "a config of null", number: "B49", body: config(`"config":null,`), says: "config"},
		{name: "a config without a digest", number: "B49", body: config(`"config":{"mediaType":"a/b","size":2},`), says: `config.*digest`},
		{name: "a config without a mediaType", number: "B49", body: config(`"config":{"digest":"{config}","size":{config.size}},`), says: "config.*mediaType"},
		{name: "a config that is a string", number: "B49", body: config(`"config":"{config}",`), says: "config"},
		{name: "no layers", number: "B50", body: `{"schemaVersion":2,"mediaType":"{image}","config":{config.c}}`, says: "layers"},
		{name: "layers of null", number: "B50", body: `{"schemaVersion":2,"mediaType":"{image}","config":{config.c},"layers":null}`, says: "layers"},
		{name: "1001 layers", number: "B51", body: layer(many(1001, "{layer1.d}")), says: "1000"},
		{name: "size -1", number: "A29", body: sized("-1"), status: 400, code: "SIZE_INVALID", says: `layers\[0\]`},
		{name: "size 1e30", number: "A29", body: sized("1e30"), says: `layers\[0\]`},
		{name: "size 1.5", number: "B52", body: sized("1.5"), says: `layers\[0\].*size`},
		{name: "size as a string", number: "B52", body: sized(`"10"`), says: `layers\[0\].*size`},
		{name: "size 2^63", number: "B52", body: sized("9223372036854775808"), says: `layers\[0\].*size`},
		{name: "no size", number: "B52", body: layer(`{"mediaType":"{layer}","digest":"{layer1}"}`), says: `layers\[0\].*size`},
		{name: "another size than the blob's", number: "B53", body: sized("12345"), status: 400, code: "SIZE_INVALID", says: `layers\[0\].*12345`},
		{name: "a layer's malformed digest", number: "B52", body: layer(`{"mediaType":"{layer}","digest":"sha256:abc","size":1}`), says: `layers\[0\]`},
		{name: "a layer without a mediaType", number: "B52", body: layer(`{"digest":"{layer1}","size":{layer1.size}}`), says: `layers\[0\]`},
		{name: "a layer that is null", number: "B52", body: layer("null"), says: `layers\[0\]`},
		unknown("an unknown layer", layer(never), "{zero}"),
		unknown("an unknown config", config(`"config":`+never+`,`), ""),
		{name: "a subject's malformed digest", number: "B55", body: subject(`{"mediaType":"{image}","digest":"sha256:abc","size":1}`), says: "subject"},
		{name: "a subject without a size", number: "B55", body: subject(`{"mediaType":"{image}","digest":"{zero}"}`), says: "subject"},
		{name: "a subject that is a string", number: "B55", body: subject(`"{zero}"`), says: "subject"},
		{name: "data that is no base64", number: "B57", body: embedded(`"***"`), says: "data"},
		{name: "data of another digest", number: "B57", body: embedded(`"e30="`), says: "data"},
		{name: "data over 64 KiB", number: "B57", body: embedded(`"` + strings.Repeat("AAAA", 30_000) + `"`), says: "data"},
	}), []Row{
		{Name: "every missing digest is named", Section: "B54", Given: []Step{parts(), text("x", "x {nonce}"), text("y", "y {nonce}"), text("m", layer("{x.d},{layer1.d},{y.d}"))},
			Exchange: Exchange{Do: "PUT /v2/{repo}/manifests/v1", Body: "{m.bytes}", Header: typed("{image}"), Want: Want{Status: 404, Code: "MANIFEST_BLOB_UNKNOWN", Check: func(e *Env, a *Answer) {
				var body errorBody
				e.decode(a, &body)
				if len(body.Errors) != 2 || !strings.Contains(string(a.Body), e.vars["x"]) || !strings.Contains(string(a.Body), e.vars["y"]) {
					e.Errorf("two missing layers make %d errors, want one for each: %s", len(body.Errors), a.Body)
				}
			}}}},
		{Name: "a layer of another repository is unknown here", Section: "B54", Given: []Step{parts(), blobTo("{other}", "x", "x {nonce}"), text("m", layer("{x.d}"))},
			Exchange: Exchange{Do: "PUT /v2/{repo}/manifests/v1", Body: "{m.bytes}", Header: typed("{image}"), Want: Want{Status: 404, Code: "MANIFEST_BLOB_UNKNOWN"}}},
		{Name: "an index's unknown child is 404", Section: "B54", Given: []Step{parts(), text("x", imageText("never")), text("m", `{"schemaVersion":2,"mediaType":"{index}","manifests":[{x.m}]}`)},
			Exchange: Exchange{Do: "PUT /v2/{repo}/manifests/v1", Body: "{m.bytes}", Header: typed("{index}"), Want: Want{Status: 404, Code: "MANIFEST_BLOB_UNKNOWN"}},
			Then:     []Step{gone("/v2/{repo}/manifests/v1")}},
		{Name: "10 001 children are 400", Section: "B51", Given: []Step{image("child"), text("m", `{"schemaVersion":2,"mediaType":"{index}","manifests":[`+many(10_001, "{child.m}")+`]}`)},
			Exchange: Exchange{Do: "PUT /v2/{repo}/manifests/v1", Body: "{m.bytes}", Header: typed("{index}"), Want: Want{Status: 400, Or: []int{413}, Code: "MANIFEST_INVALID"}}},
		{Name: "1000 layers are 201", Section: "B51", Given: []Step{parts(), text("m", layer(many(1000, "{layer1.d}")))},
			Exchange: Exchange{Do: "PUT /v2/{repo}/manifests/v1", Body: "{m.bytes}", Header: typed("{image}"), Want: Want{Status: 201}}},
	})
}

// nestedRows are indexes of indexes: the walk must see each digest once.
func nestedRows() []Row {
	chain := func(depth, times int) Step {
		return func(e *Env) {
			e.Helper()
			image("m0")(e)
			for i := 1; i <= depth; i++ {
				child := fmt.Sprintf("{m%d.m}", i-1)
				list := strings.TrimSuffix(strings.Repeat(child+",", times), ",")
				manifest(fmt.Sprintf("m%d", i), "{index}", `{"schemaVersion":2,"mediaType":"{index}","manifests":[`+list+`]}`)(e)
			}
		}
	}
	push := func(top int) Exchange {
		return Exchange{Do: "PUT /v2/{repo}/manifests/top", Body: fmt.Sprintf("{m%d.bytes}", top), Header: typed("{index}"), Want: Want{Status: 201}}
	}
	return []Row{
		{Name: "an index of depth 100 is 201", Section: "B59", Given: []Step{chain(100, 1)}, Exchange: push(100), Then: []Step{there("/v2/{repo}/manifests/top")}},
		{Name: "30 indexes that each list their child twice are walked once", Section: "A10", Given: []Step{chain(30, 2)}, Exchange: push(30),
			Then: []Step{Exchange{Do: "DELETE /v2/{repo}/manifests/{m30}", Want: Want{Status: 202}}.step(), noReferrers("/v2/{repo}/referrers/{m0}")}},
	}
}
