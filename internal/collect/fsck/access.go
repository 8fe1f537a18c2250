package fsck

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"holdfast/internal/data"
	"holdfast/internal/format"
	"holdfast/internal/record"
)

// The classes of keys of access control.
const (
	Revocations   Class = "revocations"
	APIKeys       Class = "api-keys"
	APIKeyMarkers Class = "api-key-markers"
)

// checkAccess checks what access control keeps.
func (c *checker) checkAccess(ctx context.Context) error {
	p := c.newPool()
	for _, folder := range []record.Key{format.PrefixRevocations, format.PrefixAPIKeys, format.PrefixAPIKeysOf} {
		for entry, err := range c.store.Records.List(ctx, folder, "") {
			if err != nil {
				return errors.Join(fmt.Errorf("fsck: list %s: %w", folder, err), p.wait(ctx))
			}
			a, ok := parseKey(entry.Key)
			if !ok {
				c.suspectUnknown(entry.Key)
				continue
			}
			c.count(a.class, 1)
			err := p.run(ctx, func(ctx context.Context) error {
				v := c.newView()
				if err := c.first(ctx, v, c.lookAtKey(entry.Key, a)); err != nil || a.class != APIKeys {
					return err
				}
				return c.first(ctx, v, c.lookAtAPIKey(entry.Key, a))
			})
			if err != nil {
				return err
			}
		}
	}
	return p.wait(ctx)
}

// lookAtAPIKey finds an API key that its user cannot see, and so not delete. Its marker is written before it.
func (c *checker) lookAtAPIKey(key record.Key, a address) look {
	return func(ctx context.Context, v *view) ([]Finding, error) {
		k, err := load[format.APIKey](ctx, v, key)
		if err != nil || !k.Present() || k.Head.User == "" {
			return nil, err
		}
		at := format.APIKeyOfKey(k.Head.User, a.id)
		marker, err := load[format.Marker](ctx, v, at)
		if err != nil || marker.Present() || marker.bad != nil {
			return nil, err
		}
		return []Finding{find(APIKeyUnlisted, "it is not in the list of its user", at, key)}, nil
	}
}

// parseAccessKey takes a key of access control apart, without its first part. id is that of an API key, or the hash of a user's name.
func parseAccessKey(key record.Key, p []string) (address, bool) {
	switch {
	case p[0] == "revoked" && len(p) == 3:
		return address{class: Revocations, id: p[2]}, isUserPart(p[1], p[2])
	case p[0] == "key" && len(p) == 3:
		return address{class: APIKeys, id: p[2]}, isID(data.ID(p[2])) && format.APIKeyKey(p[2]) == key
	case p[0] == "user" && len(p) == 4:
		return address{class: APIKeyMarkers, id: p[3]}, isUserPart(p[1], p[2]) && isID(data.ID(p[3]))
	}
	return address{}, false
}

func isUserPart(start, part string) bool {
	return len(part) == 2*sha256.Size && strings.Trim(part, "0123456789abcdef") == "" && part[:2] == start
}

func ownRevocation(a address, head *format.Revocation) []problem {
	if sum := sha256.Sum256([]byte(head.User)); hex.EncodeToString(sum[:]) != a.id || head.NotBefore.IsZero() {
		return []problem{{IllegalField, "it is of another user than its key, or of no time"}}
	}
	return nil
}

func ownAPIKey(head *format.APIKey) []problem {
	if head.User == "" || len(head.Hash) != sha256.Size || head.Created.IsZero() {
		return []problem{{IllegalField, fmt.Sprintf("it has a user: %t, a hash of %d bytes, a time: %t", head.User != "", len(head.Hash), !head.Created.IsZero())}}
	}
	return nil
}
