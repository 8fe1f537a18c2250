package format

import (
	"time"

	"holdfast/internal/record"
)

// PrefixLogins is the folder of the sessions of people who logged in with a browser.
const PrefixLogins = record.Key("a/login/")

// LoginKey is the key of one. Its id is of RandomID.
func LoginKey(id string) record.Key { return PrefixLogins + record.Key(id[:2]+"/"+id) }

// Login is a session of a person who logged in with a browser: created under a random key, dead once they logged out. Nothing writes its key
// again after Ages.Session.
type Login struct {
	Meta
	Name     string    `json:"name"`
	Groups   []string  `json:"groups,omitempty"`
	Provider string    `json:"provider"`
	Since    time.Time `json:"since"` // by the store's clock, as Until, when it ends by itself
	Until    time.Time `json:"until"`
}
