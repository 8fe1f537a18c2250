package server

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// slowUpload begins to send a chunk, and ends it when the body is closed; it returns the status of the answer then.
func slowUpload(t *testing.T, url string) (body io.WriteCloser, answer <-chan int) {
	t.Helper()
	_, _, header := fetch(t, "POST", url+"/v2/a/blobs/uploads/", nil)
	sent, body := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), "PATCH", url+header.Get("Location"), sent)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Expect", "100-continue") // so that the body is read only once the server has begun to serve the request
	got := make(chan int, 1)
	go func() {
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: time.Minute}}).Do(req)
		if err != nil {
			t.Error(err)
			got <- 0
			return
		}
		_ = resp.Body.Close()
		got <- resp.StatusCode
	}()
	if _, err := io.WriteString(body, strings.Repeat("x", 1000)); err != nil {
		t.Fatal(err)
	}
	return body, got
}

func listens(url string) bool {
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(url, "http://"), time.Second)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// TestDrainListens: who asks whether a draining replica is ready gets an answer while requests are in flight that began before the delay was over, and
// requests that a balancer sends all the same do not delay the end.
func TestDrainListens(t *testing.T) {
	r := runServer(t, func(cfg *Config) { cfg.DrainDelay, cfg.DrainTimeout = 100*time.Millisecond, 30*time.Second })
	first, firstAnswer := slowUpload(t, r.url)
	ended := make(chan error, 1)
	go func() { ended <- r.stop() }()
	for len(r.log.having(`"msg":"draining"`)) == 0 {
		time.Sleep(5 * time.Millisecond) // a real server, over sockets
	}
	time.Sleep(500 * time.Millisecond) // more than the delay
	if status, _, _ := fetch(t, "GET", r.url+"/readyz", nil); status != http.StatusNotFound {
		t.Errorf("/readyz is answered %d", status)
	}
	second, secondAnswer := slowUpload(t, r.url)
	_ = first.Close()
	if status := <-firstAnswer; status != http.StatusAccepted {
		t.Errorf("the upload was answered %d", status)
	}
	for deadline := time.Now().Add(10 * time.Second); listens(r.url); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it listens on for a request that came late")
		}
	}
	_ = second.Close()
	if status := <-secondAnswer; status != http.StatusAccepted {
		t.Errorf("the upload that came late was answered %d", status)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestDrainWithoutDelay: it stops listening at once, for balancers that do not ask whether a replica is ready.
func TestDrainWithoutDelay(t *testing.T) {
	r := runServer(t, func(cfg *Config) { cfg.DrainTimeout = 30 * time.Second })
	body, answer := slowUpload(t, r.url)
	ended := make(chan error, 1)
	go func() { ended <- r.stop() }()
	for deadline := time.Now().Add(10 * time.Second); listens(r.url); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it listens on")
		}
	}
	_ = body.Close()
	if status := <-answer; status != http.StatusAccepted {
		t.Errorf("the upload was answered %d", status)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
