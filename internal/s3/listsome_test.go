package s3_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"holdfast/internal/s3"
	"holdfast/internal/s3/s3test"
)

// asked notes how many keys each list asks for.
type asked struct {
	next http.RoundTripper
	keys []int
}

func (a *asked) RoundTrip(r *http.Request) (*http.Response, error) {
	if n, err := strconv.Atoi(r.URL.Query().Get("max-keys")); err == nil {
		a.keys = append(a.keys, n)
	}
	return a.next.RoundTrip(r)
}

// TestListSome: a list is the same however few keys its caller expects, and asks the store for about so many.
func TestListSome(t *testing.T) {
	s3test.Each(t, func(t *testing.T, server s3test.Server) {
		seen := &asked{}
		c := server.Client(t, func(cfg *s3.Config) {
			cfg.Transport = func(next http.RoundTripper) http.RoundTripper { seen.next = next; return seen }
		})
		var want []string
		for i := range 120 {
			key := fmt.Sprintf("x/%03d", i)
			if _, err := c.PutValue(t.Context(), key, []byte(key), s3.Condition{Absent: true}); err != nil {
				t.Fatal(err)
			}
			want = append(want, key)
		}
		for _, row := range []struct {
			expected, read int // read: 0 for all
			pages          []int
		}{
			{0, 0, []int{1000}}, {1, 1, []int{16}}, {40, 40, []int{40}}, {40, 41, []int{40, 80}}, {40, 0, []int{40, 80}}, {20, 0, []int{20, 40, 80}},
			{5000, 0, []int{1000}}, {1001, 3, []int{1000}},
		} {
			seen.keys = nil
			var got []string
			for item, err := range c.ListSome(t.Context(), "x/", "", row.expected) {
				if err != nil {
					t.Fatal(err)
				}
				if got = append(got, item.Key); len(got) == row.read {
					break
				}
			}
			if n := len(got); n != row.read && n != len(want) || !slices.Equal(got, want[:n]) {
				t.Errorf("%+v: %d keys, or others", row, n)
			}
			if !slices.Equal(seen.keys, row.pages) {
				t.Errorf("%+v: asked for %v", row, seen.keys)
			}
		}
	})
}
