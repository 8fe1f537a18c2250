package s3

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/internal/data"
	"holdfast/internal/s3"
)

const (
	completeTime = 60 * time.Second
	completeTry  = 4
	completeWait = 250 * time.Millisecond
)

// Commit implements data.Writer. A segment of one part is a single PutObject; else the last part is
// uploaded and the multipart upload completed, without a condition: the id is random, nobody else
// writes it. An answer that was lost is settled by the object's size.
func (w *writer) Commit(ctx context.Context) (int64, error) {
	size, err := w.commit(ctx)
	if err != nil {
		return 0, fmt.Errorf("s3: commit segment %s: %w", w.id, err)
	}
	return size, nil
}

func (w *writer) commit(ctx context.Context) (int64, error) {
	w.mu.Lock()
	if w.ended {
		w.mu.Unlock()
		return 0, errEnded
	}
	w.ended = true
	err := w.err
	if err == nil {
		err = w.ctx.Err()
	}
	single := len(w.parts) == 0
	if err == nil && !single && len(w.chunks) > 0 {
		w.start(false)
	}
	chunks, size := w.chunks, w.size
	w.chunks = nil
	w.store.budget.detach(w, len(chunks))
	w.mu.Unlock()

	if err == nil && single {
		_, err = w.store.client.PutObject(ctx, w.key, chunks, size)
		if err != nil {
			err = wrap(err)
		}
	}
	w.store.budget.release(chunks)
	if err == nil && !single {
		err = w.complete(ctx, size)
	}
	w.end(ctx, err == nil)
	if err != nil {
		return 0, err
	}
	return size, nil
}

// complete waits for the parts and makes them the object.
func (w *writer) complete(ctx context.Context, size int64) error {
	stop := context.AfterFunc(ctx, w.cancel)
	w.uploads.Wait()
	stop()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := w.failed(); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, completeTime)
	defer cancel()
	err := w.settle(limited, size)
	if err != nil && ctx.Err() == nil && s3.IsContext(err) {
		return fmt.Errorf("%w: %w", data.ErrUnavailable, err)
	}
	return err
}

// settle completes the upload until it is known to be there, or not to come.
func (w *writer) settle(ctx context.Context, size int64) error {
	var err error
	for try := range completeTry {
		if try > 0 {
			select {
			case <-time.After(completeWait << try):
			case <-ctx.Done():
				return err
			}
		}
		sent := w.store.client.CompleteUpload(ctx, w.key, w.uploadID, w.parts)
		if sent == nil {
			return nil
		}
		err = wrap(sent)
		kind := s3.KindOf(sent)
		if s3.IsContext(sent) || kind == s3.Denied || kind == s3.Rejected {
			return err
		}
		info, looked := w.store.client.Head(ctx, w.key)
		switch {
		case looked == nil && info.Size == size:
			return nil
		case looked == nil:
			return fmt.Errorf("%w: it has %d bytes, not %d", data.ErrUnavailable, info.Size, size)
		case kind == s3.NoUpload && s3.KindOf(looked) == s3.NotFound && !s3.IsContext(looked):
			return err
		}
	}
	return err
}

// Abort implements data.Writer. It ends uploads at once and gives the store five seconds to drop the parts;
// what stays is for Store.Sweep.
func (w *writer) Abort() {
	w.mu.Lock()
	if w.ended {
		w.mu.Unlock()
		return
	}
	w.ended = true
	chunks := w.chunks
	w.chunks = nil
	w.store.budget.detach(w, len(chunks))
	w.mu.Unlock()
	w.store.budget.release(chunks)
	w.end(w.ctx, false)
}

// end frees all that the writer has, and drops its upload unless it became the object.
func (w *writer) end(ctx context.Context, committed bool) {
	w.cancel()
	w.uploads.Wait()
	w.store.budget.leave(w)
	w.mu.Lock()
	id := w.uploadID
	w.mu.Unlock()
	if committed || id == "" {
		return
	}
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	if err := w.store.client.AbortUpload(detached, w.key, id); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		w.store.client.Log().Debug("s3: abort of an upload; the collector will find it", "segment", string(w.id), "err", err)
	}
}
