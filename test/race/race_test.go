package race

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"holdfast/test/cluster"
	"holdfast/test/cluster/clustertest"
)

func TestRaces(t *testing.T) {
	s := sizeFromEnv(t)
	c := clustertest.Start(t, cluster.Options{})
	for round := range s.rounds {
		t.Run(fmt.Sprintf("Round%d", round+1), func(t *testing.T) {
			t.Run("NoTagIsLost", func(t *testing.T) { testTagsLost(t, c, s) })
			t.Run("NoReferrerIsLost", func(t *testing.T) { testReferrersLost(t, c, s) })
			t.Run("OneTagHasOneWinner", func(t *testing.T) { testOneTag(t, c, s) })
			t.Run("AcknowledgedIsSeenAtOnce", func(t *testing.T) { testSeenAtOnce(t, c, s) })
			t.Run("OneLayerByManyAtOnce", func(t *testing.T) { testOneLayer(t, c, s) })
			t.Run("AnUploadPassesThroughAllReplicas", func(t *testing.T) { testUpload(t, c, s) })
		})
	}
}

// testTagsLost pushes distinct tags into one new repository, through all
// replicas at once: every acknowledged tag must be at every replica, alone and
// in the list.
func testTagsLost(t *testing.T, c *cluster.Cluster, s size) {
	repo, cl := newRepo(), newClient()
	var (
		mu    sync.Mutex
		acked = make(map[string]digest.Digest)
	)
	share(t, s.clients, s.tags, func(ctx context.Context, i int) error {
		tag := fmt.Sprintf("v%05d", i)
		d, err := cl.pushImage(ctx, c.Replicas, i, repo, tag, nil)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		acked[tag] = d.Digest
		return nil
	})
	var want []string
	for tag := range acked {
		want = append(want, tag)
	}
	slices.Sort(want)
	lost := 0
	for _, replica := range c.Replicas {
		got, err := cl.tags(t.Context(), replica, repo)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s lists other tags (-acknowledged +listed):\n%s", replica, diff)
		}
		share(t, s.clients, len(want), func(ctx context.Context, i int) error {
			got, err := cl.resolve(ctx, replica, repo, want[i])
			if err == nil && got != acked[want[i]] {
				err = fmt.Errorf("%s has %s under %s, want %s", replica, got, want[i], acked[want[i]])
			}
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				lost++
			}
			return err
		})
	}
	t.Logf("%d clients, %d tags acknowledged of %d, %d of %d reads lost or wrong", s.clients, len(acked), s.tags, lost, len(want)*len(c.Replicas))
}

// testReferrersLost pushes referrers of one subject through all replicas at once.
func testReferrersLost(t *testing.T, c *cluster.Cluster, s size) {
	repo, cl := newRepo(), newClient()
	subject, err := cl.pushImage(t.Context(), c.Replicas, 0, repo, "subject", nil)
	if err != nil {
		t.Fatal(err)
	}
	var (
		mu   sync.Mutex
		want []string
	)
	share(t, s.clients, min(s.tags, 100), func(ctx context.Context, i int) error {
		d, err := cl.pushImage(ctx, c.Replicas, i, repo, "", &subject)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		want = append(want, d.Digest.String())
		return nil
	})
	slices.Sort(want)
	for _, replica := range c.Replicas {
		_, body, err := cl.want(t.Context(), http.StatusOK, http.MethodGet, replica+"/v2/"+repo+"/referrers/"+subject.Digest.String(), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		var list v1.Index
		if err := json.Unmarshal(body, &list); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range list.Manifests {
			got = append(got, d.Digest.String())
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s lists other referrers (-acknowledged +listed):\n%s", replica, diff)
		}
	}
}

// testOneTag has all clients set one tag: in the end every replica has the same
// one of the manifests that were acknowledged (A69).
func testOneTag(t *testing.T, c *cluster.Cluster, s size) {
	repo, cl := newRepo(), newClient()
	var (
		mu    sync.Mutex
		acked = make(map[digest.Digest]bool)
	)
	share(t, s.clients, min(s.tags, 200), func(ctx context.Context, i int) error {
		d, err := cl.pushImage(ctx, c.Replicas, i, repo, "latest", nil)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		acked[d.Digest] = true
		return nil
	})
	seen := make(map[digest.Digest]bool)
	for _, replica := range c.Replicas {
		got, err := cl.resolve(t.Context(), replica, repo, "latest")
		if err != nil {
			t.Error(err)
		}
		if !acked[got] {
			t.Errorf("%s has %s, which was never acknowledged", replica, got)
		}
		seen[got] = true
	}
	if len(seen) != 1 {
		t.Errorf("the replicas disagree: %v", seen)
	}
	for d := range acked {
		for _, replica := range c.Replicas {
			if _, err := cl.resolve(t.Context(), replica, repo, d.String()); err != nil {
				t.Errorf("an acknowledged manifest is not there: %v", err)
			}
		}
	}
}

// testSeenAtOnce sets a tag through one replica and reads it through the others
// straight after the acknowledgement; deletes it, and looks again.
func testSeenAtOnce(t *testing.T, c *cluster.Cluster, s size) {
	cl := newClient()
	share(t, s.clients, min(s.tags, 100), func(ctx context.Context, i int) error {
		repo := newRepo()
		var last v1.Descriptor
		for step := range 4 {
			d, err := cl.pushImage(ctx, c.Replicas, i+step, repo, "latest", nil)
			if err != nil {
				return err
			}
			for _, replica := range c.Replicas {
				got, err := cl.resolve(ctx, replica, repo, "latest")
				if err != nil {
					return err
				}
				if got != d.Digest {
					return fmt.Errorf("%s has %s straight after %s was acknowledged (before: %s)", replica, got, d.Digest, last.Digest)
				}
			}
			last = d
		}
		if _, _, err := cl.want(ctx, http.StatusAccepted, http.MethodDelete, c.Replicas[i%len(c.Replicas)]+"/v2/"+repo+"/manifests/latest", "", nil); err != nil {
			return err
		}
		for _, replica := range c.Replicas {
			if _, _, err := cl.want(ctx, http.StatusNotFound, http.MethodGet, replica+"/v2/"+repo+"/manifests/latest", "", nil); err != nil {
				return fmt.Errorf("straight after its deletion: %w", err)
			}
		}
		return nil
	})
}

// testOneLayer pushes the same bytes at the same time through all replicas, into
// one repository and into many.
func testOneLayer(t *testing.T, c *cluster.Cluster, s size) {
	cl := newClient()
	for range 5 {
		content := fmt.Appendf(nil, "one layer %s", newRepo())
		one, want := newRepo(), digest.FromBytes(content)
		repos := []string{one, one, newRepo(), newRepo()}
		share(t, s.clients, 4*s.clients, func(ctx context.Context, i int) error {
			repo := repos[i%len(repos)]
			_, err := cl.pushBlob(ctx, c.Replicas[i%len(c.Replicas)], c.Replicas[(i+1)%len(c.Replicas)], repo, content)
			if err != nil {
				return err
			}
			_, body, err := cl.want(ctx, http.StatusOK, http.MethodGet, c.Replicas[(i+2)%len(c.Replicas)]+"/v2/"+repo+"/blobs/"+want.String(), "", nil)
			if err == nil && digest.FromBytes(body) != want {
				err = fmt.Errorf("%s holds other bytes: %q", want, body)
			}
			return err
		})
	}
}

// testUpload sends every chunk of an upload to another replica.
func testUpload(t *testing.T, c *cluster.Cluster, s size) {
	cl := newClient()
	share(t, s.clients, 2*s.clients, func(ctx context.Context, i int) error {
		repo := newRepo()
		at := func(n int) string { return c.Replicas[(i+n)%len(c.Replicas)] }
		head, _, err := cl.want(ctx, http.StatusAccepted, http.MethodPost, at(0)+"/v2/"+repo+"/blobs/uploads/", "", nil)
		var content []byte
		for n := range 7 {
			if err != nil {
				return err
			}
			chunk := fmt.Appendf(nil, "chunk %d of %s\n", n, repo)
			content = append(content, chunk...)
			head, _, err = cl.want(ctx, http.StatusAccepted, http.MethodPatch, at(n+1)+head.Get("Location"), "application/octet-stream", chunk)
			if err == nil && head.Get("Range") != fmt.Sprintf("0-%d", len(content)-1) {
				err = fmt.Errorf("after %d bytes the Range is %q", len(content), head.Get("Range"))
			}
		}
		if err != nil {
			return err
		}
		d := digest.FromBytes(content)
		if _, _, err = cl.want(ctx, http.StatusCreated, http.MethodPut, at(8)+head.Get("Location")+"?digest="+d.String(), "", nil); err != nil {
			return err
		}
		for _, replica := range c.Replicas {
			_, body, err := cl.want(ctx, http.StatusOK, http.MethodGet, replica+"/v2/"+repo+"/blobs/"+d.String(), "", nil)
			if err != nil {
				return err
			}
			if digest.FromBytes(body) != d {
				return fmt.Errorf("%s: %s holds other bytes", replica, d)
			}
		}
		return nil
	})
}
