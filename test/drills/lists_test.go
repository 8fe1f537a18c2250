package drills

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/data"
	datafile "holdfast/internal/data/file"
	datas3 "holdfast/internal/data/s3"
	"holdfast/internal/oci"
	"holdfast/internal/record"
	recordbolt "holdfast/internal/record/bolt"
	records3 "holdfast/internal/record/s3"
	"holdfast/internal/registry"
	"holdfast/internal/s3"
	"holdfast/test/cluster"
)

// many is how much there is to list: copies of one tag in one repository, and of one repository.
type many struct{ tags, repositories int }

const manyTags = oci.Repository("lists/many")

// TestD34Lists: lists of very many tags and repositories are complete and in order at every replica while others push; no page takes
// long, and no replica needs memory for more than a page.
func TestD34Lists(t *testing.T) {
	size := sizeOf(t)
	m := pick(size, many{2500, 1200}, many{10_000, 5000}) // versitygw reads a whole folder for each page
	perform(t, drill{
		id: "D34",
		inject: func(r *run) {
			client, err := s3.New(r.Context(), s3.Config{
				Endpoint: r.cluster.S3[0], Bucket: r.cluster.Bucket, Region: cluster.Region, RootDirectory: "/zot",
				AccessKey: cluster.AccessKey, SecretKey: cluster.SecretKey,
			}, slog.New(slog.DiscardHandler))
			r.must(err)
			defer client.Close()
			budget, err := datas3.NewBudget(64 << 20)
			r.must(err)
			r.must(m.fill(r.Context(), records3.New(client, ""), datas3.New(client, "", budget), 32))
			m.check(r)
		},
	})
}

// TestD34ListsOfOneMachine is TestD34Lists over a directory.
func TestD34ListsOfOneMachine(t *testing.T) {
	size := sizeOf(t)
	m := pick(size, many{10_000, 2500}, many{1_000_000, 100_000})
	root := t.TempDir()
	perform(t, drill{
		id: "D34-local",
		cluster: func(o *cluster.Options) {
			dir := filepath.Join(root, "holdfast")
			records, err := recordbolt.Open(t.Context(), recordbolt.Config{Dir: dir, GroupDelay: 20 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			segments, err := datafile.Open(t.Context(), datafile.Config{Dir: filepath.Join(dir, "data")})
			if err != nil {
				t.Fatal(err)
			}
			if err := m.fill(t.Context(), records, segments, 1000); err != nil {
				t.Fatal(err)
			}
			for _, c := range []io.Closer{segments, records} {
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
			}
			o.Store, o.Replicas = cluster.Local, 1
			edit := o.Edit
			o.Edit = func(cfg map[string]any) {
				edit(cfg)
				cfg["storage"].(map[string]any)["rootDirectory"] = root
			}
		},
		inject: m.check,
	})
}

// tag is the n-th name. In their order names of many lengths mix, and of signs that sort before and after the others.
func (m many) tag(n int) string {
	return fmt.Sprintf("v%d%s", n/7, []string{"", "-a", ".0", "_b", "-0", "A", "z"}[n%7])
}

func (m many) repository(n int) string { return fmt.Sprintf("lists/r%d", n) }

// fill pushes one image, and copies its tag and its repository's entry.
func (m many) fill(ctx context.Context, records record.Store, segments data.Store, parallel int) error {
	l, err := registry.New(ctx, records, segments, registry.Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer l.Close()
	config := "{}"
	d := digest.FromString(config)
	if err := l.PushBlob(ctx, manyTags, d, strings.NewReader(config), int64(len(config))); err != nil {
		return err
	}
	body := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/json","digest":%q,"size":2},"layers":[]}`, d)
	if _, err := l.PushManifest(ctx, manyTags, registry.Push{Body: body, Tags: []oci.Tag{"first"}}); err != nil {
		return err
	}
	for prefix, copies := range map[record.Key][]string{
		"r/": names(m.tags, m.tag),
		"n/": names(m.repositories, m.repository),
	} {
		if err := copyEach(ctx, records, prefix, copies, parallel); err != nil {
			return err
		}
	}
	return nil
}

func names(n int, name func(int) string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = name(i)
	}
	return all
}

// copyEach writes the value of the first tag, or of its repository, under other names.
func copyEach(ctx context.Context, records record.Store, prefix record.Key, names []string, parallel int) error {
	for entry, err := range records.List(ctx, prefix, "") {
		if err != nil {
			return err
		}
		text := string(entry.Key)
		before, isTag := strings.CutSuffix(text, "/t/first")
		isRepository := text == "n/"+strings.ReplaceAll(string(manyTags), "/", ".")
		if !isTag && !isRepository {
			continue
		}
		rec, err := records.Get(ctx, entry.Key)
		if err != nil {
			return err
		}
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(parallel)
		for _, name := range names {
			key := record.Key(before + "/t/" + name)
			if isRepository {
				key = record.Key("n/" + strings.ReplaceAll(name, "/", "."))
			}
			g.Go(func() error {
				_, err := records.Put(gctx, key, rec.Value, record.IfAbsent())
				return err
			})
		}
		return g.Wait()
	}
	return fmt.Errorf("nothing below %s to copy", prefix)
}

// check lists everything at every replica while tags and repositories are pushed.
func (m many) check(r *run) {
	stop := make(chan struct{})
	var pushes errgroup.Group
	pushes.Go(func() error { return r.pushMore(stop) })
	var longest time.Duration
	for _, replica := range r.cluster.Replicas {
		longest = max(longest,
			r.listed(replica, "/v2/"+string(manyTags)+"/tags/list", "tags", names(m.tags, m.tag)),
			r.listed(replica, "/v2/_catalog", "repositories", names(m.repositories, m.repository)))
	}
	close(stop)
	r.must(pushes.Wait())
	r.result.Note["longest page"] = longest.String()
	r.result.Note["listed"] = fmt.Sprintf("%d tags, %d repositories", m.tags, m.repositories)
	if limit := r.size.bound(time.Second); longest > limit {
		r.Errorf("a page of a list took %s, want at most %s", longest, limit)
	}
	for n, u := range r.usage() {
		if u.Peak > 256<<20 && len(r.cluster.S3) > 0 { // a local database is mapped into memory
			r.Errorf("replica %d needed %d bytes", n+1, u.Peak)
		}
	}
}

// pushMore pushes the image by new tags, between those that are there, until stop.
func (r *run) pushMore(stop chan struct{}) error {
	_, body, _, err := r.ask(http.MethodGet, r.cluster.URL+"/v2/"+string(manyTags)+"/manifests/first", "")
	for n := 0; err == nil; n++ {
		select {
		case <-stop:
			return nil
		case <-time.After(10 * time.Millisecond):
		}
		var status int
		status, _, _, err = r.put(fmt.Sprintf("%s/v2/%s/manifests/v%d-new", r.cluster.URL, manyTags, n), string(body))
		if err == nil && status != http.StatusCreated {
			err = fmt.Errorf("a push answered %d", status)
		}
	}
	return err
}

// listed reads a list page by page, checks it, and returns how long the longest page took.
func (r *run) listed(replica, path, field string, want []string) (longest time.Duration) {
	r.Helper()
	var got []string
	for next := path + "?n=1000"; next != ""; {
		begin := time.Now()
		text, link, err := r.page(replica + next)
		r.must(err)
		longest = max(longest, time.Since(begin))
		page := map[string]json.RawMessage{}
		var names []string
		r.must(json.Unmarshal(text, &page))
		r.must(json.Unmarshal(page[field], &names))
		got = append(got, names...)
		next = link
	}
	if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		r.Errorf("%s of %s: not in order, or twice", field, replica)
	}
	missing := 0
	for _, name := range want {
		if _, found := slices.BinarySearch(got, name); !found {
			missing++
		}
	}
	if missing > 0 {
		r.Errorf("%s of %s: %d of %d are missing", field, replica, missing, len(want))
	}
	return longest
}

// page returns a page and where the next one is.
func (r *run) page(url string) (text []byte, next string, err error) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	if text, err = io.ReadAll(resp.Body); err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %d %s", url, resp.StatusCode, text)
	}
	link, _, _ := strings.Cut(strings.TrimPrefix(resp.Header.Get("Link"), "<"), ">")
	return text, link, err
}

func (r *run) put(url, manifest string) (status int, text []byte, location string, err error) {
	return r.askAs(http.MethodPut, url, "application/vnd.oci.image.manifest.v1+json", manifest)
}
