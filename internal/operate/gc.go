package operate

import (
	"context"
	"errors"
	"fmt"
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
	var results []result[*collect.Report]
	var errs []error
	for _, s := range of {
		report, err := j.pass(ctx, s)
		if report != nil {
			results = append(results, result[*collect.Report]{s.Path, report})
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("collect %s: %w", s.Path, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return Well, errors.Join(append(errs, j.print(len(j.stores) > 1, asPrinted(results)))...)
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
