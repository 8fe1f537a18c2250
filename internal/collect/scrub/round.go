package scrub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"holdfast/internal/format"
	"holdfast/internal/lease"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

const (
	bufferBytes         = 256 << 10        // all of a blob that is in memory at once
	saveAfter           = 10 * time.Second // progress is saved at least so often, while records are read
	rememberedManifests = 8192             // what they refer to: some MiB
	// inARow is how many records in a row may be without an answer of the store before the round asks whether it answers at all.
	inARow = 10
)

// The folders that a round goes through, in the order of their names: blob records, then what repositories have.
const (
	prefixBlobs        = record.Key("b/")
	prefixRepositories = record.Key("r/")
)

// progress is what a round saves in its lease.
type progress struct {
	After  record.Key `json:"after"` // all keys up to this one are done
	Report Report     `json:"report"`
}

// round is a round as this process works on it. Not safe for concurrent use.
type round struct {
	deps     Deps
	cfg      Config
	lease    *lease.Lease
	progress progress

	bytes    *rate.Limiter
	requests *rate.Limiter
	buffer   []byte
	parsed   *lru.Cache[oci.Digest, *names]

	marked  int       // blobs, by this Run
	unsaved int       // records since the last save
	saved   time.Time // when that was, by the store's clock

	unread  []record.Entry // records in a row that could not be read
	failure error          // of the last of them
}

// newRound begins a round, or goes on with the one whose progress the lease has.
func newRound(ctx context.Context, deps Deps, cfg Config, held *lease.Lease) (*round, error) {
	r := &round{
		deps: deps, cfg: cfg, lease: held,
		bytes:    rate.NewLimiter(rate.Limit(cfg.BytesPerSecond), bufferBytes),
		requests: rate.NewLimiter(rate.Limit(cfg.RequestsPerSecond), 1),
		buffer:   make([]byte, bufferBytes),
	}
	var err error
	if r.parsed, err = lru.New[oci.Digest, *names](rememberedManifests); err != nil {
		return nil, fmt.Errorf("scrub: %w", err)
	}
	if _, err := held.Progress(&r.progress); err != nil {
		deps.Log.WarnContext(ctx, "scrub: the progress of the last round cannot be read; a new one begins", "err", err)
		r.progress = progress{}
	}
	r.saved = deps.Records.Records.Now()
	r.progress.Report.Stopped = time.Time{}
	if last := &r.progress.Report; last.Started.IsZero() || !last.Ended.IsZero() {
		r.progress = progress{Report: Report{Started: r.saved.UTC(), Damaged: []Damage{}}}
	}
	return r, nil
}

// run goes through what is left of the round. ctx is the lease's.
func (r *round) run(ctx context.Context) error {
	for _, folder := range []struct {
		prefix record.Key
		check  check
	}{
		{prefixBlobs, (*round).checkBlob},
		{prefixRepositories, (*round).checkOfRepository},
	} {
		after := r.progress.After
		if !strings.HasPrefix(string(after), string(folder.prefix)) {
			if after > folder.prefix {
				continue // the round was beyond it
			}
			after = ""
		}
		if err := r.stream(ctx, folder.prefix, after, folder.check); err != nil {
			if errors.Is(err, ErrTooMuch) {
				r.progress.Report.Stopped = r.deps.Records.Records.Now().UTC()
			}
			return err
		}
	}
	r.progress.After = ""
	r.progress.Report.Ended = r.deps.Records.Records.Now().UTC()
	r.deps.Counters.Rounds.Add(1)
	return nil
}

// check checks one record, and reports whether the store has answered for what was read.
type check func(*round, context.Context, record.Entry) (answered bool, err error)

// stream checks the records of a folder after a key. When the store gives no answer for one, the progress stays before it until the
// store has answered for another. Then it is read again; what fails once more is that record's own trouble (a bad sector, an object that a
// gateway cannot read), and is skipped. A store that answers for none is an error.
func (r *round) stream(ctx context.Context, prefix, after record.Key, check check) error {
	for entry, err := range r.deps.Records.Records.List(ctx, prefix, after) {
		if err != nil {
			return fmt.Errorf("scrub: list %s: %w", prefix, err)
		}
		answered, err := false, error(nil)
		if entry.Size != format.DeadSize {
			answered, err = check(r, ctx, entry)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrTooMuch):
			return err
		case err != nil:
			r.unread, r.failure = append(r.unread, entry), err
			r.deps.Log.WarnContext(ctx, "scrub: a record, or its bytes, could not be read", "key", entry.Key, "err", err)
			if len(r.unread) >= inARow {
				if err := r.askAnother(ctx, prefix, check); err != nil {
					return err
				}
			}
		case answered:
			if err := r.readAgain(ctx, check); err != nil {
				return err
			}
		}
		if len(r.unread) > 0 {
			continue
		}
		r.progress.After = entry.Key
		if answered {
			r.unsaved++
		}
		if err := r.save(ctx); err != nil {
			return err
		}
	}
	return r.askAnother(ctx, prefix, check)
}

// readAgain checks what could not be read, now that the store has answered for something else, and skips what fails again.
func (r *round) readAgain(ctx context.Context, check check) error {
	for _, entry := range r.unread {
		_, err := check(r, ctx, entry)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrTooMuch):
			return err
		case err != nil:
			r.skip(1)
		}
	}
	r.unread, r.failure = nil, nil
	return nil
}

// askAnother looks whether the store answers for another record of the folder than those that could not be read, and if so reads these
// again. Errors: the failure to read them; those of readAgain.
func (r *round) askAnother(ctx context.Context, prefix record.Key, check check) error {
	if len(r.unread) == 0 {
		return nil
	}
	asked := 0
	for entry, err := range r.deps.Records.Records.List(ctx, prefix, "") {
		if err != nil || asked == inARow {
			break
		}
		if entry.Size == format.DeadSize || slices.ContainsFunc(r.unread, func(u record.Entry) bool { return u.Key == entry.Key }) {
			continue
		}
		report := r.progress.Report
		answered, err := check(r, ctx, entry)
		r.progress.Report = report // it has its own turn
		switch {
		case err != nil:
			asked++
		case answered:
			return r.readAgain(ctx, check)
		}
	}
	return r.failure
}

func (r *round) skip(n int64) {
	r.progress.Report.Skipped += n
	r.deps.Counters.Skipped.Add(n)
}

// save saves the progress when enough was done since it last was. Dying before it means to do that again.
func (r *round) save(ctx context.Context) error {
	now := r.deps.Records.Records.Now()
	if r.unsaved == 0 || r.unsaved < r.cfg.Every && now.Sub(r.saved) < saveAfter {
		return nil
	}
	if err := r.lease.Save(ctx, &r.progress); err != nil {
		return err
	}
	r.unsaved, r.saved = 0, now
	return nil
}

// pace waits until size bytes may be read.
func (r *round) pace(ctx context.Context, size int64) error {
	for size > 0 {
		n := min(size, bufferBytes)
		if err := r.bytes.WaitN(ctx, int(n)); err != nil {
			return fmt.Errorf("scrub: wait: %w", err)
		}
		size -= n
	}
	return nil
}

// read is format.Read at the bounded rate.
func read[H any, P format.HeadOf[H]](ctx context.Context, r *round, key record.Key) (format.Stored[H], error) {
	if err := r.requests.Wait(ctx); err != nil {
		return format.Stored[H]{}, fmt.Errorf("scrub: wait: %w", err)
	}
	return format.Read[H, P](ctx, r.deps.Records, key)
}

// unreadable reports whether an error of read is the value's own, which the store gave: it cannot be decoded.
func unreadable(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && !errors.Is(err, record.ErrUnavailable) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}
