package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The client's own way with sentinels ends the process when one of them, or the server that they name, says what none does. So each connection is made to the primary that the
// sentinels name at that time: after a change of the primary the sentinels end all connections to the old one, or it is gone.

const (
	mostTexts = 8 // of an answer of a sentinel
	mostText  = 255
)

// errNotPrimary is of a server that the sentinels name, and that says that it is a replica.
var errNotPrimary = errors.New("redis: the server that the sentinels name is no primary")

// primary connects to the server that the first sentinel which answers names. One that does not answer within ctx, or names a server that is not there or no primary, is the
// last to be asked the next time: ctx may be too short for another. Errors: those of all sentinels, or of that server.
func (d *dialer) primary(ctx context.Context) (net.Conn, error) {
	var errs []error
	for _, sentinel := range d.sentinels() {
		address, err := d.named(ctx, sentinel)
		if err != nil {
			d.passOver(sentinel)
			errs = append(errs, fmt.Errorf("redis: ask the sentinel %s: %w", sentinel, err))
			if ctx.Err() != nil {
				break
			}
			continue
		}
		conn, err := d.paused(ctx, address, func(ctx context.Context) (net.Conn, error) {
			conn, err := d.connect(ctx, address)
			if err != nil {
				return nil, err
			}
			if err := d.isPrimary(ctx, conn); err != nil {
				return nil, errors.Join(err, conn.Close())
			}
			return conn, nil
		})
		if err != nil {
			d.passOver(sentinel)
		}
		return conn, err
	}
	return nil, errors.Join(errs...)
}

// sentinels are all, in the order in which they are asked.
func (d *dialer) sentinels() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.cfg.Addresses
	return slices.Concat(all[d.first:], all[:d.first])
}

// passOver has another sentinel be the first that is asked.
func (d *dialer) passOver(sentinel string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if all := d.cfg.Addresses; all[d.first] == sentinel {
		d.first = (d.first + 1) % len(all)
	}
}

// named asks a sentinel for the address of the primary.
func (d *dialer) named(ctx context.Context, sentinel string) (address string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	conn, err := d.paused(ctx, sentinel, func(ctx context.Context) (net.Conn, error) { return d.connect(ctx, sentinel) })
	if err != nil {
		return "", err
	}
	defer conn.Close() //nolint:errcheck // nothing is kept of it
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	answers := bufio.NewReader(conn)
	if err := login(conn, answers, d.cfg.SentinelUsername, d.cfg.SentinelPassword); err != nil {
		return "", err
	}
	if err := send(conn, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", d.cfg.Master); err != nil {
		return "", err
	}
	texts, err := readTexts(answers)
	switch {
	case err != nil:
		return "", err
	case texts == nil:
		return "", fmt.Errorf("it knows no master %q", d.cfg.Master)
	case len(texts) != 2 || texts[0] == "" || strings.HasPrefix(texts[0], "/"):
		return "", fmt.Errorf("%w: %d texts are no address", errNonsense, len(texts))
	}
	if _, err := strconv.ParseUint(texts[1], 10, 16); err != nil {
		return "", fmt.Errorf("%w: a port that is none", errNonsense)
	}
	return net.JoinHostPort(texts[0], texts[1]), nil
}

// isPrimary asks a server on a new connection. One that does not let us ask is believed.
func (d *dialer) isPrimary(ctx context.Context, conn net.Conn) error {
	limit := time.Now().Add(callLimit)
	if end, ok := ctx.Deadline(); ok && end.Before(limit) {
		limit = end
	}
	if err := conn.SetDeadline(limit); err != nil {
		return err
	}
	answers := bufio.NewReader(conn)
	if err := login(conn, answers, d.cfg.Username, d.cfg.Password); err != nil {
		return err
	}
	if err := send(conn, "ROLE"); err != nil {
		return err
	}
	role, kind, whole := "", byte(0), false
	in := scanner{whole: func(k byte, first []byte) error {
		role, kind, whole = string(first), k, true
		return nil
	}}
	for one := make([]byte, 1); !whole; {
		if _, err := answers.Read(one); err != nil {
			return err
		}
		if err := in.scan(one); err != nil {
			return err
		}
	}
	if answers.Buffered() > 0 {
		return fmt.Errorf("%w: an answer that nobody asked for", errNonsense)
	}
	if role != "master" && kind != '-' {
		return errNotPrimary
	}
	return conn.SetDeadline(time.Time{})
}

// login shows who we are, where we have a name or a password. A server that wants none lets us in.
func login(conn io.Writer, answers *bufio.Reader, username, password string) error {
	words := []string{"AUTH", username, password}
	switch {
	case username == "" && password == "":
		return nil
	case username == "":
		words = []string{"AUTH", password}
	}
	if err := send(conn, words...); err != nil {
		return err
	}
	line, err := readLine(answers)
	switch {
	case err != nil:
		return err
	case line[0] == '+', strings.Contains(line, "without any password configured"), strings.Contains(line, "no password is set"):
		return nil
	}
	line, _, _ = strings.Cut(line, ", with args") // which it says again, where it does not know the command
	if password != "" {
		line = strings.ReplaceAll(line, password, "...")
	}
	return fmt.Errorf("log in: %.100q", line)
}

func send(conn io.Writer, words ...string) error {
	text := fmt.Sprintf("*%d\r\n", len(words))
	for _, w := range words {
		text += fmt.Sprintf("$%d\r\n%s\r\n", len(w), w)
	}
	_, err := io.WriteString(conn, text)
	return err
}

// readLine reads a line that is not empty, without its end.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n') // no longer than the reader's buffer
	if err != nil {
		return "", err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return "", fmt.Errorf("%w: a line that is none", errNonsense)
	}
	return string(line[:len(line)-2]), nil
}

// readTexts reads a list of texts; nil for no list.
func readTexts(r *bufio.Reader) ([]string, error) {
	n, err := readLength(r, '*', mostTexts)
	if err != nil || n < 0 {
		return nil, err
	}
	texts := make([]string, n)
	for i := range texts {
		size, err := readLength(r, '$', mostText)
		if err != nil {
			return nil, err
		}
		text := make([]byte, max(size, 0)+2)
		if _, err := io.ReadFull(r, text); err != nil {
			return nil, err
		}
		if size < 0 || string(text[size:]) != "\r\n" {
			return nil, fmt.Errorf("%w: a text that does not end", errNonsense)
		}
		texts[i] = string(text[:size])
	}
	return texts, nil
}

// readLength reads the head of a list or a text: -1, there is none, or up to most.
func readLength(r *bufio.Reader, kind byte, most int) (int, error) {
	line, err := readLine(r)
	if err != nil {
		return 0, err
	}
	if line[0] == '-' {
		return 0, fmt.Errorf("it answers %.100q", line[1:])
	}
	n, err := strconv.Atoi(line[1:])
	if line[0] != kind || err != nil || n < -1 || n > most {
		return 0, fmt.Errorf("%w: %.20q where a length was to be", errNonsense, line)
	}
	return n, nil
}
