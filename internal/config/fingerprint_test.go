package config

import (
	"os"
	"path/filepath"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Kubernetes mounts a folder of links: file -> ..data/file, ..data -> ..2026, and changes the one in the middle.
func TestFingerprint(t *testing.T) {
	dir := t.TempDir()
	for _, version := range []string{"one", "two", "same"} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o750); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, version, "config.yaml"), "storage:\n  rootDirectory: /x\n  storageDriver:\n    name: s3\n    bucket: b\n    accesskey: a\n    secretkeyFile: "+filepath.Join(dir, "secret")+"\n")
	}
	write(t, filepath.Join(dir, "two", "config.yaml"), "storage: {rootDirectory: /y}\n")
	link := func(from, to string) {
		t.Helper()
		if err := os.Symlink(to, from+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(from+".new", from); err != nil {
			t.Fatal(err)
		}
	}
	data, file, secret := filepath.Join(dir, "..data"), filepath.Join(dir, "config.yaml"), filepath.Join(dir, "secret")
	write(t, secret, "old")
	link(data, "one")
	link(file, "..data/config.yaml")
	seen := Fingerprint(file, nil)
	for _, step := range []struct {
		name    string
		do      func()
		changes bool
	}{
		{"nothing", func() {}, false},
		{"links to the same bytes", func() { link(data, "same") }, false},
		{"the secret's bytes", func() { write(t, secret, "new") }, true},
		{"the secret goes", func() { _ = os.Remove(secret) }, true},
		{"the secret is a link now", func() { write(t, secret+"2", "new"); link(secret, secret+"2") }, true},
		{"and back to a file", func() { _ = os.Remove(secret); write(t, secret, "new") }, false},
		{"another file", func() { link(data, "two") }, true},
		{"what it does not name any more", func() { write(t, secret, "newer") }, false},
		{"a broken file", func() { write(t, filepath.Join(dir, "two", "config.yaml"), "storage: [") }, true},
		{"the file goes", func() { _ = os.Remove(data) }, true},
	} {
		step.do()
		got := Fingerprint(file, nil)
		if (got != seen) != step.changes {
			t.Errorf("%s: changed: %v", step.name, got != seen)
		}
		seen = got
	}
}

// The files of systemd's LoadCredential= are for the service alone, whatever their mode looks like: an ACL shows as
// rights of the group.
func TestCredentialsAreNotWarnedOf(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "s3-secret-key")
	write(t, secret, "hunter2\n")
	if err := os.Chmod(secret, 0o440); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	write(t, file, `storage: {rootDirectory: /x, storageDriver: {name: s3, bucket: b, accesskey: a, secretkeyFile: "${CREDENTIALS_DIRECTORY}/s3-secret-key"}}`)
	for _, row := range []struct {
		env      []string
		warnings int
	}{
		{[]string{"CREDENTIALS_DIRECTORY", dir}, 0},
		{[]string{"CREDENTIALS_DIRECTORY", dir + "/../" + filepath.Base(dir)}, 0},
	} {
		c, r, err := Load(file, environment(row.env...))
		if err != nil {
			t.Fatal(err)
		}
		if c.Storage.S3.SecretKey != "hunter2" {
			t.Errorf("the secret is %q", string(c.Storage.S3.SecretKey))
		}
		about := 0
		for _, w := range r.Warnings {
			if w.Path == "storage.storageDriver.secretkeyFile" {
				about++
			}
		}
		if about != row.warnings {
			t.Errorf("warnings: %v", r.Warnings)
		}
	}
	write(t, file, `storage: {rootDirectory: /x, storageDriver: {name: s3, bucket: b, accesskey: a, secretkeyFile: "`+secret+`"}}`)
	if _, r, err := Load(file, environment("CREDENTIALS_DIRECTORY", "/run/other")); err != nil || len(r.Warnings) == 0 {
		t.Errorf("a file of another folder: %v, %v", r.Warnings, err)
	}
}
