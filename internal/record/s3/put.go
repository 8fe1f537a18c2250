package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"holdfast/internal/record"
	"holdfast/internal/s3"
)

const (
	silence   = 4800 * time.Millisecond // how long a store that does not answer is waited for; no try begins after it
	writeRate = 1 << 20                 // bytes per second on top of that: a manifest may have 4 MiB
	writeTry  = 5
	pauseBase = 20 * time.Millisecond
	pauseSlow = 400 * time.Millisecond // after SlowDown or 429: R2 takes one write a second per key
)

var errOutcome = errors.New("the outcome is unknown")

// Put implements record.Store. The conditional PutObject is sent once; unless it succeeds, the driver
// looks at the key before anything else:
//
//   - the key holds our value: success, whatever the answer was;
//   - it is exactly as the condition says: nothing was applied yet, so the same write is sent again. A
//     duplicate of the first that lands later fails its condition;
//   - it is something else, and every answer so far was a refusal (412, 404, 409): ErrConflict;
//   - it is something else, and some answer was lost: ours may have been applied and then replaced.
//     That is an *Uncertain, never ErrConflict.
//
// The Modified of a write is the Date of its answer: within a second or so of what Get will say.
func (s *Store) Put(ctx context.Context, key record.Key, value []byte, cond record.Cond) (record.Stamp, error) {
	if err := cond.CheckPut(); err != nil {
		return record.Stamp{}, err
	}
	if len(value) > maxValue {
		return record.Stamp{}, fmt.Errorf("s3: put %s: %d bytes are more than a record may have", key, len(value))
	}
	w := &write{store: s, key: key, value: value, cond: cond}
	stamp, err := w.run(ctx)
	if err != nil {
		return record.Stamp{}, fmt.Errorf("s3: put %s: %s: %w", key, cond, err)
	}
	return stamp, nil
}

// Delete implements record.Store. IfVersion is ErrUnsupported unless the self-test saw that this store's
// conditional delete decides races.
func (s *Store) Delete(ctx context.Context, key record.Key, cond record.Cond) error {
	if err := cond.CheckDelete(); err != nil {
		return err
	}
	if err := s.delete(ctx, key, cond); err != nil {
		return fmt.Errorf("s3: delete %s: %s: %w", key, cond, err)
	}
	return nil
}

func (s *Store) delete(ctx context.Context, key record.Key, cond record.Cond) error {
	if cond.Unconditional() {
		if err := s.client.Delete(ctx, s.key(key), ""); err != nil {
			return wrap(err)
		}
		return nil
	}
	if !s.client.Traits().ConditionalDelete {
		return record.ErrUnsupported
	}
	w := &write{store: s, key: key, cond: cond, remove: true}
	_, err := w.run(ctx)
	return err
}

// write is one conditional put or delete until its outcome is known.
type write struct {
	store  *Store
	key    record.Key
	value  []byte
	cond   record.Cond
	remove bool

	lost error // the first answer that was lost: the write may have been applied, or may be yet
}

func (w *write) run(caller context.Context) (record.Stamp, error) {
	within := silence + time.Duration(len(w.value))*time.Second/writeRate
	begin := time.Now()
	var last error
	for try := range writeTry {
		if try > 0 && (time.Since(begin) > within || !pause(caller, try, s3.KindOf(last))) {
			break
		}
		since := time.Now()
		stamp, err := w.send(caller)
		if err == nil {
			return stamp, nil
		}
		if done := w.classify(err); done {
			return record.Stamp{}, w.fail(caller, err)
		}
		last = err
		if s3.Answered(err) {
			since = time.Now()
		}
		seen, held, err := w.look(caller, since.Add(within))
		switch {
		case err != nil:
			return record.Stamp{}, w.fail(caller, errors.Join(last, err))
		case held == ours:
			return seen.Stamp, nil
		case held == other && w.lost == nil:
			return record.Stamp{}, &record.Conflict{Current: seen}
		case held == other:
			return record.Stamp{}, w.uncertain(caller, seen)
		}
	}
	return record.Stamp{}, w.fail(caller, last)
}

// send makes the request, once.
func (w *write) send(ctx context.Context) (record.Stamp, error) {
	cond := s3.Condition{Absent: w.cond.Absent()}
	if v, ok := w.cond.Version(); ok {
		cond.Match = w.store.client.Match(string(v))
	}
	if w.remove {
		return record.Stamp{}, w.store.client.Delete(ctx, w.store.key(w.key), cond.Match)
	}
	info, err := w.store.client.PutValue(ctx, w.store.key(w.key), w.value, cond)
	if err != nil {
		return record.Stamp{}, err
	}
	return w.store.stamp(info)
}

// classify notes whether the answer was lost, and reports whether a look is of no use: the store has
// refused the request for a reason that no look changes, or nothing was sent.
func (w *write) classify(err error) (done bool) {
	if s3.IsContext(err) {
		w.lost = err
		return true
	}
	switch s3.KindOf(err) {
	case s3.Precondition, s3.Conflict, s3.NotFound, s3.Throttled:
		return false
	case s3.NotSent:
		return s3.IsOpen(err)
	case s3.Denied, s3.Rejected, s3.BadRange, s3.NoUpload:
		return true
	default:
		if w.lost == nil {
			w.lost = err
		}
		return false
	}
}

// fail is the error of a write that did not succeed for want of the store.
func (w *write) fail(caller context.Context, err error) error {
	if cause := caller.Err(); cause != nil {
		return cause
	}
	if w.lost != nil {
		return fmt.Errorf("%w: %w: %w", record.ErrUnavailable, errOutcome, err)
	}
	return fmt.Errorf("%w: %w", record.ErrUnavailable, err)
}

// uncertain is fail for a write whose key holds another value now.
func (w *write) uncertain(caller context.Context, seen record.Record) error {
	err := w.fail(caller, w.lost)
	if w.remove || seen.Version == "" || caller.Err() != nil {
		return err
	}
	return &record.Uncertain{Current: seen, Err: err}
}

// state is what a look found.
type state int

const (
	asNamed state = iota // what the condition names: absent, or the version
	ours                 // our value, or for a delete: nothing
	other
)

// look reads the key until a deadline, a zero Record when it has no value, and says whether our write is what it holds.
func (w *write) look(ctx context.Context, until time.Time) (record.Record, state, error) {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	rec, err := w.store.get(ctx, w.key)
	if errors.Is(err, record.ErrNotFound) {
		switch {
		case w.remove:
			return record.Record{}, ours, nil
		case w.cond.Absent():
			return record.Record{}, asNamed, nil
		default:
			return record.Record{}, other, nil
		}
	}
	if err != nil {
		return record.Record{}, other, err
	}
	if !w.remove && bytes.Equal(rec.Value, w.value) {
		return rec, ours, nil
	}
	if v, ok := w.cond.Version(); ok && v == rec.Version {
		return rec, asNamed, nil
	}
	return rec, other, nil
}

// pause waits before another try, with jitter; false when there is no time for one.
func pause(ctx context.Context, try int, kind s3.Kind) bool {
	base := pauseBase
	if kind == s3.Throttled {
		base = pauseSlow
	}
	d := time.Duration(rand.Int64N(int64(base << try))) //nolint:gosec // G404: jitter is no secret
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
