package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Log is the audit log of a process. Safe for concurrent use. A nil Log writes nothing.
type Log struct {
	path string // "": out is not ours
	log  *slog.Logger

	mu      sync.Mutex
	out     io.Writer
	file    *os.File // out, when it is ours
	torn    bool     // the last write ended within a line
	failing bool

	lines, lost atomic.Int64
}

// Open opens the log at "stdout", "stderr" or the path of a file, which is made for its owner alone and appended to. "" is no log: nil, without an
// error. log is told when lines are lost.
func Open(output string, log *slog.Logger) (*Log, error) {
	l := &Log{log: log}
	switch output {
	case "":
		return nil, nil //nolint:nilnil // a nil Log is one that writes nothing
	case "stdout", "/dev/stdout":
		l.out = os.Stdout
	case "stderr", "/dev/stderr":
		l.out = os.Stderr
	default:
		file, err := open(output)
		if err != nil {
			return nil, err
		}
		l.path, l.file, l.out = output, file, file
	}
	return l, nil
}

func open(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("audit: open the log: %w", err)
	}
	return file, nil
}

// Reopen opens the file anew, as after it was moved away. On an error the one before is written on.
func (l *Log) Reopen() error {
	if l == nil || l.path == "" {
		return nil
	}
	file, err := open(l.path)
	if err != nil {
		return err
	}
	l.mu.Lock()
	old := l.file
	l.file, l.out, l.torn = file, file, false
	l.mu.Unlock()
	if err := old.Close(); err != nil {
		return fmt.Errorf("audit: close the log: %w", err)
	}
	return nil
}

// Close closes the file. What is written later is lost, and counted. It may be called twice.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	if err := l.file.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return fmt.Errorf("audit: close the log: %w", err)
	}
	return nil
}

// Lines is how many lines were written, and Lost how many could not be.
func (l *Log) Lines() int64 {
	if l == nil {
		return 0
	}
	return l.lines.Load()
}

// Lost is how many lines could not be written.
func (l *Log) Lost() int64 {
	if l == nil {
		return 0
	}
	return l.lost.Load()
}

// write writes a line: when it returns the line is the operating system's, so that a crash of the process does not lose it; a power cut may.
func (l *Log) write(ctx context.Context, one *line) {
	one.Log, one.Time = "audit", time.Now().UTC()
	text, err := one.encoded()
	if err == nil {
		err = l.put(text)
	}
	if err == nil {
		l.lines.Add(1)
	} else {
		l.lost.Add(1)
	}
	l.mu.Lock()
	began, ended := err != nil && !l.failing, err == nil && l.failing
	l.failing = err != nil
	l.mu.Unlock()
	switch {
	case began:
		l.log.ErrorContext(ctx, "lines of the audit log are lost", "err", err)
	case ended:
		l.log.WarnContext(ctx, "the audit log is written again", "lost", l.lost.Load())
	}
}

func (l *Log) put(text []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.torn { // else this line would go with what is left of the one before
		text = append([]byte{'\n'}, text...)
	}
	n, err := l.out.Write(text)
	if n > 0 {
		l.torn = n < len(text) && text[n-1] != '\n'
	}
	if err != nil {
		return fmt.Errorf("audit: write a line: %w", err)
	}
	return nil
}
