package fsck

import (
	"context"
	"fmt"

	"holdfast/internal/format"
)

// checkFormat refuses stores that this version does not know, as replicas do, and looks at the cluster's secret. An empty store has
// neither.
func (c *checker) checkFormat(ctx context.Context) error {
	it, err := load[format.Contract](ctx, c.newView(), format.KeyFormat)
	switch {
	case err != nil:
		return err
	case it.bad != nil:
		return fmt.Errorf("fsck: %s: restore it, no replica starts without: %w", format.KeyFormat, it.bad)
	case it.exists:
		if err := it.Head.Check(c.cfg.Features); err != nil {
			return fmt.Errorf("fsck: %w", err)
		}
	}
	if err := c.first(ctx, c.newView(), lookAtSecret); err != nil {
		return err
	}
	return c.confirm(ctx)
}

func lookAtSecret(ctx context.Context, v *view) ([]Finding, error) {
	it, err := load[format.Secret](ctx, v, format.KeySecret)
	if err != nil || !it.exists || it.bad == nil && len(it.Head.Secret) >= format.MinSecretBytes {
		return nil, err
	}
	return []Finding{findf(SecretBroken, keysOf(format.KeySecret), "%d bytes of a secret", len(it.Head.Secret))}, nil
}
