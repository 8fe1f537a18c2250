package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"holdfast/internal/registry"
)

// rotate replaces the secret of each store, that of another store also when one fails.
func (j *job) rotate(ctx context.Context) (int, error) {
	var all results
	for _, s := range j.stores {
		made, err := s.Registry.RotateSecret(ctx, j.Revoke)
		if err != nil {
			all.add(s, nil, "rotate the secret of", err)
			continue
		}
		all.add(s, rotated{made, j.Revoke}, "", nil)
	}
	return Well, errors.Join(append(all.errs, j.print(all))...)
}

// rotated tells what replacing a secret means.
type rotated struct {
	registry.Rotation
	Revoked bool `json:"revoked"`
}

// WriteTable prints it for people.
func (r rotated) WriteTable(w io.Writer) error {
	text := "the secret was replaced: the new one signs at this replica now, and at the others within a minute; each takes what another has signed meanwhile\n"
	if r.Revoked {
		text += "what the old one signed is good no more, at every replica within a minute: admin tokens end, and uploads in progress begin anew\n"
	} else {
		until := r.OldUntil.UTC().Format(time.RFC3339)
		text += fmt.Sprintf("uploads in progress go on\nadmin tokens that the old one signed end at %s at the latest: make new ones before that\n", until)
	}
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("operate: print a report: %w", err)
	}
	return nil
}
