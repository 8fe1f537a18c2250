package call

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// Log collects the calls of a history in the order of their answers. Safe for concurrent use.
type Log struct {
	began time.Time

	mu    sync.Mutex
	calls []Call
}

// NewLog begins a history now.
func NewLog() *Log { return &Log{began: time.Now()} }

// Now is the time of the history, by the monotonic clock.
func (l *Log) Now() int64 { return int64(time.Since(l.began)) }

// Add records a call.
func (l *Log) Add(c Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, c)
}

// Len is the number of calls until now.
func (l *Log) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.calls)
}

// Calls returns the calls until now.
func (l *Log) Calls() []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.calls)
}

// Write writes calls to a file, a line of JSON for each.
func Write(file string, calls []Call) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("call: write history: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	out := bufio.NewWriter(f)
	enc := json.NewEncoder(out)
	for i := range calls {
		if err := enc.Encode(&calls[i]); err != nil {
			return fmt.Errorf("call: write history: %w", err)
		}
	}
	return out.Flush()
}

// Read is the inverse of Write.
func Read(file string) (calls []Call, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("call: read history: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for dec := json.NewDecoder(bufio.NewReader(f)); ; {
		var c Call
		switch err := dec.Decode(&c); {
		case errors.Is(err, io.EOF):
			return calls, nil
		case err != nil:
			return calls, fmt.Errorf("call: read history: call %d: %w", len(calls)+1, err)
		}
		calls = append(calls, c)
	}
}
