package race

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// size is how much of it there is.
type size struct{ clients, tags, rounds int }

func sizeFromEnv(t *testing.T) size {
	t.Helper()
	s := size{clients: 8, tags: 200, rounds: 1}
	value := os.Getenv("HOLDFAST_RACE")
	if value == "" {
		return s
	}
	for part := range strings.SplitSeq(value, ",") {
		name, text, _ := strings.Cut(part, "=")
		n, err := strconv.Atoi(text)
		field := map[string]*int{"clients": &s.clients, "tags": &s.tags, "rounds": &s.rounds}[name]
		if err != nil || field == nil || n < 1 {
			t.Fatalf("HOLDFAST_RACE: %q: want clients=N,tags=N,rounds=N", part)
		}
		*field = n
	}
	return s
}

// client talks to replicas. It repeats nothing: an error is an error.
type client struct{ http *http.Client }

func newClient() *client {
	return &client{http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// want sends one request that must be answered by status, and returns the
// answer's headers and body.
func (c *client) want(ctx context.Context, status int, method, url, contentType string, body []byte) (http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", method, url, err)
	}
	if resp.StatusCode != status {
		return nil, nil, fmt.Errorf("%s %s: %d, want %d: %s", method, url, resp.StatusCode, status, text)
	}
	return resp.Header, text, nil
}

// pushBlob pushes content by POST and PUT, each at another replica.
func (c *client) pushBlob(ctx context.Context, first, second, repo string, content []byte) (v1.Descriptor, error) {
	d := v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: digest.FromBytes(content), Size: int64(len(content))}
	head, _, err := c.want(ctx, http.StatusAccepted, http.MethodPost, first+"/v2/"+repo+"/blobs/uploads/", "", nil)
	if err != nil {
		return d, err
	}
	at := head.Get("Location")
	sep := "?"
	if strings.Contains(at, "?") {
		sep = "&"
	}
	_, _, err = c.want(ctx, http.StatusCreated, http.MethodPut, second+at+sep+"digest="+d.Digest.String(), "application/octet-stream", content)
	return d, err
}

// pushImage pushes an image of its own under tag; every step goes to the next replica.
func (c *client) pushImage(ctx context.Context, replicas []string, turn int, repo, tag string, subject *v1.Descriptor) (v1.Descriptor, error) {
	at := func(i int) string { return replicas[(turn+i)%len(replicas)] }
	config, err := c.pushBlob(ctx, at(0), at(1), repo, []byte(`{"architecture":"amd64","os":"linux"}`))
	if err != nil {
		return v1.Descriptor{}, err
	}
	config.MediaType = v1.MediaTypeImageConfig
	layer, err := c.pushBlob(ctx, at(1), at(2), repo, []byte(rand.Text()))
	if err != nil {
		return v1.Descriptor{}, err
	}
	text, err := json.Marshal(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: config, Layers: []v1.Descriptor{layer}, Subject: subject,
	})
	if err != nil {
		return v1.Descriptor{}, err
	}
	d := v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromBytes(text), Size: int64(len(text))}
	if tag == "" {
		tag = d.Digest.String()
	}
	_, _, err = c.want(ctx, http.StatusCreated, http.MethodPut, at(2)+"/v2/"+repo+"/manifests/"+tag, v1.MediaTypeImageManifest, text)
	return d, err
}

// resolve returns the digest of the bytes that a replica has under tag.
func (c *client) resolve(ctx context.Context, replica, repo, tag string) (digest.Digest, error) {
	_, body, err := c.want(ctx, http.StatusOK, http.MethodGet, replica+"/v2/"+repo+"/manifests/"+tag, "", nil)
	if err != nil {
		return "", err
	}
	return digest.FromBytes(body), nil
}

// tags returns the whole list of a replica, page by page.
func (c *client) tags(ctx context.Context, replica, repo string) (all []string, err error) {
	for next := "/v2/" + repo + "/tags/list?n=37"; next != ""; {
		head, body, err := c.want(ctx, http.StatusOK, http.MethodGet, replica+next, "", nil)
		if err != nil {
			return nil, err
		}
		var page struct{ Tags []string }
		if err := json.Unmarshal(body, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Tags...)
		next, _, _ = strings.Cut(strings.TrimPrefix(head.Get("Link"), "<"), ">")
	}
	return all, nil
}

// share hands the numbers below n to workers, and reports each error.
func share(t *testing.T, workers, n int, work func(ctx context.Context, i int) error) {
	t.Helper()
	numbers := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range numbers {
				if err := work(t.Context(), i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	wg.Wait()
}

func newRepo() string { return "race/" + strings.ToLower(rand.Text()[:12]) }
