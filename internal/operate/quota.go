package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"holdfast/internal/quota"
)

// quota tells what is used of each quota, after a count where that is asked for; that of another store also when one fails.
func (j *job) quota(ctx context.Context) (int, error) {
	var all results
	for _, s := range j.stores {
		figures, err := j.figures(ctx, s)
		if err != nil {
			all.add(s, nil, "look at the quotas of", err)
			continue
		}
		all.add(s, figures, "", nil)
	}
	return Well, errors.Join(append(all.errs, j.print(all))...)
}

func (j *job) figures(ctx context.Context, s Store) (shownQuotas, error) {
	if j.Recount {
		began := time.Now()
		stop := j.saying(ctx, func(context.Context) { j.say("%s: counting for %s", s.Path, time.Since(began).Round(time.Second)) })
		err := s.Quotas.Recount(ctx)
		stop()
		if err != nil {
			return nil, err
		}
	}
	figures, err := s.Quotas.Look(ctx)
	shown := shownQuotas{}
	for _, f := range figures {
		one := shownQuota{Prefix: cmp.Or(f.Prefix, "/"), InForce: f.InForce, Counted: f.Counted, Bytes: f.Bytes, Repositories: f.Repositories}
		if f.InForce {
			one.UsedBytes, one.UsedRepositories, one.ClaimedBytes = f.Used.Bytes, f.Used.Repositories, f.Claimed.Bytes
		}
		shown = append(shown, one)
	}
	return shown, err
}

// shownQuota is a quota for programs. Limits of 0 are none.
type shownQuota struct {
	Prefix           string    `json:"prefix"`
	InForce          bool      `json:"inForce"`
	Bytes            int64     `json:"limitBytes"`
	UsedBytes        int64     `json:"usedBytes"`
	ClaimedBytes     int64     `json:"claimedBytes"` // beyond what is used, by replicas, for pushes that may come
	Repositories     int64     `json:"limitRepositories"`
	UsedRepositories int64     `json:"usedRepositories"`
	Counted          time.Time `json:"counted,omitzero"` // when the last count ended
}

type shownQuotas []shownQuota

// WriteTable prints the quotas for people.
func (q shownQuotas) WriteTable(w io.Writer) error {
	if len(q) == 0 {
		_, err := io.WriteString(w, "the file has no quotas for this store\n")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "PREFIX\tUSED\tLIMIT\t\tCOUNTED") // the error is that of Flush
	for _, one := range q {
		if one.Bytes > 0 {
			one.line(t, quota.Size(one.UsedBytes), quota.Size(one.Bytes), float64(one.UsedBytes)/float64(one.Bytes))
		}
		if one.Repositories > 0 {
			one.line(t, fmt.Sprint(one.UsedRepositories, " repositories"), fmt.Sprint(one.Repositories), float64(one.UsedRepositories)/float64(one.Repositories))
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("operate: print a report: %w", err)
	}
	return nil
}

func (q *shownQuota) line(w io.Writer, used, limit string, part float64) {
	share, counted := fmt.Sprintf("%.0f %%", 100*part), q.Counted.UTC().Format(time.RFC3339)
	if !q.InForce {
		used, share, counted = "not counted yet", "not in force", "-"
	}
	_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", q.Prefix, used, limit, share, counted)
}
