package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"holdfast/internal/cluster"
	"holdfast/internal/format"
	records3 "holdfast/internal/record/s3"
	"holdfast/internal/s3"
)

// Look tells how a cluster is.
type Look func(context.Context) (cluster.View, error)

// OpenLook returns what tells how the cluster over the stores of a configuration is, without a replica where they are in S3: nothing is tested and
// nothing is written, so that it works when little else does. Of a directory each look asks the server that has it open; without one it opens it itself, for
// the time of the look. The caller calls done at the end. Errors, of a look too: ErrRefused, record.ErrUnavailable.
func OpenLook(ctx context.Context, cfg Config, log *slog.Logger) (look Look, done func() error, err error) {
	if len(cfg.dirs()) > 0 {
		return func(ctx context.Context) (cluster.View, error) { return lookAtDirs(ctx, cfg, log) }, func() error { return nil }, nil
	}
	return openLook(ctx, cfg, log)
}

// lookAtDirs makes one look at stores of which one is in a directory at least.
func lookAtDirs(ctx context.Context, cfg Config, log *slog.Logger) (v cluster.View, err error) {
	for _, dir := range cfg.dirs() {
		v, err := askView(ctx, dir)
		if err == nil || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
			return v, err
		}
		if _, err := os.Stat(filepath.Join(dir, ownDir)); err != nil {
			return v, fmt.Errorf("%w: no registry has been in %s yet: %w", ErrRefused, dir, err)
		}
	}
	look, done, err := openLook(ctx, cfg, log)
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, done()) }()
	return look(ctx)
}

// openLook opens the stores to look at them.
func openLook(ctx context.Context, cfg Config, log *slog.Logger) (look Look, done func() error, err error) {
	var opened []*store
	done = func() error {
		var errs []error
		for _, st := range opened {
			errs = append(errs, st.close(ctx))
		}
		return errors.Join(errs...)
	}
	var sources []cluster.Source
	add := func(path string, storage Storage) error {
		st := &store{path: path, cfg: storage}
		if st.cfg.Ages == (format.Ages{}) {
			st.cfg.Ages = format.DefaultAges()
		}
		opened = append(opened, st)
		if err := st.openToLook(ctx, log); err != nil {
			return err
		}
		sources = append(sources, cluster.Source{Path: path, Records: st.format(), Collects: func() bool { return storage.Collect.Enabled }, Features: cfg.Features})
		return nil
	}
	err = add("/", cfg.Storage)
	for _, path := range slices.Sorted(maps.Keys(cfg.SubPaths)) {
		if err == nil {
			err = add("/"+strings.Trim(path, "/"), cfg.SubPaths[path])
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, done())
	}
	return cluster.NewViewer(sources).Look, done, nil
}

// openToLook opens the records of a store, and nothing else of one in S3.
func (s *store) openToLook(ctx context.Context, log *slog.Logger) error {
	if s.cfg.S3 == nil {
		_, err := s.openLocal(ctx, s.cfg)
		return err
	}
	client, err := s3.New(ctx, *s.cfg.S3, log)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	s.client, s.records = client, records3.New(client, "")
	s.closers = append(s.closers, func() error { client.Close(); return nil })
	return nil
}
