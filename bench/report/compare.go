package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"holdfast/bench/site"
)

// Read reads a results.json.
func Read(file string) (*Report, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("report: read: %w", err)
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("report: read %s: %w", file, err)
	}
	return &r, nil
}

// Compare writes Holdfast's lines beside those of a run before: what it was, what it is, and the quotient. Times of two runs can be compared
// only where the machine did nothing else in both; requests always.
func (r *Report) Compare(w io.Writer, before *Report) error {
	var out strings.Builder
	fmt.Fprintf(&out, "\nbefore (%s) and now\n%-56s %-30s %-30s %-30s %-24s\n", before.Date.Format("2006-01-02 15:04"), "", "ops/s", "CPU ms", "p99 ms", "S3 requests")
	for _, now := range r.Lines {
		if !strings.HasPrefix(now.Subject, string(site.Holdfast)) {
			continue
		}
		for _, old := range before.Lines {
			if old.Row != now.Row || old.Subject != now.Subject || old.Latency != now.Latency || old.Title != now.Title {
				continue
			}
			fmt.Fprintf(&out, "%-56s %-30s %-30s %-30s %-24s\n", now.Row+", "+now.Subject, change(old.Rate, now.Rate), change(old.CPU, now.CPU),
				change(old.P99, now.P99), change(old.Requests, now.Requests))
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func change(old, now float64) string {
	if old == 0 || now == 0 {
		return number(old) + " -> " + number(now)
	}
	return fmt.Sprintf("%s -> %s (x %.2f)", number(old), number(now), now/old)
}
