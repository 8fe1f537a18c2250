package bolt

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"holdfast/internal/record"
)

const (
	// maxGroup and maxGroupBytes bound a transaction, and with it the memory and the wait of a write.
	maxGroup      = 1024
	maxGroupBytes = 32 << 20
	// gatherYields is how often other goroutines may run before a group is closed: writers that were just
	// answered come back in microseconds, and share the transaction instead of taking turns at two. With
	// four writers that is twice the throughput (BenchmarkPut).
	gatherYields = 4
)

// write is one Put, or one Delete: then stored is nil.
type write struct {
	ctx    context.Context // the caller's: a write is left out when it has ended before its transaction
	key    []byte
	cond   record.Cond
	stored []byte

	// The outcome, to be read once done is closed.
	stamp record.Stamp
	err   error
	done  chan struct{}
}

func newWrite(ctx context.Context, key record.Key, cond record.Cond) *write {
	return &write{ctx: ctx, key: []byte(key), cond: cond, done: make(chan struct{})}
}

// committer runs the write transactions, one after the other, in a goroutine of its own. Whoever comes
// while one is written to disk is in the next: under load a transaction carries as many writes as there
// are writers, and costs one fsync. A condition is decided within the transaction, after the writes
// that came before it; its answer is given when the transaction is on disk, a conflict too, because it
// may be due to a write of the same transaction.
type committer struct {
	path  string
	db    *bbolt.DB
	clock *clock
	delay time.Duration // Config.GroupDelay

	queue    chan *write // not buffered: what was taken from it is answered
	stop     chan struct{}
	stopped  chan struct{}
	once     sync.Once
	reserved int64 // how many bytes of the file are written, used or not; run's alone
	failure  atomic.Pointer[error]
	wedged   bool // bbolt panicked in a transaction, Close would wait for ever; to be read once stopped is closed
}

var errClosed = errors.New("the store is closed")

// newCommitter returns a committer whose run is to be started.
func newCommitter(path string, db *bbolt.DB, clock *clock, delay time.Duration) *committer {
	return &committer{
		path: path, db: db, clock: clock, delay: delay,
		queue: make(chan *write), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
}

// close waits for the transaction under way; writes that it does not hold fail.
func (c *committer) close() {
	c.once.Do(func() { close(c.stop) })
	<-c.stopped
}

// broken returns why the store can no longer be used, or nil.
func (c *committer) broken() error {
	if err := c.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// do hands the write over and waits for its outcome. Errors: ErrConflict, those of ctx, ErrUnavailable.
func (c *committer) do(ctx context.Context, w *write) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.broken(); err != nil {
		return fmt.Errorf("%w: %w", record.ErrUnavailable, err)
	}
	select {
	case c.queue <- w:
	case <-c.stop:
		return fmt.Errorf("%w: %w", record.ErrUnavailable, errClosed)
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run works until close.
func (c *committer) run() {
	defer close(c.stopped)
	last := 1
	for {
		select {
		case w := <-c.queue:
			group := c.gather(w, last)
			last = len(group)
			c.commit(group)
		case <-c.stop:
			return
		}
	}
}

// gather returns first, the writes that wait already and those that come at once. With a delay it waits
// for as many as the last group had: writers that were answered together mostly come back together, and
// one that is alone, as in a single push, does not wait at all.
func (c *committer) gather(first *write, last int) []*write {
	group, size := []*write{first}, len(first.stored)
	var timeout <-chan time.Time
	yields := gatherYields
	for len(group) < maxGroup && size < maxGroupBytes {
		var w *write
		select {
		case w = <-c.queue:
		default:
			if yields > 0 {
				yields--
				runtime.Gosched()
				continue
			}
			if c.delay == 0 || len(group) >= last {
				return group
			}
			if timeout == nil {
				timeout = time.After(c.delay)
			}
			select {
			case w = <-c.queue:
			case <-timeout:
				return group
			case <-c.stop:
				return group
			}
		}
		group, size = append(group, w), size+len(w.stored)
	}
	return group
}

// commit decides and writes a group, and answers it.
func (c *committer) commit(group []*write) {
	err := c.broken()
	if err == nil {
		err = c.transact(group)
	}
	for _, w := range group {
		if err != nil {
			w.stamp, w.err = record.Stamp{}, fmt.Errorf("%w: %w", record.ErrUnavailable, err)
		}
		close(w.done)
	}
	if err == nil {
		c.reserve()
	}
}

// transact applies a group in one transaction. On an error nothing of it happened, unless the store is
// broken from then on.
func (c *committer) transact(group []*write) error {
	var id int
	err := guard(func() error {
		tx, err := c.db.Begin(true)
		if err != nil {
			return err
		}
		id = tx.ID()
		changed, err := c.apply(tx, group)
		if err != nil || !changed {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	})
	if err == nil {
		return nil
	}
	if errors.Is(err, errDamaged) {
		// bbolt's own state is unknown, and so is which of its locks it holds: it is not called again.
		c.wedged = true
		return c.breakDown(err)
	}
	// A transaction is there when its root page is. Where the root reached the file but not for certain
	// the disk, reads would show what a power cut may undo, and a writer that looks whether its write
	// won would take it for durable. Only a new start, which reads the disk, can tell.
	tx, viewErr := c.db.Begin(false)
	if viewErr != nil {
		return c.breakDown(errors.Join(err, viewErr))
	}
	visible := tx.ID() >= id
	if rollbackErr := tx.Rollback(); visible || rollbackErr != nil {
		return c.breakDown(errors.Join(err, rollbackErr))
	}
	return err
}

// breakDown ends the use of the store, reads included.
func (c *committer) breakDown(cause error) error {
	err := fmt.Errorf("%s: the last write may or may not be on disk, restart the server: %w", c.path, cause)
	c.failure.CompareAndSwap(nil, &err)
	return err
}

// apply decides the writes in their order, and reports whether one changed anything.
func (c *committer) apply(tx *bbolt.Tx, group []*write) (changed bool, err error) {
	records := tx.Bucket(recordsBucket)
	modified := c.clock.nanoseconds()
	for _, w := range group {
		if w.err = w.ctx.Err(); w.err != nil {
			continue
		}
		current := records.Get(w.key)
		if version, conditional := w.cond.Version(); w.cond.Absent() && current != nil ||
			conditional && (current == nil && w.stored != nil || current != nil && versionOf(current) != version) {
			w.err = record.ErrConflict
			continue
		}
		switch {
		case w.stored == nil && current == nil:
			continue // a delete of nothing
		case w.stored == nil:
			err = records.Delete(w.key)
		default:
			err = w.put(records, modified)
		}
		if err != nil {
			return false, err
		}
		changed = true
	}
	if !changed {
		return false, nil
	}
	return true, putClock(tx.Bucket(storeBucket), modified)
}

// put stores the value under the bucket's next version.
func (w *write) put(records *bbolt.Bucket, modified int64) error {
	sequence, err := records.NextSequence()
	if err != nil {
		return err
	}
	seal(w.key, w.stored, sequence, modified)
	w.stamp, err = decodeStamp(w.stored)
	if err != nil {
		return err
	}
	return records.Put(w.key, w.stored)
}
