package recent

import (
	"context"
	"math/bits"
	"time"

	"holdfast/internal/observe/stores"
)

// Calls counts the answers of a store to requests for records, which are small: those for the bytes of blobs take as long as there are bytes. The zero
// value is ready for use.
type Calls struct {
	window window[calls]
}

// calls are those of a slot. Latencies are counted in steps of a quarter of a power of two, from a microsecond to some hours.
type calls struct {
	total, failed int64
	took          [steps]uint32
}

const steps = 4 * 36

// Answers are the answers of the last minute.
type Answers struct {
	Total  int64         `json:"total"`
	Failed int64         `json:"failed"` // no answer, or a refusal; "not there" and "changed meanwhile" are answers
	P50    time.Duration `json:"p50"`    // half of them took no longer, in nanoseconds, to a fifth or so
	P99    time.Duration `json:"p99"`
}

// BeginStore implements stores.Observer.
func (c *Calls) BeginStore(ctx context.Context, call stores.Call) (context.Context, func(stores.Result)) {
	if call.Key == stores.SegmentKey {
		return ctx, func(stores.Result) {}
	}
	began := time.Now()
	return ctx, func(r stores.Result) {
		switch r.Outcome {
		case stores.Canceled: // nobody waited for the answer
		case stores.OK, stores.NotFound, stores.Conflict:
			c.Answered(time.Since(began), false)
		default:
			c.Answered(time.Since(began), true)
		}
	}
}

// Answered counts an answer.
func (c *Calls) Answered(took time.Duration, failed bool) {
	c.window.add(func(s *calls) {
		s.total++
		if failed {
			s.failed++
		}
		s.took[step(took)]++
	})
}

// LastMinute are the answers of the last minute.
func (c *Calls) LastMinute() Answers {
	var sum calls
	c.window.each(func(s *calls) {
		sum.total += s.total
		sum.failed += s.failed
		for i, n := range s.took {
			sum.took[i] += n
		}
	})
	return Answers{Total: sum.total, Failed: sum.failed, P50: sum.below(50), P99: sum.below(99)}
}

// below is the time within which so many of a hundred were answered.
func (s *calls) below(percent int64) time.Duration {
	want := (s.total*percent + 99) / 100
	if want == 0 {
		return 0
	}
	var n int64
	for i, more := range s.took {
		if n += int64(more); n >= want {
			return upTo(i)
		}
	}
	return upTo(steps - 1)
}

// step is the step that a time is in, and upTo the longest time of a step.
func step(took time.Duration) int {
	micros := uint64(max(took.Microseconds(), 1))
	power := bits.Len64(micros) - 1
	quarter := 0
	if power >= 2 {
		quarter = int(micros>>(power-2)) & 3 //nolint:gosec // two bits
	}
	return min(4*power+quarter, steps-1)
}

func upTo(step int) time.Duration {
	power, quarter := step/4, step%4
	if power < 2 {
		return time.Duration(1<<(power+1)-1) * time.Microsecond
	}
	return time.Duration((5+quarter)<<(power-2)-1)*time.Microsecond + 999*time.Nanosecond
}
