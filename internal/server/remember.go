package server

import (
	"context"
	"log/slog"

	"holdfast/internal/record"
	"holdfast/internal/record/cached"
)

// remember puts what this process remembers, and shares with others where cfg has a shared cache, before the records of a bucket. The store closes it.
func (s *store) remember(ctx context.Context, next record.Store, cfg cached.Config, log *slog.Logger) {
	cfg.Ages = s.cfg.Ages
	cfg.Identity = s.client.Endpoint() + " " + s.client.Bucket() + " " + s.cfg.S3.RootDirectory
	cfg.Key = func() []byte {
		if s.registry == nil { // it is being opened: the secret is not known yet
			return nil
		}
		return s.registry.MAC("cached records")
	}
	s.remembered = cached.New(ctx, next, cfg, log)
	s.records = s.remembered
	s.closers = append(s.closers, s.remembered.Close)
}
