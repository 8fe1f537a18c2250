package pulled

import (
	"context"
	"fmt"
	"strings"
	"time"

	"holdfast/internal/format"
	"holdfast/internal/oci"
)

// Times returns when the manifests of a repository were last pulled, those left out that never were. It reads no values, a request for every
// 1,000 manifests: the time is that of the record's writing, which is at most a round later than the pull that it tells of.
func Times(ctx context.Context, store format.Store, repo oci.Repository) (map[oci.Digest]time.Time, error) {
	prefix := format.PulledPrefix(repo)
	times := map[oci.Digest]time.Time{}
	for entry, err := range store.Records.List(ctx, prefix, "") {
		if err != nil {
			return nil, fmt.Errorf("pulled: list %s: %w", prefix, err)
		}
		if entry.Size == format.DeadSize {
			continue
		}
		d, err := format.PartDigest(strings.TrimPrefix(string(entry.Key), string(prefix)))
		if err != nil {
			return nil, fmt.Errorf("pulled: list %s: %w", prefix, err)
		}
		times[d] = entry.Modified
	}
	return times, nil
}
