package redis

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
)

const (
	mostBulk  = 16 << 20 // bytes of a text
	mostItems = 1 << 16  // of all lists in an answer
	mostLine  = 64 << 10
	mostDepth = 16
)

// errNonsense is of a server that does not speak Redis' protocol.
var errNonsense = errors.New("redis: the server does not speak its protocol")

// guarded is a connection of which nothing is read that is no answer: the client ends the process when there are answers that nobody asked
// for, and takes as much memory as a length asks for, or ends the process.
type guarded struct {
	net.Conn
	asked    atomic.Int64
	answered int64
	listens  atomic.Bool // to messages: there may be answers that nobody asked for
	in, out  scanner
	failed   error
}

func newGuarded(c net.Conn) *guarded {
	g := &guarded{Conn: c}
	g.in.whole = func(kind byte, _ []byte) error {
		if g.listens.Load() {
			return nil
		}
		if g.answered++; kind == '>' || g.answered > g.asked.Load() {
			return fmt.Errorf("%w: an answer that nobody asked for", errNonsense)
		}
		return nil
	}
	g.out.whole = func(_ byte, first []byte) error {
		if bytes.HasSuffix(bytes.ToUpper(first), []byte("SUBSCRIBE")) {
			g.listens.Store(true)
		}
		g.asked.Add(1)
		return nil
	}
	return g
}

// Read returns nothing of what is no answer, and nothing after it.
func (g *guarded) Read(p []byte) (int, error) {
	if g.failed != nil {
		return 0, g.failed
	}
	n, err := g.Conn.Read(p)
	if g.failed = g.in.scan(p[:n]); g.failed != nil {
		return 0, errors.Join(g.failed, g.Close())
	}
	return n, err
}

// Write counts commands before their answers can come.
func (g *guarded) Write(p []byte) (int, error) {
	if err := g.out.scan(p); err != nil {
		return 0, err
	}
	return g.Conn.Write(p)
}

// scanner follows a stream of values in Redis' protocol, version 2 or 3, and keeps none. The zero value is at the beginning of a value.
type scanner struct {
	whole func(kind byte, first []byte) error // is told of each value: its type, and its first text

	line  []byte
	skip  int   // bytes of a text, with the two that end it, that are still to come
	open  []int // how many items of each list around are still to come
	kind  byte  // of the value; 0: it has not begun
	items int
	first []byte
	named bool // first is there, or will never be
}

func (s *scanner) scan(p []byte) error {
	for len(p) > 0 {
		if s.skip > 0 {
			n := min(s.skip, len(p))
			if !s.named && len(s.first) < 16 {
				s.first = append(s.first, p[:min(n, max(0, min(s.skip-2, 16-len(s.first))))]...)
			}
			if s.skip -= n; s.skip == 0 {
				s.named = true
				if err := s.end(); err != nil {
					return err
				}
			}
			p = p[n:]
			continue
		}
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			s.line = append(s.line, p...)
			p = nil
		} else {
			s.line = append(s.line, p[:i+1]...)
			p = p[i+1:]
		}
		if len(s.line) > mostLine {
			return fmt.Errorf("%w: a line of more than %d bytes", errNonsense, mostLine)
		}
		if i >= 0 {
			line := s.line
			s.line = s.line[:0]
			if err := s.head(line); err != nil {
				return err
			}
		}
	}
	return nil
}

// head reads a line, with its end.
func (s *scanner) head(line []byte) error {
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return fmt.Errorf("%w: a line that is none", errNonsense)
	}
	kind, rest := line[0], line[1:len(line)-2]
	if s.kind == 0 {
		s.kind = kind
	}
	switch kind {
	case '_', '#': // the client takes as many bytes as they have, and what follows for another value
		if kind == '_' && len(rest) != 0 || kind == '#' && len(rest) != 1 {
			return fmt.Errorf("%w: a value of the type %q with %d bytes", errNonsense, kind, len(rest))
		}
		return s.end()
	case '-': // the client looks for an address in these, and ends the process where there is none
		if (bytes.HasPrefix(rest, []byte("MOVED")) || bytes.HasPrefix(rest, []byte("ASK"))) && bytes.Count(rest, []byte{' '}) < 2 {
			return fmt.Errorf("%w: a redirection to nowhere", errNonsense)
		}
		return s.end()
	case '+', ':', ',', '(':
		return s.end()
	case '$', '!', '=', '*', '~', '>', '%':
	default:
		return fmt.Errorf("%w: a value of the type %q", errNonsense, kind)
	}
	n, err := strconv.Atoi(string(rest))
	switch {
	case err != nil || n < -1 || n == -1 && kind != '$' && kind != '*' || rest[0] == '+':
		return fmt.Errorf("%w: a length that is none", errNonsense)
	case n == -1:
		return s.end()
	}
	if kind == '$' || kind == '!' || kind == '=' {
		if n > mostBulk {
			return fmt.Errorf("%w: a text of %d bytes", errNonsense, n)
		}
		s.skip = n + 2
		return nil
	}
	if n > mostItems {
		return fmt.Errorf("%w: a list of %d items", errNonsense, n)
	}
	if kind == '%' {
		n *= 2
	}
	if s.items += n; s.items > mostItems || len(s.open) == mostDepth || n == 0 && kind == '>' {
		return fmt.Errorf("%w: a list of too many items, or none", errNonsense)
	}
	if n == 0 {
		return s.end()
	}
	s.open = append(s.open, n)
	return nil
}

// end is the end of a value, and of all lists whose last item it is.
func (s *scanner) end() error {
	for len(s.open) > 0 {
		last := len(s.open) - 1
		if s.open[last]--; s.open[last] > 0 {
			return nil
		}
		s.open = s.open[:last]
	}
	kind, first := s.kind, s.first
	if kind == '!' && (bytes.HasPrefix(first, []byte("MOVED")) || bytes.HasPrefix(first, []byte("ASK"))) { // no server says it so
		return fmt.Errorf("%w: a redirection to nowhere", errNonsense)
	}
	s.kind, s.items, s.first, s.named = 0, 0, s.first[:0], false
	return s.whole(kind, first)
}
