package stores_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/data"
	"holdfast/internal/data/datatest"
	datamem "holdfast/internal/data/mem"
	"holdfast/internal/format"
	"holdfast/internal/observe/stores"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	recordmem "holdfast/internal/record/mem"
	"holdfast/internal/record/recordtest"
	"holdfast/internal/s3"
)

// book is an observer that keeps what it was told.
type book struct {
	mu    sync.Mutex
	lines []string
}

func (b *book) BeginStore(ctx context.Context, call stores.Call) (context.Context, func(stores.Result)) {
	return ctx, func(r stores.Result) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.lines = append(b.lines, fmt.Sprintf("%s %s %s %s %d", call.Store, call.Operation, call.Key, r.Outcome, r.Sent))
	}
}

func TestRecordsKeepTheirPromises(t *testing.T) {
	recordtest.Run(t, func(*testing.T) record.Store {
		return stores.Observers{&book{}, &book{}}.Records(stores.Bolt, recordmem.New(recordmem.Config{}))
	})
}

func TestSegmentsKeepTheirPromises(t *testing.T) {
	datatest.Run(t, func(*testing.T) data.Store {
		return stores.Observers{&book{}}.Segments(stores.File, datamem.New(datamem.Config{}))
	})
}

func TestLocal(t *testing.T) {
	b := &book{}
	all := stores.Observers{b}
	records := all.Records(stores.Bolt, recordmem.New(recordmem.Config{}))
	segments := all.Segments(stores.File, datamem.New(datamem.Config{}))
	ctx := t.Context()
	_, _ = records.Get(ctx, "b/00/a")
	stamp, _ := records.Put(ctx, "b/00/a", []byte("1"), record.IfAbsent())
	_, _ = records.Put(ctx, "b/00/a", []byte("2"), record.IfAbsent())
	for _, err := range records.List(ctx, "b/", "") {
		if err != nil {
			t.Error(err)
		}
		break
	}
	_ = records.Delete(ctx, "b/00/a", record.IfVersion(stamp.Version))
	w, err := segments.Create(ctx, "0123456789abcdef0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte("abc"))
	_, _ = w.Commit(ctx)
	_, _ = segments.Stat(ctx, "ffffffffffffffffffffffffffffffff")
	over, cancel := context.WithCancel(ctx)
	cancel()
	_, _ = records.Get(over, "b/00/a")
	want := "bolt Get blob not_found 1\nbolt Put blob ok 1\nbolt Put blob conflict 1\nbolt List blob ok 1\nbolt Delete blob ok 1\n" +
		"file Commit segment ok 1\nfile Stat segment not_found 1\nbolt Get blob canceled 1"
	if got := strings.Join(b.lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// transport answers instead of a store.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestS3(t *testing.T) {
	answer := func(status int, code string) transport {
		return func(*http.Request) (*http.Response, error) {
			body := "<Error><Code>" + code + "</Code></Error>"
			if code == "" {
				body = ""
			}
			return &http.Response{
				StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Etag": {`"e"`}, "Content-Length": {strconv.Itoa(len(body))}},
				ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)),
			}, nil
		}
	}
	get := func(ctx context.Context, c *s3.Client) { _, _, _ = c.GetValue(ctx, "r/00/secret/t/v1", 10) }
	put := func(ctx context.Context, c *s3.Client) {
		_, _ = c.PutValue(ctx, "l/00/sha256-x/secret", []byte("v"), s3.Condition{Absent: true})
	}
	for _, row := range []struct {
		name  string
		store transport
		do    func(context.Context, *s3.Client)
		want  string
	}{
		{"read", answer(200, ""), get, "s3 GetObject tag ok 1"},
		{"not there", answer(404, "NoSuchKey"), get, "s3 GetObject tag not_found 1"},
		{"500s", answer(500, "InternalError"), get, "s3 GetObject tag error 5"},
		{"SlowDown", answer(503, "SlowDown"), get, "s3 GetObject tag throttled 3"},
		{"denied", answer(403, "AccessDenied"), get, "s3 GetObject tag denied 1"},
		{"rejected", answer(400, "InvalidArgument"), get, "s3 GetObject tag rejected 1"},
		{"write", answer(200, ""), put, "s3 PutObject link ok 1"},
		{"lost a race", answer(412, "PreconditionFailed"), put, "s3 PutObject link conflict 1"},
		{"lost a race, 409", answer(409, "ConditionalRequestConflict"), put, "s3 PutObject link conflict 1"},
		{"a write is not repeated", answer(500, "InternalError"), put, "s3 PutObject link error 1"},
		{"silence is hedged", func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, get, "s3 GetObject tag timeout 2"},
		{"a caller that gave up", answer(200, ""), func(ctx context.Context, c *s3.Client) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			get(ctx, c)
		}, "s3 GetObject tag canceled 0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &book{}
				client, err := s3.New(t.Context(), s3.Config{
					Endpoint: "http://store.invalid", Bucket: "b", AccessKey: "a", SecretKey: "s", Observe: stores.Observers{b}.S3,
					Transport: func(http.RoundTripper) http.RoundTripper { return row.store },
				}, slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				row.do(t.Context(), client)
				time.Sleep(time.Minute)
				if got := strings.Join(b.lines, "\n"); got != row.want {
					t.Errorf("got %q, want %q", got, row.want)
				}
			})
		})
	}
}

func TestKeyKind(t *testing.T) {
	d := oci.Digest("sha256:" + strings.Repeat("a", 64))
	for kind, keys := range map[string][]record.Key{
		"config": {format.KeySecret, format.LeaseKey("x")}, "blob": {format.BlobKey(d), format.PrefixBlobs}, "link": {format.LinkKey("a/m", d)},
		"manifest": {format.ManifestKey("a/t", d), format.ManifestPrefix("a")}, "tag": {format.TagKey("m/m", "f")}, "referrers": {format.ReferrersKey("a", d)},
		"marker": {format.MarkerKey("a", d, "v1")}, "fence": {format.FenceKey("a")}, "content": {format.RepositoryPrefix("a"), format.PrefixContents},
		"repository": {format.RepositoryKey("a")}, "upload": {format.UploadKey("0123")}, "hint": {format.HintKey("1")}, "pulled": {format.PulledKey("a", d)},
		"segment": {"d/00/0123"}, "": {""}, "other": {"x", "a/00"},
	} {
		for _, key := range keys {
			if got := stores.KeyKind(string(key)); got != kind {
				t.Errorf("%s is of a %q, want %q", key, got, kind)
			}
		}
	}
	if n := testing.AllocsPerRun(100, func() { stores.KeyKind("r/00/a.b/m/sha256-x") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

var errDisk = errors.New("disk")

// broken is a store whose disk is broken.
type broken struct{ record.Store }

func (broken) Get(context.Context, record.Key) (record.Record, error) {
	return record.Record{}, fmt.Errorf("%w: %w", record.ErrUnavailable, errDisk)
}

// TestErrorsPass: what a driver says comes through.
func TestErrorsPass(t *testing.T) {
	b := &book{}
	_, err := stores.Observers{b}.Records(stores.Bolt, broken{}).Get(t.Context(), "cfg/format")
	if !errors.Is(err, errDisk) || !errors.Is(err, record.ErrUnavailable) || b.lines[0] != "bolt Get config error 1" {
		t.Errorf("%v, %v", err, b.lines)
	}
}
