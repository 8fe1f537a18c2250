package collect

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/data"
	"holdfast/internal/format"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// The shape of a site: so many blobs in a manifest, which are its own, and manifests in a repository. Every other manifest has a tag.
const (
	blobsEach     = 5
	manifestsEach = 10
	blobBytes     = 32
)

// site is what a store holds before a pass.
type site struct {
	repositories, manifests, blobs int
	uselessManifests, uselessBlobs int64
}

// entry is a record on its way into a store.
type entry struct {
	key   record.Key
	write func(context.Context) error
}

// fill makes a site of about so many blobs. It writes the records in the order of their keys, by the rules of the format but without a
// registry: that would take many more requests.
func fill(ctx context.Context, s format.Store, segments data.Store, blobs, parallel int) (site, error) {
	var made site
	var entries []entry
	for made.blobs < blobs {
		repo := oci.Repository(fmt.Sprintf("team%d/app%d", made.repositories%97, made.repositories))
		made.repositories++
		entries = append(entries, entry{format.RepositoryKey(repo), put(s, format.RepositoryKey(repo), format.Marker{Meta: format.Meta{State: format.Live}}, nil)})
		for m := range manifestsEach {
			entries = append(entries, image(s, segments, repo, m)...)
			made.manifests++
			made.blobs += blobsEach
			if m%2 == 1 {
				made.uselessManifests++
				made.uselessBlobs += blobsEach
			}
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(string(a.key), string(b.key)) })
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, e := range entries {
		g.Go(func() error { return e.write(gctx) })
	}
	return made, g.Wait()
}

// put writes a value where there is none.
func put[H any, P format.HeadOf[H]](s format.Store, key record.Key, head H, body []byte) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := format.Write[H, P](ctx, s, key, format.Stored[H]{}, head, body, false)
		return err
	}
}

// image is a manifest, its blobs, and a tag when it is even.
func image(s format.Store, segments data.Store, repo oci.Repository, number int) []entry {
	var entries []entry
	var layers []string
	for b := range blobsEach {
		content := fmt.Sprintf("%-*s", blobBytes, fmt.Sprintf("%s %d %d", repo, number, b))
		d := digest.FromString(content)
		segment := format.Segment{ID: data.ID(format.RandomID()), Size: blobBytes}
		live := format.Meta{State: format.Live}
		record := put(s, format.BlobKey(d), format.Blob{Meta: live, Size: blobBytes, Segments: []format.Segment{segment}}, nil)
		entries = append(entries,
			entry{format.BlobKey(d), func(ctx context.Context) error {
				if err := store(ctx, segments, segment.ID, content); err != nil {
					return err
				}
				return record(ctx)
			}},
			entry{format.LinkKey(repo, d), put(s, format.LinkKey(repo, d), format.Link{Meta: live, Size: blobBytes, Segments: []format.Segment{segment}}, nil)})
		layers = append(layers, fmt.Sprintf(`{"mediaType":"a/b","digest":%q,"size":%d}`, d, blobBytes))
	}
	body := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, oci.MediaTypeImageManifest, layers[0], strings.Join(layers[1:], ","))
	d := digest.FromBytes(body)
	head := format.Manifest{Meta: format.Meta{State: format.Live}, MediaType: oci.MediaTypeImageManifest, Generation: format.RandomID()}
	entries = append(entries, entry{format.ManifestKey(repo, d), put(s, format.ManifestKey(repo, d), head, body)})
	if number%2 == 1 {
		return entries
	}
	tag := oci.Tag(fmt.Sprintf("v%d", number))
	value := format.Tag{Meta: format.Meta{State: format.Live}, Digest: d, Generation: head.Generation, MediaType: head.MediaType, Size: int64(len(body)), Pushed: s.Records.Now()}
	return append(entries,
		entry{format.MarkerKey(repo, d, tag), put(s, format.MarkerKey(repo, d, tag), format.Marker{Meta: format.Meta{State: format.Live}}, nil)},
		entry{format.TagKey(repo, tag), put(s, format.TagKey(repo, tag), value, body)})
}

func store(ctx context.Context, segments data.Store, id data.ID, content string) error {
	w, err := segments.Create(ctx, id)
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(content)); err != nil {
		return err
	}
	_, err = w.Commit(ctx)
	return err
}
