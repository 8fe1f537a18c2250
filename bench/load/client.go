package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// bufferSize is how many bytes of an answer are read at once.
const bufferSize = 256 << 10

// Client speaks the OCI API to one registry, as any number of clients. Safe for concurrent use.
type Client struct {
	base    string // URL
	http    *http.Client
	buffers sync.Pool
}

// NewClient returns a client of the registry at base, which ends with its host.
func NewClient(base string) *Client {
	var d net.Dialer
	transport := &http.Transport{
		DialContext:         d.DialContext,
		MaxIdleConns:        1024,
		MaxIdleConnsPerHost: 1024,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
		ForceAttemptHTTP2:   false,
		WriteBufferSize:     64 << 10,
		ReadBufferSize:      16 << 10,
	}
	c := &Client{base: base, http: &http.Client{Transport: transport}}
	c.buffers.New = func() any { return new([bufferSize]byte) }
	return c
}

// Close closes the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// request is one exchange.
type request struct {
	method, url string
	body        io.Reader
	size        int64 // of body; -1: sent in chunks
	header      [][2]string
	want        int
}

// UnexpectedError is an answer with another status than the one that the operation needs.
type UnexpectedError struct {
	Method, Path string
	Status, Want int
	Body         string // its beginning
}

func (e *UnexpectedError) Error() string {
	return fmt.Sprintf("load: %s %s: %d, want %d: %s", e.Method, e.Path, e.Status, e.Want, e.Body)
}

// do makes the request. The caller closes the answer's body.
func (c *Client) do(ctx context.Context, r request) (*http.Response, error) {
	if strings.HasPrefix(r.url, "/") {
		r.url = c.base + r.url
	}
	body := r.body
	if body == nil || r.size == 0 {
		body = http.NoBody
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, body)
	if err != nil {
		return nil, fmt.Errorf("load: %s: %w", r.method, err)
	}
	if r.size != 0 {
		req.ContentLength = r.size
	}
	for _, h := range r.header {
		req.Header.Set(h[0], h[1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	if resp.StatusCode != r.want {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		_ = resp.Body.Close()
		return nil, &UnexpectedError{r.method, req.URL.Path, resp.StatusCode, r.want, strings.TrimSpace(string(text))}
	}
	return resp, nil
}

// location makes the request, reads its answer to the end and returns its Location, whole.
func (c *Client) location(ctx context.Context, r request) (string, error) {
	resp, err := c.do(ctx, r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	at := resp.Header.Get("Location")
	if _, err := c.drain(resp.Body); err != nil {
		return "", fmt.Errorf("load: %s: read the answer: %w", r.method, err)
	}
	if strings.HasPrefix(at, "/") {
		at = c.base + at
	}
	return at, nil
}

// drain reads to the end.
func (c *Client) drain(body io.Reader) (n int64, err error) {
	buf := c.buffers.Get().(*[bufferSize]byte)
	defer c.buffers.Put(buf)
	for {
		got, err := body.Read(buf[:])
		n += int64(got)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// get reads what is at the path and checks its length, where size is not negative.
func (c *Client) get(ctx context.Context, path string, size int64, header ...[2]string) error {
	want := http.StatusOK
	for _, h := range header {
		if h[0] == "Range" {
			want = http.StatusPartialContent
		}
	}
	resp, err := c.do(ctx, request{method: http.MethodGet, url: path, header: header, want: want})
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	n, err := c.drain(resp.Body)
	if err != nil {
		return fmt.Errorf("load: GET %s: %w", path, err)
	}
	if size >= 0 && n != size {
		return fmt.Errorf("load: GET %s: %d bytes, want %d", path, n, size)
	}
	return nil
}

// Read reads what is at any path and checks its length.
func (c *Client) Read(ctx context.Context, path string, size int64) error {
	return c.get(ctx, path, size)
}

// HasBlob asks whether the repository has the blob.
func (c *Client) HasBlob(ctx context.Context, repo, digest string) (bool, error) {
	resp, err := c.do(ctx, request{method: http.MethodHead, url: blobPath(repo, digest), want: http.StatusOK})
	var other *UnexpectedError
	if errors.As(err, &other) && other.Status == http.StatusNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, resp.Body.Close()
}

func blobPath(repo, digest string) string        { return "/v2/" + repo + "/blobs/" + digest }
func manifestPath(repo, reference string) string { return "/v2/" + repo + "/manifests/" + reference }
func uploadPath(repo string) string              { return "/v2/" + repo + "/blobs/uploads/" }

// PushBlob uploads as docker does: POST, one PATCH whose length is not said beforehand, PUT.
func (c *Client) PushBlob(ctx context.Context, repo string, b Blob) error {
	_, err := c.PushBlobTimed(ctx, repo, b)
	return err
}

// PushBlobTimed is PushBlob and returns how long the last PUT took.
func (c *Client) PushBlobTimed(ctx context.Context, repo string, b Blob) (time.Duration, error) {
	at, err := c.location(ctx, request{method: http.MethodPost, url: uploadPath(repo), want: http.StatusAccepted})
	if err != nil {
		return 0, err
	}
	at, err = c.location(ctx, request{
		method: http.MethodPatch, url: at, body: b.Reader(), size: -1,
		header: [][2]string{{"Content-Type", "application/octet-stream"}}, want: http.StatusAccepted,
	})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	_, err = c.location(ctx, request{method: http.MethodPut, url: with(at, "digest", b.Digest), want: http.StatusCreated})
	return time.Since(began), err
}

// PutBlob uploads with a POST and one PUT, as containerd does.
func (c *Client) PutBlob(ctx context.Context, repo string, b Blob) error {
	at, err := c.location(ctx, request{method: http.MethodPost, url: uploadPath(repo), want: http.StatusAccepted})
	if err != nil {
		return err
	}
	_, err = c.location(ctx, request{
		method: http.MethodPut, url: with(at, "digest", b.Digest), body: b.Reader(), size: b.Size,
		header: [][2]string{{"Content-Type", "application/octet-stream"}}, want: http.StatusCreated,
	})
	return err
}

func with(at, name, value string) string {
	separator := "?"
	if strings.Contains(at, "?") {
		separator = "&"
	}
	return at + separator + name + "=" + url.QueryEscape(value)
}

// Mount mounts a blob of another repository.
func (c *Client) Mount(ctx context.Context, repo, from, digest string) error {
	at := uploadPath(repo) + "?mount=" + url.QueryEscape(digest) + "&from=" + url.QueryEscape(from)
	_, err := c.location(ctx, request{method: http.MethodPost, url: at, want: http.StatusCreated})
	return err
}

// PutManifest pushes a manifest by a reference.
func (c *Client) PutManifest(ctx context.Context, repo, reference string, m Manifest) error {
	_, err := c.location(ctx, request{
		method: http.MethodPut, url: manifestPath(repo, reference), body: bytes.NewReader(m.Body), size: int64(len(m.Body)),
		header: [][2]string{{"Content-Type", ManifestType}}, want: http.StatusCreated,
	})
	return err
}

// GetManifest pulls a manifest and checks its length.
func (c *Client) GetManifest(ctx context.Context, repo, reference string, m Manifest) error {
	return c.get(ctx, manifestPath(repo, reference), int64(len(m.Body)), [2]string{"Accept", ManifestType})
}

// HeadManifest asks for a manifest.
func (c *Client) HeadManifest(ctx context.Context, repo, reference string) error {
	resp, err := c.do(ctx, request{
		method: http.MethodHead, url: manifestPath(repo, reference), header: [][2]string{{"Accept", ManifestType}}, want: http.StatusOK,
	})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Delete removes a tag or a manifest.
func (c *Client) Delete(ctx context.Context, repo, reference string) error {
	_, err := c.location(ctx, request{method: http.MethodDelete, url: manifestPath(repo, reference), want: http.StatusAccepted})
	return err
}

// PullBlob pulls a blob and checks its length.
func (c *Client) PullBlob(ctx context.Context, repo string, b Blob) error {
	return c.get(ctx, blobPath(repo, b.Digest), b.Size)
}

// PullRange pulls n bytes of a blob.
func (c *Client) PullRange(ctx context.Context, repo string, b Blob, off, n int64) error {
	bytes := "bytes=" + strconv.FormatInt(off, 10) + "-" + strconv.FormatInt(off+n-1, 10)
	return c.get(ctx, blobPath(repo, b.Digest), n, [2]string{"Range", bytes})
}

// Check pulls a blob and compares every byte, for use while nothing is measured.
func (c *Client) Check(ctx context.Context, repo string, b Blob) error {
	resp, err := c.do(ctx, request{method: http.MethodGet, url: blobPath(repo, b.Digest), want: http.StatusOK})
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	same, err := b.Equal(resp.Body)
	if err != nil {
		return fmt.Errorf("load: read %s: %w", b.Digest, err)
	}
	if !same {
		return fmt.Errorf("load: %s has other bytes than were pushed", b.Digest)
	}
	return nil
}

// How many blobs of an image docker moves at once.
const (
	pushesAtOnce = 5
	pullsAtOnce  = 3
)

// PushImage pushes an image as docker does: its blobs, up to five at once, each after a HEAD that does not find it; then its manifest.
func (c *Client) PushImage(ctx context.Context, repo, tag string, i Image) (Manifest, error) {
	group, all := errgroup.WithContext(ctx)
	group.SetLimit(pushesAtOnce)
	for _, b := range append([]Blob{i.Config}, i.Layers...) {
		group.Go(func() error {
			there, err := c.HasBlob(all, repo, b.Digest)
			if err != nil || there {
				return err
			}
			return c.PushBlob(all, repo, b)
		})
	}
	if err := group.Wait(); err != nil {
		return Manifest{}, err
	}
	m, err := i.Manifest("")
	if err != nil {
		return Manifest{}, err
	}
	return m, c.PutManifest(ctx, repo, tag, m)
}

// PullImage pulls an image as docker does: the manifest by its tag, then its blobs, up to three at once.
func (c *Client) PullImage(ctx context.Context, repo, tag string, i Image, m Manifest) error {
	if err := c.GetManifest(ctx, repo, tag, m); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(pullsAtOnce)
	for _, b := range append([]Blob{i.Config}, i.Layers...) {
		group.Go(func() error { return c.PullBlob(ctx, repo, b) })
	}
	return group.Wait()
}

// List follows a list from its first page on and returns how many texts there are below the field in all pages, and how many pages.
func (c *Client) List(ctx context.Context, path, field string) (items, pages int, err error) {
	for path != "" {
		resp, err := c.do(ctx, request{method: http.MethodGet, url: path, want: http.StatusOK})
		if err != nil {
			return 0, 0, err
		}
		text, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			return 0, 0, fmt.Errorf("load: GET %s: %w", path, err)
		}
		var page map[string]json.RawMessage
		if err := json.Unmarshal(text, &page); err != nil {
			return 0, 0, fmt.Errorf("load: GET %s: %w", path, err)
		}
		var list []json.RawMessage
		if err := json.Unmarshal(page[field], &list); err != nil {
			return 0, 0, fmt.Errorf("load: GET %s: %s: %w", path, field, err)
		}
		items += len(list)
		pages++
		path = next(resp.Header.Get("Link"), path)
	}
	return items, pages, nil
}

// next is the path of a list's next page, "" after the last.
func next(link, path string) string {
	_, rest, ok := strings.Cut(link, "<")
	target, _, closed := strings.Cut(rest, ">")
	if !ok || !closed || target == "" {
		return ""
	}
	if u, err := url.Parse(target); err == nil {
		if at, err := url.Parse(path); err == nil {
			u = at.ResolveReference(u)
		}
		return u.RequestURI()
	}
	return ""
}
