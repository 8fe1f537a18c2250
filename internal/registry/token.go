package registry

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/opencontainers/go-digest"

	"holdfast/internal/oci"
)

// token is what an upload's id says: everything about an upload that has no session record yet. Any
// replica makes and verifies it under the cluster's secret.
type token struct {
	id        string // 32 hex digits; also the key of the session
	expires   time.Time
	algorithm digest.Algorithm
	written   bool // a session record was written
}

const (
	tokenVersion   = 1
	tokenBodyBytes = 1 + 16 + 8 + 1 + 1
	tokenMACBytes  = 16
	tokenDomain    = "upload"
)

var tokenAlgorithms = []digest.Algorithm{digest.SHA256, digest.SHA512}

// seal writes t as an id for repo and the caller of ctx.
func (l *Local) seal(ctx context.Context, repo oci.Repository, t token) string {
	body := make([]byte, 0, tokenBodyBytes+tokenMACBytes)
	body = append(body, tokenVersion)
	id, _ := hex.DecodeString(t.id) // ours: always hex
	body = append(body, id...)
	body = binary.BigEndian.AppendUint64(body, uint64(t.expires.Unix())) //nolint:gosec // after 1970
	algorithm, written := byte(0), byte(0)
	for i, a := range tokenAlgorithms {
		if a == t.algorithm {
			algorithm = byte(i)
		}
	}
	if t.written {
		written = 1
	}
	body = append(body, algorithm, written)
	return base64.RawURLEncoding.EncodeToString(append(body, l.tokenMAC(ctx, repo, body)...))
}

// unseal verifies an id. Errors: BLOB_UPLOAD_UNKNOWN, the same for a forged, a foreign and an expired one; those of Verify.
func (l *Local) unseal(ctx context.Context, repo oci.Repository, id string) (token, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || len(raw) != tokenBodyBytes+tokenMACBytes || raw[0] != tokenVersion {
		return token{}, errUploadUnknown("no such upload")
	}
	body, mac := raw[:tokenBodyBytes], raw[tokenBodyBytes:]
	good, err := l.Verify(ctx, mac, tokenDomain, tokenFields(ctx, repo, body)...)
	if err != nil {
		return token{}, err
	}
	if !good || int(body[25]) >= len(tokenAlgorithms) {
		return token{}, errUploadUnknown("no such upload")
	}
	t := token{
		id:        hex.EncodeToString(body[1:17]),
		expires:   time.Unix(int64(binary.BigEndian.Uint64(body[17:25])), 0), //nolint:gosec // written by seal
		algorithm: tokenAlgorithms[body[25]],
		written:   body[26] == 1,
	}
	if now := l.records.Now(); now.After(t.expires) {
		return token{}, errUploadUnknown("this upload expired at " + t.expires.UTC().Format(time.RFC3339) + ": start again")
	}
	return t, nil
}

func (l *Local) tokenMAC(ctx context.Context, repo oci.Repository, body []byte) []byte {
	return l.MAC(tokenDomain, tokenFields(ctx, repo, body)...)[:tokenMACBytes]
}

func tokenFields(ctx context.Context, repo oci.Repository, body []byte) [][]byte {
	return [][]byte{[]byte(repo), []byte(caller(ctx)), body}
}

// renewed is the upload that an answer shows: the token's life begins anew.
func (l *Local) renewed(ctx context.Context, repo oci.Repository, t token, offset int64) Upload {
	t.expires = l.records.Now().Add(l.ages.Session)
	return Upload{ID: l.seal(ctx, repo, t), Offset: offset}
}

func errUploadUnknown(message string) error { return oci.Errorf(oci.BlobUploadUnknown, "%s", message) }

type callerKey struct{}

// WithCaller returns a context in which uploads and tags belong to an identity; "" is nobody.
func WithCaller(ctx context.Context, identity string) context.Context {
	return context.WithValue(ctx, callerKey{}, identity)
}

func caller(ctx context.Context) string {
	identity, _ := ctx.Value(callerKey{}).(string)
	return identity
}
