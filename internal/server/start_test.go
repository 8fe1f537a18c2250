package server

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	datas3 "holdfast/internal/data/s3"
	"holdfast/internal/s3/s3test"
)

// TestStartAsksAtOnce counts what a start asks a bucket that was tested within a day, and how many of these requests follow one another:
// each takes a second of the test's clock, whatever the real store takes.
func TestStartAsksAtOnce(t *testing.T) {
	server := s3test.Servers(t)[0]
	cfg := server.Config(t)
	start := func(ctx context.Context) []*store {
		budget, err := datas3.NewBudget(0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = budget.Close() })
		log := slog.New(slog.DiscardHandler)
		s := &Server{cfg: Config{Version: "v1"}, log: log, health: newHealth()}
		opened, err := openStores(ctx, Config{Version: "v1", Storage: Storage{S3: &cfg}}, s.asReplica(), budget, nil, log)
		if err != nil {
			t.Fatal(err)
		}
		return opened
	}
	end := func(ctx context.Context, opened []*store) {
		for _, st := range opened {
			if err := st.close(ctx); err != nil {
				t.Error(err)
			}
		}
	}
	end(t.Context(), start(t.Context())) // makes the full self-test, and what an empty store has not

	outside := newOutside(t)
	cfg.Transport = func(http.RoundTripper) http.RoundTripper { return outside }
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(outside.now)) // the store compares its clock with ours
		began := time.Now()
		opened := start(t.Context())
		if chain := time.Since(began) / time.Second; chain != 4 {
			t.Errorf("%d requests follow one another, want 4: a first look at everything, a race of swaps, the heartbeat, the look at the format", chain)
		}
		opened[0].after.Wait()
		if n := outside.requests.Load(); n != 13 {
			t.Errorf("%d requests, want 13", n)
		}
		end(t.Context(), opened)
	})
}

// outside makes requests for a bubble of testing/synctest: each takes a second of the bubble's clock, which stands still while the store works.
type outside struct {
	now      time.Time // outside of the bubble
	requests atomic.Int64
	idle     chan exchange
}

// exchange is with a goroutine that is not of the bubble.
type exchange struct {
	ask    chan *http.Request
	answer chan outcome
}

type outcome struct {
	response *http.Response
	err      error
}

func newOutside(t *testing.T) *outside {
	const most = 32 // requests at once
	o := &outside{now: time.Now(), idle: make(chan exchange, most)}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	for range most {
		e := exchange{make(chan *http.Request), make(chan outcome)}
		t.Cleanup(func() { close(e.ask) })
		go func() {
			for r := range e.ask {
				e.answer <- exchangeOne(transport, r)
			}
		}()
		o.idle <- e
	}
	return o
}

// exchangeOne returns an answer with its whole body.
func exchangeOne(transport *http.Transport, r *http.Request) outcome {
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return outcome{err: err}
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close() // it was read to its end, or err says why not
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return outcome{resp, err}
}

// RoundTrip implements http.RoundTripper.
func (o *outside) RoundTrip(r *http.Request) (*http.Response, error) {
	o.requests.Add(1)
	time.Sleep(time.Second)
	e := <-o.idle
	defer func() { o.idle <- e }()
	e.ask <- r.WithContext(context.WithoutCancel(r.Context()))
	out := <-e.answer
	return out.response, out.err
}
