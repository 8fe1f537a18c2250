package registry

import (
	"context"

	"holdfast/internal/format"
	"holdfast/internal/oci"
)

// repoMemory is what a replica remembers of a repository. Any older epoch is safe to begin a push with:
// it only means that references are read again after the fence.
type repoMemory struct {
	epoch       uint64
	epochKnown  bool
	markerEpoch uint64 // the repository marker was seen live under this epoch
	markerKnown bool
}

// childKey names a manifest whose references were all seen under an epoch.
type childKey struct {
	repo   oci.Repository
	digest oci.Digest
}

// epoch returns the repository's fence from memory, or reads it.
func (l *Local) epoch(ctx context.Context, repo oci.Repository) (uint64, error) {
	if m, ok := l.repos.Find(repo); ok && m.epochKnown {
		return m.epoch, nil
	}
	return l.readFence(format.RecallAnyAge(ctx), repo)
}

// readFence reads the fence and remembers it. A repository without one is at epoch 0.
func (l *Local) readFence(ctx context.Context, repo oci.Repository) (uint64, error) {
	f, err := read[format.Fence](ctx, l, format.FenceKey(repo))
	if err != nil {
		return 0, err
	}
	epoch := f.Head.Epoch
	l.remember(repo, func(m *repoMemory) {
		if !m.epochKnown || epoch > m.epoch {
			m.epoch, m.epochKnown = epoch, true
		}
	})
	return epoch, nil
}

// remember changes what is remembered of a repository. Two at once may lose one change, which only costs a read.
func (l *Local) remember(repo oci.Repository, change func(*repoMemory)) {
	m, _ := l.repos.Get(repo)
	change(&m)
	l.repos.Add(repo, m)
}

// raiseFence moves the repository's fence on (format.RaiseFence) and remembers where it is.
func (l *Local) raiseFence(ctx context.Context, repo oci.Repository) error {
	epoch, err := format.RaiseFence(ctx, l.format, repo)
	if err != nil {
		return err
	}
	l.remember(repo, func(m *repoMemory) { m.epoch, m.epochKnown = epoch, true })
	return nil
}
