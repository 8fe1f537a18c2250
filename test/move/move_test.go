package move

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"holdfast/internal/move"
	"holdfast/internal/move/movetest"
	"holdfast/internal/s3/s3test"
	"holdfast/internal/server"
)

// do makes a move by the server's ways, and fails the test on any problem.
func do(t *testing.T, cfg server.Config, r move.Request) *move.Report {
	t.Helper()
	report, err := server.Move(t.Context(), cfg, r, slog.New(slog.DiscardHandler), func(move.Progress) {})
	if err != nil || report.ProblemsTotal != 0 {
		t.Fatalf("%s: %+v, %v", r.Do, report, err)
	}
	return report
}

// TestDirectoryAndBucket: an import into a directory whose server runs; a backup of it; a restore into a bucket beside a replica; a backup of that, restored into another directory.
func TestDirectoryAndBucket(t *testing.T) {
	images := movetest.Images(30)
	s3test.Each(t, func(t *testing.T, store s3test.Server) {
		zot := t.TempDir()
		movetest.Zot(t, zot, true, images)
		dir := local(t)
		url, _ := replica(t, dir)
		if r := do(t, dir, move.Request{Do: move.OpImport, Place: "zot:" + zot}); r.Manifests < len(images) {
			t.Errorf("an import that the server makes: %+v", r)
		}
		check(t, url, "", true, images)
		saved := t.TempDir()
		do(t, dir, move.Request{Do: move.OpBackup, Place: saved})

		target := store.Config(t)
		bucket := server.Config{Version: "test", Address: "127.0.0.1:0", DrainTimeout: time.Second, Storage: server.Storage{S3: &target}}
		url, _ = replica(t, bucket)
		do(t, bucket, move.Request{Do: move.OpRestore, Place: saved})
		check(t, url, "", true, images)
		again := t.TempDir()
		do(t, bucket, move.Request{Do: move.OpBackup, Place: again})
		if r := do(t, bucket, move.Request{Do: move.OpBackup, Place: again}); r.Unchanged != r.Repositories {
			t.Errorf("nothing has changed: %+v", r)
		}
		third := local(t)
		do(t, third, move.Request{Do: move.OpRestore, Place: again})
		url, _ = replica(t, third)
		check(t, url, "", true, images)
	})
}

// TestZotBucket: a bucket as zot leaves it, whose keys have the root directory twice and whose deduplicated blobs are empty objects.
func TestZotBucket(t *testing.T) {
	images := movetest.Images(20)
	s3test.Each(t, func(t *testing.T, store s3test.Server) {
		dir := t.TempDir()
		movetest.Zot(t, dir, true, images)
		source := store.Config(t)
		err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(dir, name)
			if err != nil {
				return err
			}
			key := path.Join(source.RootDirectory, source.RootDirectory, filepath.ToSlash(rel))
			_, err = store.SDK().PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &source.Bucket, Key: &key, Body: bytes.NewReader(content)})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		cfg := local(t)
		do(t, cfg, move.Request{Do: move.OpImport, Place: "zot-s3:" + zotFile(t, t.TempDir(), "8080", store, source.Bucket, source.RootDirectory)})
		url, _ := replica(t, cfg)
		check(t, url, "", true, images)
	})
}

// zotFile writes a configuration for zot, over a directory or, with a bucket, over that, and returns its name.
func zotFile(t *testing.T, dir, port string, store s3test.Server, bucket, root string) string {
	t.Helper()
	storage := map[string]any{"rootDirectory": dir, "dedupe": true, "gc": false}
	if bucket != "" {
		storage["remoteCache"] = false
		storage["storageDriver"] = map[string]any{
			"name": "s3", "rootdirectory": "/" + root, "region": "us-east-1", "regionendpoint": store.Endpoints[0], "bucket": bucket,
			"secure": false, "skipverify": false, "forcepathstyle": true, "accesskey": s3test.AccessKey, "secretkey": s3test.SecretKey,
		}
	}
	text, err := json.Marshal(map[string]any{
		"distSpecVersion": "1.1.1", "storage": storage,
		"http": map[string]any{"address": "127.0.0.1", "port": port, "compat": []string{"docker2s2"}},
		"log":  map[string]any{"level": "warn"},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "zot.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
