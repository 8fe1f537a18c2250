package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"holdfast/internal/record"
	"holdfast/internal/s3"
)

const (
	resultKey  = "cfg/probe-result"
	resultAge  = 24 * time.Hour
	resultSize = 1 << 10 // every value that lives is at least so long
	quick      = 3       // racers of a quick test
)

// Ensure tells the client what its store is like, or says why it must not be used. Where an earlier
// full test of the same store by the same version is younger than a day, a quick test confirms it:
// at most ten requests, more where it answers 409, of which two follow one another before it returns, and Result.Cached is true; the caller makes a full test (Run, then Save)
// in the background, and calls Result.Forget. Else the full test is made now. Errors: as Run.
func Ensure(ctx context.Context, client *s3.Client, version string) (Result, error) {
	p := newProbe(client, quick)
	defer p.close()
	begun := p.beginQuick(ctx) // beside the look for a result: a store that has none loses three small writes
	cached, err := p.load(ctx, version)
	first := <-begun
	if cached != nil {
		client.SetTraits(cached.Traits)
		err = p.endQuick(ctx, first)
	}
	if err == nil && cached != nil {
		cached.Cached, cached.Forget = true, func() { p.forget(ctx, first) }
		return *cached, nil
	}
	p.forget(ctx, first)
	if err != nil {
		return Result{}, err
	}
	result, err := Run(ctx, client, Options{Version: version})
	if err != nil {
		return Result{}, err
	}
	client.SetTraits(result.Traits)
	return result, Save(ctx, client, result)
}

// load returns the result of an earlier full test, nil where there is none that counts.
func (p *probe) load(ctx context.Context, version string) (*Result, error) {
	value, _, err := p.client.GetValue(ctx, resultKey, maxValue)
	switch {
	case err == nil:
	case s3.KindOf(err) == s3.NotFound && !s3.IsContext(err):
		return nil, nil
	default:
		return nil, p.diagnose(err, "s3:GetObject")
	}
	var r Result
	if json.Unmarshal(value, &r) != nil {
		return nil, nil // another version's, or damaged: it is only a cache
	}
	same := r.Endpoint == p.result.Endpoint && r.Bucket == p.result.Bucket && r.Region == p.result.Region && r.Version == version
	if age := p.client.Now().Sub(r.Time); !same || age < -time.Minute || age > resultAge {
		return nil, nil
	}
	return &r, nil
}

// Save keeps the result of a full test for the next start. Another replica that saves at the same time is
// as good: then nothing is written.
func Save(ctx context.Context, client *s3.Client, result Result) error {
	p := &probe{client: client}
	value, err := json.Marshal(struct {
		Result
		Nonce string `json:"nonce"`
	}{result, random()})
	if err != nil {
		return fmt.Errorf("s3: self-test: %w", err)
	}
	value = append(value, bytes.Repeat([]byte(" "), max(0, resultSize-len(value)))...)
	cond := s3.Condition{Absent: true}
	switch info, err := client.Head(ctx, resultKey); {
	case err == nil:
		cond = s3.Condition{Match: result.Traits.ETagForm.Format(info.Version)}
	case s3.KindOf(err) != s3.NotFound || s3.IsContext(err):
		return p.diagnose(err, "s3:GetObject")
	}
	if _, err := p.put(ctx, resultKey, value, cond); err != nil && !lost(err) {
		return p.diagnose(err, "s3:PutObject")
	}
	return nil
}

// Quick is a test of eight requests, more where the store answers 409: a list beside a race of creates, a race of swaps, the clock, and a delete. It needs the
// client's traits. Errors: as Run.
func Quick(ctx context.Context, client *s3.Client) error {
	p := newProbe(client, quick)
	defer p.close()
	first := <-p.beginQuick(ctx)
	defer p.forget(ctx, first)
	return p.endQuick(ctx, first)
}

// forgetTimeout is how long it is tried to remove the key of a quick test: an end right after the start waits for it.
const forgetTimeout = 5 * time.Second

// quickKey is the key that a quick test races for, relative to the probe's directory.
const quickKey = "quick"

// firstHalf is what came of the requests of a quick test that need nothing of each other, nor the store's traits: without them a racer
// that lost may look like one that failed, which does not matter beside one that won.
type firstHalf struct {
	reached error
	created s3.Info
	raced   error
}

// beginQuick makes the first half of a quick test: it asks for everything at once. The channel gives one value.
func (p *probe) beginQuick(ctx context.Context) <-chan firstHalf {
	out := make(chan firstHalf, 1)
	go func() {
		var h firstHalf
		var all sync.WaitGroup
		all.Go(func() { h.reached = p.reach(ctx) })
		all.Go(func() {
			h.created, h.raced = p.quickRace(ctx, p.dir+quickKey, s3.Condition{Absent: true}, "If-None-Match")
		})
		all.Wait()
		out <- h
	}()
	return out
}

// endQuick judges the first half of a quick test, in the order in which its findings explain each other, and makes the rest.
func (p *probe) endQuick(ctx context.Context, h firstHalf) error {
	p.form = p.client.Traits().ETagForm
	err := h.reached
	if offset, _ := p.client.ClockOffset(); err == nil && offset.Abs() > refuseSkew {
		err = p.byCode(&s3.Error{Code: "RequestTimeTooSkewed"})
	}
	if err == nil {
		err = h.raced
	}
	if err == nil {
		_, err = p.quickRace(ctx, p.dir+quickKey, s3.Condition{Match: p.form.Format(h.created.Version)}, "If-Match")
	}
	return err
}

// forget removes what the first half of a quick test wrote, if it may have written anything; else the next full test does.
func (p *probe) forget(ctx context.Context, h firstHalf) {
	var refused *Refused
	if h.raced == nil || errors.As(h.raced, &refused) && refused.Reason == Conditions {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), forgetTimeout)
		defer cancel()
		_ = p.client.Delete(ctx, p.dir+quickKey, "")
	}
}

// quickRace lets three racers write, and wants one winner. They race again when nobody won, and the store had another request come between.
func (p *probe) quickRace(ctx context.Context, key string, cond s3.Condition, name string) (s3.Info, error) {
	return again(ctx, func() (s3.Info, error) { return p.quickRound(ctx, key, cond, name) })
}

func (p *probe) quickRound(ctx context.Context, key string, cond s3.Condition, name string) (s3.Info, error) {
	type answer struct {
		info s3.Info
		err  error
	}
	answers := make(chan answer, quick)
	for i := range quick {
		go func() {
			info, err := p.racers[i].PutValue(ctx, key, nonce(valueSize), cond)
			answers <- answer{info, err}
		}()
	}
	var (
		won    []s3.Info
		failed error
		beaten error // how a racer lost, rather by a 409 than by anything else
	)
	for range quick {
		a := <-answers
		if a.err == nil {
			won = append(won, a.info)
		} else if !lost(a.err) {
			failed = errors.Join(failed, a.err)
		} else if beaten == nil || s3.KindOf(a.err) == s3.Conflict {
			beaten = a.err
		}
	}
	switch {
	case len(won) > 1:
		return s3.Info{}, unconditional("%d of %d racers were told that they had won under %s", len(won), quick, name)
	case len(won) == 1:
		return won[0], nil
	case failed != nil:
		return s3.Info{}, p.diagnose(failed, "s3:PutObject")
	default:
		return s3.Info{}, fmt.Errorf("s3: self-test: %w: nobody won a race under %s: %w", record.ErrUnavailable, name, beaten)
	}
}
