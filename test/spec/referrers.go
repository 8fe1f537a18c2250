package spec

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// referrer is what a row expects in a list of referrers.
type referrer struct {
	name         string // of the manifest's variables
	mediaType    string
	artifactType string
	annotations  map[string]string
}

// referrersAre checks a list of referrers, in any order.
func referrersAre(list ...referrer) func(*Env, *Answer) {
	return func(e *Env, a *Answer) {
		e.Helper()
		e.problem(headProblem("Content-Type: "+v1.MediaTypeImageIndex, a.Header))
		var got v1.Index
		e.decode(a, &got)
		if got.SchemaVersion != 2 || got.MediaType != v1.MediaTypeImageIndex {
			e.Errorf("schemaVersion %d and mediaType %q, want an index", got.SchemaVersion, got.MediaType)
		}
		if got.Manifests == nil {
			e.Errorf("manifests is null or missing, want a list: %s", a.Body)
		}
		want := []v1.Descriptor{}
		for _, r := range list {
			var d v1.Descriptor
			if err := json.Unmarshal([]byte(e.vars[r.name+".m"]), &d); err != nil {
				e.Fatal(err)
			}
			d.MediaType, d.ArtifactType, d.Annotations = e.text(r.mediaType), r.artifactType, r.annotations
			want = append(want, d)
		}
		for _, l := range [][]v1.Descriptor{got.Manifests, want} {
			slices.SortFunc(l, func(a, b v1.Descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
		}
		if diff := cmp.Diff(want, got.Manifests); diff != "" {
			e.Errorf("referrers differ (-want +got):\n%s", diff)
		}
	}
}

func noReferrers(target string) Step {
	return Exchange{Do: "GET " + target, Want: Want{Status: 200, Check: referrersAre()}}.step()
}

// referrersRows is "Listing Referrers": end-12a, end-12b.
func referrersRows() []Row {
	return all(referrersListRows(), referrersFilterRows(), badReferrersRows())
}

const (
	signature = `{"schemaVersion":2,"mediaType":"{image}","artifactType":"application/vnd.example.signature","config":{config.c},"layers":[],"subject":{s.m},"annotations":{"org.example":"signed","empty":""}}`
	plainOne  = `{"schemaVersion":2,"mediaType":"{image}","config":{config.c},"layers":[{layer1.d}],"subject":{s.m}}`
	indexOne  = `{"schemaVersion":2,"mediaType":"{index}","manifests":[],"subject":{s.m},"annotations":{"a":"b"}}`
	typedIdx  = `{"schemaVersion":2,"mediaType":"{index}","artifactType":"application/vnd.example.list","manifests":[],"subject":{s.m}}`
)

func referrersListRows() []Row {
	const section = "Listing Referrers, end-12a"
	list := func(r ...referrer) Exchange {
		return Exchange{Do: "GET /v2/{repo}/referrers/{s}", Want: Want{Status: 200, Check: referrersAre(r...)}}
	}
	signed := referrer{"a", "{image}", "application/vnd.example.signature", map[string]string{"org.example": "signed", "empty": ""}}
	plain := referrer{"a", "{image}", v1.MediaTypeImageConfig, nil}
	subject := image("s", "v1")
	a := func(mediaType, body string, tags ...string) Step { return manifest("a", mediaType, body, tags...) }
	del := func(target string) Step { return Exchange{Do: "DELETE " + target, Want: Want{Status: 202}}.step() }
	return []Row{
		{Name: "an image: artifactType and annotations", Section: section, Given: []Step{subject, a("{image}", signature)}, Exchange: list(signed)},
		{Name: "an image without artifactType: its config's type", Section: section, Given: []Step{subject, a("{image}", plainOne)}, Exchange: list(plain)},
		{Name: "an index without artifactType: none", Section: section, Given: []Step{subject, a("{index}", indexOne)}, Exchange: list(referrer{"a", "{index}", "", map[string]string{"a": "b"}}),
			Then: []Step{Exchange{Do: "GET /v2/{repo}/referrers/{s}", Want: Want{Status: 200, Check: func(e *Env, a *Answer) {
				if strings.Contains(string(a.Body), "artifactType") {
					e.Errorf("artifactType is there, want it left out: %s", a.Body)
				}
			}}}.step()}},
		{Name: "an index: its artifactType", Section: section, Given: []Step{subject, a("{index}", typedIdx)}, Exchange: list(referrer{"a", "{index}", "application/vnd.example.list", nil})},
		{Name: "several", Section: section, Given: []Step{subject, a("{image}", signature), manifest("b", "{index}", indexOne), manifest("c", "{index}", typedIdx)},
			Exchange: list(signed, referrer{"b", "{index}", "", map[string]string{"a": "b"}}, referrer{"c", "{index}", "application/vnd.example.list", nil})},
		{Name: "pushed by tag", Section: section, Given: []Step{subject, a("{image}", signature, "sig")}, Exchange: list(signed)},
		{Name: "pushed three times: listed once", Section: section, Given: []Step{subject, a("{image}", signature, "sig", "{a}", "other")}, Exchange: list(signed)},
		{Name: "pushed before its subject", Section: section, Given: []Step{parts(), text("s", imageText("s")), a("{image}", signature), manifest("s", "{image}", imageText("s"), "v1")}, Exchange: list(signed)},
		{Name: "of a subject that never came", Section: section, Given: []Step{parts(), text("s", imageText("s")), a("{image}", signature)}, Exchange: list(signed)},
		{Name: "a deleted referrer is gone", Section: section, Given: []Step{subject, a("{image}", signature), manifest("b", "{index}", indexOne), del("/v2/{repo}/manifests/{b}")}, Exchange: list(signed)},
		{Name: "a referrer pushed again after its deletion is back", Section: section,
			Given: []Step{subject, a("{image}", signature), del("/v2/{repo}/manifests/{a}"), a("{image}", signature)}, Exchange: list(signed)},
		{Name: "a referrer whose tag is deleted stays", Section: section, Given: []Step{subject, a("{image}", signature, "sig"), del("/v2/{repo}/manifests/sig")}, Exchange: list(signed)},
		{Name: "another repository's referrers are its own", Section: section,
			Given: []Step{imageTo("{other}", "s", "v1"), manifestTo("{other}", "a", "{image}", signature), parts()}, Exchange: list(),
			Then: []Step{Exchange{Do: "GET /v2/{other}/referrers/{s}", Want: Want{Status: 200, Check: referrersAre(signed)}}.step()}},
		{Name: "a referrer of a referrer", Section: section, Given: []Step{subject, manifest("x", "{image}", plainOne), func(e *Env) { e.vars["s"], e.vars["s.m"] = e.vars["x"], e.vars["x.m"] }, a("{image}", signature)}, Exchange: list(signed)},
		{Name: "of a sha512 subject", Section: section,
			Given: []Step{parts(), text("x", imageText("x")), Exchange{Do: "PUT /v2/{repo}/manifests/{x.sha512}", Body: "{x.bytes}", Header: typed("{image}"), Want: Want{Status: 201}}.step(),
				func(e *Env) {
					e.vars["s"], e.vars["s.m"] = e.vars["x.sha512"], strings.Replace(e.vars["x.m"], e.vars["x"], e.vars["x.sha512"], 1)
				}, a("{image}", signature)}, Exchange: list(signed)},
		{Name: "more than one answer can hold: all that were accepted, over Links", Section: section, Given: []Step{subject}, Exchange: Exchange{Do: "GET /v2/{repo}/referrers/{s}", Want: Want{Status: 200, Check: manyReferrers}}},
		{Name: "none, of a manifest that is there", Section: section, Given: []Step{subject}, Exchange: list()},
		{Name: "none, of an unknown digest", Section: "B19", Given: []Step{subject}, Exchange: Exchange{Do: "GET /v2/{repo}/referrers/{zero}", Want: Want{Status: 200, Check: referrersAre()}}},
		{Name: "none, in an unknown repository", Section: "B19", Exchange: Exchange{Do: "GET /v2/{repo}/referrers/{zero}", Want: Want{Status: 200, Check: referrersAre()}}},
	}
}

// manyReferrers pushes three referrers of 2 MiB of annotations each. Refusing one
// (413) is an answer; what was accepted must be listed, page by page.
func manyReferrers(e *Env, _ *Answer) {
	e.Helper()
	accepted := 0
	for i := range 3 {
		e.vars["big"] = strings.Repeat(string(rune('a'+i)), 2<<20)
		e.keep("r", e.text(`{"schemaVersion":2,"mediaType":"{index}","manifests":[],"subject":{s.m},"annotations":{"big":"{big}"}}`), v1.MediaTypeImageIndex)
		a := e.exchange(Exchange{Do: "PUT /v2/{repo}/manifests/{r}", Body: "{r.bytes}", Header: typed("{index}"), Want: Want{Status: 201, Or: []int{413}, Says: "{s}"}})
		if a.Status == 201 {
			accepted++
		} else {
			gone("/v2/{repo}/manifests/{r}")(e)
		}
	}
	first := e.exchange(Exchange{Do: "GET /v2/{repo}/referrers/{s}", Want: Want{Status: 200}})
	listed := e.follow(first, func(a *Answer) (digests []string) {
		if len(a.Body) > 4<<20 {
			e.Errorf("an answer has %d bytes, more than a manifest may have", len(a.Body))
		}
		var page v1.Index
		e.decode(a, &page)
		for _, d := range page.Manifests {
			digests = append(digests, string(d.Digest))
		}
		return digests
	})
	if len(listed) != accepted || accepted == 0 {
		e.Errorf("%d referrers were accepted, %d are listed", accepted, len(listed))
	}
}

func referrersFilterRows() []Row {
	const section = "Listing Referrers, end-12b"
	given := []Step{image("s", "v1"), manifest("a", "{image}", signature), manifest("b", "{image}", plainOne), manifest("c", "{index}", indexOne)}
	filter := func(value string, r ...referrer) Exchange {
		return Exchange{Do: "GET /v2/{repo}/referrers/{s}?artifactType=" + value, Want: Want{Status: 200, Heads: []string{"OCI-Filters-Applied: artifactType"}, Check: referrersAre(r...)}}
	}
	return []Row{
		{Name: "by artifactType", Section: section, Given: given, Exchange: filter("application/vnd.example.signature",
			referrer{"a", "{image}", "application/vnd.example.signature", map[string]string{"org.example": "signed", "empty": ""}})},
		{Name: "by artifactType, escaped", Section: section, Given: given, Exchange: filter("application%2Fvnd.oci.image.config.v1%2Bjson", referrer{"b", "{image}", v1.MediaTypeImageConfig, nil})},
		{Name: "by an artifactType that none has", Section: section, Given: given, Exchange: filter("application/vnd.example.none")},
		{Name: "without a filter none is named", Section: section, Given: given, Exchange: Exchange{Do: "GET /v2/{repo}/referrers/{s}", Want: Want{Status: 200, Heads: []string{"!OCI-Filters-Applied"}}}},
	}
}

func badReferrersRows() []Row {
	bad := func(section, name, target, code string) Row {
		return Row{Name: name + " is 400", Section: section, Given: []Step{image("s", "v1")},
			Exchange: Exchange{Do: "GET /v2/{repo}/referrers/" + target, Want: Want{Status: 400, Code: code}}}
	}
	return []Row{
		bad("B18", "a malformed digest", "sha256:xyz", "DIGEST_INVALID"),
		bad("B18", "a tag", "v1", "DIGEST_INVALID"),
		bad("B18", "an unsupported algorithm", "md5:d41d8cd98f00b204e9800998ecf8427e", "DIGEST_INVALID"),
		bad("B20", "an artifactType of odd bytes", "{s}?artifactType=%ff", "UNSUPPORTED"),
		bad("B20", "an artifactType of 10 KiB", "{s}?artifactType="+strings.Repeat("a", 10<<10), "UNSUPPORTED"),
	}
}
