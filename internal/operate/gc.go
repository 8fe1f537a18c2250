package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"holdfast/internal/collect"
	"holdfast/internal/oci"
)

// gc makes a pass over each store, the one of another store also when one fails.
func (j *job) gc(ctx context.Context) (int, error) {
	if j.Repository != "" && j.Recent {
		return 0, misused("a pass is over one repository, or over what has changed lately")
	}
	var of []Store
	for _, s := range j.stores {
		if s.Collects || j.Store != "" || j.Repository != "" {
			of = append(of, s)
		} else {
			j.say("%s is left alone: gc is false for it; name it to collect it all the same", s.Path)
		}
	}
	if len(of) == 0 {
		return 0, misused("gc is false for every store: name the one to collect, / for the root's")
	}
	var all results
	for _, s := range of {
		made, err := j.pass(ctx, s)
		if made != nil {
			all.add(s, made, "collect", err)
		} else {
			all.add(s, nil, "collect", err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return Well, errors.Join(append(all.errs, j.print(all))...)
}

func (j *job) pass(ctx context.Context, s Store) (report *collect.Report, err error) {
	c := s.Collector(j.DryRun)
	began := time.Now()
	defer j.saying(ctx, func(ctx context.Context) {
		status, err := s.Collector(true).Status(ctx)
		switch {
		case err == nil && status.Running != nil && !j.DryRun:
			j.say("%s: %s, %s so far", s.Path, status.Running.Phase, time.Since(began).Round(time.Second))
		default:
			j.say("%s: %s so far", s.Path, time.Since(began).Round(time.Second))
		}
	})()
	if j.Repository != "" {
		report, err = c.PassOver(ctx, oci.Repository(j.Repository))
	} else {
		report, err = c.PassNow(ctx, s.Holder, !j.Recent)
	}
	if report != nil && !j.DryRun && s.Passed != nil {
		s.Passed(ctx, report)
	}
	return report, err
}

// status tells who makes a pass of each store, and what came of the last one.
func (j *job) status(ctx context.Context) (int, error) {
	var all results
	for _, s := range j.stores {
		status, err := s.Collector(true).Status(ctx)
		if err != nil {
			return 0, fmt.Errorf("look at the collector of %s: %w", s.Path, err)
		}
		all.add(s, shownStatus{status, s.Collects}, "", nil)
	}
	return Well, j.print(all)
}

// shownStatus is what is known of a store's collector.
type shownStatus struct {
	collect.Status
	Collects bool `json:"enabled"` // gc is true in the file of who was asked
}

// WriteTable prints the status for people.
func (s shownStatus) WriteTable(w io.Writer) error {
	text, begun, at := "nobody makes a pass\n", "", ""
	if s.Running != nil {
		begun, at = s.Running.Started.UTC().Format(time.RFC3339), fmt.Sprint(s.Running.Phase, " ", s.Running.Cursor)
	}
	switch {
	case s.Holder != "" && s.Running != nil:
		text = fmt.Sprintf("%s makes a pass, begun at %s, and is at %s\n", s.Holder, begun, at)
	case s.Holder != "":
		text = fmt.Sprintf("%s makes a pass\n", s.Holder)
	case s.Running != nil:
		text = fmt.Sprintf("a pass, begun at %s, was interrupted at %s: the next one goes on from there\n", begun, at)
	}
	if !s.Collects {
		text += "gc is false: nobody will by itself\n"
	}
	if s.Last == nil {
		text += "no pass has ended yet\n"
	} else {
		text += fmt.Sprintf("the last pass ended at %s:\n", s.Ended.UTC().Format(time.RFC3339))
	}
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("operate: print a report: %w", err)
	}
	if s.Last == nil {
		return nil
	}
	return s.Last.WriteTable(w)
}
