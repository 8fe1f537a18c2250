package judge

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"holdfast/test/history/call"
)

// Options change what is asked of a registry. The zero value is the contract of Holdfast.
type Options struct {
	Prefix  string        // of the history's repositories: others in a catalog are not looked at; "": all are ours
	Relaxed bool          // a delete may be acknowledged where nothing was
	Timeout time.Duration // for the linearizability of one object; 0: 20 s
}

// Problem is a rule that the history breaks.
type Problem struct {
	Rule  string
	About string // which object
	Text  string
	Calls []*call.Call // the smallest set that was found to break it, by time

	view func(io.Writer) error
}

// View writes a page (HTML) that shows the calls of an object as lines of time, and reports whether there is one.
func (p *Problem) View(w io.Writer) (bool, error) {
	if p.view == nil {
		return false, nil
	}
	return true, p.view(w)
}

// String says what is wrong and shows the calls, a line for each.
func (p *Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s: %s\n", p.Rule, p.About, p.Text)
	for _, c := range p.Calls {
		fmt.Fprintf(&b, "    %s\n", c)
	}
	return b.String()
}

// Verdict is what a history says.
type Verdict struct {
	Calls        int
	Answered     int            // calls with an answer that says something
	Acknowledged int            // writes
	Unknown      int            // writes
	Failed       map[string]int // by outcome
	Objects      int            // that linearizability was asked of
	Took         time.Duration
	Problems     []Problem
	Undecided    []string // objects for which the time was not enough
}

// Sound reports whether the history breaks no rule.
func (v *Verdict) Sound() bool { return len(v.Problems) == 0 }

// History judges the calls of a history that has ended.
func History(calls []call.Call, opt Options) *Verdict {
	began := time.Now()
	if opt.Timeout == 0 {
		opt.Timeout = 20 * time.Second
	}
	b := open(calls, opt)
	v := &Verdict{Calls: len(calls), Failed: make(map[string]int)}
	for i := range b.calls {
		v.count(&b.calls[i])
		b.answer(&b.calls[i])
	}
	b.collect()
	b.linear()
	b.sessions()
	b.lists()
	b.integrity()
	v.Problems, v.Undecided, v.Objects = b.problems, b.undecided, len(b.facts)
	slices.SortStableFunc(v.Problems, func(x, y Problem) int { return cmp.Compare(x.Rule, y.Rule) })
	v.Took = time.Since(began)
	return v
}

func (v *Verdict) count(c *call.Call) {
	switch {
	case c.Failed():
		v.Failed[c.Outcome()]++
		if c.Unknown() {
			v.Unknown++
		}
		return
	case c.Write() && c.OK():
		v.Acknowledged++
	}
	v.Answered++
}

// maxOfRule is how many problems of one rule are kept: one is enough, and a broken registry makes thousands.
const maxOfRule = 8

func (b *book) problem(rule, about, text string, calls ...*call.Call) {
	b.report(Problem{Rule: rule, About: about, Text: text, Calls: calls})
}

func (b *book) report(p Problem) {
	if b.full(p.Rule) {
		return
	}
	slices.SortStableFunc(p.Calls, func(x, y *call.Call) int { return cmp.Compare(x.Call, y.Call) })
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, p)
}

// full reports whether enough problems of a rule are kept.
func (b *book) full(rule string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, p := range b.problems {
		if p.Rule == rule {
			n++
		}
	}
	return n >= maxOfRule
}

func (b *book) undecide(about string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.undecided = append(b.undecided, about)
}
