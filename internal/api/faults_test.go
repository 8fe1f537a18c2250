package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"holdfast/internal/api"
	"holdfast/internal/oci"
	"holdfast/internal/registry"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// faulty is a registry whose tags lists do what a test says.
type faulty struct {
	registry.Registry
	tags func(context.Context) error
}

func (f faulty) Tags(ctx context.Context, _ oci.Repository, _ string, _ int) (registry.Page[oci.Tag], error) {
	return registry.Page[oci.Tag]{}, f.tags(ctx)
}

// openFaulty returns a site whose tags lists end with what tags returns.
func openFaulty(t *testing.T, tags func(context.Context) error) *site {
	t.Helper()
	return open(t, options{wrap: func(r registry.Registry) registry.Registry { return faulty{r, tags} }})
}

const listTags = "GET " + app + "/tags/list"

func TestPanicIsABugOfOurs(t *testing.T) {
	s := openFaulty(t, func(context.Context) error { panic("nil map in " + canary) })
	a := s.exchange(exchange{do: listTags, header: []string{"X-Request-Id: r-1"}, status: 500, code: "UNKNOWN", heads: []string{"X-Request-Id: r-1", "!Retry-After"}})
	if want := `{"errors":[{"code":"UNKNOWN","message":"an error on our side; the operator finds it by the request's id"}]}`; a.Body.String() != want {
		t.Errorf("a panic is answered by %s, want %s", a.Body, want)
	}
	for _, part := range []string{"level=ERROR", "request=r-1", "nil map in " + canary, "faults_test.go"} {
		if !strings.Contains(s.log.String(), part) {
			t.Errorf("the log does not hold %q: %s", part, s.log)
		}
	}
}

// Every code and reason has its status, as the answer contract says.
func TestStatusOfErrors(t *testing.T) {
	of := func(code oci.Code, reason oci.Reason) error { return oci.Errorf(code, "no").With(reason) }
	for _, x := range []struct {
		err    error
		status int
	}{
		{of(oci.NameInvalid, 0), 400}, {of(oci.DigestInvalid, 0), 400}, {of(oci.ManifestInvalid, 0), 400}, {of(oci.SizeInvalid, 0), 400}, {of(oci.BlobUploadInvalid, 0), 400}, {of(oci.Unsupported, 0), 400},
		{of(oci.NameUnknown, 0), 404}, {of(oci.ManifestUnknown, 0), 404}, {of(oci.BlobUnknown, 0), 404}, {of(oci.BlobUploadUnknown, 0), 404}, {of(oci.ManifestBlobUnknown, 0), 404},
		{of(oci.Unauthorized, 0), 401}, {of(oci.Denied, 0), 403}, {of(oci.TooManyRequests, 0), 429}, {of(oci.Unavailable, 0), 503}, {of(oci.Unknown, 0), 500},
		{of(oci.ManifestInvalid, oci.TooLarge), 413}, {of(oci.SizeInvalid, oci.TooLarge), 413}, {of(oci.ManifestInvalid, oci.TooMany), 414}, {of(oci.ManifestInvalid, oci.UnsupportedType), 415},
		{of(oci.BlobUploadInvalid, oci.OutOfOrder), 416}, {of(oci.Unsupported, oci.OutOfRange), 416}, {of(oci.Unsupported, oci.NotAllowed), 405}, {of(oci.Denied, oci.InUse), 405},
		{fmt.Errorf("wrapped: %w", of(oci.BlobUnknown, 0)), 404},
		{oci.Errors{oci.Errorf(oci.ManifestBlobUnknown, "one"), oci.Errorf(oci.ManifestBlobUnknown, "two")}, 404},
		{&registry.OffsetError{}, 416},
		{&registry.BodyError{Err: io.ErrUnexpectedEOF}, 400},
		{errors.New("anything"), 500},
	} {
		s := openFaulty(t, func(context.Context) error { return x.err })
		s.exchange(exchange{do: listTags, status: x.status})
	}
}

// The client of a cause never sees it.
func TestCausesAreNotShown(t *testing.T) {
	s := openFaulty(t, func(context.Context) error {
		return &oci.Error{Code: oci.Unavailable, Message: "try again", Err: errors.New(canary)}
	})
	s.exchange(exchange{do: listTags, status: 503, code: "UNAVAILABLE", says: "try again"})
	if !strings.Contains(s.log.String(), canary) {
		t.Errorf("the operator is not told the cause: %s", s.log)
	}
}

// serve returns a real server for a site, and a function that waits until n requests have ended.
func serve(t *testing.T, s *site) (url string, ended func(n int)) {
	t.Helper()
	done := make(chan struct{}, 16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { done <- struct{}{} }()
		s.handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, func(n int) {
		t.Helper()
		for range n {
			select {
			case <-done:
			case <-time.After(patience):
				t.Fatal("the request does not end")
			}
		}
	}
}

// dial opens a connection to a server and sends text.
func dial(t *testing.T, url, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

// next reads one answer.
func next(t *testing.T, r *bufio.Reader) (status int, content string) {
	t.Helper()
	a, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(a.Body)
	if err := errors.Join(err, a.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(body)
}

func TestClientThatHangsUpEndsTheWork(t *testing.T) {
	begun := make(chan struct{})
	s := openFaulty(t, func(ctx context.Context) error {
		close(begun)
		select {
		case <-ctx.Done():
			return fmt.Errorf("s3: list: %w", ctx.Err())
		case <-time.After(patience):
			return errors.New("nobody told the work to end")
		}
	})
	url, ended := serve(t, s)
	conn := dial(t, url, listTags+" HTTP/1.1\r\nHost: a\r\n\r\n")
	<-begun
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	ended(1)
	if !strings.Contains(s.log.String(), "status=499") {
		t.Errorf("the log does not tell of a client that is gone: %s", s.log)
	}
}

// A58: a body that stops is cut, and the upload is where it was.
func TestBodyThatStops(t *testing.T) {
	s := open(t, options{config: api.Config{Progress: 50 * time.Millisecond}})
	s.exchange(exchange{do: "POST " + app + "/blobs/uploads/"})
	url, _ := serve(t, s)
	for _, target := range []string{"PATCH " + s.location, "PUT " + app + "/manifests/x", "POST " + app + "/blobs/uploads/?digest=" + textDigest} {
		head := target + " HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
		for _, sent := range []string{"", "half"} {
			r := bufio.NewReader(dial(t, url, head+sent))
			status, body := next(t, r)
			if status != 408 || !strings.Contains(body, "BLOB_UPLOAD_INVALID") || !strings.Contains(body, "1024 bytes a second") {
				t.Errorf("%s with %q: %d %s, want 408", target, sent, status, body)
			}
			ends(t, r)
		}
	}
	s.exchange(exchange{do: "GET {location}", status: 204, heads: []string{"Range: 0-0"}})
}

// ends checks that the server closes a connection, whatever it says before.
func ends(t *testing.T, r *bufio.Reader) {
	t.Helper()
	var slow net.Error
	if _, err := io.Copy(io.Discard, r); errors.As(err, &slow) && slow.Timeout() {
		t.Errorf("the connection goes on: %v", err)
	}
}

// A body that nobody asked for holds up neither the answer nor, longer than any other body, the connection.
func TestBodyThatStopsAndNobodyReads(t *testing.T) {
	url, _ := serve(t, open(t, options{config: api.Config{Progress: 50 * time.Millisecond}}))
	for target, want := range map[string]int{"GET /v2/": 200, "DELETE " + app + "/manifests/v1": 202, "POST " + app + "/blobs/uploads/": 202} {

		conn := dial(t, url, target+" HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
		r := bufio.NewReader(conn)
		if status, body := next(t, r); status != want {
			t.Errorf("%s: %d %s, want %d", target, status, body, want)
		}
		ends(t, r)
	}
}

// B29: a body that ends before its announced length leaves the upload as it was.
func TestBodyThatBreaksOff(t *testing.T) {
	s := open(t, options{})
	s.exchange(exchange{do: "POST " + app + "/blobs/uploads/"})
	url, ended := serve(t, s)
	conn := dial(t, url, "PATCH "+s.location+" HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	ended(1)
	s.exchange(exchange{do: "GET {location}", status: 204, heads: []string{"Range: 0-0"}})
}

// A59: a client that does not read is cut.
func TestClientThatDoesNotRead(t *testing.T) {
	s := open(t, options{config: api.Config{Progress: 50 * time.Millisecond}})
	big := strings.Repeat("0123456789abcdef", 1<<20)
	s.exchange(exchange{do: "POST " + app + "/blobs/uploads/?digest=" + digestOf(big), body: big, status: 201})
	url, ended := serve(t, s)
	conn := dial(t, url, "GET "+app+"/blobs/"+digestOf(big))
	// The kernel takes less for a client that has little room.
	if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, " HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	ended(1)
	if !strings.Contains(s.log.String(), "broke off") {
		t.Errorf("the log does not tell that the answer broke off: %s", s.log)
	}
}

// The body of a request that is answered without it is read, so that the connection can go on.
func TestBodyThatIsNotNeeded(t *testing.T) {
	s := open(t, options{})
	url, _ := serve(t, s)
	at := s.exchange(exchange{do: "POST " + app + "/blobs/uploads/", status: 202}).Header().Get("Location")
	put := at + "?digest=" + textDigest
	s.exchange(exchange{do: "PATCH " + at, body: text, status: 202})
	s.exchange(exchange{do: "PUT " + put, status: 201})
	const much = 1 << 20 // more than net/http would read
	for name, request := range map[string]string{
		"mount":                "POST " + nothing + "/blobs/uploads/?mount=" + layerDigest + "&from=acme/app",
		"PUT that is repeated": "PUT " + put,
		"POST of an upload":    "POST " + app + "/blobs/uploads/",
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, url, request+fmt.Sprintf(" HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", much)+strings.Repeat("x", much)+"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n")
			r := bufio.NewReader(conn)
			if status, body := next(t, r); status != 201 && status != 202 {
				t.Fatalf("%d %s, want 201 or 202", status, body)
			}
			if status, _ := next(t, r); status != 200 {
				t.Errorf("the next answer on the connection is %d, want 200", status)
			}
		})
	}
}

// A client that waited for leave to send its body, and got it, is read to its end before it is refused: it sends on, and would
// get a reset in place of the answer.
func TestBodyOfAClientThatWasGivenLeave(t *testing.T) {
	s := open(t, options{})
	url, _ := serve(t, s)
	at := s.exchange(exchange{do: "POST " + app + "/blobs/uploads/", status: 202}).Header().Get("Location")
	const much = 5 << 20
	conn := dial(t, url, "PATCH "+at+" HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Range: 0-2\r\nTransfer-Encoding: chunked\r\n\r\n")
	r := bufio.NewReader(conn)
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, " 100 ") {
		t.Fatalf("%q, %v, want 100 Continue", line, err)
	}
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "%x\r\n%s\r\n0\r\n\r\n", much, strings.Repeat("x", much)); err != nil {
		t.Fatal(err)
	}
	if status, body := next(t, r); status != 400 || !strings.Contains(body, "SIZE_INVALID") {
		t.Errorf("%d %s, want 400 SIZE_INVALID", status, body)
	}
}

// The body of a refused request is read, so that the connection can go on; but not when the client waits
// for leave to send it, or when it is longer than is worth reading.
func TestBodyOfARefusedRequest(t *testing.T) {
	url, _ := serve(t, open(t, options{}))
	put := "PUT /v2/ACME/manifests/x HTTP/1.1\r\nHost: a\r\n"
	for _, x := range []struct {
		name, request string
		goesOn        bool
	}{
		{"is read", put + "Content-Length: 1000000\r\n\r\n" + strings.Repeat("x", 1000000), true},
		{"is not waited for", put + "Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n", false},
		{"is not read when it is huge", put + "Content-Length: 99999999999\r\n\r\n", false},
		{"in chunks is the connection's last", put + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", false},
	} {
		t.Run(x.name, func(t *testing.T) {
			conn := dial(t, url, x.request)
			r := bufio.NewReader(conn)
			if status, body := next(t, r); status != 400 || !strings.Contains(body, "NAME_INVALID") {
				t.Fatalf("%d %s, want 400 NAME_INVALID", status, body)
			}
			if !x.goesOn {
				ends(t, r)
				return
			}
			if _, err := io.WriteString(conn, "GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if status, _ := next(t, r); status != 200 {
				t.Errorf("the next answer on the connection is %d, want 200", status)
			}
		})
	}
}
