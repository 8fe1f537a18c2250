package registry

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/oci"
)

// A replica remembers the sessions that it has written, so that the commit which follows need not read its session: it claims it at once, by the
// version that was written, beside the pending link. An old memory is harmless: the claim is a swap, which loses when anybody has written the session since.
const (
	rememberedSessions = 1024 // entries, below 1 KiB each
	rememberedSegments = 8    // of a session; with more it is read
)

// wrote remembers a session as it was written last.
func (l *Local) wrote(t token, s stored[uploadHead]) {
	if len(s.Head.Segments) <= rememberedSegments {
		l.sessions.Add(t.id, s)
	} else {
		l.sessions.Remove(t.id)
	}
}

// recallSession returns what is remembered of a session, once, if by that the commit of d is right. If not, that says nothing: chunks
// may have come to another replica.
func (l *Local) recallSession(t token, d oci.Digest, last Chunk) (s stored[uploadHead], ok bool) {
	if s, ok = l.sessions.Find(t.id); !ok {
		return s, false
	}
	l.sessions.Remove(t.id)
	if !s.Is(open) || d.Algorithm() != t.algorithm || last.Start >= 0 && last.Start != s.Head.Offset {
		return s, false
	}
	h, err := restoreHash(t.algorithm, s.Head)
	return s, err == nil && digest.NewDigest(t.algorithm, h) == d
}

// errOvertaken is a session that another request has written since it was remembered.
var errOvertaken = errors.New("the session was written since")

// commitRecalled commits a session that is remembered, whose digest is right: it is claimed while the link is put. Errors: errOvertaken; then
// nothing was written but a pending link, which another attempt joins.
func (l *Local) commitRecalled(ctx context.Context, repo oci.Repository, d oci.Digest, t token, s stored[uploadHead]) error {
	c := &commit{l: l, repo: repo, digest: d, segments: s.Head.Segments, size: s.Head.Offset}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.putLink(gctx) })
	g.Go(func() error {
		_, ours, err := l.claim(gctx, repo, t, s, d, c.segments, c.size)
		if !ours {
			return errOvertaken
		}
		return err // after one that may have landed, the next attempt finds the session done and goes on
	})
	if err := g.Wait(); err != nil {
		return err
	}
	return c.settle(ctx)
}
