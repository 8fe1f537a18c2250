package report

import (
	"fmt"
	"slices"
	"strings"

	"holdfast/bench/measure"
)

// States is a compact table of the lines that have a state: for each thing and state and each subject the median, the requests to the store, and the reads
// of a shared cache where there were any. As Markdown, or as text. Empty when no line has a state.
func (r *Report) States(markdown bool) string {
	var subjects, things []string // things are titles with their states
	cells := map[string]measure.Line{}
	latency := ""
	for _, l := range r.Lines {
		if l.State == "" {
			continue
		}
		thing := l.Title + "\x00" + l.State
		if !slices.Contains(things, thing) {
			things = append(things, thing)
		}
		if !slices.Contains(subjects, l.Subject) {
			subjects = append(subjects, l.Subject)
		}
		cells[thing+l.Subject], latency = l, l.Latency
	}
	if len(things) == 0 {
		return ""
	}
	var out strings.Builder
	row := func(fields ...string) {
		switch {
		case markdown:
			out.WriteString("| " + strings.Join(fields, " | ") + " |\n")
		default:
			fmt.Fprintf(&out, "  %-42s %-6s", fields[0], fields[1])
			for _, f := range fields[2:] {
				fmt.Fprintf(&out, " %20s", f)
			}
			out.WriteString("\n")
		}
	}
	head := []string{"", ""}
	for _, s := range subjects {
		head = append(head, strings.TrimPrefix(s, "holdfast, "))
	}
	if markdown {
		fmt.Fprintf(&out, "# Cold and warm\n\n%s; %s%s.\n\np50 in ms / S3 requests of an operation / reads of the shared cache, where there were any.\n\n", r.Machine, r.Date.Format("2006-01-02 15:04 MST"), added(latency))
	} else {
		fmt.Fprintf(&out, "\np50 in ms / S3 requests of an operation / reads of the shared cache, where there were any%s\n", added(latency))
	}
	row(head...)
	if markdown {
		out.WriteString("|---|---|" + strings.Repeat("---|", len(subjects)) + "\n")
	}
	last := ""
	for _, thing := range things {
		title, state, _ := strings.Cut(thing, "\x00")
		fields := []string{title, state}
		if title == last {
			fields[0] = ""
		}
		last = title
		for _, s := range subjects {
			fields = append(fields, cell(cells[thing+s]))
		}
		row(fields...)
	}
	return out.String()
}

// cell is what one subject did.
func cell(l measure.Line) string {
	if l.Operations == 0 {
		return "-"
	}
	text := fmt.Sprintf("%.1f / %.1f", l.P50, l.Requests)
	if l.Asked >= 0.05 {
		text += fmt.Sprintf(" / %.1f", l.Asked)
	}
	if l.Errors > 0 {
		text += fmt.Sprintf(", %d errors", l.Errors)
	}
	return text
}
