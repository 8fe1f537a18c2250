package operate

import (
	"encoding/json"
	"fmt"
	"io"
)

// result is what came of the work on one store.
type result struct {
	Store  string `json:"store"`
	Report report `json:"report,omitempty"` // nil: it did not begin
	Error  string `json:"error,omitempty"`  // why it did not begin, or ended early
}

// report is a report for people, and as JSON one for programs.
type report interface{ WriteTable(w io.Writer) error }

// results are those of several stores, and the errors of some of them.
type results struct {
	list []result
	errs []error
}

// add adds what came of the work on a store. r is nil for none.
func (a *results) add(s Store, r report, what string, err error) {
	one := result{Store: s.Path, Report: r}
	if err != nil {
		one.Error = err.Error()
		a.errs = append(a.errs, fmt.Errorf("%s %s: %w", what, s.Path, err))
	}
	a.list = append(a.list, one)
}

// print writes the reports: as one JSON list, or each as a table, under its store where there are several.
func (j *job) print(of results) error {
	if j.JSON {
		return printJSON(j.out, of.list)
	}
	for i, r := range of.list {
		if r.Report == nil {
			continue
		}
		if len(of.list) > 1 {
			space := ""
			if i > 0 {
				space = "\n"
			}
			if _, err := fmt.Fprintf(j.out, "%s%s\n", space, r.Store); err != nil {
				return fmt.Errorf("operate: print a report: %w", err)
			}
		}
		if err := r.Report.WriteTable(j.out); err != nil {
			return err
		}
	}
	return nil
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("operate: print: %w", err)
	}
	return nil
}
