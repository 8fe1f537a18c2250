package operate

import (
	"context"
	"errors"
	"fmt"
	"io"

	"holdfast/internal/cluster"
	"holdfast/internal/format"
	"holdfast/internal/record"
)

// upgrade enables a feature of the format in each store, if one is named, and tells of all. It stops at the first store where it cannot be enabled.
func (j *job) upgrade(ctx context.Context) (int, error) {
	var all results
	for _, s := range j.stores {
		if j.Enable != "" {
			if err := cluster.Enable(ctx, s.Records, s.Features, j.Enable, s.Holder); err != nil {
				all.add(s, nil, "upgrade", err)
				break
			}
		}
		states, err := cluster.Features(ctx, s.Records, s.Features)
		if err != nil {
			return 0, err
		}
		all.add(s, features{format.Version, states}, "", nil)
	}
	return Well, errors.Join(append(all.errs, j.print(all))...)
}

// upgradeOutcome is the code of an error of upgrade, 0 for one that is not its own.
func upgradeOutcome(err error) int {
	var blocked *cluster.BlockedError
	switch {
	case errors.Is(err, cluster.ErrUnknownFeature):
		return Misused
	case errors.As(err, &blocked), errors.Is(err, record.ErrConflict):
		return Unavailable
	}
	return Well
}

// features are those of a store.
type features struct {
	Format   int                    `json:"format"`
	Features []cluster.FeatureState `json:"features"`
}

// WriteTable prints them for people.
func (f features) WriteTable(w io.Writer) error {
	text := fmt.Sprintf("format %d\n", f.Format)
	if len(f.Features) == 0 {
		text += "no features: this version knows none, and the store has none. There is nothing to enable\n"
	}
	for _, one := range f.Features {
		state := "can be enabled: holdfast upgrade --enable " + one.Name
		switch {
		case one.Enabled:
			state = "enabled"
		case !one.Known:
			state = "not known to this version"
		case len(one.Blockers) > 0:
			state = "cannot be enabled yet"
		}
		text += fmt.Sprintf("%s: %s\n", one.Name, state)
		if one.Text != "" {
			text += fmt.Sprintf("  %s\n", one.Text)
		}
		if one.Since != "" {
			text += fmt.Sprintf("  known since %s\n", one.Since)
		}
		if one.Announced {
			text += "  somebody is about to enable it, or was cut off at it: that hinders nobody\n"
		}
		for _, b := range one.Blockers {
			text += fmt.Sprintf("  %s\n", b)
		}
	}
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("operate: print a report: %w", err)
	}
	return nil
}
