package operate

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"holdfast/internal/oci"
)

// decision is what retention would do with a tag.
type decision struct {
	Repository oci.Repository `json:"repository"`
	Tag        oci.Tag        `json:"tag"`
	Digest     oci.Digest     `json:"digest"`
	Keep       bool           `json:"keep"`
	Why        string         `json:"why"`
}

// flushRows is after how many rows a table is written: they line up among themselves.
const flushRows = 1000

// retention tells what the policies would do with each tag. It writes nothing to the stores.
func (j *job) retention(ctx context.Context) (int, error) {
	print, end := j.rows()
	for _, s := range j.stores {
		c := s.Collector(true)
		err := j.eachRepository(ctx, s, func(repo oci.Repository) error {
			decisions, err := c.Preview(ctx, repo)
			if err != nil {
				return err
			}
			for _, d := range decisions {
				if err := print(decision{repo, d.Name, d.Digest, d.Keep, d.Rule}); err != nil {
					return fmt.Errorf("operate: print: %w", err)
				}
			}
			return nil
		})
		if err != nil {
			return 0, fmt.Errorf("preview retention of %s: %w", s.Path, err)
		}
	}
	if err := end(); err != nil {
		return 0, fmt.Errorf("operate: print: %w", err)
	}
	return Well, nil
}

// rows print decisions one by one: as the items of a JSON list, or as the lines of a table.
func (j *job) rows() (print func(decision) error, end func() error) {
	if j.JSON {
		before := "["
		return func(d decision) error {
				text, err := json.Marshal(d)
				if err == nil {
					_, err = fmt.Fprintf(j.out, "%s\n  %s", before, text)
				}
				before = ","
				return err
			}, func() error {
				last := "\n]\n"
				if before == "[" {
					last = "[]\n"
				}
				_, err := j.out.Write([]byte(last))
				return err
			}
	}
	w := tabwriter.NewWriter(j.out, 0, 8, 2, ' ', 0)
	n := 0
	return func(d decision) error {
			if n == 0 {
				_, _ = fmt.Fprintln(w, "REPOSITORY\tTAG\t\tWHY") // a tabwriter keeps its first error for Flush
			}
			what := "drop"
			if d.Keep {
				what = "keep"
			}
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", d.Repository, d.Tag, what, d.Why)
			if n++; n%flushRows == 0 {
				return w.Flush()
			}
			return nil
		}, func() error {
			if n == 0 {
				_, _ = fmt.Fprintln(w, "no tags")
			}
			return w.Flush()
		}
}

// eachRepository calls work for the repository of the request, or for all that a store has.
func (j *job) eachRepository(ctx context.Context, s Store, work func(oci.Repository) error) error {
	if j.Repository != "" {
		return work(oci.Repository(j.Repository))
	}
	const page = 1000
	for last := ""; ; {
		found, err := s.Registry.Repositories(ctx, last, page)
		if err != nil {
			return err
		}
		for _, repo := range found.Names {
			if err := work(repo); err != nil {
				return err
			}
			last = string(repo)
		}
		if !found.More {
			return nil
		}
	}
}
