package memory_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/test/cluster"
	"holdfast/test/cluster/clustertest"
)

const (
	clients  = 16
	maxBytes = 256 << 20 // of resident memory
)

// TestMemory pushes sixteen blobs of a GiB at once through one replica, then pulls them all at once from a
// replica that has just started. HOLDFAST_MEMORY_MIB makes the blobs smaller.
func TestMemory(t *testing.T) {
	size := int64(1 << 30)
	if text := os.Getenv("HOLDFAST_MEMORY_MIB"); text != "" {
		mib, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatalf("HOLDFAST_MEMORY_MIB: %v", err)
		}
		size = mib << 20
	}
	running := clustertest.Start(t, cluster.Options{Replicas: 1, NoHAProxy: true})
	digests := make([]string, clients)
	measure(t, running, "push", size, func(ctx context.Context, i int) (err error) {
		digests[i], err = push(ctx, running.URL, uint64(i)+1, size)
		return err
	})
	if err := running.Restart(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	measure(t, running, "pull", size, func(ctx context.Context, i int) error {
		return pull(ctx, running.URL, digests[i], size)
	})
}

// measure runs all clients at once and reads the replica's peak of resident memory after them.
func measure(t *testing.T, running *cluster.Cluster, name string, size int64, do func(context.Context, int) error) {
	t.Helper()
	begin := time.Now()
	group, ctx := errgroup.WithContext(t.Context())
	for i := range clients {
		group.Go(func() error { return do(ctx, i) })
	}
	if err := group.Wait(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	peak, err := peakBytes(running.Pid(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d x %d MiB at once in %s: peak of resident memory %d MiB", name, clients, size>>20, time.Since(begin).Round(time.Second), peak>>20)
	if peak > maxBytes {
		t.Errorf("%s: %d MiB are more than %d MiB", name, peak>>20, maxBytes>>20)
	}
}

// peakBytes is the most resident memory that a process had so far (VmHWM).
func peakBytes(pid int) (int64, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer file.Close() //nolint:errcheck // only read
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if rest, found := strings.CutPrefix(lines.Text(), "VmHWM:"); found {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("no VmHWM in /proc")
}

// content is size bytes that no other seed has, cheap to make: a block that is stamped with its place.
type content struct {
	block  []byte
	offset int64
	size   int64
}

func newContent(seed uint64, size int64) *content {
	c := &content{block: make([]byte, 64<<10), size: size}
	source := rand.New(rand.NewPCG(seed, seed))
	for i := range c.block {
		c.block[i] = byte(source.Uint32())
	}
	return c
}

func (c *content) Read(p []byte) (int, error) {
	if c.offset == c.size {
		return 0, io.EOF
	}
	within := int(c.offset % int64(len(c.block)))
	if within == 0 {
		copy(c.block, strconv.FormatInt(c.offset, 10))
	}
	n := copy(p, c.block[within:])
	n = int(min(int64(n), c.size-c.offset))
	c.offset += int64(n)
	return n, nil
}

// push uploads as docker does: POST, one streamed PATCH, PUT.
func push(ctx context.Context, base string, seed uint64, size int64) (digest string, err error) {
	at, err := exchange(ctx, http.MethodPost, base+"/v2/big/blobs/uploads/", nil, http.StatusAccepted)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	body := io.TeeReader(newContent(seed, size), sum)
	if at, err = exchange(ctx, http.MethodPatch, base+at, body, http.StatusAccepted); err != nil {
		return "", err
	}
	digest = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	separator := "?"
	if strings.Contains(at, "?") {
		separator = "&"
	}
	_, err = exchange(ctx, http.MethodPut, base+at+separator+"digest="+digest, nil, http.StatusCreated)
	return digest, err
}

func exchange(ctx context.Context, method, url string, body io.Reader, want int) (location string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close() //nolint:errcheck // its status is all that counts
	if res.StatusCode != want {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		return "", fmt.Errorf("%s: %s: %s", method, res.Status, text)
	}
	return res.Header.Get("Location"), nil
}

func pull(ctx context.Context, base, digest string, size int64) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v2/big/blobs/"+digest, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	sum := sha256.New()
	n, err := io.Copy(sum, res.Body)
	switch got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); {
	case err != nil:
		return err
	case res.StatusCode != http.StatusOK || n != size || got != digest:
		return fmt.Errorf("%s: %d bytes of %s, want %d of %s", res.Status, n, got, size, digest)
	}
	return nil
}
