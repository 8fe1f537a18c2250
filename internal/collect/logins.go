package collect

import (
	"context"
	"fmt"

	"holdfast/internal/format"
)

// CollectLogins removes sessions of people that ended long ago, by themselves or by a logout. Nothing can bring them back: a create is void an hour after
// it was sent, and the id is never used again.
func (c *Collector) CollectLogins(ctx context.Context) error {
	if c.cfg.DryRun {
		return nil
	}
	for entry, err := range c.store.Records.List(ctx, format.PrefixLogins, "") {
		if err != nil {
			return fmt.Errorf("collect: list %s: %w", format.PrefixLogins, err)
		}
		if c.age(entry.Modified) < c.store.Ages.Session+2*c.store.Ages.Request {
			continue
		}
		if err := c.store.Records.Delete(ctx, entry.Key, always); err != nil {
			return fmt.Errorf("collect: remove a login: %w", err)
		}
	}
	return nil
}
