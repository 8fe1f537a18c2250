package spec

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// An Answer is what came back, read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	Err    error // reading the body ended before its announced end
}

// exchangeLimit bounds one exchange; no row waits longer for an answer.
const exchangeLimit = 60 * time.Second

// request writes an exchange's request as bytes.
func (e *Env) request(x Exchange) (method string, wire []byte) {
	e.Helper()
	if x.Raw != "" {
		raw := strings.ReplaceAll(x.Raw, "\n", "\r\n")
		method, _, _ = strings.Cut(raw, " ")
		return method, []byte(e.text(raw))
	}
	method, target, ok := strings.Cut(x.Do, " ")
	if !ok {
		e.Fatalf("the row asks %q: want a method and a target", x.Do)
	}
	body := e.text(x.Body)
	if x.Make != nil {
		body = x.Make(e)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", method, e.text(target))
	seen := make(map[string]bool)
	for _, line := range x.Header {
		name, _, _ := strings.Cut(line, ":")
		seen[http.CanonicalHeaderKey(name)] = true
		fmt.Fprintf(&b, "%s\r\n", e.text(line))
	}
	if !seen["Host"] {
		fmt.Fprintf(&b, "Host: %s\r\n", e.host)
	}
	if !seen["Content-Length"] && !seen["Transfer-Encoding"] && (body != "" || method == "POST" || method == "PUT" || method == "PATCH") {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	if !seen["Connection"] {
		b.WriteString("Connection: close\r\n")
	}
	b.WriteString("\r\n")
	if seen["Transfer-Encoding"] {
		body = chunked(body)
	}
	b.WriteString(body)
	return method, b.Bytes()
}

// chunked frames a body for Transfer-Encoding: chunked.
func chunked(body string) string {
	if body == "" {
		return "0\r\n\r\n"
	}
	return strconv.FormatInt(int64(len(body)), 16) + "\r\n" + body + "\r\n0\r\n\r\n"
}

// send plays an exchange over a connection of its own.
func (e *Env) send(x Exchange) *Answer {
	e.Helper()
	a, err := e.try(x)
	if err != nil {
		e.Fatalf("%s: %v", x.label(), err)
	}
	return a
}

// try is send for goroutines. It reads while it writes: an answer may come
// before the body has left.
func (e *Env) try(x Exchange) (*Answer, error) {
	method, wire := e.request(x)
	begin := time.Now()
	a, err := e.once(method, wire)
	if errors.Is(err, io.ErrUnexpectedEOF) && time.Since(begin) > headerTime {
		// A machine that stood still for so long: the server has given up a client whose header did not come.
		e.Logf("%s: %v after %s; once more", x.label(), err, time.Since(begin))
		a, err = e.once(method, wire)
	}
	return a, err
}

// headerTime is how long a server waits for a request's header.
const headerTime = 5 * time.Second

func (e *Env) once(method string, wire []byte) (*Answer, error) {
	conn, err := e.connect()
	if err != nil {
		return nil, err
	}
	defer conn.Close()  //nolint:errcheck // the answer is read
	go conn.Write(wire) //nolint:errcheck // the answer tells
	a, err := read(bufio.NewReader(conn), method)
	if err != nil {
		return nil, fmt.Errorf("no answer: %w", err)
	}
	return a, nil
}

func (e *Env) connect() (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	conn, err := d.DialContext(e.Context(), "tcp", e.host)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(exchangeLimit))
}

func (e *Env) dial() net.Conn {
	e.Helper()
	conn, err := e.connect()
	if err != nil {
		e.Fatal(err)
	}
	return conn
}

// read reads one answer, skipping those of the 1xx kind.
func read(r *bufio.Reader, method string) (*Answer, error) {
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode >= 200 {
			return &Answer{Status: resp.StatusCode, Header: resp.Header, Body: body, Err: err}, nil
		}
	}
}

func (x Exchange) label() string {
	if x.Raw != "" {
		line, _, _ := strings.Cut(x.Raw, "\n")
		return line
	}
	return x.Do
}
