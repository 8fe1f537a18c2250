package fsck

import (
	"context"
	"fmt"

	"holdfast/internal/format"
)

// formatHead and secretHead are what the check needs of the two values that every replica reads when it starts.
type formatHead struct {
	format.Meta
	Format   int      `json:"format"`
	Features []string `json:"features"`
}

type secretHead struct {
	format.Meta
	Secret []byte `json:"secret"`
}

// minSecretBytes is the shortest secret with which a replica starts.
const minSecretBytes = 32

// checkFormat refuses stores that this version does not know, as replicas do, and looks at the cluster's secret. An empty store has
// neither.
func (c *checker) checkFormat(ctx context.Context) error {
	it, err := load[formatHead](ctx, c.newView(), format.KeyFormat)
	switch {
	case err != nil:
		return err
	case it.bad != nil:
		return fmt.Errorf("fsck: %s: restore it, no replica starts without: %w", format.KeyFormat, it.bad)
	case it.exists && (it.Head.Format != format.Version || len(it.Head.Features) > 0):
		return fmt.Errorf("fsck: the store has format %d with the features %q, this version knows format %d without any: run the version that wrote it, or a newer one",
			it.Head.Format, it.Head.Features, format.Version)
	}
	if err := c.first(ctx, c.newView(), lookAtSecret); err != nil {
		return err
	}
	return c.confirm(ctx)
}

func lookAtSecret(ctx context.Context, v *view) ([]Finding, error) {
	it, err := load[secretHead](ctx, v, format.KeySecret)
	if err != nil || !it.exists || it.bad == nil && len(it.Head.Secret) >= minSecretBytes {
		return nil, err
	}
	return []Finding{findf(SecretBroken, keysOf(format.KeySecret), "%d bytes of a secret", len(it.Head.Secret))}, nil
}
