package load

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// TestContent: a blob's digest is that of its bytes, wherever one begins to read; no two blobs are the same.
func TestContent(t *testing.T) {
	c := NewContent([32]byte{1})
	seen := map[string]bool{}
	for _, size := range []int64{32, 33, 1 << 10, baseSize, baseSize + 40, 2*baseSize + 31} {
		for range 2 {
			b, err := c.Blob(size)
			if err != nil {
				t.Fatal(err)
			}
			all, err := io.ReadAll(b.Reader())
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(all)
			if int64(len(all)) != size || b.Digest != "sha256:"+hex.EncodeToString(sum[:]) {
				t.Errorf("%d bytes: %d come, digest %s", size, len(all), b.Digest)
			}
			part, err := io.ReadAll(b.Section(size/3, size/2))
			if err != nil || !bytes.Equal(part, all[size/3:size/3+size/2]) {
				t.Errorf("%d bytes: a section differs: %v", size, err)
			}
			if same, err := b.Equal(bytes.NewReader(all)); !same || err != nil {
				t.Errorf("%d bytes: not equal to itself: %v", size, err)
			}
			all[len(all)/2]++
			if same, _ := b.Equal(bytes.NewReader(all)); same {
				t.Errorf("%d bytes: a changed byte is not seen", size)
			}
			if same, _ := b.Equal(bytes.NewReader(all[:len(all)-1])); same {
				t.Errorf("%d bytes: a missing byte is not seen", size)
			}
			if seen[b.Digest] {
				t.Errorf("%d bytes: made twice", size)
			}
			seen[b.Digest] = true
		}
	}
	if _, err := c.Blob(31); err == nil {
		t.Error("a blob of 31 bytes")
	}
}

// TestRun: what has begun when the time is over counts; the rate is the sum of what each client does while it is busy.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := Run(t.Context(), 4, time.Second, Plain(func(_ context.Context, client int) error {
			time.Sleep(time.Duration(client+1) * 150 * time.Millisecond)
			return nil
		}))
		// 7 of 150 ms, 4 of 300 ms, 3 of 450 ms, 2 of 600 ms.
		want := 1/0.15 + 1/0.3 + 1/0.45 + 1/0.6
		if len(r.Took) != 16 || r.Errors != 0 || r.Rate < want-0.01 || r.Rate > want+0.01 || r.Wall != 1350*time.Millisecond {
			t.Errorf("%d operations, %d errors, rate %.3f, want %.3f, wall %s", len(r.Took), r.Errors, r.Rate, want, r.Wall)
		}
		broken := errors.New("broken")
		r = Run(t.Context(), 3, 0, func(_ context.Context, client int) (time.Duration, error) {
			if client == 1 {
				return 0, broken
			}
			return time.Millisecond, nil
		})
		if len(r.Took) != 2 || r.Took[0] != time.Millisecond || r.Errors != 1 || !errors.Is(r.Err, broken) {
			t.Errorf("%d operations, %d errors, %v", len(r.Took), r.Errors, r.Err)
		}
	})
}

// TestNext: a list's next page, as registries write it.
func TestNext(t *testing.T) {
	for _, one := range []struct{ link, want string }{
		{"", ""},
		{`</v2/a/tags/list?n=2&last=b>; rel="next"`, "/v2/a/tags/list?n=2&last=b"},
		{`<http://host/v2/a/tags/list?last=b>; rel="next"`, "/v2/a/tags/list?last=b"},
		{`<list?last=b>; rel="next"`, "/v2/a/tags/list?last=b"},
	} {
		if got := next(one.link, "/v2/a/tags/list"); got != one.want {
			t.Errorf("%s: %q, want %q", one.link, got, one.want)
		}
	}
}

// TestTimes: each client does it so often, also where it fails.
func TestTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := Times(t.Context(), 2, 3, Plain(func(_ context.Context, client int) error {
			time.Sleep(time.Millisecond)
			if client == 0 {
				return errors.New("no")
			}
			return nil
		}))
		if len(r.Took) != 3 || r.Errors != 3 || r.Err == nil {
			t.Errorf("%+v", r)
		}
	})
}
