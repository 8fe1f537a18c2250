package quota

import (
	"context"

	"holdfast/internal/format"
)

// Count counts what the repositories below a prefix hold.
func Count(ctx context.Context, s format.Store, prefix string) (format.Load, error) {
	counted, err := count(ctx, s, map[string]bool{prefix: true})
	return counted[prefix], err
}
