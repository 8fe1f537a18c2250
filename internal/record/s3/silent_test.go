package s3_test

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/record"
	records3 "holdfast/internal/record/s3"
	"holdfast/internal/s3"
)

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	return f(r)
}

// TestPutAtASilentStore: however a store falls silent, a conditional write with its look ends within 5 s.
func TestPutAtASilentStore(t *testing.T) {
	hang := func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	for name, first := range map[string]tripper{
		"silent": hang,
		"no connection": func(*http.Request) (*http.Response, error) {
			time.Sleep(2 * time.Second)
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
		},
		"reset after 4 s": func(*http.Request) (*http.Response, error) {
			time.Sleep(4 * time.Second)
			return nil, errors.New("connection reset")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				requests := 0
				client, err := s3.New(t.Context(), s3.Config{
					Endpoint: "http://store.invalid", Bucket: "b", AccessKey: "a", SecretKey: "s",
					Transport: func(http.RoundTripper) http.RoundTripper {
						return tripper(func(r *http.Request) (*http.Response, error) {
							if requests++; requests == 1 {
								return first(r)
							}
							return hang(r)
						})
					},
				}, slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				_, err = records3.New(client, "").Put(t.Context(), "k", []byte("value"), record.IfAbsent())
				if took := time.Since(begin); !errors.Is(err, record.ErrUnavailable) || took > 5*time.Second {
					t.Errorf("%v after %s", err, took)
				}
			})
		})
	}
}
