package spec

import (
	"encoding/json"
	"slices"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// text names content without pushing it.
func text(name, content string) Step {
	return func(e *Env) { e.keep(name, e.text(content), v1.MediaTypeImageManifest) }
}

// blob pushes content into {repo}.
func blob(name, content string) Step { return blobTo("{repo}", name, content) }

// blobTo pushes content by POST and PUT.
func blobTo(repo, name, content string) Step {
	return func(e *Env) {
		e.Helper()
		text(name, content)(e)
		e.exchange(Exchange{Do: "POST /v2/" + repo + "/blobs/uploads/", Save: "blob.location", Want: Want{Status: 202}})
		e.exchange(Exchange{
			Do: "PUT {blob.location?}digest={" + name + "}", Body: "{" + name + ".bytes}",
			Header: []string{"Content-Type: application/octet-stream"}, Want: Want{Status: 201},
		})
	}
}

// parts pushes a config {config} and a layer {layer1}, for manifests that a row writes itself.
func parts() Step { return partsTo("{repo}") }

func partsTo(repo string) Step {
	return func(e *Env) {
		e.Helper()
		blobTo(repo, "config", `{"architecture":"amd64","os":"linux","x":"{nonce}"}`)(e)
		blobTo(repo, "layer1", "a layer {nonce}")(e)
	}
}

// imageText is an image of what parts pushed; the word makes it different from others.
func imageText(word string) string {
	return `{"schemaVersion":2,"mediaType":"{image}","config":{config.c},"layers":[{layer1.d}],"annotations":{"word":"` + word + `"}}`
}

// image pushes an image of its own into {repo}: by each tag, by its digest when there is none.
func image(name string, tags ...string) Step { return imageTo("{repo}", name, tags...) }

func imageTo(repo, name string, tags ...string) Step {
	return func(e *Env) {
		e.Helper()
		partsTo(repo)(e)
		manifestTo(repo, name, "{image}", imageText(name+" {nonce}"), tags...)(e)
	}
}

// manifest pushes a manifest that the row wrote, by each tag or by its digest.
func manifest(name, mediaType, content string, tags ...string) Step {
	return manifestTo("{repo}", name, mediaType, content, tags...)
}

func manifestTo(repo, name, mediaType, content string, tags ...string) Step {
	return func(e *Env) {
		e.Helper()
		e.keep(name, e.text(content), e.text(mediaType))
		by := tags // rows that share the step are played at once
		if len(by) == 0 {
			by = []string{"{" + name + "}"}
		}
		for _, tag := range by {
			e.exchange(Exchange{
				Do: "PUT /v2/" + repo + "/manifests/" + tag, Body: "{" + name + ".bytes}",
				Header: []string{"Content-Type: " + mediaType}, Want: Want{Status: 201},
			})
		}
	}
}

// upload starts an upload; {NAME} is its Location.
func upload(name string) Step {
	return Exchange{Do: "POST /v2/{repo}/blobs/uploads/", Save: name, Want: Want{Status: 202}}.step()
}

// chunk appends to an upload and keeps its new Location.
func chunk(name, contentRange, body string) Step {
	return Exchange{
		Do: "PATCH {" + name + "}", Body: body, Save: name, Want: Want{Status: 202},
		Header: []string{"Content-Type: application/octet-stream", "Content-Range: " + contentRange},
	}.step()
}

// there and gone look at what is to be found, or not, after an exchange.
func there(target string) Step {
	return Exchange{Do: "GET " + target, Want: Want{Status: 200}}.step()
}

func holds(target, body string) Step {
	return Exchange{Do: "GET " + target, Want: Want{Status: 200, Exact: body}}.step()
}

func gone(target string) Step {
	return func(e *Env) {
		e.Helper()
		e.exchange(Exchange{Do: "GET " + target, Want: Want{Status: 404}})
		e.exchange(Exchange{Do: "HEAD " + target, Want: Want{Status: 404}})
	}
}

// tagsAre checks the whole list of {repo}'s tags.
func tagsAre(tags ...string) Step {
	return Exchange{Do: "GET /v2/{repo}/tags/list", Want: Want{Status: 200, Check: wantTags(tags...)}}.step()
}

func wantTags(tags ...string) func(*Env, *Answer) {
	return func(e *Env, a *Answer) {
		e.Helper()
		var got struct {
			Name string
			Tags []string
		}
		e.decode(a, &got)
		if got.Name != e.vars["repo"] {
			e.Errorf("name is %q, want %q", got.Name, e.vars["repo"])
		}
		if got.Tags == nil {
			e.Errorf("tags is null or missing, want a list: %s", a.Body)
		}
		if !slices.Equal(got.Tags, tags) {
			e.Errorf("tags are %q, want %q", got.Tags, tags)
		}
	}
}

// decode reads a JSON answer of its announced type.
func (e *Env) decode(a *Answer, into any) {
	e.Helper()
	if ct := a.Header.Get("Content-Type"); !strings.Contains(ct, "json") {
		e.Errorf("Content-Type is %q, want JSON", ct)
	}
	if err := json.Unmarshal(a.Body, into); err != nil {
		e.Fatalf("the body is not JSON: %v: %s", err, clip(a.Body))
	}
}

// octets is the header of a blob's bytes.
var octets = []string{"Content-Type: application/octet-stream"}

// typed is the header of a manifest.
func typed(mediaType string) []string { return []string{"Content-Type: " + mediaType} }
