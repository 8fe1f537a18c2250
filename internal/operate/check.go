package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"holdfast/internal/collect/fsck"
	"holdfast/internal/collect/scrub"
)

// fsck checks every store.
func (j *job) fsck(ctx context.Context) (int, error) {
	var all results
	code := Well
	for _, s := range j.stores {
		began := time.Now()
		stop := j.saying(ctx, func(context.Context) { j.say("%s: %s so far", s.Path, time.Since(began).Round(time.Second)) })
		report, err := fsck.Run(ctx, s.Records, s.Data, fsck.Config{Offline: s.Alone, Repair: j.Repair, Features: s.Features})
		stop()
		if err != nil {
			all.add(s, nil, "check", err)
			break
		}
		all.add(s, report, "check", nil)
		if worst := report.Worst(); worst == fsck.Wrong || worst == fsck.Lost {
			code = Bad
		}
	}
	return code, errors.Join(append(all.errs, j.print(all))...)
}

// scrub makes a round of the scrub on every store, or goes on with the one that has begun.
func (j *job) scrub(ctx context.Context) (int, error) {
	var all results
	code := Well
	for _, s := range j.stores {
		began, records, bytes := time.Now(), s.Counters.Records.Load(), s.Counters.Bytes.Load()
		stop := j.saying(ctx, func(context.Context) {
			j.say("%s: %d blobs, %d bytes, %s so far", s.Path, s.Counters.Records.Load()-records, s.Counters.Bytes.Load()-bytes, time.Since(began).Round(time.Second))
		})
		deps := scrub.Deps{Records: s.Records, Data: s.Data, Registry: s.Registry, Log: s.Log, Counters: s.Counters}
		report, err := scrub.Run(ctx, deps, scrub.Config{Holder: s.Holder})
		stop()
		if report == nil {
			all.add(s, nil, "scrub", err)
		} else {
			all.add(s, scrubbed{report}, "scrub", err)
			if report.DamagedTotal > 0 {
				code = Bad
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	return code, errors.Join(append(all.errs, j.print(all))...)
}

// scrubbed is the report of a round.
type scrubbed struct{ *scrub.Report }

// WriteTable prints the report for people.
func (r scrubbed) WriteTable(w io.Writer) error {
	state := "a whole round"
	if r.Ended.IsZero() {
		state = "not to the end yet: the next call goes on from here"
	}
	text := fmt.Sprintf("read %d blobs in %d segments, %d bytes, and %d manifests and tags; skipped %d; %s\n",
		r.Records, r.Segments, r.Bytes, r.Manifests, r.Skipped, state)
	for _, d := range r.Damaged {
		text += fmt.Sprintf("\n%s %s\n  record %s\n", d.Kind, d.Digest, d.Key)
		if d.Segment != "" {
			text += fmt.Sprintf("  segment %s\n", d.Segment)
		}
		for _, repo := range d.Repositories {
			text += fmt.Sprintf("  in repository %s\n", repo)
		}
		for _, tag := range d.Tags {
			text += fmt.Sprintf("  needed by %s\n", tag)
		}
		if d.More {
			text += "  and perhaps by more\n"
		}
	}
	switch more := r.DamagedTotal - int64(len(r.Damaged)); {
	case r.DamagedTotal == 0:
		text += "no damage\n"
	case more > 0:
		text += fmt.Sprintf("\nand %d more\n", more)
	}
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("operate: print a report: %w", err)
	}
	return nil
}
