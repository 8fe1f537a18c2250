package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzLoad: whatever a file holds, Load returns; either with problems that fit on a line each, or with a
// configuration that prints as a file that loads.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(filepath.Ext(file), string(text))
	}
	for _, text := range []string{
		"", "{}", "null", "[1]", "\ufeff{}", "a: &a [*a]", "a: &a\n  <<: *a", "? {a: b}\n: c", "--- a\n--- b", "\t", "a:\n\tb", "%YAML 1.1\n---\na",
		`{"storage":{"rootDirectory":"${A:-/d}","commit":"t"}}`, "storage: {rootDirectory: /d, storageDriver: {name: s3, bucket: b, secretkeyFile: f}}",
		"http: {port: 0x10, readTimeout: 1e3, address: '[::1%]', maxBlobSize: 9223372036854775807 KiB}", "log: {level: !!int 1}", "a: !!binary YQ==",
	} {
		f.Add("", text)
		f.Add(".json", text)
	}
	read := func(path string) (secretFile, error) {
		if len(path)%2 == 0 {
			return secretFile{}, errors.New("not here")
		}
		return secretFile{text: path, mode: 0o644}, nil
	}
	f.Fuzz(func(t *testing.T, ext, text string) {
		env := environment("A", "a", "B", "")
		c, r, err := load("c"+ext, []byte(text), env, read)
		if (c == nil) != (err != nil) || (err != nil) != (len(r.Problems) > 0) {
			t.Fatalf("%v, %v, %v do not belong together", c, r, err)
		}
		for _, p := range r.Problems {
			if strings.ContainsAny(p.String()[:len(p.String())-len(p.File)], "\n\r\x00\x1b") && !strings.ContainsAny(ext, "\n\r\x00\x1b") {
				t.Errorf("a problem is more than a line: %q", p.String())
			}
		}
		for _, w := range r.Warnings {
			if strings.ContainsAny(w.String(), "\n\r\x00\x1b") {
				t.Errorf("a warning is more than a line: %q", w.String())
			}
		}
		if c == nil {
			return
		}
		again, r, err := load("c.yaml", []byte(c.Redacted()), env, read)
		if err != nil {
			t.Fatalf("%v\n%s", r.Problems, c.Redacted())
		}
		for _, s := range []*Store{&c.Storage.Store, &again.Storage.Store} {
			s.S3.AccessKey, s.S3.SecretKey, s.S3.SessionToken = "", "", ""
			s.Cache.Redis.Password, s.Cache.Redis.SentinelPassword = "", ""
		}
		c.Storage.SubPaths, again.Storage.SubPaths = nil, nil
		if diff := cmp.Diff(c, again); diff != "" {
			t.Errorf("Redacted loads as another configuration (-want +got):\n%s\n%s", diff, c.Redacted())
		}
	})
}
