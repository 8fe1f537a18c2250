package config

import (
	"fmt"
	"strings"
)

// Report is what Load has to say about a file.
type Report struct {
	// Problems are what must be corrected, all of them at once, in the order of the file.
	Problems []Problem
	// Warnings are what has another effect here than the file's author may expect.
	Warnings []Warning
}

// Err returns an error of all problems, a line each, or nil when there is none. The error is a Problems.
func (r Report) Err() error {
	if len(r.Problems) == 0 {
		return nil
	}
	return Problems(r.Problems)
}

// Pos is a place in a file. Line and Column begin at 1; 0 is unknown.
type Pos struct {
	File         string
	Line, Column int
}

// String returns file:line:column, as far as known.
func (p Pos) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Problem is something in the file that must be corrected. It never holds a secret.
type Problem struct {
	Pos
	// Path is the key, as storage.storageDriver.bucket; empty for the file as a whole.
	Path string
	// Wrong says what is wrong. Got is what is there, Want what should be; both may be empty.
	Wrong, Got, Want string
	// Err is why the file cannot be read, or nil.
	Err error
}

// String returns a line: config: <path>: <wrong>: got <got>, want <want> (<file>:<line>:<column>).
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString("config: ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Wrong)
	sep := ": "
	if p.Got != "" {
		b.WriteString(sep + "got " + p.Got)
		sep = ", "
	}
	if p.Want != "" {
		b.WriteString(sep + "want " + p.Want)
	}
	if p.File != "" {
		b.WriteString(" (" + p.Pos.String() + ")")
	}
	return b.String()
}

// Error is String.
func (p Problem) Error() string { return p.String() }

// Unwrap returns Err.
func (p Problem) Unwrap() error { return p.Err }

// Problems is the error that Load returns for a file with problems.
type Problems []Problem

// Error returns the problems, a line each.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems.
func (p Problems) Unwrap() []error {
	errs := make([]error, len(p))
	for i, one := range p {
		errs[i] = one
	}
	return errs
}

// Warning is something that has another effect than the file's author may expect. It never holds a secret.
type Warning struct {
	// Path is the key, or the keys with commas between them.
	Path string
	// Text says what it means for the user.
	Text string
}

// String returns a line: config: <path>: <text>.
func (w Warning) String() string { return "config: " + w.Path + ": " + w.Text }
