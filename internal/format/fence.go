package format

import (
	"context"

	"holdfast/internal/oci"
)

// RaiseFence moves a repository's fence on, after something was condemned and before it is killed: a
// push that looked before it was condemned sees the fence moved and looks again. When another raise
// comes between it began after this call and serves as well. It returns where the fence is then.
func RaiseFence(ctx context.Context, s Store, repo oci.Repository) (uint64, error) {
	key := FenceKey(repo)
	f, err := Read[Fence](ctx, s, key)
	if err != nil {
		return 0, err
	}
	head := f.Head
	head.Epoch++
	if f, err = WriteOrFind(ctx, s, key, f, head, nil, false); err != nil && !IsConflict(err) {
		return 0, err
	}
	return f.Head.Epoch, nil
}
