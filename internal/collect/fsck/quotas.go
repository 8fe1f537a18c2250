package fsck

import (
	"context"
	"errors"
	"fmt"

	"holdfast/internal/format"
)

// checkQuotas checks the folder of quotas: that its keys are the format's and its values can be read. What they say is not compared with what there is, which
// changes meanwhile: that is what a recount is for.
func (c *checker) checkQuotas(ctx context.Context) error {
	p := c.newPool()
	for entry, err := range c.store.Records.List(ctx, format.PrefixQuotas, "") {
		if err != nil {
			return errors.Join(fmt.Errorf("fsck: list %s: %w", format.PrefixQuotas, err), p.wait(ctx))
		}
		a, ok := parseKey(entry.Key)
		if !ok {
			c.suspectUnknown(entry.Key)
			continue
		}
		c.count(Quotas, 1)
		if err := p.run(ctx, func(ctx context.Context) error { return c.first(ctx, c.newView(), c.lookAtKey(entry.Key, a)) }); err != nil {
			return err
		}
	}
	return p.wait(ctx)
}
