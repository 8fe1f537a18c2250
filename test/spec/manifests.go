package spec

import (
	"fmt"
	"strings"
)

// manifestRows is "Pushing Manifests": end-7a.
func manifestRows() []Row {
	const section = "Pushing Manifests, end-7a"
	given := []Step{parts(), text("m", imageText("{nonce}"))}
	put := Exchange{Do: "PUT /v2/{repo}/manifests/v1", Body: "{m.bytes}", Header: typed("{image}"), Save: "at", Want: Want{
		Status: 201, Heads: []string{"Location:", "Docker-Content-Digest: {m}"},
	}}
	found := func(mediaType string) Step {
		return Exchange{Do: "GET {at}", Want: Want{Status: 200, Exact: "{m.bytes}", Heads: []string{"Content-Type: " + mediaType, "Docker-Content-Digest: {m}"}}}.step()
	}
	change := func(x Exchange, f func(*Exchange)) Exchange { f(&x); return x }
	byDigest := change(put, func(x *Exchange) { x.Do = "PUT /v2/{repo}/manifests/{m}" })
	typedAs := func(mediaType string) Exchange { return change(put, func(x *Exchange) { x.Header = typed(mediaType) }) }
	untyped := change(put, func(x *Exchange) { x.Header = nil })
	streamed := change(put, func(x *Exchange) { x.Header = append(typed("{image}"), "Transfer-Encoding: chunked") })
	written := func(name, mediaType, body string, x Exchange) Row {
		return Row{Name: name, Section: section, Given: []Step{parts(), text("m", body)}, Exchange: x, Then: []Step{found(mediaType)}}
	}
	return append([]Row{
		{Name: "by tag: 201 with a pullable Location", Section: section, Given: given, Exchange: put, Then: []Step{found("{image}"), tagsAre("v1")}},
		{Name: "by digest: 201, and no tag", Section: section, Given: given, Exchange: byDigest, Then: []Step{found("{image}"), tagsAre()}},
		{Name: "the same again is 201", Section: section, Given: append(given[:2:2], put.step()), Exchange: put, Then: []Step{found("{image}"), tagsAre("v1")}},
		{Name: "the same bytes as another type are 400, and the type stays", Section: section,
			Given:    []Step{parts(), text("m", `{"schemaVersion":2,"config":{config.c},"layers":[]}`), put.step()},
			Exchange: Exchange{Do: "PUT /v2/{repo}/manifests/v2", Body: "{m.bytes}", Header: typed("{docker}"), Want: Want{Status: 400, Code: "MANIFEST_INVALID", Says: "media type"}},
			Then:     []Step{found("{image}"), tagsAre("v1"), Exchange{Do: "GET /v2/{repo}/manifests/{m}", Want: Want{Status: 200, Heads: []string{"Content-Type: {image}"}}}.step()}},
		{Name: "a tag moves to another manifest, which stays", Section: section, Given: []Step{image("old", "v1"), text("m", imageText("new"))}, Exchange: put,
			Then: []Step{found("{image}"), holds("/v2/{repo}/manifests/v1", "{m.bytes}"), holds("/v2/{repo}/manifests/{old}", "{old.bytes}"), tagsAre("v1")}},
		{Name: "a tag of 128 characters", Section: section, Given: given,
			Exchange: change(put, func(x *Exchange) { x.Do = "PUT /v2/{repo}/manifests/" + strings.Repeat("a", 128) }), Then: []Step{found("{image}")}},
		{Name: "a tag of odd characters", Section: section, Given: given,
			Exchange: change(put, func(x *Exchange) { x.Do = "PUT /v2/{repo}/manifests/_A.b-c_9." }), Then: []Step{found("{image}")}},
		{Name: "a body without Content-Length", Section: section, Given: given, Exchange: streamed, Then: []Step{found("{image}")}},
		{Name: "a manifest by sha512", Section: section, Given: given,
			Exchange: change(put, func(x *Exchange) {
				x.Do, x.Heads = "PUT /v2/{repo}/manifests/{m.sha512}", []string{"Location:", "Docker-Content-Digest: {m.sha512}"}
			}),
			Then: []Step{Exchange{Do: "GET /v2/{repo}/manifests/{m.sha512}", Want: Want{Status: 200, Exact: "{m.bytes}", Heads: []string{"Docker-Content-Digest: {m.sha512}"}}}.step(), found512()}},
		written("the bytes stay as they were, white space and order too", "{image}",
			"{\n\t\"layers\" : [ {layer1.d} ],\r\n  \"schemaVersion\":2, \"config\":{config.c}  }\n \n", put),
		written("unknown members stay", "{image}", `{"schemaVersion":2,"config":{config.c},"layers":[],"org.example":{"a":[1,{"b":null}]}}`, put),
		written("without a mediaType in the body", "{image}", `{"schemaVersion":2,"config":{config.c},"layers":[{layer1.d}]}`, put),
		written("without a Content-Type: the body's mediaType counts", "{image}", imageText("untyped"), untyped),
		written("no layers", "{image}", `{"schemaVersion":2,"mediaType":"{image}","config":{config.c},"layers":[]}`, put),
		written("one layer twice", "{image}", `{"schemaVersion":2,"mediaType":"{image}","config":{config.c},"layers":[{layer1.d},{layer1.d}]}`, put),
		written("the config is also a layer", "{image}", `{"schemaVersion":2,"mediaType":"{image}","config":{config.c},"layers":[{config.d}]}`, put),
		written("an index of nothing", "{index}", `{"schemaVersion":2,"mediaType":"{index}","manifests":[]}`, typedAs("{index}")),
		written("Docker's image", "{docker}", `{"schemaVersion":2,"mediaType":"{docker}","config":{config.c},"layers":[{layer1.d}]}`, typedAs("{docker}")),
		written("Docker's list", "{list}", `{"schemaVersion":2,"mediaType":"{list}","manifests":[]}`, typedAs("{list}")),
		written("an artifact", "{image}", `{"schemaVersion":2,"mediaType":"{image}","artifactType":"application/vnd.example","config":{config.c},"layers":[{layer1.d}]}`, put),
		written("embedded data that matches", "{image}", `{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"`+
			`sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"data":"e30="},"layers":[{layer1.d}]}`, put).given(blob("empty", "{}")),
		written("layers of other places need not be here", "{image}", `{"schemaVersion":2,"config":{config.c},"layers":[{layer1.d},{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",`+
			`"digest":"{zero}","size":123,"urls":["https://example.com/layer"]}]}`, put),
		written("parameters of the Content-Type are dropped", "{image}", imageText("params"), typedAs("{image}; charset=utf-8")).numbered("B47"),
		written("annotations of 3 MiB", "{image}", "{big}", put).numbered("B58").given(parts(), func(e *Env) {
			e.vars["big"] = e.text(imageText(strings.Repeat("x", 3<<20)))
		}),
		written("exactly 4 MiB", "{image}", "{big}", put).numbered("B61").given(filled("big", 4<<20)),
		{Name: "an index of a pushed image", Section: section, Given: []Step{image("child"), text("m", `{"schemaVersion":2,"mediaType":"{index}","manifests":[{child.m}]}`)},
			Exchange: typedAs("{index}"), Then: []Step{found("{index}")}},
		{Name: "a manifest with an unknown child's subject", Section: "B56", Given: []Step{parts(), text("m", `{"schemaVersion":2,"config":{config.c},"layers":[],"subject":{"mediaType":"{image}","digest":"{zero}","size":7}}`)},
			Exchange: change(put, func(x *Exchange) { x.Heads = append(x.Heads[:2:2], "OCI-Subject: {zero}") }), Then: []Step{found("{image}")}},
	}, oddTags(given)...)
}

// oddTags are tags that look like something else; each is a tag (A09).
func oddTags(given []Step) []Row {
	row := Row{Section: "A09", Given: given}
	tags := []string{"sha256-zz.sig", "sha256-.sig", "sha256-" + strings.Repeat("0", 64), "list", "uploads", "_catalog", "0"}
	return each(row, tags, func(r *Row, tag string) {
		r.Name = "the tag " + tag + " is a tag"
		r.Exchange = Exchange{Do: "PUT /v2/{repo}/manifests/" + tag, Body: "{m.bytes}", Header: typed("{image}"), Want: Want{Status: 201}}
		r.Then = []Step{tagsAre(tag), holds("/v2/{repo}/manifests/"+tag, "{m.bytes}"), noReferrers("/v2/{repo}/referrers/{zero}")}
	})
}

// found512: what was pushed by one algorithm need not be there by another, but
// when it is, it is the same.
func found512() Step {
	return Exchange{Do: "GET /v2/{repo}/manifests/{m}", Want: Want{Status: 200, Or: []int{404}}}.step()
}

// given adds steps before a row's own.
func (r Row) given(steps ...Step) Row {
	r.Given = append(steps, r.Given...)
	return r
}

// numbered gives a row another section.
func (r Row) numbered(section string) Row {
	r.Section = section
	return r
}

// filled makes {NAME} an image manifest of exactly n bytes; parts must have been pushed.
func filled(name string, n int) Step {
	return func(e *Env) {
		e.Helper()
		parts()(e)
		empty := len(e.text(imageText("")))
		e.vars[name] = e.text(imageText(strings.Repeat("x", n-empty)))
	}
}

// multiTagRows is end-7b: several tags in one push.
func multiTagRows() []Row {
	const section = "Pushing Manifests, end-7b"
	tags := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("t%02d", i))
		}
		return list
	}
	push := func(want Want, list ...string) Exchange {
		return Exchange{Do: "PUT /v2/{repo}/manifests/{m}?tag=" + strings.Join(list, "&tag="), Body: "{m.bytes}", Header: typed("{image}"), Want: want}
	}
	accepted := func(list ...string) Want {
		return Want{Status: 201, Heads: []string{"Docker-Content-Digest: {m}", "Location:"}, Check: func(e *Env, a *Answer) {
			var got []string
			for _, v := range a.Header.Values("OCI-Tag") {
				for tag := range strings.SplitSeq(v, ",") {
					got = append(got, strings.TrimSpace(tag))
				}
			}
			if strings.Join(got, " ") != strings.Join(list, " ") {
				e.Errorf("OCI-Tag names %q, want %q", got, list)
			}
		}}
	}
	given := []Step{parts(), text("m", imageText("tags"))}
	none := []Step{gone("/v2/{repo}/manifests/t00"), gone("/v2/{repo}/manifests/{m}")}
	var rows []Row
	for _, n := range []int{1, 2, 10, 46} {
		rows = append(rows, Row{Name: fmt.Sprintf("%d tags are set and named", n), Section: section, Given: given, Exchange: push(accepted(tags(n)...), tags(n)...),
			Then: []Step{tagsAre(tags(n)...), holds(fmt.Sprintf("/v2/{repo}/manifests/t%02d", n-1), "{m.bytes}")}})
	}
	return append(rows,
		Row{Name: "tags of a manifest that is there", Section: section, Given: []Step{image("m", "v1")}, Exchange: push(accepted("v2", "v3"), "v2", "v3"), Then: []Step{tagsAre("v1", "v2", "v3")}},
		Row{Name: "a tag moves here", Section: section, Given: []Step{image("old", "v1", "v2"), text("m", imageText("new"))}, Exchange: push(accepted("v1"), "v1"),
			Then: []Step{holds("/v2/{repo}/manifests/v1", "{m.bytes}"), holds("/v2/{repo}/manifests/v2", "{old.bytes}")}},
		Row{Name: "47 tags are 414 and none is set", Section: "B21", Given: given, Exchange: push(Want{Status: 414, Says: "46"}, tags(47)...), Then: none},
		Row{Name: "one bad tag is 400 and none is set", Section: "B21", Given: given, Exchange: push(Want{Status: 400, Code: "MANIFEST_INVALID", Says: `\.bad`}, "t00", "t01", ".bad", "t02"), Then: none},
		Row{Name: "an empty tag is 400 and none is set", Section: "B21", Given: given, Exchange: push(Want{Status: 400, Code: "MANIFEST_INVALID"}, "t00", ""), Then: none},
		Row{Name: "a digest in place of a tag is 400 and none is set", Section: "B21", Given: given, Exchange: push(Want{Status: 400, Code: "MANIFEST_INVALID|DIGEST_INVALID"}, "t00", "{zero}"), Then: none},
		Row{Name: "an unknown layer is 404 and no tag is set", Section: section, Given: []Step{parts(), text("gone", "{nonce} never pushed"), text("m", `{"schemaVersion":2,"config":{config.c},"layers":[{gone.d}]}`)},
			Exchange: push(Want{Status: 404, Code: "MANIFEST_BLOB_UNKNOWN"}, "t00"), Then: none},
	)
}

// subjectRows is "Pushing Manifests with Subject".
func subjectRows() []Row {
	const section = "Pushing Manifests with Subject, end-7a"
	given := func(body string) []Step { return []Step{image("subject", "v1"), text("m", body)} }
	put := func(mediaType string, heads ...string) Exchange {
		return Exchange{Do: "PUT /v2/{repo}/manifests/{m}", Body: "{m.bytes}", Header: typed(mediaType), Want: Want{Status: 201, Heads: heads}}
	}
	ofImage := `{"schemaVersion":2,"mediaType":"{image}","config":{config.c},"layers":[{layer1.d}],"subject":{subject.m}}`
	ofIndex := `{"schemaVersion":2,"mediaType":"{index}","artifactType":"application/vnd.example","manifests":[],"subject":{subject.m}}`
	byTag := put("{image}", "OCI-Subject: {subject}")
	byTag.Do = "PUT /v2/{repo}/manifests/v2"
	return []Row{
		{Name: "an image's subject is named", Section: section, Given: given(ofImage), Exchange: put("{image}", "OCI-Subject: {subject}")},
		{Name: "an image's subject is named, by tag", Section: section, Given: given(ofImage), Exchange: byTag},
		{Name: "an index's subject is named", Section: section, Given: given(ofIndex), Exchange: put("{index}", "OCI-Subject: {subject}")},
		{Name: "without a subject none is named", Section: section, Given: given(imageText("plain")), Exchange: put("{image}", "!OCI-Subject")},
		{Name: "a subject of null is none", Section: section, Given: given(`{"schemaVersion":2,"config":{config.c},"layers":[],"subject":null}`), Exchange: put("{image}", "!OCI-Subject")},
	}
}
