package config

import (
	"errors"
	"flag"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/internal/collect/retain"
)

var update = flag.Bool("update", false, "write the golden files")

func environment(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

// loadText loads text as a file of that name, which is not on a disk.
func loadText(file, text string, env ...string) (*Config, Report, error) {
	return load(file, []byte(text), environment(env...), readSecretFile)
}

// mustLoad returns the configuration and the warnings of a file without problems.
func mustLoad(t *testing.T, file, text string, env ...string) (*Config, []string) {
	t.Helper()
	c, r, err := loadText(file, text, env...)
	if err != nil {
		t.Fatalf("load:\n%v\n%s", err, text)
	}
	return c, warnings(r)
}

func warnings(r Report) []string {
	var lines []string
	for _, w := range r.Warnings {
		lines = append(lines, w.String())
	}
	return lines
}

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// The published sample for S3 loads as it is, in both formats.
func TestSampleForS3(t *testing.T) {
	want := Default()
	want.DistSpecVersion = "1.0.1-dev"
	want.Storage.Driver = DriverS3
	want.Storage.RootDirectory = "/tmp/zot"
	want.Storage.S3 = S3{Bucket: "zot-storage", Region: "us-east-2", RootDirectory: "/zot", Secure: true}
	want.Storage.Cache.Driver = CacheDynamoDB
	want.Storage.Cache.Dynamo = DynamoDB{Endpoint: "http://localhost:4566", Region: "us-east-2", Table: "MainTable"}
	want.Log.Level = slog.LevelDebug
	for _, file := range []string{"testdata/s3.json", "testdata/s3.yaml"} {
		c, r, err := Load(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, c); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
		wantWarnings := []string{
			"config: distSpecVersion: is noted only: this registry speaks version 1.1.1 of the distribution-spec",
		}
		if diff := cmp.Diff(wantWarnings, warnings(r)); diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", file, diff)
		}
	}
}

func TestProblemsAreListedAtOnce(t *testing.T) {
	c, r, err := Load("testdata/problems.yaml", nil)
	if c != nil || err == nil || len(r.Problems) != 10 {
		t.Errorf("Load = %v, %d problems, %v; want no configuration and 10 problems", c, len(r.Problems), err)
	}
	golden(t, "problems.golden", err.Error()+"\n")
}

func TestEveryKeyOfZotIsKnown(t *testing.T) {
	c, r, err := Load("testdata/zot.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "zot.golden", strings.Join(warnings(r), "\n")+"\n\n"+c.Redacted())
}

// A file that asks for protection that is not there must not run open.
func TestProtectionIsNotIgnored(t *testing.T) {
	_, r, err := Load("testdata/auth.json", nil)
	if err == nil {
		t.Fatal("a file with TLS, authentication and access control was loaded")
	}
	golden(t, "auth.golden", err.Error()+"\n"+strings.Join(warnings(r), "\n"))

	for _, section := range []string{
		`tls: {cert: c}`, `auth: {failDelay: 5}`, `auth: {ldap: {port: 389}}`, `AUTH: {mtls: {dnsSanIndex: 1}}`, `auth: anything`,
		`auth: {token: {service: x}}`, `auth: {secureSession: true}`, `tls: [a]`, `accessControl: {adminPolicy: {users: [a]}}`, `accesscontrol: yes`, `accessControl: {repositories: {}, adminPolicy: {users: [], actions: []}}`,
	} {
		if _, _, err := loadText("c.yaml", "storage: {rootDirectory: /d}\nhttp:\n  "+section+"\n"); err == nil {
			t.Errorf("http: %s was loaded", section)
		}
	}
	for _, section := range []string{
		`tls: {}`, `tls:`, `tls: {cert: "", key: ""}`, `auth: {htpasswd: {path: ""}, apikey: false}`, `auth: {openid: {providers: {}}}`,
		`accessControl: {}`, `accessControl: {repositories: {}}`, `accessControl: {repositories: {"**": {anonymousPolicy: [read]}}}`, `auth: {htpasswd: {path: "${HTPASSWD:-}"}}`,
	} {
		if c, _ := mustLoad(t, "c.yaml", "storage: {rootDirectory: /d}\nhttp:\n  "+section+"\n"); c.HTTP.Auth.Given {
			t.Errorf("http: %s asks for authentication", section)
		}
	}
	for _, section := range []string{
		`auth: {htpasswd: {path: p}}`, `auth: {apikey: "true"}`, `auth: {htpasswd: {path: "false"}}`, `auth: {openid: {providers: {github: {clientid: "1"}}}}`,
		`auth: {bearer: {realm: "https://a/t", service: s, cert: c}}`, `auth: {ldap: {address: l, baseDN: "dc=x", userAttribute: uid, insecure: true}}`,
	} {
		if c, _ := mustLoad(t, "c.yaml", "storage: {rootDirectory: /d}\nhttp:\n  "+section+"\n"); !c.HTTP.Auth.Given || !c.HTTP.AccessRules().Authenticates {
			t.Errorf("http: %s asks for no authentication", section)
		}
	}
}

func TestDefaults(t *testing.T) {
	c, w := mustLoad(t, "c.json", `{"storage": {"rootDirectory": "./holdfast-data"}}`)
	if diff := cmp.Diff(Default(), c); diff != "" {
		t.Errorf("a file that says the directory only differs from Default (-want +got):\n%s", diff)
	}
	if w != nil {
		t.Errorf("warnings: %q", w)
	}
	if got := c.HTTP.Addr(); got != "127.0.0.1:8080" {
		t.Errorf("Addr = %q", got)
	}
}

func TestOwnKeys(t *testing.T) {
	c, w := mustLoad(t, "c.yaml", `
storage:
  rootDirectory: /d
  delete: false
  ignoreForeign: true
  memoryBudget: 64MiB
  subPaths:
    /team/apps/: {rootDirectory: /e, commit: "true"}
http: {drainDelay: 1s, drainTimeout: 2m, maxBlobSize: 10 GiB, address: "[::1]", port: 0}
`)
	want := Default()
	team := want.Storage.Store
	team.RootDirectory, team.DeleteEnabled, team.MaxBlobSize, team.GC.Enabled = "/e", false, 10<<30, false
	want.Storage.RootDirectory, want.Storage.DeleteEnabled, want.Storage.IgnoreForeign, want.Storage.MaxBlobSize = "/d", false, true, 10<<30
	want.Storage.MemoryBudget = 64 << 20
	want.Storage.SubPaths = map[string]Store{"team/apps": team}
	want.HTTP.Address, want.HTTP.Port = "::1", 0
	want.HTTP.DrainDelay, want.HTTP.DrainTimeout = time.Second, 2*time.Minute
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if w != nil {
		t.Errorf("warnings: %q", w)
	}
}

// Types are as weak as zot's, and the case of keys means nothing.
func TestWeakTypes(t *testing.T) {
	want, _ := mustLoad(t, "c.json", `{"storage": {"rootDirectory": "/d", "commit": false, "storageDriver": {"name": "s3", "bucket": "1234", "forcepathstyle": true, "chunksize": 8388608}},
		"http": {"port": 5000, "readTimeout": "0", "writeTimeout": "-1s"}, "log": {"level": "warn"}}`)
	got, _ := mustLoad(t, "c.yaml", `
STORAGE:
  ROOTDIRECTORY: /d
  commit: 0
  storagedriver: {Name: s3, BUCKET: 1234, ForcePathStyle: "1", chunksize: "8388608"}
HTTP: {Port: "5000", readtimeout: 0, writetimeout: 0s}
Log: {Level: WARNING}
`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.HTTP.Port != 5000 || got.HTTP.WriteTimeout != 0 || got.Storage.S3.ForcePathStyle == nil || got.Log.Level != slog.LevelWarn {
		t.Errorf("got %+v", got)
	}
}

func TestFileThatIsNotThere(t *testing.T) {
	_, r, err := Load(filepath.Join(t.TempDir(), "config.json"), nil)
	if !errors.Is(err, fs.ErrNotExist) || len(r.Problems) != 1 {
		t.Errorf("Load = %v, %v", r, err)
	}
	if _, _, err = Load(t.TempDir(), nil); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load of a directory = %v", err)
	}
}

// What Redacted prints is a file that says the same.
func TestRedactedLoads(t *testing.T) {
	for _, text := range []string{
		`{"storage": {"rootDirectory": "/d"}}`,
		`{"storage": {"rootDirectory": "/d", "subPaths": {"/a/b": {"rootDirectory": "/e"}, "c": {"storageDriver": {"name": "s3", "bucket": "b", "forcepathstyle": false}}}},
		  "http": {"port": 0, "maxBlobSize": "1GiB"}, "log": {"level": "panic", "output": "stderr"}}`,
	} {
		want, _ := mustLoad(t, "c.json", text)
		got, _ := mustLoad(t, "c.yaml", want.Redacted())
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s\n%s", diff, want.Redacted())
		}
	}
}

// Every key's value fits where it goes: assign would panic.
func TestTableFits(t *testing.T) {
	samples := []*node{{kind: textNode, text: "127.0.0.1"}, {kind: textNode, text: "8"}, {kind: textNode, text: "90s"}, {kind: textNode, text: "9ms"}, {kind: textNode, text: "true"},
		{kind: textNode, text: "debug"}, {kind: textNode, text: "64MiB"}, {kind: textNode, text: "22:00-06:00"},
		{kind: textNode, text: "127.0.0.1:9090"}, {kind: textNode, text: "http://collector:4318/v1/traces"}}
	seen := map[string]bool{}
	for _, k := range allKeys() {
		if seen[fold(k.path)] {
			t.Errorf("%s is in the table twice", k.path)
		}
		seen[fold(k.path)] = true
		if (k.text == "") != (k.state == honoured || k.state == silent) || (k.into != nil || k.items != nil || k.named != nil) != (k.state == honoured) {
			t.Errorf("%s: state, text and into do not belong together", k.path)
		}
		if k.into == nil || k.kind == nil {
			continue
		}
		fits := 0
		for _, n := range samples {
			if v, problem := k.kind(n); problem == nil {
				c := Default()
				assign(k.into(&target{config: c, store: &c.Storage.Store, policy: &retain.Policy{}, keep: &retain.KeepTags{}}), v)
				fits++
			}
		}
		if fits == 0 {
			t.Errorf("%s takes none of the samples", k.path)
		}
	}
}
