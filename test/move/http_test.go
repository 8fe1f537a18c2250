package move

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"holdfast/internal/move/movetest"
	"holdfast/internal/oci"
	"holdfast/internal/server"
)

// replica serves until the test ends, or stop is called, and returns its URL.
func replica(t *testing.T, cfg server.Config) (url string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	address := make(chan string, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, cfg, slog.New(slog.DiscardHandler), func(a net.Addr) { address <- a.String() })
	}()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("a replica ended with %v", err)
		}
	}
	t.Cleanup(stop)
	select {
	case at := <-address:
		for cfg.Storage.S3 == nil { // the socket for commands is there soon after
			if _, err := server.AskRunning(t.Context(), cfg.Storage.Dir); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		return "http://" + at, stop
	case err := <-ended:
		ended <- nil
		t.Fatalf("a replica did not start: %v", err)
	}
	return "", stop
}

// send makes a request, and returns the answer's status, header and body.
func send(t *testing.T, method, url, contentType string, body []byte) (int, http.Header, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Accept", strings.Join([]string{v1.MediaTypeImageManifest, v1.MediaTypeImageIndex, oci.MediaTypeDockerManifest, "*/*"}, ", "))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, text
}

// push pushes an image as clients do that upload a blob in one PUT.
func push(t *testing.T, registry string, i movetest.Image) {
	t.Helper()
	base := registry + "/v2/" + string(i.Repository)
	for _, b := range i.Blobs {
		d := string(digest.FromBytes(b))
		if status, _, _ := send(t, http.MethodHead, base+"/blobs/"+d, "", nil); status == http.StatusOK {
			continue
		}
		status, header, text := send(t, http.MethodPost, base+"/blobs/uploads/", "", nil)
		if status != http.StatusAccepted {
			t.Fatalf("%s: POST %d %s", i.Repository, status, text)
		}
		location := header.Get("Location")
		if strings.HasPrefix(location, "/") {
			location = registry + location
		}
		with := "?"
		if strings.Contains(location, "?") {
			with = "&"
		}
		if status, _, text := send(t, http.MethodPut, location+with+"digest="+d, "application/octet-stream", b); status != http.StatusCreated {
			t.Fatalf("%s: PUT %s: %d %s", i.Repository, d, status, text)
		}
	}
	names := []string{string(i.Digest)}
	for _, tag := range i.Tags {
		names = append(names, string(tag))
	}
	if len(names) > 1 {
		names = names[1:]
	}
	for _, name := range names {
		if status, _, text := send(t, http.MethodPut, base+"/manifests/"+name, i.MediaType, i.Body); status != http.StatusCreated {
			t.Fatalf("%s:%s: %d %s", i.Repository, name, status, text)
		}
	}
}

// check reads every manifest, blob, tag and, where asked for, referrer over HTTP, and returns how many digests it read.
func check(t *testing.T, registry, prefix string, referrers bool, images []movetest.Image) (read int) {
	t.Helper()
	tags := map[string][]string{}
	for _, i := range images {
		base := registry + "/v2/" + prefix + string(i.Repository)
		for _, b := range i.Blobs {
			d := digest.FromBytes(b)
			if status, _, got := send(t, http.MethodGet, base+"/blobs/"+string(d), "", nil); status != http.StatusOK || !bytes.Equal(got, b) {
				t.Errorf("%s: blob %s: %d, %d bytes of %d", i.Repository, d, status, len(got), len(b))
			}
			read++
		}
		names := []string{string(i.Digest)}
		for _, tag := range i.Tags {
			names = append(names, string(tag))
			tags[base] = append(tags[base], string(tag))
		}
		for _, name := range names {
			status, header, got := send(t, http.MethodGet, base+"/manifests/"+name, "", nil)
			if status != http.StatusOK || !bytes.Equal(got, i.Body) || header.Get("Content-Type") != i.MediaType {
				t.Errorf("%s:%s: %d, %s, %d bytes of %d", i.Repository, name, status, header.Get("Content-Type"), len(got), len(i.Body))
			}
			read++
		}
		m, err := oci.ParseManifest(i.MediaType, i.Body)
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject != nil && referrers {
			_, _, text := send(t, http.MethodGet, base+"/referrers/"+string(m.Subject.Digest), "", nil)
			if !bytes.Contains(text, []byte(i.Digest)) {
				t.Errorf("%s: referrers of %s: %s", i.Repository, m.Subject.Digest, text)
			}
		}
	}
	for base, want := range tags {
		_, _, text := send(t, http.MethodGet, base+"/tags/list", "", nil)
		var list struct{ Tags []string }
		if err := json.Unmarshal(text, &list); err != nil {
			t.Errorf("%s: %v in %s", base, err, text)
		}
		slices.Sort(want)
		if slices.Sort(list.Tags); !slices.Equal(slices.Compact(want), list.Tags) {
			t.Errorf("%s has the tags %v, not %v", base, list.Tags, want)
		}
	}
	return read
}

// local is a server's configuration for a new directory.
func local(t *testing.T) server.Config {
	return server.Config{Version: "test", Address: "127.0.0.1:0", DrainTimeout: time.Second, Storage: server.Storage{Dir: t.TempDir()}}
}
