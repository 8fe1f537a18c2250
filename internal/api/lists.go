package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// listTags serves end-8. Spec: "Listing Tags".
func (h *Handler) listTags(w *recorder, r *http.Request, repo oci.Repository, _ string) error {
	q, n, last, err := pageQuery(r, func(s string) error { _, err := oci.ParseTag(s); return err })
	if err != nil {
		return err
	}
	page, err := h.registry.Tags(r.Context(), repo, last, max(n, 1))
	if err != nil {
		return err
	}
	names := cut(w, r, q, n, page)
	writeJSON(w, r, http.StatusOK, "application/json", struct {
		Name oci.Repository `json:"name"`
		Tags []oci.Tag      `json:"tags"`
	}{repo, names})
	return nil
}

// catalog serves /v2/_catalog, which every registry has and the spec does not name.
func (h *Handler) catalog(w *recorder, r *http.Request) error {
	q, n, last, err := pageQuery(r, func(s string) error { _, err := oci.ParseRepository(s); return err })
	if err != nil {
		return err
	}
	page, err := h.registry.Repositories(r.Context(), last, max(n, 1))
	if err != nil {
		return err
	}
	names := cut(w, r, q, n, page)
	writeJSON(w, r, http.StatusOK, "application/json", struct {
		Repositories []oci.Repository `json:"repositories"`
	}{names})
	return nil
}

// pageQuery reads the parameters of a list. last need not exist, but must be a name. Errors: UNSUPPORTED.
func pageQuery(r *http.Request, check func(string) error) (q url.Values, n int, last string, err error) {
	if q, err = query(r); err != nil {
		return nil, 0, "", err
	}
	if n, err = pageSize(q); err != nil {
		return nil, 0, "", err
	}
	last, there, err := one(q, "last")
	if err != nil {
		return nil, 0, "", err
	}
	if there && last != "" && check(last) != nil {
		return nil, 0, "", errParameter("last", last, "must be a name as the list shows them")
	}
	return q, n, last, nil
}

// cut returns the names to show and points to the rest. n = 0 shows none, and points to nothing.
func cut[T ~string](w http.ResponseWriter, r *http.Request, q url.Values, n int, page registry.Page[T]) []T {
	if n == 0 {
		return []T{}
	}
	if page.More {
		setNext(w, r, q, n, string(page.Names[len(page.Names)-1]))
	}
	if page.Names == nil {
		return []T{}
	}
	return page.Names
}

// listReferrers serves end-12. Spec: "Listing Referrers". Pages are by digest.
func (h *Handler) listReferrers(w *recorder, r *http.Request, repo oci.Repository, last string) error {
	subject, err := oci.ParseDigest(last)
	if err != nil {
		return err
	}
	q, n, after, err := pageQuery(r, func(s string) error { _, err := oci.ParseDigest(s); return err })
	if err != nil {
		return err
	}
	artifactType, filtered, err := one(q, "artifactType")
	if err != nil {
		return err
	}
	if filtered = filtered && artifactType != ""; filtered && !oci.IsMediaType(artifactType) {
		return errParameter("artifactType", artifactType, "must be a media type")
	}
	all, err := h.registry.Referrers(r.Context(), repo, subject)
	if err != nil {
		return err
	}
	shown := slices.DeleteFunc(all, func(d oci.Descriptor) bool {
		return filtered && d.ArtifactType != artifactType || strings.Compare(string(d.Digest), after) <= 0
	})
	if len(shown) > n {
		shown = shown[:n]
		if n > 0 {
			setNext(w, r, q, n, string(shown[n-1].Digest))
		}
	}
	if filtered {
		w.Header().Set("Oci-Filters-Applied", "artifactType")
	}
	if shown == nil {
		shown = []oci.Descriptor{}
	}
	writeJSON(w, r, http.StatusOK, oci.MediaTypeImageIndex, struct {
		SchemaVersion int              `json:"schemaVersion"`
		MediaType     string           `json:"mediaType"`
		Manifests     []oci.Descriptor `json:"manifests"`
	}{2, oci.MediaTypeImageIndex, shown})
	return nil
}
