package cluster

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteTable prints the view for people: what is wrong first.
func (v View) WriteTable(out io.Writer) error {
	var text bytes.Buffer // whose writes do not fail
	w := printer{&text, v.At}
	w.problems(v)
	w.replicas(v)
	for _, s := range v.Stores {
		w.store(s)
	}
	if _, err := out.Write(text.Bytes()); err != nil {
		return fmt.Errorf("cluster: print the view: %w", err)
	}
	return nil
}

type printer struct {
	*bytes.Buffer
	now time.Time
}

func (p printer) line(format string, args ...any) { _, _ = fmt.Fprintf(p, format+"\n", args...) }

// ago is how long ago something was, in two units at most.
func (p printer) ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := p.now.Sub(t)
	switch {
	case d < time.Second:
		return "now"
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func (p printer) problems(v View) {
	wrong := 0
	for _, one := range v.Problems {
		if one.Severity == Wrong {
			wrong++
		}
	}
	switch at := stamp(v.At); wrong {
	case 0:
		p.line("all is well, at %s", at)
	case 1:
		p.line("ONE THING IS WRONG, at %s", at)
	default:
		p.line("%d THINGS ARE WRONG, at %s", wrong, at)
	}
	for _, one := range v.Problems {
		mark := "  note  "
		if one.Severity == Wrong {
			mark = "  WRONG "
		}
		if one.Subject != "" {
			mark += one.Subject + ": "
		}
		p.line("%s%s", mark, strings.ReplaceAll(one.Text, "\n", " "))
	}
}

func (p printer) replicas(v View) {
	p.line("")
	if len(v.Replicas) == 0 {
		p.line("no replica has a heartbeat")
		return
	}
	w := tabwriter.NewWriter(p, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "REPLICA\tSTATE\tVERSION\tUP\tSEEN\tIN FLIGHT\tREQ/MIN\t4XX\t5XX\tCUT\tSTORE p50/p99\tFAILED\tCLOCK\tADDRESS")
	for _, r := range v.Replicas {
		state, name := string(r.State), r.ID
		if r.State != Ready && r.State != Working {
			state = strings.ToUpper(state)
		}
		if r.Role == Command {
			name += " (command)"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%.3g/%.3g ms\t%d/%d\t%+.0fs\t%s\n", name, state, r.Version, p.ago(r.Since), p.ago(r.Seen),
			r.InFlight, r.Requests.Total, r.Requests.ClientErrors, r.Requests.ServerErrors, r.Requests.Cut, r.Store.P50Ms, r.Store.P99Ms, r.Store.Failed, r.Store.Total,
			r.ClockOffsetSeconds, r.Address)
	}
	_ = w.Flush()
}

func (p printer) store(s Store) {
	p.line("\nstore %s", s.Path)
	enabled, possible := []string{}, []string{}
	for _, f := range s.Features {
		switch {
		case f.Enabled:
			enabled = append(enabled, f.Name)
		case f.Known && len(f.Blockers) == 0:
			possible = append(possible, f.Name)
		}
	}
	p.line("  format     %d%s%s", s.Format, list(", features ", enabled), list("; can be enabled: ", possible))
	if t := s.SelfTest; t != nil {
		p.line("  self-test  passed as tier %s%s, by %s, %s ago", t.Tier, list(", ", nonEmpty(t.Server)), t.Version, p.ago(t.Time))
	}
	if c := s.Collector; c != nil {
		p.line("  collector  %s", p.collector(c))
	}
	switch r := s.Scrub; {
	case r == nil:
		p.line("  scrub      no round yet")
	case r.Ended.IsZero():
		p.line("  scrub      a round has begun %s ago: %d blobs, %d bytes, %d damaged so far", p.ago(r.Started), r.Blobs, r.Bytes, r.Damaged)
	default:
		p.line("  scrub      the last round ended %s ago: %d blobs, %d bytes, %d damaged, %d skipped", p.ago(r.Ended), r.Blobs, r.Bytes, r.Damaged, r.Skipped)
	}
}

func (p printer) collector(c *Collector) string {
	text := ""
	switch {
	case c.Running != nil && c.Holder != "":
		text = fmt.Sprintf("%s makes a pass since %s ago (%s); ", c.Holder, p.ago(c.Running.Started), c.Running.Phase)
	case c.Running != nil:
		text = "a pass was cut off, the next goes on from there; "
	case c.Holder != "":
		text = c.Holder + " makes a pass; "
	}
	if !c.Enabled {
		text += "gc is false; "
	}
	if c.Last == nil {
		return text + "no pass has ended yet"
	}
	return text + fmt.Sprintf("the last pass ended %s ago: found %d, freed %d (%d bytes), left alone %d", p.ago(c.Ended), c.Last.Found, c.Last.Freed, c.Last.FreedBytes, c.Last.Skipped)
}

func list(before string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	return before + strings.Join(names, ", ")
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}
