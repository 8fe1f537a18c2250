package probe

import (
	"context"
	"time"

	"holdfast/internal/s3"
)

// lost reports whether the store said in so many words that the condition does not hold.
func lost(err error) bool {
	if err == nil || s3.IsContext(err) {
		return false
	}
	switch s3.KindOf(err) {
	case s3.Precondition, s3.Conflict, s3.NotFound:
		return true
	}
	return false
}

const (
	overtaken      = 5 // how often a store may answer 409 to who is alone with a key
	overtakenPause = 5 * time.Millisecond
)

// again asks again when the store says that another request came between, which may concern the key's folder, where stores have such.
func again(ctx context.Context, ask func() (s3.Info, error)) (s3.Info, error) {
	for try := 1; ; try++ {
		info, err := ask()
		if err == nil || s3.KindOf(err) != s3.Conflict || try == overtaken {
			return info, err
		}
		if err := pause(ctx, overtakenPause<<try); err != nil {
			return s3.Info{}, err
		}
	}
}

// put writes a value under a condition that holds unless somebody else writes the key.
func (p *probe) put(ctx context.Context, key string, value []byte, cond s3.Condition) (s3.Info, error) {
	return again(ctx, func() (s3.Info, error) { return p.client.PutValue(ctx, key, value, cond) })
}

// create checks If-None-Match, one request after the other.
func (p *probe) create(ctx context.Context) error {
	key := p.dir + "create"
	first, second := nonce(valueSize), nonce(valueSize)
	one, err := p.put(ctx, key, first, s3.Condition{Absent: true})
	if lost(err) {
		return unconditional("the bucket answers If-None-Match: * on a new key with %v", err)
	} else if err != nil {
		return p.diagnose(err, "s3:PutObject")
	}
	_, err = p.racers[0].PutValue(ctx, key, second, s3.Condition{Absent: true})
	if err != nil && !lost(err) {
		return p.diagnose(err, "s3:PutObject")
	}
	which, readErr := p.value(ctx, p.racers[1], key, first, second)
	switch {
	case readErr != nil:
		return p.diagnose(readErr, "s3:GetObject")
	case err == nil || which != 0:
		return unconditional("the bucket ignores If-None-Match: a second create of a key replaced the first")
	}
	again, err := p.client.PutValue(ctx, key, first, s3.Condition{})
	if err != nil {
		return p.diagnose(err, "s3:PutObject")
	}
	if again.Version == one.Version {
		p.result.note("equal bodies have equal ETags")
	}
	return nil
}

// swap checks If-Match, one request after the other, and learns how the store wants the ETag.
func (p *probe) swap(ctx context.Context) error {
	key := p.dir + "swap"
	values := [][]byte{nonce(valueSize), nonce(valueSize), nonce(valueSize), nonce(valueSize)}
	first, err := p.put(ctx, key, values[0], s3.Condition{Absent: true})
	if err != nil {
		return p.diagnose(err, "s3:PutObject")
	}
	second, err := p.put(ctx, key, values[1], s3.Condition{Match: s3.Quoted.Format(first.Version)})
	if lost(err) {
		p.form = s3.Unquoted
		p.result.note("the store wants the ETag in If-Match without quotes")
		second, err = p.put(ctx, key, values[1], s3.Condition{Match: s3.Unquoted.Format(first.Version)})
		if lost(err) {
			return unconditional("the bucket answers If-Match with the right ETag with %v", err)
		}
	}
	if err != nil {
		return p.diagnose(err, "s3:PutObject")
	}
	if second.Version == first.Version {
		return unconditional("two different bodies have the same ETag")
	}
	_, stale := p.racers[0].PutValue(ctx, key, values[2], s3.Condition{Match: p.form.Format(first.Version)})
	if stale != nil && !lost(stale) {
		return p.diagnose(stale, "s3:PutObject")
	}
	which, err := p.value(ctx, p.racers[1], key, values...)
	switch {
	case err != nil:
		return p.diagnose(err, "s3:GetObject")
	case stale == nil || which != 1:
		return unconditional("the bucket ignores If-Match: a write with an old ETag replaced the value")
	}
	missing := p.dir + "swap-missing"
	_, err = p.client.PutValue(ctx, missing, values[3], s3.Condition{Match: p.form.Format(first.Version)})
	switch {
	case err == nil:
		return unconditional("the bucket takes a write with If-Match on a key that does not exist")
	case !lost(err):
		return p.diagnose(err, "s3:PutObject")
	}
	if _, _, err := p.client.GetValue(ctx, missing, maxValue); err == nil {
		return unconditional("a write with If-Match on a key that does not exist was refused and made")
	} else if s3.KindOf(err) != s3.NotFound || s3.IsContext(err) {
		return p.diagnose(err, "s3:GetObject")
	}
	return nil
}
