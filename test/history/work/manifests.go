package work

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"holdfast/test/history/call"
)

var acceptManifests = strings.Join([]string{v1.MediaTypeImageManifest, v1.MediaTypeImageIndex}, ", ")

// putManifest pushes an image under a tag, or under its digest and then perhaps with tags.
func (w *worker) putManifest(ctx context.Context, repo, ref string, i *image, tags ...string) bool {
	facts := i.facts
	c := call.Call{Op: call.ManifestPut, Repo: repo, Ref: ref, Tags: tags, Digest: i.digest, Manifest: &facts}
	path := "/v2/" + repo + "/manifests/" + ref
	if len(tags) > 0 {
		path += "?" + url.Values{"tag": tags}.Encode()
	}
	a := w.send(ctx, &c, w.at(), request{
		method: http.MethodPut, path: path, body: i.body,
		header: map[string]string{"Content-Type": i.facts.MediaType},
	})
	if c.OK() {
		got := a.header.Get("Docker-Content-Digest")
		switch {
		case got != "" && got != i.digest:
			c.Wrong = "the answer says the digest is " + got
		case i.facts.Subject != "" && a.header.Get("OCI-Subject") != i.facts.Subject:
			c.Wrong = fmt.Sprintf("the answer says OCI-Subject: %q", a.header.Get("OCI-Subject"))
		}
	}
	w.record(&c)
	return c.OK()
}

// getManifest reads a manifest by tag or digest, and returns its digest and, of an image, its blobs.
func (w *worker) getManifest(ctx context.Context, repo, ref string) (string, []v1.Descriptor) {
	c := call.Call{Op: call.ManifestGet, Repo: repo, Ref: ref}
	a := w.send(ctx, &c, w.at(), request{method: http.MethodGet, path: "/v2/" + repo + "/manifests/" + ref, header: map[string]string{"Accept": acceptManifests}})
	var blobs []v1.Descriptor
	if c.OK() {
		c.Digest, c.Size = digest.FromBytes(a.body).String(), int64(len(a.body))
		said := a.header.Get("Docker-Content-Digest")
		var m v1.Manifest
		switch err := json.Unmarshal(a.body, &m); {
		case c.ByDigest() && c.Digest != ref:
			c.Wrong = "the bytes have the digest " + c.Digest
		case said != "" && said != c.Digest:
			c.Wrong = fmt.Sprintf("the bytes have the digest %s, the header says %s", c.Digest, said)
		case err != nil:
			c.Wrong = "no manifest: " + err.Error()
		case a.header.Get("Content-Type") != m.MediaType:
			c.Wrong = fmt.Sprintf("Content-Type is %q, the manifest's is %q", a.header.Get("Content-Type"), m.MediaType)
		}
		blobs = blobsOf(m)
	}
	w.record(&c)
	if !c.OK() {
		return "", nil
	}
	return c.Digest, blobs
}

// headManifest asks for a manifest by tag or digest.
func (w *worker) headManifest(ctx context.Context, repo, ref string) {
	c := call.Call{Op: call.ManifestHead, Repo: repo, Ref: ref}
	a := w.send(ctx, &c, w.at(), request{method: http.MethodHead, path: "/v2/" + repo + "/manifests/" + ref, header: map[string]string{"Accept": acceptManifests}})
	if c.OK() {
		c.Digest = a.header.Get("Docker-Content-Digest")
		if c.ByDigest() && c.Digest != ref || c.Digest == "" {
			c.Wrong = fmt.Sprintf("the header says the digest is %q", c.Digest)
		}
	}
	w.record(&c)
}

// deleteManifest deletes a tag, or a manifest by digest.
func (w *worker) deleteManifest(ctx context.Context, repo, ref string) {
	c := call.Call{Op: call.TagDelete, Repo: repo, Ref: ref}
	if c.ByDigest() {
		c.Op = call.ManifestDelete
	}
	w.send(ctx, &c, w.at(), request{method: http.MethodDelete, path: "/v2/" + repo + "/manifests/" + ref})
	w.record(&c)
}

// blobsOf returns what a manifest that was read refers to, if it is an image's.
func blobsOf(m v1.Manifest) []v1.Descriptor {
	if m.Config.Digest == "" {
		return nil
	}
	return append([]v1.Descriptor{m.Config}, m.Layers...)
}
