package drills

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"holdfast/internal/collect/scrub"
	"holdfast/internal/oci"
	"holdfast/test/cluster"
)

// flips is how many segments are damaged.
const flips = 20

// TestBitFlipsInADirectory: a bit changes in twenty segments of a directory while no server runs. The scrub finds and names them all, nobody is
// given one as whole, and a push mends each.
func TestBitFlipsInADirectory(t *testing.T) {
	root := t.TempDir()
	r := prepare(t, drill{id: "flips-directory", cluster: func(o *cluster.Options) {
		o.Store, o.Replicas = cluster.Local, 1
		edit := o.Edit
		o.Edit = func(cfg map[string]any) {
			edit(cfg)
			cfg["storage"].(map[string]any)["rootDirectory"] = root
			cfg["http"].(map[string]any)["drainDelay"] = "0s"
		}
	}})
	images := r.pushImages()
	r.must(r.cluster.Signal(1, syscall.SIGTERM))
	r.must(r.cluster.Wait(t.Context(), 1))
	flipped := 0
	r.must(filepath.WalkDir(filepath.Join(root, "holdfast", "data"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !images.flip(text) {
			return err
		}
		flipped++
		return os.WriteFile(path, text, 0o600)
	}))
	if flipped != flips {
		t.Fatalf("%d files hold the %d layers", flipped, flips)
	}
	r.must(r.cluster.Restart(t.Context(), 1))
	images.judge()
}

// TestBitFlipsInABucket: the same over S3, where the objects are replaced by others of the same length.
func TestBitFlipsInABucket(t *testing.T) {
	r := prepare(t, drill{id: "flips-bucket"})
	images := r.pushImages()
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(r.cluster.S3[0]), Region: cluster.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(cluster.AccessKey, cluster.SecretKey, ""),
	})
	bucket, root := aws.String(r.cluster.Bucket), filepath.Join(r.cluster.S3Folder(), r.cluster.Bucket)
	flipped := 0
	r.must(filepath.WalkDir(filepath.Join(root, "zot", "holdfast", "d"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !images.flip(text) {
			return err
		}
		flipped++
		key, err := filepath.Rel(root, path)
		if err == nil {
			_, err = client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: aws.String(filepath.ToSlash(key)), Body: bytes.NewReader(text)})
		}
		return err
	}))
	if flipped != flips {
		t.Fatalf("%d objects hold the %d layers", flipped, flips)
	}
	images.judge()
}

// flipImages are images with a layer each, in one repository, under the tags 0 and so on.
type flipImages struct {
	*run
	layers []*blob
	damage map[digest.Digest]int
	random *rand.Rand
}

func (r *run) pushImages() *flipImages {
	r.Helper()
	images := &flipImages{run: r, damage: make(map[digest.Digest]int), random: rand.New(rand.NewPCG(r.seed, 9))}
	for n := range flips {
		l := r.pushed(100+images.random.Int64N(200_000), fmt.Sprintf("layer %d", n))
		images.layers = append(images.layers, l)
		images.damage[l.digest] = n
		config := &blob{run: r, repo: l.repo, content: []byte("{}"), digest: digest.FromString("{}")}
		if status := config.push(); status != http.StatusCreated {
			r.Fatalf("the push of a config answered %d", status)
		}
		m := v1.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
			Config: v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: config.digest, Size: int64(len(config.content))},
			Layers: []v1.Descriptor{{MediaType: v1.MediaTypeImageLayer, Digest: l.digest, Size: int64(len(l.content))}},
		}
		body, err := json.Marshal(m)
		r.must(err)
		status, text, _, err := r.askAs(http.MethodPut, fmt.Sprintf("%s/v2/%s/manifests/%d", r.cluster.URL, l.repo, n), m.MediaType, string(body))
		if r.must(err); status != http.StatusCreated {
			r.Fatalf("the push of image %d answered %d %s", n, status, text)
		}
	}
	return images
}

// flip changes one bit of the bytes of one of the layers, and leaves others as they are.
func (i *flipImages) flip(text []byte) bool {
	if _, ours := i.damage[digest.FromBytes(text)]; !ours {
		return false
	}
	text[i.random.IntN(len(text))] ^= 1 << i.random.IntN(8)
	return true
}

// judge scrubs, and checks what is found, served and mended.
func (i *flipImages) judge() {
	i.Helper()
	began := time.Now()
	code, damaged := i.scrub()
	i.Logf("the scrub took %s", time.Since(began).Round(time.Millisecond))
	if code != 1 || len(damaged) != flips {
		i.Errorf("scrub ended with %d and found %d of %d damages: %+v", code, len(damaged), flips, damaged)
	}
	found := make(map[digest.Digest]bool)
	for _, d := range damaged {
		n, ours := i.damage[d.Digest]
		tag := fmt.Sprintf("damaged/m:%d", n)
		named := slices.Equal(d.Repositories, []oci.Repository{"damaged/m"}) && slices.Equal(d.Tags, []string{tag})
		if !ours || !named || d.Kind != scrub.Altered || d.Segment == "" {
			i.Errorf("scrub found %+v, want %s, by its segment, in damaged/m, needed by %s", d, d.Digest, tag)
		}
		found[d.Digest] = true
	}
	if len(found) != len(damaged) {
		i.Errorf("scrub names %d digests in %d damages", len(found), len(damaged))
	}
	for _, l := range i.layers {
		l.refused("a bit that changed")
		l.mends("a bit that changed")
	}
	if code, damaged := i.scrub(); code != 0 || len(damaged) != 0 {
		i.Errorf("after all was pushed again scrub ended with %d and found %+v", code, damaged)
	}
	if code, out := i.command(i.Context(), "fsck", "--json"); code != 0 {
		i.Errorf("fsck ended with %d:\n%s", code, out)
	}
}

// scrub makes a round. While a replica makes one it is refused.
func (i *flipImages) scrub() (code int, damaged []scrub.Damage) {
	i.Helper()
	code, out := i.command(i.Context(), "scrub", "--json")
	var reports []struct{ Report scrub.Report }
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&reports); err != nil || len(reports) != 1 {
		i.Fatalf("scrub ended with %d and printed %q: %v", code, out, err)
	}
	if r := reports[0].Report; r.Ended.IsZero() || r.DamagedTotal != int64(len(r.Damaged)) {
		i.Errorf("scrub has not ended its round, or not named all: %+v", r)
	}
	return code, reports[0].Report.Damaged
}
