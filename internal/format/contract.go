package format

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"holdfast/internal/record"
)

// Feature is something that values of this format may have only once an operator has enabled it in the store: every program that may
// write there must know it, or it would write the value anew without it. To know a feature is to read it, enabled or not; to write it, it must be enabled.
// A value that a program without the feature could misread, and not only rewrite, has another Version besides.
type Feature struct {
	Name  string // of lower-case letters, digits and dashes; never used for anything else again
	Since string // the version that first knew it: what an operator is told who needs it
	Text  string // what it is good for, in a few words
}

// Features are those that this program knows. There is none yet: the first one is a line here.
func Features() []Feature { return nil }

// Contract is what everybody must know who writes to a store: the record cfg/format. A field is added to it only together with another Format, because
// every version may write it anew.
type Contract struct {
	Meta
	Format    int               `json:"format"`
	Features  []string          `json:"features"`            // that are enabled; there is no way back
	Since     map[string]string `json:"since,omitempty"`     // of each: the version that first knew it
	Announced *Announcement     `json:"announced,omitempty"` // of a feature that may be enabled next
}

// Announcement says that somebody looks whether a feature can be enabled. Whoever does not know the feature withdraws it, so that it is not: see
// package cluster, which has the proof. One that was left behind by a process that died hinders nobody.
type Announcement struct {
	Feature string `json:"feature"`
	By      string `json:"by"` // for people
}

// Has reports whether a feature is enabled.
func (c *Contract) Has(feature string) bool { return slices.Contains(c.Features, feature) }

// NewerError is a store that asks for more than this program knows.
type NewerError struct {
	Found    int      // its format
	Features []string // that are enabled there and not known here, with the version that knows them where that is told
}

// Error says what is not known, and what to run instead.
func (e *NewerError) Error() string {
	if e.Found != Version {
		return fmt.Sprintf("the store has format %d, this version speaks format %d: run the version that wrote it, or a newer one", e.Found, Version)
	}
	return fmt.Sprintf("the store has features that this version does not know: %s: run such a version, or a newer one", strings.Join(e.Features, ", "))
}

// Check returns a *NewerError for a contract that asks for more than is known.
func (c *Contract) Check(known []Feature) error {
	e := &NewerError{Found: c.Format}
	for _, name := range c.Features {
		if Knows(known, name) {
			continue
		}
		if since := c.Since[name]; since != "" {
			name += " (known since " + since + ")"
		}
		e.Features = append(e.Features, name)
	}
	if c.Format != Version || len(e.Features) > 0 {
		return e
	}
	return nil
}

// Knows reports whether a feature is among those that are known.
func Knows(known []Feature, name string) bool {
	return slices.ContainsFunc(known, func(f Feature) bool { return f.Name == name })
}

// LookTries is how often a look, or a change, of the contract begins again that lost a race. Few write it, and seldom.
const LookTries = 8

// LookAtContract reads a store's contract, which it creates in an empty store. An announcement of a feature that is not known here is
// withdrawn before it returns. It makes one read, and one write where there is something to write.
// Errors: *NewerError; those of the store.
func LookAtContract(ctx context.Context, s Store, known []Feature) (Stored[Contract], error) {
	c, err := Read[Contract](ctx, s, KeyFormat)
	for range LookTries {
		if err != nil && !IsConflict(err) {
			return c, err
		}
		if c.Exists() {
			if err := c.Head.Check(known); err != nil {
				return c, err
			}
			if c.Head.Announced == nil || Knows(known, c.Head.Announced.Feature) {
				return c, nil
			}
		}
		next := c.Head
		next.Announced = nil
		if !c.Exists() {
			next = Contract{Format: Version, Features: []string{}}
		}
		c, err = Write(ctx, s, KeyFormat, c, next, nil, false)
	}
	if err == nil {
		return c, nil
	}
	return c, fmt.Errorf("format: look at %s: others change it all the time: %w: %w", KeyFormat, record.ErrUnavailable, err)
}
