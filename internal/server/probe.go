package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"

	"holdfast/internal/s3"
	"holdfast/internal/s3/probe"
)

// Probe makes the full self-test of every store of a configuration, reads the files of TLS, and writes what it found. Errors:
// ErrRefused for a store or files that must not be used, record.ErrUnavailable for one that does not answer; of
// all stores, not only of the first.
func Probe(ctx context.Context, cfg Config, log *slog.Logger, out io.Writer) error {
	err := errors.Join(probeEdge(cfg.Edge, out), probeStore(ctx, "storage", cfg.Storage, cfg, log, out))
	for _, path := range slices.Sorted(maps.Keys(cfg.SubPaths)) {
		err = errors.Join(err, probeStore(ctx, "storage.subPaths."+path, cfg.SubPaths[path], cfg, log, out))
	}
	return err
}

func probeStore(ctx context.Context, key string, cfg Storage, all Config, log *slog.Logger, out io.Writer) (err error) {
	if cfg.S3 == nil {
		return probeLocal(ctx, key, cfg, all, log, out)
	}
	client, err := s3.New(ctx, *cfg.S3, log)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrRefused, key, err)
	}
	defer client.Close()
	result, err := probe.Run(ctx, client, probe.Options{Version: all.Version})
	if err != nil {
		return fmt.Errorf("%s: %w", key, refusedOr(err))
	}
	if !cfg.IgnoreForeign {
		if err := lookBeside(ctx, client, cfg.S3.RootDirectory); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "%s: bucket %s at %s passed the self-test: tier %s, If-Match %s, clock %s ahead\n",
		key, client.Bucket(), orAWS(client.Endpoint()), result.Tier, result.Traits.ETagForm, result.ClockSkew)
	for _, w := range result.Warnings {
		_, printErr := fmt.Fprintf(out, "%s: warning: %s\n", key, w)
		err = errors.Join(err, printErr)
	}
	return err
}

func orAWS(endpoint string) string {
	if endpoint == "" {
		return "AWS"
	}
	return endpoint
}

func probeLocal(ctx context.Context, key string, cfg Storage, all Config, log *slog.Logger, out io.Writer) error {
	if status, err := AskRunning(ctx, cfg.Dir); err == nil {
		_, err = fmt.Fprintf(out, "%s: %s is in use by the server with pid %d at %s (%s): it says %q\n", key, cfg.Dir, status.PID, status.Address, status.Version, status.Ready)
		return err
	}
	st, err := openStore(ctx, cfg, asCommand(all), nil, nil, log)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if err := st.close(ctx); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	_, err = fmt.Fprintf(out, "%s: %s can be used\n", key, cfg.Dir)
	return err
}
