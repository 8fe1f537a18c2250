package dynamodb

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"holdfast/internal/record/cached"
	"holdfast/internal/record/cached/cachedtest"
	"holdfast/test/cache"
)

type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func server(t *testing.T) *cache.DynamoDB {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := cache.StartDynamoDB(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "testtest")
	return s
}

func open(t *testing.T, cfg Config) (*Cache, *logged) {
	t.Helper()
	l := &logged{}
	c, err := Open(t.Context(), cfg, slog.New(slog.NewTextHandler(l, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, l
}

func waitFor(t *testing.T, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ready(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come")
		}
	}
}

func works(t *testing.T, c *Cache) {
	t.Helper()
	waitFor(t, func() bool { return c.Set(t.Context(), "works", []byte("v"), time.Minute) == nil })
}

// Replicas start at the same time, and each finds the table or makes it.
func TestTable(t *testing.T) {
	s := server(t)
	cfg := Config{Endpoint: s.URL, Region: "us-east-2", Table: "MainTable"}
	for range 3 {
		open(t, cfg)
	}
	cachedtest.Run(t, func(t *testing.T) cached.Cache {
		c, l := open(t, cfg)
		works(t, c)
		if strings.Contains(l.String(), "WARN") {
			t.Error(l)
		}
		return c
	})
}

// The SDK's variable wins over the file.
func TestEndpointOfTheEnvironment(t *testing.T) {
	s := server(t)
	t.Setenv(endpointVariable, s.URL)
	c, _ := open(t, Config{Endpoint: "http://127.0.0.1:1", Table: "any-" + rand.Text()})
	works(t, c)
}

// zot's table has the same key, with any name; one that has another cannot be used, and the one warning says what it has.
func TestTablesOfOthers(t *testing.T) {
	s := server(t)
	maker := &Cache{cfg: Config{Endpoint: s.URL, Region: "us-east-2"}, transport: &http.Transport{}}
	sdk, err := maker.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	create := func(name string, attributes []types.AttributeDefinition, keys ...types.KeySchemaElement) {
		t.Helper()
		_, err := sdk.CreateTable(t.Context(), &dynamodb.CreateTableInput{
			TableName: &name, AttributeDefinitions: attributes, KeySchema: keys,
			ProvisionedThroughput: &types.ProvisionedThroughput{ReadCapacityUnits: aws.Int64(10), WriteCapacityUnits: aws.Int64(5)},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	text := func(name string, kind types.ScalarAttributeType) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: &name, AttributeType: kind}
	}
	part := func(name string, kind types.KeyType) types.KeySchemaElement {
		return types.KeySchemaElement{AttributeName: &name, KeyType: kind}
	}
	create("others", []types.AttributeDefinition{text("Other", "S")}, part("Other", "HASH"))
	create("numbers", []types.AttributeDefinition{text("Number", "N")}, part("Number", "HASH"))
	create("sorted", []types.AttributeDefinition{text("Digest", "S"), text("Range", "S")}, part("Digest", "HASH"), part("Range", "RANGE"))

	t.Run("others", func(t *testing.T) {
		cachedtest.Run(t, func(t *testing.T) cached.Cache {
			c, _ := open(t, Config{Endpoint: s.URL, Region: "us-east-2", Table: "others"})
			works(t, c)
			return c
		})
	})
	for table, attribute := range map[string]string{"numbers": "Number", "sorted": "Range"} {
		c, l := open(t, Config{Endpoint: s.URL, Region: "us-east-2", Table: table})
		waitFor(t, func() bool { return strings.Contains(l.String(), "WARN") })
		if text := l.String(); !strings.Contains(text, table) || !strings.Contains(text, attribute) {
			t.Errorf("the warning about %s: %s", table, text)
		}
		if err := c.Set(t.Context(), "k", []byte("v"), time.Minute); !errors.Is(err, ErrNotReady) {
			t.Errorf("%s: Set: %v", table, err)
		}
	}
}

// Neither the start nor any call waits for a server that is not there, and when it comes it is used. One that hangs keeps nobody longer than
// the caller's patience lasts.
func TestGone(t *testing.T) {
	s := server(t)
	s.Kill()
	c, l := open(t, Config{Endpoint: s.URL, Table: "table-1"})
	if _, err := c.Get(t.Context(), []string{"k"}); !errors.Is(err, ErrNotReady) {
		t.Errorf("Get: %v", err)
	}
	waitFor(t, func() bool { return strings.Contains(l.String(), "serving without it") })
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	works(t, c)
	if err := s.Freeze(); err != nil {
		t.Fatal(err)
	}
	for range 2 * mostCalls {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Microsecond)
		_, err := c.Get(ctx, []string{"k"})
		cancel()
		if err == nil {
			t.Fatal("a server that is frozen answers")
		}
	}
	if err := s.Thaw(); err != nil {
		t.Fatal(err)
	}
	works(t, c)
	s.Kill()
	if err := c.Set(t.Context(), "k", []byte("v"), time.Minute); err == nil {
		t.Error("a server that is gone takes values")
	}
	if err := s.Run(t.Context()); err != nil { // without a table
		t.Fatal(err)
	}
	works(t, c)
	if text := l.String(); strings.Count(text, "WARN") != 1 {
		t.Errorf("want one warning: %s", text)
	}
}

// A value that no item has room for is not kept, and that is no error.
func TestTooLarge(t *testing.T) {
	s := server(t)
	c, _ := open(t, Config{Endpoint: s.URL, Table: "table-1"})
	works(t, c)
	if err := c.Set(t.Context(), "large", make([]byte, 500<<10), time.Minute); err != nil {
		t.Error(err)
	}
	if got, err := c.Get(t.Context(), []string{"large"}); err != nil || got[0] != nil {
		t.Errorf("%d bytes, %v", len(got[0]), err)
	}
}

// A table that is deleted while it is made is made again.
func TestDeletedWhileMade(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "testtest")
	var made, looks atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, call, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		status := "CREATING"
		switch {
		case call == "CreateTable":
			made.Add(1)
			looks.Store(0)
		case call != "DescribeTable":
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"__type":"com.amazonaws.dynamodb.v20120810#UnknownOperationException"}`)
			return
		case looks.Add(1) == 2 && made.Load() == 2:
			status = "ACTIVE"
		case looks.Load() > 1 || made.Load() == 0:
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"}`)
			return
		}
		_, _ = io.WriteString(w, `{"Table":{"TableStatus":"`+status+`","KeySchema":[{"AttributeName":"Digest","KeyType":"HASH"}]}}`)
	}))
	t.Cleanup(s.Close)
	_, l := open(t, Config{Endpoint: s.URL, Region: "us-east-2", Table: "MainTable"})
	waitFor(t, func() bool { return strings.Contains(l.String(), "the shared cache answers") })
	if made.Load() != 2 {
		t.Errorf("it was made %d times", made.Load())
	}
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// net/http may look for the end of a body when the SDK has closed it; an error there ends the connection in the middle of an answer.
func TestEndOfABody(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "testtest")
	var sent io.Reader
	sdk, err := (&Cache{cfg: Config{Endpoint: "http://127.0.0.1:1", Region: "us-east-2"}}).connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = sdk.ListTables(t.Context(), &dynamodb.ListTablesInput{}, func(o *dynamodb.Options) {
		o.HTTPClient = &http.Client{Transport: bounded{tripper(func(r *http.Request) (*http.Response, error) {
			sent = r.Body
			_, err := io.CopyN(io.Discard, sent, r.ContentLength)
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}"))}, err
		})}}
	})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, sent); n != 0 || err != nil {
		t.Errorf("after the call: %d bytes, %v", n, err)
	}
}

// An answer that does not end is no answer, and takes no memory to speak of.
func TestEndlessAnswer(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "testtest")
	var sent atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".DescribeTable") {
			_, _ = io.WriteString(w, `{"Table":{"TableStatus":"ACTIVE","KeySchema":[{"AttributeName":"Digest","KeyType":"HASH"}]}}`)
			return
		}
		if !strings.Contains(r.Header.Get("X-Amz-Target"), "GetItem") {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, `{"Responses":"`)
		for some := bytes.Repeat([]byte("a"), 1<<20); ; {
			n, err := w.Write(some)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	c, l := open(t, Config{Endpoint: s.URL, Region: "us-east-2", Table: "MainTable"})
	waitFor(t, func() bool { return strings.Contains(l.String(), "the shared cache answers") })
	if _, err := c.Get(t.Context(), []string{"k"}); err == nil { // that it is too large, or too late on a busy machine
		t.Error("an endless answer is one")
	}
	waitFor(t, func() bool { now := sent.Load(); time.Sleep(50 * time.Millisecond); return now == sent.Load() })
	if n := sent.Load(); n > 8*mostAnswer { // what is under way in sockets included, and a look of the client's at what is left
		t.Errorf("%d bytes of an answer were taken", n)
	}
}
