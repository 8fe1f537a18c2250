package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"holdfast/internal/s3"
)

// rgwConflict is what Ceph RGW up to Pacific calls an ECANCELED, the loss of a race of writes under
// If-Match, in a 500. No other code of a 500 is trusted to mean that nothing was written.
const rgwConflict = "UnknownError"

// outcome is what became of a race.
type outcome struct {
	winner  int // the racer whose value the key holds, -1 for none
	info    s3.Info
	success []int // the racers that were told so
	codes   []string
	failed  error // of a racer that was not told whether it won
}

// race lets all racers write values to key under cond at once, while others read it.
func (p *probe) race(ctx context.Context, key string, cond s3.Condition, before []byte) (outcome, [][]byte, error) {
	values := make([][]byte, racers)
	infos := make([]s3.Info, racers)
	errs := make([]error, racers)
	for i := range values {
		values[i] = nonce(valueSize + i*500) // different sizes show torn reads
	}
	all := append([][]byte{before}, values...)
	var (
		ready, done sync.WaitGroup
		reads       [2]error
	)
	start := make(chan struct{})
	for i := range racers {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			infos[i], errs[i] = p.racers[i].PutValue(ctx, key, values[i], cond)
		})
	}
	for i := range reads {
		done.Go(func() {
			<-start
			for range 2 {
				if _, err := p.value(ctx, p.racers[i], key, all...); err != nil && (s3.KindOf(err) != s3.NotFound || before != nil) {
					reads[i] = err
				}
			}
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	if err := errors.Join(reads[0], reads[1]); err != nil {
		return outcome{}, nil, p.diagnose(err, "s3:GetObject")
	}

	o := outcome{winner: -1}
	for i, err := range errs {
		var e *s3.Error
		switch {
		case err == nil:
			o.success = append(o.success, i)
			o.info = infos[i]
		case lost(err):
		case errors.As(err, &e) && e.Status == 500:
			o.codes = append(o.codes, e.Code)
			o.failed = err
		case errors.As(err, &e) && (e.Status == 503 || e.Kind == s3.Throttled):
			o.failed = err
		default:
			return outcome{}, nil, p.diagnose(err, "s3:PutObject")
		}
	}
	which, err := p.value(ctx, p.racers[0], key, all...)
	if err != nil && s3.KindOf(err) != s3.NotFound {
		return outcome{}, nil, p.diagnose(err, "s3:GetObject")
	}
	if err == nil {
		o.winner = which - 1
	}
	return o, values, nil
}

// check says what is wrong with a race of which exactly one should have won.
func (o outcome) check(condition string) error {
	switch {
	case len(o.success) > 1:
		return unconditional("%d of %d racers were told that they had won under %s: its check and the write are not one step", len(o.success), racers, condition)
	case len(o.success) == 1 && o.winner != o.success[0]:
		return unconditional("the key does not hold the value of the only racer that won under %s", condition)
	}
	return nil
}

// raceCreate: one of 16 creates a key, five times.
func (p *probe) raceCreate(ctx context.Context) error {
	won := 0
	var failed error
	for round := range rounds {
		o, _, err := p.race(ctx, fmt.Sprintf("%srace-create-%d", p.dir, round), s3.Condition{Absent: true}, nil)
		if err != nil {
			return err
		}
		if err := o.check("If-None-Match"); err != nil {
			return err
		}
		won += len(o.success)
		failed = cmp.Or(failed, o.failed)
	}
	if won == 0 {
		return p.nobody("If-None-Match", failed)
	}
	return nil
}

// nobody is what it means that none of all races was won: nothing, when racers failed, which may have won.
func (p *probe) nobody(condition string, failed error) error {
	if failed != nil {
		return p.diagnose(failed, "s3:PutObject")
	}
	return unconditional("nobody wins a race under %s", condition)
}

// raceSwap: one of 16 swaps a value, five times in a row.
func (p *probe) raceSwap(ctx context.Context) error {
	key := p.dir + "race-swap"
	current := nonce(valueSize)
	info, err := p.put(ctx, key, current, s3.Condition{Absent: true})
	if err != nil {
		return p.diagnose(err, "s3:PutObject")
	}
	won, canceled := 0, 0
	var failed error
	for range rounds {
		o, values, err := p.race(ctx, key, s3.Condition{Match: p.form.Format(info.Version)}, current)
		if err != nil {
			return err
		}
		if err := o.check("If-Match"); err != nil {
			return err
		}
		for _, code := range o.codes {
			if code == rgwConflict && len(o.success) == 1 {
				canceled++
			}
		}
		failed = cmp.Or(failed, o.failed)
		if won += len(o.success); o.winner < 0 {
			continue
		}
		current = values[o.winner]
		if info, err = p.client.Head(ctx, key); err != nil {
			return p.diagnose(err, "s3:GetObject")
		}
	}
	if won == 0 {
		return p.nobody("If-Match", failed)
	}
	// It needs luck to see it; the versions that want the ETag without quotes all do it.
	if canceled > 0 || p.form == s3.Unquoted {
		p.result.Traits.ConflictCode = rgwConflict
		p.result.note("who loses a race under If-Match is answered 500 %s", rgwConflict)
	}
	return nil
}
