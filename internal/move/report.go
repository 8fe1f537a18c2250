package move

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"holdfast/internal/oci"
)

// Report is what came of a move. Counters are of this call only.
type Report struct {
	Do           Op     `json:"do"`
	DryRun       bool   `json:"dryRun,omitempty"`   // what would be copied was counted, and nothing was written
	Snapshot     string `json:"snapshot,omitempty"` // backup and restore: which
	Repositories int    `json:"repositories"`       // that were looked at
	Unchanged    int    `json:"unchanged"`          // of these: nothing was to be done
	Tags         int    `json:"tags"`               // that were copied, or set
	Manifests    int    `json:"manifests"`          // that were copied
	Blobs        int    `json:"blobs"`              // that were copied
	Bytes        int64  `json:"bytes"`              // of these blobs
	Present      int    `json:"present"`            // blobs that were needed and were there already
	Removed      int    `json:"removed,omitempty"`  // backup: blobs that no snapshot needs any more

	Problems      []Problem `json:"problems"` // the first MaxProblems
	ProblemsTotal int       `json:"problemsTotal"`
}

// Problem is something that was not copied, and why.
type Problem struct {
	Repository string     `json:"repository,omitempty"`
	Tag        string     `json:"tag,omitempty"`
	Digest     oci.Digest `json:"digest,omitempty"`
	Err        string     `json:"err"`
}

// MaxProblems is how many problems a report names.
const MaxProblems = 1000

// WriteText prints the report for people.
func (r *Report) WriteText(w io.Writer) error {
	text := ""
	for _, p := range r.Problems {
		name := p.Repository
		if p.Tag != "" {
			name += ":" + p.Tag
		}
		if p.Digest != "" {
			name += "@" + string(p.Digest)
		}
		if name != "" {
			name = printable(name) + ": "
		}
		text += fmt.Sprintf("not copied: %s%s\n", name, printable(p.Err))
	}
	if more := r.ProblemsTotal - len(r.Problems); more > 0 {
		text += fmt.Sprintf("and %d more\n", more)
	}
	copied := "copied"
	if r.DryRun {
		copied = "to copy"
	}
	if r.Snapshot != "" {
		text += "snapshot " + r.Snapshot + "\n"
	}
	text += fmt.Sprintf("%d repositories, %d of them unchanged; %s: %d tags, %d manifests, %d blobs with %d bytes; %d blobs were there already",
		r.Repositories, r.Unchanged, copied, r.Tags, r.Manifests, r.Blobs, r.Bytes, r.Present)
	if r.Removed > 0 {
		text += fmt.Sprintf("; removed %d blobs that no snapshot needs", r.Removed)
	}
	text += fmt.Sprintf("; %d problems\n", r.ProblemsTotal)
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("move: print a report: %w", err)
	}
	return nil
}

// printable replaces what a terminal would take for a command: names come from storage that others wrote.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, text)
}

// Progress is how far a move is.
type Progress struct {
	Repository   string `json:"repository"` // one of those that are being copied
	Repositories int64  `json:"repositories"`
	Of           int64  `json:"of"`
	Blobs        int64  `json:"blobs"`
	Bytes        int64  `json:"bytes"`
	BytesKnown   int64  `json:"bytesKnown"` // to copy, as far as is known yet
}

// tally counts what a move does, for the report and the progress. Safe for concurrent use.
type tally struct {
	mu     sync.Mutex
	report Report

	repository              atomic.Value // string
	repositories, of        atomic.Int64
	blobs, bytes, wantBytes atomic.Int64
}

func newTally(do Op, dryRun bool) *tally {
	t := &tally{report: Report{Do: do, DryRun: dryRun, Problems: []Problem{}}}
	t.repository.Store("")
	return t
}

func (t *tally) count(change func(*Report)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.report)
}

func (t *tally) problem(p Problem) {
	t.count(func(r *Report) {
		if r.ProblemsTotal++; len(r.Problems) < MaxProblems {
			r.Problems = append(r.Problems, p)
		}
	})
}

func (t *tally) problems() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.report.ProblemsTotal
}

func (t *tally) progress() Progress {
	return Progress{
		Repository: t.repository.Load().(string), Repositories: t.repositories.Load(), Of: t.of.Load(),
		Blobs: t.blobs.Load(), Bytes: t.bytes.Load(), BytesKnown: t.wantBytes.Load(),
	}
}

// tellEvery is how often progress is told.
const tellEvery = 250 * time.Millisecond

// telling calls tell now and then until the function that it returns is called.
func (t *tally) telling(ctx context.Context, tell func(Progress)) (stop func()) {
	if tell == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(tellEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				tell(t.progress())
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
		tell(t.progress())
	}
}

// counted counts the bytes of a blob that is read.
type counted struct {
	io.Reader
	t *tally
}

// Read implements io.Reader.
func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.t.bytes.Add(int64(n))
	return n, err
}
