package simulate

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"time"

	"holdfast/internal/record"
)

// records is the record store as one incarnation of a replica sees it. A version is the MD5 of the value,
// as on S3, so that two equal values of a key have the same version.
type records struct{ in *incarnation }

var _ record.Store = records{}

func versionOf(value []byte) record.Version {
	sum := md5.Sum(value)
	return record.Version(hex.EncodeToString(sum[:]))
}

// Get implements record.Store.
func (r records) Get(ctx context.Context, key record.Key) (record.Record, error) {
	w := r.in.world
	v, err := w.submit(ctx, r.in, &op{verb: verbGet, key: string(key), do: func() (any, error) { return w.getRecord(key) }})
	if err != nil {
		return record.Record{}, err
	}
	return v.(record.Record), nil
}

// Put implements record.Store. As the s3 driver it takes an equal value for its own write.
func (r records) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	if err := cond.CheckPut(); err != nil {
		return record.Stamp{}, err
	}
	w := r.in.world
	put := &op{
		verb: verbPut, key: string(key), folders: folders(string(key)), cond: cond.String(), value: value,
		do: func() (any, error) { return w.putRecord(key, value, cond) },
	}
	if w.scenario.Rivals {
		put.rival = w.rival(key, value, cond)
	}
	v, err := w.submit(ctx, r.in, put)
	if errors.Is(err, errLook) {
		return r.look(ctx, key, value)
	}
	if err != nil {
		return record.Stamp{}, err
	}
	return v.(record.Stamp), nil
}

// errLook is a lost answer of a put that the driver follows up.
var errLook = errors.New("simulate: the answer is lost")

// look finds out, as the s3 driver does, what came of a put whose answer was lost: others may have gone on
// with the key meanwhile.
func (r records) look(ctx context.Context, key record.Key, value []byte) (record.Stamp, error) {
	current, err := r.Get(ctx, key)
	lost := fmt.Errorf("simulate: put %s: %w", key, record.ErrUnavailable)
	switch {
	case errors.Is(err, errCrashed):
		return record.Stamp{}, err
	case err != nil:
		return record.Stamp{}, lost
	case current.Version == versionOf(value):
		return current.Stamp, nil
	}
	return record.Stamp{}, &record.Uncertain{Current: current, Err: lost}
}

// Delete implements record.Store.
func (r records) Delete(ctx context.Context, key record.Key, cond record.Cond) error {
	if err := cond.CheckDelete(); err != nil {
		return err
	}
	w := r.in.world
	_, err := w.submit(ctx, r.in, &op{
		verb: verbDelete, key: string(key), folders: folders(string(key)), cond: cond.String(),
		do: func() (any, error) { return nil, w.deleteRecord(key, cond) },
	})
	return err
}

// List implements record.Store: an operation for each page.
func (r records) List(ctx context.Context, prefix, after record.Key) iter.Seq2[record.Entry, error] {
	w := r.in.world
	return func(yield func(record.Entry, error) bool) {
		for {
			v, err := w.submit(ctx, r.in, &op{
				verb: verbList, key: string(prefix), folders: []string{string(prefix)},
				do: func() (any, error) { return w.listRecords(prefix, after) },
			})
			if err != nil {
				yield(record.Entry{}, err)
				return
			}
			page := v.([]record.Entry)
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
				after = e.Key
			}
			if len(page) < w.pageSize {
				return
			}
		}
	}
}

// folders are the prefixes that a list of a key may have.
func folders(key string) []string {
	var all []string
	for i := range key {
		if key[i] == '/' {
			all = append(all, key[:i+1])
		}
	}
	return all
}

// Now implements record.Store.
func (r records) Now() time.Time { return r.in.world.records.Now() }

func (w *world) getRecord(key record.Key) (record.Record, error) {
	rec, err := w.records.Get(w.ctx, key)
	if err != nil {
		return record.Record{}, fmt.Errorf("simulate: %w", err)
	}
	rec.Version = w.mirror.version(key)
	return rec, nil
}

func (w *world) putRecord(key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	current, err := w.records.Get(w.ctx, key)
	exists := err == nil
	if exists && w.mirror.version(key) == versionOf(value) {
		return record.Stamp{Version: versionOf(value), Modified: current.Modified}, nil
	}
	inner := record.IfAbsent()
	if v, swap := cond.Version(); swap {
		if !exists || w.mirror.version(key) != v {
			return record.Stamp{}, fmt.Errorf("simulate: put %s %s: %w", key, cond, record.ErrConflict)
		}
		inner = record.IfVersion(current.Version)
	}
	stamp, err := w.records.Put(w.ctx, key, value, inner)
	if err != nil {
		return record.Stamp{}, fmt.Errorf("simulate: %w", err)
	}
	stamp.Version = versionOf(value)
	w.mirror.put(key, value, stamp)
	return stamp, nil
}

func (w *world) deleteRecord(key record.Key, cond record.Cond) error {
	if v, ok := cond.Version(); ok {
		current, err := w.records.Get(w.ctx, key)
		if err == nil && w.mirror.version(key) != v {
			return fmt.Errorf("simulate: delete %s: %w", key, record.ErrConflict)
		}
		cond = record.IfVersion(current.Version)
		if err != nil {
			return nil
		}
	}
	if err := w.records.Delete(w.ctx, key, cond); err != nil {
		return fmt.Errorf("simulate: %w", err)
	}
	w.mirror.remove(key)
	return nil
}

func (w *world) listRecords(prefix, after record.Key) ([]record.Entry, error) {
	var page []record.Entry
	for e, err := range w.records.List(w.ctx, prefix, after) {
		if err != nil {
			return nil, fmt.Errorf("simulate: %w", err)
		}
		e.Version = w.mirror.version(e.Key)
		if page = append(page, e); len(page) == w.pageSize {
			break
		}
	}
	return page, nil
}
