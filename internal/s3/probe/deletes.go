package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"holdfast/internal/s3"
)

const deleteRaces = 64

// deletes learns whether DELETE with If-Match may be relied on. Nothing here refuses a store.
func (p *probe) deletes(ctx context.Context) error {
	if !p.deleted {
		return nil
	}
	// Raced 200 times, versitygw let both a DELETE and a PUT of one version win up to 81 times, but
	// with two processes only 7: too few for a test of this length to be sure to see one.
	if strings.Contains(strings.ToLower(p.client.Server()), "versitygw") {
		p.result.note("versitygw's conditional DELETE loses races against PUT: tombstones are kept")
		return nil
	}
	reason, err := p.wrongDelete(ctx)
	if err != nil {
		return err
	}
	if reason == "" {
		if reason, err = p.raceDeletes(ctx); err != nil {
			return err
		}
	}
	if p.result.Traits.ConditionalDelete = reason == ""; reason != "" {
		p.result.note("tombstones are kept: %s", reason)
	}
	return nil
}

// wrongDelete returns what is wrong with a DELETE whose If-Match does not hold.
func (p *probe) wrongDelete(ctx context.Context) (string, error) {
	key := p.dir + "delete"
	values := [][]byte{nonce(valueSize), nonce(valueSize)}
	old, err := p.client.PutValue(ctx, key, values[0], s3.Condition{})
	if err != nil {
		return "", p.diagnose(err, "s3:PutObject")
	}
	if _, err := p.client.PutValue(ctx, key, values[1], s3.Condition{}); err != nil {
		return "", p.diagnose(err, "s3:PutObject")
	}
	deleted := p.client.Delete(ctx, key, p.form.Format(old.Version))
	_, err = p.value(ctx, p.racers[0], key, values[1])
	switch {
	case err != nil && s3.KindOf(err) == s3.NotFound && !isRefused(err):
		return "the store ignores If-Match on DELETE", nil
	case err != nil:
		return "", p.diagnose(err, "s3:GetObject")
	case lost(deleted):
		return "", nil
	case deleted == nil:
		return "a DELETE whose If-Match does not hold is answered as done", nil
	}
	var e *s3.Error
	if errors.As(deleted, &e) && e.Status >= 400 {
		return fmt.Sprintf("DELETE with If-Match is answered %d %s", e.Status, e.Code), nil
	}
	return "", p.diagnose(deleted, "s3:DeleteObject")
}

// raceDeletes lets four PUTs and four DELETEs of one version race, on many keys.
func (p *probe) raceDeletes(ctx context.Context) (string, error) {
	for i := range deleteRaces {
		key := fmt.Sprintf("%sdelete-%d", p.dir, i)
		info, err := p.client.PutValue(ctx, key, nonce(valueSize), s3.Condition{})
		if err != nil {
			return "", p.diagnose(err, "s3:PutObject")
		}
		cond := s3.Condition{Match: p.form.Format(info.Version)}
		var (
			swaps, deletes, failures atomic.Int32
			done                     sync.WaitGroup
		)
		start := make(chan struct{})
		for r := range 8 {
			done.Go(func() {
				<-start
				var err error
				if r%2 == 0 {
					if err = p.racers[r].Delete(ctx, key, cond.Match); err == nil {
						deletes.Add(1)
					}
				} else if _, err = p.racers[r].PutValue(ctx, key, nonce(valueSize), cond); err == nil {
					swaps.Add(1)
				}
				if err != nil && !lost(err) {
					failures.Add(1)
				}
			})
		}
		close(start)
		done.Wait()
		_, readErr := p.client.Head(ctx, key)
		gone := readErr != nil && s3.KindOf(readErr) == s3.NotFound && !s3.IsContext(readErr)
		switch {
		case readErr != nil && !gone:
			return "", p.diagnose(readErr, "s3:GetObject")
		// Several deletes may say so: one that finds nothing is no error.
		case swaps.Load() > 1, swaps.Load() == 1 && (deletes.Load() > 0 || gone), swaps.Load() == 0 && deletes.Load() > 0 && !gone:
			return "DELETE and PUT under one If-Match both won a race", nil
		case failures.Load() > 0:
			return "DELETE and PUT under one If-Match fail when they race", nil
		}
	}
	return "", nil
}

func isRefused(err error) bool {
	var r *Refused
	return errors.As(err, &r)
}
