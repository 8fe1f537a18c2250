package abuse

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// exchangeLimit bounds one exchange.
const exchangeLimit = 60 * time.Second

// An answer is what came back, read to its end.
type answer struct {
	a      *attack
	asked  string
	Status int
	Header http.Header
	Body   []byte
	Closed bool // the server said that it ends the connection
	took   time.Duration
}

// basic is the header of a user of the site.
func basic(name, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// text writes a request as bytes: "METHOD target", whose credentials, the body, and headers, which take the place of those that would be added.
func (a *attack) text(user, do, body string, heads ...string) string {
	method, target, _ := strings.Cut(do, " ")
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", method, target)
	seen := map[string]bool{}
	for _, line := range heads {
		name, _, _ := strings.Cut(line, ":")
		seen[http.CanonicalHeaderKey(name)] = true
		b.WriteString(line + "\r\n")
	}
	if !seen["Host"] {
		b.WriteString("Host: registry.test\r\n")
	}
	if user != "" && !seen["Authorization"] {
		b.WriteString(basic(user, a.password(user)) + "\r\n")
	}
	if !seen["Connection"] {
		b.WriteString("Connection: close\r\n")
	}
	switch {
	case seen["Transfer-Encoding"]:
		body = chunked(body)
	case !seen["Content-Length"] && (body != "" || method == "POST" || method == "PUT" || method == "PATCH"):
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	return b.String() + "\r\n" + body
}

// chunked frames a body for Transfer-Encoding: chunked.
func chunked(body string) string {
	if body == "" {
		return "0\r\n\r\n"
	}
	return strconv.FormatInt(int64(len(body)), 16) + "\r\n" + body + "\r\n0\r\n\r\n"
}

// dial opens a connection from the attack's own address.
func (a *attack) dial() (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(a.from)}}
	conn, err := d.DialContext(a.Context(), "tcp", a.front)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(exchangeLimit))
}

func (a *attack) conn() net.Conn {
	a.Helper()
	conn, err := a.dial()
	if err != nil {
		a.Fatal(err)
	}
	a.Cleanup(func() { _ = conn.Close() })
	return conn
}

// try sends raw over a connection of its own and reads one answer, for goroutines. It reads while it writes.
func (a *attack) try(raw string) (*answer, error) {
	began := time.Now()
	conn, err := a.dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()           //nolint:errcheck // the answer is read
	go io.WriteString(conn, raw) //nolint:errcheck // the answer tells
	ans, err := a.read(bufio.NewReader(conn), raw)
	if err == nil {
		ans.took = time.Since(began)
	}
	return ans, err
}

// read reads the answer to raw, skipping those of the 1xx kind.
func (a *attack) read(r *bufio.Reader, raw string) (*answer, error) {
	method, _, _ := strings.Cut(raw, " ")
	line, _, _ := strings.Cut(raw, "\r\n")
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return nil, fmt.Errorf("%s: no answer: %w", clip(line), err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: the body breaks off: %w", clip(line), err)
		}
		if resp.StatusCode >= 200 {
			return &answer{a: a, asked: line, Status: resp.StatusCode, Header: resp.Header, Body: body, Closed: resp.Close}, nil
		}
	}
}

// do sends a request and holds the answer to the contract.
func (a *attack) do(user, do, body string, heads ...string) *answer {
	a.Helper()
	ans, err := a.try(a.text(user, do, body, heads...))
	if err != nil {
		a.Fatal(err)
	}
	a.contract(ans)
	return ans
}

// ask is do without a body.
func (a *attack) ask(user, do string, heads ...string) *answer {
	a.Helper()
	return a.do(user, do, "", heads...)
}

// raw sends bytes as they are, with "\n" for line ends. The HTTP server, or a proxy, may answer by itself, without an error body.
func (a *attack) raw(text string) *answer {
	a.Helper()
	ans, err := a.try(strings.ReplaceAll(text, "\n", "\r\n"))
	if err != nil {
		a.Fatal(err)
	}
	a.leaks(ans)
	return ans
}

// is checks the status, then the code of every error, then what some message or detail says (a regular expression, whatever its case).
func (ans *answer) is(status int, rest ...string) *answer {
	ans.a.Helper()
	return ans.oneOf([]int{status}, rest...)
}

// oneOf is is for several statuses that are as good.
func (ans *answer) oneOf(statuses []int, rest ...string) *answer {
	ans.a.Helper()
	if !slices.Contains(statuses, ans.Status) {
		ans.a.Errorf("%s: status %d, want %d\n  %v\n  %s", clip(ans.asked), ans.Status, statuses, ans.Header, clip(string(ans.Body)))
		return ans
	}
	if len(rest) > 0 && rest[0] != "" && ans.Status >= 400 && !strings.HasPrefix(ans.asked, "HEAD ") {
		for _, e := range ans.errors() {
			if !slices.Contains(strings.Split(rest[0], "|"), e.Code) {
				ans.a.Errorf("%s: code %s, want %s: %s", clip(ans.asked), e.Code, rest[0], clip(string(ans.Body)))
			}
		}
	}
	if len(rest) > 1 && rest[1] != "" && !regexp.MustCompile("(?is)"+rest[1]).Match(ans.Body) {
		ans.a.Errorf("%s: the message does not say %s: %s", clip(ans.asked), rest[1], clip(string(ans.Body)))
	}
	return ans
}

// has checks a header: "Name: value", "Name: ~regexp", "Name:" (there) or "!Name" (not there).
func (ans *answer) has(heads ...string) *answer {
	ans.a.Helper()
	for _, head := range heads {
		if name, none := strings.CutPrefix(head, "!"); none {
			if got := ans.Header.Values(name); len(got) > 0 {
				ans.a.Errorf("%s: header %s is %q, want none", clip(ans.asked), name, got)
			}
			continue
		}
		name, value, _ := strings.Cut(head, ":")
		value = strings.TrimSpace(value)
		got := strings.Join(ans.Header.Values(name), ", ")
		pattern, match := strings.CutPrefix(value, "~")
		switch {
		case len(ans.Header.Values(name)) == 0,
			match && !regexp.MustCompile(pattern).MatchString(got),
			!match && value != "" && value != got:
			ans.a.Errorf("%s: header %s is %q, want %q", clip(ans.asked), name, got, value)
		}
	}
	return ans
}

// holds checks the body.
func (ans *answer) holds(body string) *answer {
	ans.a.Helper()
	if string(ans.Body) != body {
		ans.a.Errorf("%s: the body is %q, want %q", clip(ans.asked), clip(string(ans.Body)), clip(body))
	}
	return ans
}

// location is where an answer points to, on this host.
func (ans *answer) location() string {
	ans.a.Helper()
	l := ans.Header.Get("Location")
	if !strings.HasPrefix(l, "/v2/") {
		ans.a.Fatalf("%s: Location is %q, want a path: %d %s", clip(ans.asked), l, ans.Status, clip(string(ans.Body)))
	}
	return l
}

// with adds a query parameter to a location.
func with(location, query string) string {
	if strings.Contains(location, "?") {
		return location + "&" + query
	}
	return location + "?" + query
}

// clip shortens what is shown.
func clip(s string) string {
	if len(s) > 400 {
		return s[:400] + "..."
	}
	return s
}

// answers sends raw, whose last request is hidden in the body of another, and reads all answers until the connection ends.
func (a *attack) answers(raw string) (all []*answer) {
	a.Helper()
	conn := a.conn()
	if _, err := io.WriteString(conn, strings.ReplaceAll(raw, "\n", "\r\n")); err != nil {
		a.Fatal(err)
	}
	r := bufio.NewReader(conn)
	for {
		ans, err := a.read(r, "GET ")
		if err != nil {
			return all
		}
		a.leaks(ans)
		all = append(all, ans)
	}
}

// keep is a connection that is used again and again.
type keep struct {
	a    *attack
	conn net.Conn
	r    *bufio.Reader
}

func (a *attack) keep() *keep {
	a.Helper()
	conn := a.conn()
	return &keep{a, conn, bufio.NewReader(conn)}
}

// do sends a request, reads its answer and tells how long that took.
func (k *keep) do(user, do string, heads ...string) (*answer, time.Duration, error) {
	raw := k.a.text(user, do, "", append(heads, "Connection: keep-alive")...)
	began := time.Now()
	if err := k.conn.SetDeadline(began.Add(exchangeLimit)); err != nil {
		return nil, 0, err
	}
	if _, err := io.Copy(k.conn, bytes.NewReader([]byte(raw))); err != nil {
		return nil, 0, err
	}
	ans, err := k.a.read(k.r, raw)
	return ans, time.Since(began), err
}
