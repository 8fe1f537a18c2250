package operate

import (
	"encoding/json"
	"fmt"
	"io"
)

// result is what came of the work on one store.
type result[R any] struct {
	Store  string `json:"store"`
	Report R      `json:"report"`
}

// table is a report for people.
type table interface{ WriteTable(w io.Writer) error }

// asPrinted are results as print takes them.
func asPrinted[R table](results []result[R]) []result[table] {
	out := make([]result[table], 0, len(results))
	for _, r := range results {
		out = append(out, result[table]{r.Store, r.Report})
	}
	return out
}

// print writes the reports of some stores: as one JSON list, or each as a table, under its name where there are several.
func (j *job) print(named bool, results []result[table]) error {
	if j.JSON {
		return printJSON(j.out, results)
	}
	for i, r := range results {
		if named {
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
