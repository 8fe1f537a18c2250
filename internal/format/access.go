package format

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"holdfast/internal/record"
)

// Keys of access control. A user's name may be anything: in a key it is its hash.
const (
	PrefixRevocations = record.Key("a/revoked/")
	PrefixAPIKeys     = record.Key("a/key/")
	PrefixAPIKeysOf   = record.Key("a/user/")
)

func userPart(user string) string {
	sum := sha256.Sum256([]byte(user))
	part := hex.EncodeToString(sum[:])
	return part[:2] + "/" + part
}

// RevocationKey is the key of what says since when a user's credentials are good.
func RevocationKey(user string) record.Key { return PrefixRevocations + record.Key(userPart(user)) }

// APIKeyKey is the key of an API key. Its id is 32 hex digits.
func APIKeyKey(id string) record.Key { return PrefixAPIKeys + record.Key(id[:2]+"/"+id) }

// APIKeysOfPrefix is the folder of the markers of a user's API keys.
func APIKeysOfPrefix(user string) record.Key {
	return PrefixAPIKeysOf + record.Key(userPart(user)) + "/"
}

// APIKeyOfKey is the key of the marker that says that a user made an API key. It is written before the API key, so that none is in no list.
func APIKeyOfKey(user, id string) record.Key { return APIKeysOfPrefix(user) + record.Key(id) }

// Revocation refuses what was given to a user up to a time: tokens, sessions and API keys.
type Revocation struct {
	Meta
	User      string    `json:"user"`
	NotBefore time.Time `json:"notBefore"` // by the store's clock
	By        string    `json:"by,omitempty"`
}

// APIKey is an API key, of which only the hash is kept. It is made once under a random id, and dies by a swap to a tombstone, which has none
// of its fields.
type APIKey struct {
	Meta
	User    string    `json:"user,omitempty"`
	Hash    []byte    `json:"hash,omitempty"` // SHA-256 of the secret part
	Label   string    `json:"label,omitempty"`
	Scopes  []string  `json:"scopes,omitempty"` // repositories, as its maker wrote them; none: all
	Created time.Time `json:"created,omitzero"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
	Used    time.Time `json:"used,omitzero"`    // at this time or up to an hour later; zero: never, or not noted
	Way     string    `json:"way,omitempty"`    // how its maker was known
	Groups  []string  `json:"groups,omitempty"` // of its maker when it was made
	Agent   string    `json:"agent,omitempty"`  // the program that it was made with
}
