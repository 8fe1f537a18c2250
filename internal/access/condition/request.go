package condition

import (
	"strings"

	"holdfast/internal/access"
	"holdfast/internal/oci"
)

// Request is what conditions of access control are asked about. Access is never nil.
type Request struct {
	Access     *access.Request
	Groups     []string // of the identity, with those of the configuration
	Admin      bool     // the identity is one of the admin policy
	Action     access.Action
	Repository oci.Repository
	Reference  oci.Reference // zero where the request names none
}

// Variables returns the one variable of these expressions, req, with zot's fields:
//
//	req.time                timestamp
//	req.method, userAgent   text
//	req.action              "read", "create", "update", "delete", "detectManifestCollision"
//	req.repository          text
//	req.reference           tag or digest, "" without one; req.referenceType "tag", "digest" or ""
//	req.tag, req.digest     text; "" where the reference is not one
//	req.user.username       text, "" for nobody; req.user.groups: list of texts
//	req.auth.anonymous      bool; req.auth.admin: bool
//	req.client.ip           text: the peer, or whom a trusted proxy names; req.client.forwardedFor: list of texts, of a trusted proxy
//	req.tls.enabled         bool; req.tls.version: "1.2", "1.3" or ""
//	req.claims              map of a token's claims; empty without
func (r *Request) Variables() map[string]any {
	q := r.Access
	if q == nil {
		q = &access.Request{}
	}
	client := ""
	if q.Client.IsValid() {
		client = q.Client.Unmap().String()
	}
	claims := q.Identity.Claims
	if claims == nil {
		claims = map[string]any{}
	}
	kind := ""
	switch {
	case r.Reference.Digest != "":
		kind = "digest"
	case r.Reference.Tag != "":
		kind = "tag"
	}
	return map[string]any{"req": map[string]any{
		"time":          q.Time.UTC(),
		"method":        q.Method,
		"userAgent":     q.UserAgent,
		"action":        string(r.Action),
		"repository":    string(r.Repository),
		"reference":     r.Reference.String(),
		"referenceType": kind,
		"tag":           string(r.Reference.Tag),
		"digest":        string(r.Reference.Digest),
		"user":          map[string]any{"username": q.Identity.Name, "groups": r.Groups},
		"auth":          map[string]any{"anonymous": q.Identity.Anonymous() || q.Identity.Name == "", "admin": r.Admin},
		"client":        map[string]any{"ip": client, "forwardedFor": addresses(q.ForwardedFor)},
		"tls":           map[string]any{"enabled": q.Secure || q.TLSVersion != "", "version": q.TLSVersion},
		"claims":        claims,
	}}
}

// addresses are the parts of X-Forwarded-For, from left to right.
func addresses(header string) []string {
	all := []string{}
	for part := range strings.SplitSeq(header, ",") {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}
