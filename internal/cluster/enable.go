package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"holdfast/internal/format"
)

// FeatureState is what is known of a feature of the format in a store.
type FeatureState struct {
	Name      string    `json:"name"`
	Since     string    `json:"since,omitempty"` // the version that first knew it
	Text      string    `json:"text,omitempty"`
	Known     bool      `json:"known"` // to who looks
	Enabled   bool      `json:"enabled"`
	Announced bool      `json:"announced,omitempty"` // somebody is about to enable it, or was
	Blockers  []Blocker `json:"blockers,omitempty"`  // why it cannot be enabled now
}

// Blocker is a process that may write to the store and does not know a feature.
type Blocker struct {
	ID      string    `json:"id"`
	Version string    `json:"version,omitempty"`
	Role    Role      `json:"role,omitempty"`
	Seen    time.Time `json:"seen"`           // its last heartbeat
	Lost    bool      `json:"lost,omitempty"` // it may have ended, or not
	Until   time.Time `json:"until"`          // when it counts no more, unless it is seen again
}

// String says who it is, and what to do.
func (b Blocker) String() string {
	who := fmt.Sprintf("%s %s of version %s", b.Role, b.ID, b.Version)
	if b.Version == "" {
		who = fmt.Sprintf("%s, whose heartbeat this version cannot read,", b.ID)
	}
	if b.Lost {
		return fmt.Sprintf("%s was last seen at %s and did not say that it ended: it may write until %s, wait for that", who, stamp(b.Seen), stamp(b.Until))
	}
	return who + " runs: replace it by a version that knows the feature, or end it"
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// BlockedError is a feature that was not enabled, because not everybody who may write knows it.
type BlockedError struct {
	Feature  string
	Blockers []Blocker
}

// Error names every process in the way.
func (e *BlockedError) Error() string {
	lines := []string{fmt.Sprintf("cluster: %s was not enabled: not every process that may write to the store knows it", e.Feature)}
	for _, b := range e.Blockers {
		lines = append(lines, "  "+b.String())
	}
	return strings.Join(lines, "\n")
}

// ErrUnknownFeature is a feature that this program does not know itself.
var ErrUnknownFeature = errors.New("cluster: this version knows no such feature of the storage format")

// Features tells of every feature that is known here or in the store. It makes one list and a read for each heartbeat, and one of the contract.
func Features(ctx context.Context, s format.Store, known []format.Feature) ([]FeatureState, error) {
	c, err := format.Read[format.Contract](ctx, s, format.KeyFormat)
	if err != nil {
		return nil, fmt.Errorf("cluster: look at the features: %w", err)
	}
	all, err := beats(ctx, s, nil)
	if err != nil {
		return nil, err
	}
	return featureStates(c.Head, all, known, s.Records.Now()), nil
}

func featureStates(c format.Contract, all []seen, known []format.Feature, now time.Time) []FeatureState {
	states := map[string]FeatureState{}
	for _, f := range known {
		states[f.Name] = FeatureState{Name: f.Name, Since: f.Since, Text: f.Text, Known: true}
	}
	for _, name := range c.Features {
		f := states[name]
		f.Name, f.Enabled = name, true
		if f.Since == "" {
			f.Since = c.Since[name]
		}
		states[name] = f
	}
	if c.Announced != nil {
		f := states[c.Announced.Feature]
		f.Name, f.Announced = c.Announced.Feature, true
		states[f.Name] = f
	}
	out := []FeatureState{}
	for _, name := range slices.Sorted(maps.Keys(states)) {
		f := states[name]
		if !f.Enabled {
			f.Blockers = blockers(all, name, now)
		}
		out = append(out, f)
	}
	return out
}

// blockers are the processes that may write at a time and do not know a feature.
func blockers(all []seen, feature string, now time.Time) []Blocker {
	var out []Blocker
	for _, b := range all {
		if age := now.Sub(b.Modified); age < CountsFor && (b.unreadable != nil || !slices.Contains(b.Knows, feature)) {
			out = append(out, Blocker{ID: b.id, Version: b.Program, Role: b.Role, Seen: b.Modified, Lost: age > LostAfter, Until: b.Modified.Add(CountsFor)})
		}
	}
	return out
}

// Enable enables a feature for good: from then on it may be written, and no version that does not know it starts over the store. by is who does it, for
// people. One that is enabled is left so. It can be done again after any error, and after a crash at any place: until the last write nothing has changed.
// Errors: ErrUnknownFeature; *BlockedError; record.ErrConflict when a process that does not know it came up meanwhile, or somebody else enables one at the
// same time; those of the store, after which it may be enabled: Features tells.
func Enable(ctx context.Context, s format.Store, known []format.Feature, feature, by string) error {
	i := slices.IndexFunc(known, func(f format.Feature) bool { return f.Name == feature })
	if i < 0 {
		return fmt.Errorf("%w: %q", ErrUnknownFeature, feature)
	}
	c, err := format.LookAtContract(ctx, s, known)
	if err != nil {
		return fmt.Errorf("cluster: enable %s: %w", feature, err)
	}
	if c.Head.Has(feature) {
		return nil
	}
	next := c.Head
	next.Announced = &format.Announcement{Feature: feature, By: by}
	announced, err := format.Write(ctx, s, format.KeyFormat, c, next, nil, false)
	if err != nil {
		return fmt.Errorf("cluster: announce %s: %w", feature, err)
	}
	// The store's own time of the announcement: that of this host, or one wrong answer, may be ahead.
	all, err := beats(ctx, s, nil)
	if err == nil {
		if in := blockers(all, feature, announced.Modified); len(in) > 0 {
			err = &BlockedError{Feature: feature, Blockers: in}
		}
	}
	next = announced.Head
	next.Announced = nil
	if err != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), beatTime)
		defer cancel()
		if _, undo := format.Write(last, s, format.KeyFormat, announced, next, nil, false); undo != nil && !format.IsConflict(undo) {
			err = errors.Join(err, fmt.Errorf("cluster: withdraw the announcement, which hinders nobody: %w", undo))
		}
		return err
	}
	next.Features = append(slices.Clone(next.Features), feature)
	slices.Sort(next.Features)
	next.Since = maps.Clone(next.Since)
	if next.Since == nil {
		next.Since = map[string]string{}
	}
	next.Since[feature] = known[i].Since
	if _, err := format.Write(ctx, s, format.KeyFormat, announced, next, nil, false); err != nil {
		if format.IsConflict(err) {
			return fmt.Errorf("cluster: %s was not enabled: a process that does not know it came up meanwhile, or somebody else is at it: look at holdfast status, and try again: %w", feature, err)
		}
		return fmt.Errorf("cluster: enable %s, which may have happened: %w", feature, err)
	}
	return nil
}
