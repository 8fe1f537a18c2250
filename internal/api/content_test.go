package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// What every site holds: acme/app has an image under v1, v2 and its digest, and a signature of it whose
// subject it is; acme/loose has a layer that nothing refers to. nothing is a repository without content.
const (
	app     = "/v2/acme/app"
	loose   = "/v2/acme/loose"
	nothing = "/v2/acme/nothing"

	configText = `{"os":"linux"}`
	layerText  = "<html><script>alert(1)</script></html>"
	looseText  = "0123456789"

	imageType = oci.MediaTypeImageManifest
	indexType = oci.MediaTypeImageIndex
	sigType   = "application/vnd.example.signature"
)

var (
	configDigest = digestOf(configText)
	layerDigest  = digestOf(layerText)
	looseDigest  = digestOf(looseText)
	unknown      = digestOf("what nobody pushed")

	image     = imageText(`"layers":[` + descriptor("text/html", layerText) + `]`)
	imageD    = digestOf(image)
	signature = imageText(`"layers":[],"artifactType":"` + sigType + `","subject":` + descriptor(imageType, image))
	signatD   = digestOf(signature)
	index     = `{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[` + descriptor(imageType, image) + `]}`
)

func digestOf(s string) string { return string(digest.FromString(s)) }

func descriptor(mediaType, content string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, digestOf(content), len(content))
}

// imageText is an image manifest with the config and some more members.
func imageText(members string) string {
	return `{"schemaVersion":2,"mediaType":"` + imageType + `","config":` + descriptor("application/vnd.example+json", configText) + `,` + members + `}`
}

// seed pushes the content.
func seed(t *testing.T, r registry.Registry) {
	t.Helper()
	blob := func(repo oci.Repository, content string) {
		if err := r.PushBlob(t.Context(), repo, digest.FromString(content), strings.NewReader(content), int64(len(content))); err != nil {
			t.Fatal(err)
		}
	}
	manifest := func(body string, tags ...oci.Tag) {
		if _, err := r.PushManifest(t.Context(), "acme/app", registry.Push{Body: []byte(body), Tags: tags}); err != nil {
			t.Fatal(err)
		}
	}
	blob("acme/app", configText)
	blob("acme/app", layerText)
	blob("acme/loose", looseText)
	manifest(image, "v1", "v2")
	manifest(signature)
}
