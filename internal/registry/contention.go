package registry

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"holdfast/internal/oci"
)

const (
	// contendedFor is how long an operation goes on looking again after lost races before it asks the
	// client to come back.
	contendedFor = 20 * time.Second

	eagerRounds = 8 // so many rounds follow one another at once
	pauseUnit   = 2 * time.Millisecond
	pauseMost   = 50 * time.Millisecond
)

// rounds yields 0, 1, 2, … to a loop that looks again after each lost race. Each round of a race has a
// winner, so that writers of one key get through one after another; those that lose often wait a little,
// at random, so as not to meet the same rivals again. It ends with ctx, or when the operation has been
// losing for contendedFor: then the loop's caller answers errContended.
func rounds(ctx context.Context) iter.Seq[int] {
	return func(yield func(int) bool) {
		begin := time.Now()
		for round := 0; ; round++ {
			if round >= eagerRounds && (time.Since(begin) > contendedFor || !pause(ctx, round)) {
				return
			}
			if !yield(round) {
				return
			}
		}
	}
}

// pause waits at random, longer on average after more rounds; false when ctx ends first.
func pause(ctx context.Context, round int) bool {
	most := min(pauseMost, time.Duration(round)*pauseUnit)
	t := time.NewTimer(time.Duration(rand.Int64N(int64(most)))) //nolint:gosec // G404: jitter is no secret
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// errContended is what an operation answers that lost every one of its rounds. The store is well: it is
// other writers of the same key that were faster.
func errContended(what string) error {
	return &oci.Error{
		Code:    oci.Unavailable,
		Message: "others change the same thing so often that this request did not get its turn: try again",
		Err:     fmt.Errorf("registry: %s: other writers won every round for %s", what, contendedFor),
	}
}
