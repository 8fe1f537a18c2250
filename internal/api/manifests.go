package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// reference reads the last part of a manifest's path. A malformed tag is a bad request for a push, and
// something that cannot exist for everything else.
func reference(r *http.Request, last string) (oci.Reference, error) {
	ref, err := oci.ParseReference(last)
	if errors.Is(err, oci.ErrManifestInvalid) && r.Method != http.MethodPut {
		return ref, &oci.Error{Code: oci.ManifestUnknown, Message: "no tag can have this name", Detail: oci.Field{Field: "reference", Got: oci.Clip(last)}}
	}
	return ref, err
}

// getManifest serves end-3. Spec: "Pulling manifests".
func (h *Handler) getManifest(w *recorder, r *http.Request, repo oci.Repository, last string) error {
	ref, err := reference(r, last)
	if err != nil {
		return err
	}
	m, err := h.registry.Resolve(r.Context(), repo, ref)
	if err != nil {
		return err
	}
	head, values := w.Header(), new(headerValues)
	values.set(head, 0, "Docker-Content-Digest", string(m.Digest))
	values.set(head, 1, "Etag", etag(m.Digest))
	if ref.Digest != "" {
		head["Cache-Control"] = immutableHeader
	}
	if matches(r.Header.Values("If-None-Match"), m.Digest) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	values.set(head, 2, "Content-Type", m.MediaType)
	values.set(head, 3, "Content-Length", strconv.Itoa(len(m.Body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	out := &pacedWriter{w: w, control: http.NewResponseController(w), window: h.cfg.Progress}
	if _, err = out.Write(m.Body); err != nil {
		return fmt.Errorf("%w: %w", errNotWhole, err)
	}
	return nil
}

// pushGate is a registry that knows, before a manifest's bytes are there, whether a push of it would be refused. Then nobody reads what a client sends who
// may not push: up to 4 MiB, which are kept in memory.
type pushGate interface {
	MayPush(ctx context.Context, repo oci.Repository, push registry.Push) error
}

// putManifest serves end-7a and end-7b. Spec: "Pushing Manifests".
func (h *Handler) putManifest(w *recorder, r *http.Request, repo oci.Repository, last string) error {
	ref, err := reference(r, last)
	if err != nil {
		return err
	}
	q, err := query(r)
	if err != nil {
		return err
	}
	push := registry.Push{ContentType: r.Header.Get("Content-Type"), Digest: ref.Digest}
	if push.Tags, err = pushTags(ref, q["tag"]); err != nil {
		return err
	}
	if g, ok := h.registry.(pushGate); ok {
		if err := g.MayPush(r.Context(), repo, push); err != nil {
			return err
		}
	}
	body, done, err := h.readManifest(w, r)
	defer done()
	if err != nil {
		return err
	}
	push.Body = body
	pushed, err := h.registry.PushManifest(r.Context(), repo, push)
	if err != nil {
		return err
	}
	head := w.Header()
	head.Set("Location", manifestPath(repo, ref.String()))
	head.Set("Docker-Content-Digest", string(pushed.Digest))
	if pushed.Subject != "" {
		head.Set("Oci-Subject", string(pushed.Subject))
	}
	if ref.Tag == "" {
		for _, t := range push.Tags {
			head.Add("Oci-Tag", string(t))
		}
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// pushTags returns the tags that a push sets: the one in its path, or those in its parameters.
func pushTags(ref oci.Reference, params []string) ([]oci.Tag, error) {
	switch {
	case ref.Tag != "" && len(params) > 0:
		return nil, errParameter("tag", params[0], "goes with a push by digest only")
	case ref.Tag != "":
		return []oci.Tag{ref.Tag}, nil
	case len(params) > maxTagsInPush:
		return nil, oci.Errorf(oci.ManifestInvalid, "at most %d tags in one push, not %d", maxTagsInPush, len(params)).With(oci.TooMany)
	}
	var tags []oci.Tag
	seen := map[oci.Tag]bool{}
	for i, text := range params {
		t, err := oci.ParseTag(text)
		if err != nil {
			return nil, &oci.Error{Code: oci.ManifestInvalid, Message: fmt.Sprintf("tag %d of %d: a tag matches [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", i+1, len(params)), Detail: oci.Field{Field: "tag", Got: oci.Clip(text)}}
		}
		if !seen[t] {
			seen[t] = true
			tags = append(tags, t)
		}
	}
	return tags, nil
}

// deleteManifest serves end-9. Spec: "Deleting tags", "Deleting Manifests".
func (h *Handler) deleteManifest(w *recorder, r *http.Request, repo oci.Repository, last string) error {
	ref, err := reference(r, last)
	if err != nil {
		return err
	}
	if ref.Digest != "" {
		err = h.registry.DeleteManifest(r.Context(), repo, ref.Digest)
	} else {
		err = h.registry.DeleteTag(r.Context(), repo, ref.Tag)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
