package config

import (
	"fmt"
	"math"
	"net/http"
	"strings"
)

// RedirectRule is for the GETs of whole blobs that all of its conditions hold for. What is empty is no condition.
type RedirectRule struct {
	MinSize     int64    // of the blob, in bytes
	Networks    []string // in CIDR, and addresses, of the client
	UserAgents  []string // globs
	Header      string   // set by a trusted proxy
	HeaderValue string   // "": any
	Redirect    bool     // to the store
}

// redirectKeys are the keys of storage, and of each of storage.subPaths, that say who reads blobs from the store itself.
func redirectKeys() []key {
	rules := func(t *target) []*target {
		var all []*target
		for i := range t.store.RedirectRules {
			all = append(all, t.in(&t.store.RedirectRules[i]))
		}
		return all
	}
	return []key{
		{path: "redirectRules[]", items: rules, add: func(t *target) *target {
			t.store.RedirectRules = append(t.store.RedirectRules, RedirectRule{})
			all := rules(t)
			return all[len(all)-1]
		}},
		{path: "redirectRules[].minSize", kind: size(0, math.MaxInt64, true), into: func(t *target) any { return &itemOf[RedirectRule](t).MinSize }},
		{path: "redirectRules[].networks", kind: parseNetworks, into: func(t *target) any { return &itemOf[RedirectRule](t).Networks }},
		{path: "redirectRules[].userAgents", kind: parseWords, into: func(t *target) any { return &itemOf[RedirectRule](t).UserAgents }},
		{path: "redirectRules[].header", kind: parseHeaderName, into: func(t *target) any { return &itemOf[RedirectRule](t).Header }},
		{path: "redirectRules[].headerValue", kind: parseText, into: func(t *target) any { return &itemOf[RedirectRule](t).HeaderValue }},
		{path: "redirectRules[].redirect", kind: parseBool, into: func(t *target) any { return &itemOf[RedirectRule](t).Redirect }},
	}
}

// parseHeaderName returns the name of a header, in its canonical form.
func parseHeaderName(n *node) (any, *Problem) {
	const want = `the name of a header, as "X-Holdfast-Redirect"`
	if n.kind != textNode {
		return nil, mistyped(n, want)
	}
	token := n.text != ""
	for _, c := range n.text {
		token = token && c > ' ' && c < 0x7f && !strings.ContainsRune("()<>@,;:\\\"/[]?={}", c) // RFC 9110, 5.6.2
	}
	if !token {
		return nil, wrong(n, "is not the name of a header", want)
	}
	return http.CanonicalHeaderKey(n.text), nil
}

// redirects checks what one key of a rule cannot know of another.
func (w *walker) redirects(s *Store, h *HTTP, path string) {
	for i, r := range s.RedirectRules {
		at := fmt.Sprintf("%s.redirectRules[%d]", path, i)
		if w.nodes[join(at, "redirect")] == nil {
			w.wrongAt(join(at, "redirect"), "is missing", "", "true or false: what the rule decides")
		}
		switch {
		case r.HeaderValue != "" && r.Header == "" && !w.failed(join(at, "header")):
			w.wrongAt(join(at, "header"), "is missing", "", "the header that headerValue is of")
		case r.Header != "" && len(h.Proxy.Trusted) == 0 && !w.failed("http.trustedProxies"):
			w.warn(join(at, "header"), "is believed of nobody: the rule is for no request without http.trustedProxies")
		}
		unconditional := r.MinSize == 0 && r.Networks == nil && r.UserAgents == nil && r.Header == ""
		if unconditional && i < len(s.RedirectRules)-1 && !w.failed(at) {
			w.warn(at, "is for every request: the rules after it are for none")
		}
	}
	if len(s.RedirectRules) > 0 && s.Driver != DriverS3 {
		w.warn(join(path, "redirectRules"), "has no effect: a local store has no URLs to redirect to")
	}
}
