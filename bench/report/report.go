package report

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"holdfast/bench/measure"
	"holdfast/bench/rows"
	"holdfast/bench/site"
)

// Report is a run.
type Report struct {
	Name     string            `json:"-"` // of its files; empty: results
	Machine  Machine           `json:"machine"`
	Date     time.Time         `json:"date"`
	Options  map[string]string `json:"options"`
	Versions map[string]string `json:"versions"`
	Lines    []measure.Line    `json:"lines"`
	Verdicts []Verdict         `json:"bars"`
}

// Verdict is how far a bar is reached.
type Verdict struct {
	Row     string  `json:"row"`
	Title   string  `json:"title"`
	Metric  string  `json:"metric"`
	Against string  `json:"against"` // the other subject, or what else it is compared with
	Ours    float64 `json:"ours"`
	Theirs  float64 `json:"theirs,omitempty"`
	Ratio   float64 `json:"ratio"`
	Bound   float64 `json:"bound"`
	AtLeast bool    `json:"at_least"` // else at most
	Reached bool    `json:"reached"`
	Unit    string  `json:"unit,omitempty"` // of an absolute bound
}

// Share is how far it is: 1 and more is reached.
func (v Verdict) Share() float64 {
	if v.AtLeast {
		return v.Ratio / v.Bound
	}
	if v.Ratio == 0 {
		return 0
	}
	return v.Bound / v.Ratio
}

// Judge compares lines with bars. Bars whose lines are not there, or have no value, are left out.
func Judge(lines []measure.Line, bars []rows.Bar) (all []Verdict) {
	find := func(row, subject string) (measure.Line, bool) {
		for _, l := range lines {
			if l.Row == row && l.Subject == subject {
				return l, true
			}
		}
		return measure.Line{}, false
	}
	for _, b := range bars {
		line, ok := find(b.Row, string(site.Holdfast))
		if !ok {
			continue
		}
		v := Verdict{Row: b.Row, Title: line.Title, Metric: string(b.Metric), Against: b.Against, Ours: line.Value(b.Metric), Bound: b.Bound, AtLeast: b.AtLeast}
		switch {
		case b.Against != "" || b.OtherRow != "":
			row, subject := b.Row, b.Against
			if b.OtherRow != "" {
				row, subject, v.Against = b.OtherRow, string(site.Holdfast), "row "+b.OtherRow
			}
			other, ok := find(row, subject)
			if v.Theirs = other.Value(b.Metric); !ok || v.Theirs == 0 || v.Ours == 0 {
				continue
			}
			v.Ratio = v.Ours / v.Theirs
			if b.AtLeast && b.Metric != rows.Rate {
				v.Ratio = 1 / v.Ratio
			}
		case b.Metric == rows.Took:
			v.Ratio, v.Unit = v.Ours, "s"
		default:
			v.Ratio = v.Ours
		}
		if line.Operations == 0 {
			continue
		}
		v.Reached = v.Share() >= 1 && line.Errors == 0
		all = append(all, v)
	}
	return all
}

// Table writes the lines and the verdicts as text.
func (r *Report) Table(w io.Writer) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n%s\n", r.Machine, r.Date.Format("2006-01-02 15:04 MST"))
	last := ""
	ours := map[string]float64{}
	for _, l := range r.Lines {
		if l.Subject == string(site.Holdfast) {
			ours[l.Row] = l.Rate
		}
	}
	for _, l := range r.Lines {
		if l.Row != last {
			fmt.Fprintf(&out, "\n%s, %d clients%s (%s)\n", l.Title, l.Clients, added(l.Latency), l.Row)
			fmt.Fprintf(&out, "  %-18s %10s %8s %7s %9s %9s %9s %8s %8s %7s %8s %9s %9s %6s\n", "", "ops/s", "MB/s", "x", "p50 ms", "p99 ms", "p99.9 ms",
				"CPU ms", "CPU s/GB", "MiB", "S3 req", "S3 up", "S3 down", "errors")
			last = l.Row
		}
		fmt.Fprintf(&out, "  %-18s %10s %8s %7s %9s %9s %9s %8s %8s %7.0f %8.2f %9s %9s %6d\n", l.Subject, number(l.Rate), number(l.Megabytes),
			quotient(ours[l.Row], l.Rate), number(l.P50), number(l.P99), number(l.P999), number(l.CPU), number(l.CPUPerGB), l.Peak, l.Requests, size(l.Up), size(l.Down), l.Errors)
		if l.Error != "" {
			fmt.Fprintf(&out, "    %s\n", strings.ReplaceAll(l.Error, "\n", "\n    "))
		}
	}
	if len(r.Verdicts) > 0 {
		fmt.Fprintf(&out, "\n%-52s %-12s %-14s %10s %10s %9s %9s\n", "", "", "against", "ours", "theirs", "ratio", "bar")
	}
	for _, v := range r.Verdicts {
		sign, said := "<=", "NOT REACHED"
		if v.AtLeast {
			sign = ">="
		}
		if v.Reached {
			said = "reached"
		}
		fmt.Fprintf(&out, "%-52s %-12s %-14s %10s %10s %9s %2s %6s  %s\n", v.Title, v.Metric, v.Against, number(v.Ours), number(v.Theirs),
			number(v.Ratio)+v.Unit, sign, number(v.Bound)+v.Unit, said)
	}
	out.WriteString(r.States(false))
	_, err := io.WriteString(w, out.String())
	return err
}

func added(latency string) string {
	if latency == "" {
		return ""
	}
	return ", S3 + " + latency
}

func quotient(a, b float64) string {
	if b == 0 {
		return "-"
	}
	return number(a / b)
}

// number shows three digits that count, "-" for nothing.
func number(v float64) string {
	switch {
	case v == 0:
		return "-"
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

func size(bytes float64) string {
	switch {
	case bytes == 0:
		return "-"
	case bytes >= 1e9:
		return number(bytes/1e9) + "GB"
	case bytes >= 1e6:
		return number(bytes/1e6) + "MB"
	default:
		return number(bytes/1e3) + "kB"
	}
}

// Write writes results.json, results.txt and the plots into the folder dir, which it makes; and where things were measured cold and warm, results.md.
func (r *Report) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("report: make a folder: %w", err)
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("report: write JSON: %w", err)
	}
	var table strings.Builder
	if err := r.Table(&table); err != nil {
		return fmt.Errorf("report: write a table: %w", err)
	}
	name := cmp.Or(r.Name, "results")
	files := map[string]string{name + ".json": string(text) + "\n", name + ".txt": table.String()}
	if short := r.States(true); short != "" {
		files[name+".md"] = short
	}
	for name, plot := range r.Plots() {
		files[name] = plot
	}
	var errs []error
	for name, content := range files {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("report: write a file: %w", err)
	}
	return nil
}
