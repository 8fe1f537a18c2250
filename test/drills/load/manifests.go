package load

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// newImage returns a manifest of its own over layers.
func (w *worker) newImage(config content, layers ...content) image {
	m := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config:      v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: config.digest, Size: config.size},
		Annotations: map[string]string{"op": w.name("image")},
	}
	for _, l := range layers {
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: l.digest, Size: l.size})
	}
	body, err := json.Marshal(m)
	if err != nil {
		panic(err) // a bug: the type can be written
	}
	return imageOf(m.MediaType, body, append(slices.Clone(layers), config))
}

func imageOf(mediaType string, body []byte, blobs []content) image {
	return image{digest: digest.FromBytes(body).String(), mediaType: mediaType, body: body, blobs: blobs}
}

// putManifest puts an image under a tag or its digest, again while the outcome is not known.
func (w *worker) putManifest(ctx context.Context, repo, ref string, i image) bool {
	w.count(func(k *Work) { k.Flows++ })
	for tries := 0; ; tries++ {
		c := Call{
			Op: ManifestPut, Repo: repo, Ref: ref, Digest: i.digest, Target: w.target(), Len: int64(len(i.body)), Again: tries > 0,
			Refs: i.refs(), Subject: i.subject,
		}
		w.send(ctx, &c, request{
			method: http.MethodPut, url: c.Target + "/v2/" + repo + "/manifests/" + ref,
			body: strings.NewReader(string(i.body)), size: c.Len, header: map[string]string{"Content-Type": i.mediaType},
		})
		w.history.Add(c)
		switch {
		case c.OK() && tries > 0:
			w.count(func(k *Work) { k.Resumed++ })
			return true
		case c.OK():
			return true
		case !c.Failed() || tries == w.opt.Patient || ctx.Err() != nil:
			w.count(func(k *Work) { k.GivenUp++ })
			return false
		}
		w.pause(ctx)
	}
}

// stored is what an image or an index names.
type stored struct {
	Config            v1.Descriptor // no digest: an index
	Layers, Manifests []v1.Descriptor
}

// getManifest reads a manifest by tag or digest.
func (w *worker) getManifest(ctx context.Context, repo, ref string) (m stored, ok bool) {
	c := Call{Op: ManifestGet, Repo: repo, Ref: ref, Target: w.target()}
	a := w.readManifest(ctx, &c)
	w.history.Add(c)
	return m, c.OK() && json.Unmarshal(a.body, &m) == nil
}

func (w *worker) readManifest(ctx context.Context, c *Call) answer {
	a := w.send(ctx, c, request{method: http.MethodGet, url: c.Target + "/v2/" + c.Repo + "/manifests/" + c.Ref, keep: true})
	if c.Status == http.StatusOK && !c.Cut {
		named := a.header.Get("Docker-Content-Digest")
		byDigest := strings.Contains(c.Ref, ":")
		c.Corrupt = named != c.Digest || byDigest && c.Ref != c.Digest
	}
	return a
}

func (w *worker) deleteManifest(ctx context.Context, op, repo, ref string) bool {
	c := Call{Op: op, Repo: repo, Ref: ref, Target: w.target()}
	w.send(ctx, &c, request{method: http.MethodDelete, url: c.Target + "/v2/" + repo + "/manifests/" + ref})
	w.history.Add(c)
	return c.OK()
}

// listTags reads all pages of a list as one call, whose failure is that of its worst page.
func (w *worker) listTags(ctx context.Context, repo string, page int) {
	c := Call{Op: TagsList, Repo: repo, Target: w.target()}
	w.list(ctx, &c, page)
	w.history.Add(c)
}

func (w *worker) list(ctx context.Context, c *Call, page int) {
	next := fmt.Sprintf("/v2/%s/tags/list?n=%d", c.Repo, page)
	for first := true; next != ""; first = false {
		one := *c
		a := w.send(ctx, &one, request{method: http.MethodGet, url: c.Target + next, keep: true})
		if !first {
			one.Call, one.Wait, one.Faulty = c.Call, max(c.Wait, one.Wait), one.Faulty || c.Faulty
		}
		one.Names = c.Names
		*c = one
		if !c.OK() {
			return
		}
		var body struct{ Tags []string }
		if err := json.Unmarshal(a.body, &body); err != nil {
			c.Corrupt, c.Err = true, err.Error()
			return
		}
		c.Names = append(slices.Clip(c.Names), body.Tags...)
		next, _, _ = strings.Cut(strings.TrimPrefix(a.header.Get("Link"), "<"), ">")
	}
	c.Digest = ""
}
