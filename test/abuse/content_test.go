package abuse

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	imageType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
	layerType = "application/vnd.oci.image.layer.v1.tar"
	octets    = "Content-Type: application/octet-stream"
)

// unknown is a digest of nothing.
var unknown = "sha256:" + strings.Repeat("0123456789abcdef", 4)

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// descriptor of content.
func descriptor(mediaType, content string) string {
	return described(mediaType, digest(content), len(content))
}

func described(mediaType, digest string, size int) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, digest, size)
}

// owner may do everything in a repository.
func owner(repo string) string {
	if strings.HasPrefix(repo, "acme/priv/") {
		return "bob"
	}
	return "alice"
}

// upload begins an upload and returns where it goes on.
func (a *attack) upload(repo string) string {
	a.Helper()
	return a.ask(owner(repo), "POST /v2/"+repo+"/blobs/uploads/").is(202).location()
}

// blob pushes content and returns its digest.
func (a *attack) blob(repo, content string) string {
	a.Helper()
	a.do(owner(repo), "PUT "+with(a.upload(repo), "digest="+digest(content)), content, octets).is(201)
	return digest(content)
}

// parts pushes a config and a layer, for manifests that a row writes.
func (a *attack) parts(repo string) (config, layer string) {
	a.Helper()
	config, layer = `{"architecture":"amd64","os":"linux","x":"`+a.word+`"}`, "a layer "+a.word
	a.blob(repo, config)
	a.blob(repo, layer)
	return config, layer
}

// image is a manifest of parts; the word makes it different from others.
func image(config, layer, word string) string {
	return imageOf(descriptor("application/vnd.oci.image.config.v1+json", config), `[`+descriptor(layerType, layer)+`]`, `"annotations":{"word":"`+word+`"}`)
}

// imageOf is a manifest of a config's descriptor, a list of layers and further members.
func imageOf(config, layers string, more ...string) string {
	return `{"schemaVersion":2,"mediaType":"` + imageType + `","config":` + config + `,"layers":` + layers + strings.Join(append([]string{""}, more...), ",") + `}`
}

// indexOf is an index of descriptors.
func indexOf(children ...string) string {
	return `{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[` + strings.Join(children, ",") + `]}`
}

// put pushes a manifest as the repository's owner.
func (a *attack) put(repo, ref, manifest string, heads ...string) *answer {
	a.Helper()
	return a.putAs(owner(repo), repo, ref, manifest, heads...)
}

func (a *attack) putAs(user, repo, ref, manifest string, heads ...string) *answer {
	a.Helper()
	mediaType := imageType
	if strings.Contains(manifest, `"mediaType":"`+indexType) && !strings.Contains(manifest, `"layers"`) {
		mediaType = indexType
	}
	if len(heads) == 0 {
		heads = []string{"Content-Type: " + mediaType}
	}
	return a.do(user, "PUT /v2/"+repo+"/manifests/"+ref, manifest, heads...)
}

// image pushes parts and an image of them by tags, and returns its bytes.
func (a *attack) image(repo string, tags ...string) (manifest string) {
	a.Helper()
	config, layer := a.parts(repo)
	manifest = image(config, layer, a.word)
	if len(tags) == 0 {
		tags = []string{digest(manifest)}
	}
	for _, tag := range tags {
		a.put(repo, tag, manifest).is(201)
	}
	return manifest
}

// gone looks that nothing is there.
func (a *attack) gone(repo, what string) {
	a.Helper()
	a.ask(owner(repo), "GET /v2/"+repo+"/"+what).is(404)
	a.ask(owner(repo), "HEAD /v2/"+repo+"/"+what).is(404)
}

// there looks that something is there.
func (a *attack) there(repo, what string) *answer {
	a.Helper()
	return a.ask(owner(repo), "GET /v2/"+repo+"/"+what).is(200)
}

// noise is so many bytes that differ from word to word.
func (a *attack) noise(n int) string {
	unit := a.word + "0123456789abcdef0123456789abcdef0123456789abcdef"
	return strings.Repeat(unit, n/len(unit)+1)[:n]
}
