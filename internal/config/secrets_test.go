package config

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// canaries fails when text shows any of the secrets that the files of testdata hold.
func canaries(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range []string{"canary", "hunter2"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows %s:\n%s", where, secret, text)
		}
	}
}

// shown returns v in every form in which a program may write it by mistake.
func shown(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10s", "%.3s"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	for _, encode := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		text, err := encode(v)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(h).Info("loaded", "config", v)
	}
	return b.String()
}

func TestSecretsAreNeverShown(t *testing.T) {
	for _, file := range []string{"zot.yaml", "auth.json", "problems.yaml"} {
		c, r, err := Load(filepath.Join("testdata", file), environment("ACCESS", "canary-environment"))
		canaries(t, file+": report", shown(t, r))
		canaries(t, file+": warnings", strings.Join(warnings(r), "\n"))
		if err != nil {
			canaries(t, file+": error", shown(t, err)+err.Error())
		}
		if c != nil {
			canaries(t, file, shown(t, c)+shown(t, *c)+shown(t, c.Storage.S3)+c.Redacted())
			if c.Storage.S3.SecretKey != "canary-secret" {
				t.Errorf("the secret key is %q", string(c.Storage.S3.SecretKey))
			}
		}
	}
}

func TestSecret(t *testing.T) {
	s := Secret("hunter2")
	text := shown(t, s) + shown(t, []Secret{s}) + shown(t, map[string]Secret{"a": s}) + shown(t, struct{ S *Secret }{&s})
	canaries(t, "Secret", text)
	if !strings.Contains(text, masked) {
		t.Errorf("no %s in:\n%s", masked, text)
	}
	if x, err := xml.Marshal(s); err != nil || strings.Contains(string(x), "hunter2") {
		t.Errorf("XML: %s, %v", x, err)
	}
	if got := fmt.Sprintf("%v%s%#v", Secret(""), Secret(""), Secret("")); got != `""` {
		t.Errorf("nothing shows as %s", got)
	}
}

// A mistake near a secret does not make a problem show it.
func TestMistakesDoNotShowSecrets(t *testing.T) {
	mode := func(keys string) string { return s3With(keys) }
	for _, text := range []string{
		mode("secretkye: hunter2"),
		mode("secretkey:hunter2"),
		mode("secretkey=hunter2"),
		mode("secretkey: [hunter2"),
		mode("secretkey: *hunter2"),
		mode("secretkey: !hunter2"),
		mode("secretkey: !hunter2 x"),
		mode("secretkey: {hunter2: hunter2}"),
		mode("secretkey: '${hunter2'"),
		mode("secretkey: '${hunter2 }'"),
		mode("accesskey: a, secretkeyFile: hunter2"),
		mode("accesskey: a, secretkeyFile: '${SECRET}'"),
		mode("accesskey: a, secretkeyFile: [hunter2]"),
		mode("accesskey: a, secretkey: hunter2, secretkeyFile: hunter2"),
		mode("secure: '${SECRET}', chunksize: '${SECRET}', bucket: '${SECRET}/', rootdirectory: '${SECRET}/..'"),
		mode("regionendpoint: 'https://hunter2@host'"),
		mode("regionendpoint: 'https://host?token=hunter2'"),
		mode("regionendpoint: 'user:hunter2@host/?'"),
		"storage:\n  storageDriver: hunter2\n",
		"storage:\n  storageDriver:\n    name: s3\n    secretkey:hunter2\n    bucket: b\n",
		"storage:\n  storageDriver:\n    name: s3\n\tsecretkey: hunter2\n",
		"hunter2\n",
		"- hunter2\n",
		`{"storage": {"storageDriver": {"name": "s3", "secretkey": hunter2}}}`,
		`{"storage": {"storageDriver": {"name": "s3", "secretkey": "hunter2}}}`,
		local + "http: {auth: {htpasswd: {path: hunter2}, openid: hunter2}, tls: {key: hunter2}}\n",
	} {
		_, r, err := loadText("c", text, "SECRET", "hunter2")
		if err == nil {
			t.Errorf("no problem with\n%s", text)
			continue
		}
		canaries(t, text, shown(t, r)+err.Error())
	}
}

func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	access := write("access", "canary-access\n", 0o600)
	secret := write("secret", "canary secret \r\n\n", 0o400)
	open := write("open", "canary", 0o644)
	empty := write("empty", "\n\n", 0o600)
	large := write("large", strings.Repeat("canary", maxSecretBytes), 0o600)

	c, w := mustLoad(t, "c.yaml", s3With("accesskeyFile: "+access+", SECRETKEYFILE: '${DIR}/secret', sessiontokenfile: "+open), "DIR", dir)
	if s := c.Storage.S3; s.AccessKey != "canary-access" || s.SecretKey != "canary secret " || s.SessionToken != "canary" {
		t.Errorf("read %q, %q, %q", string(s.AccessKey), string(s.SecretKey), string(s.SessionToken))
	}
	want := "config: storage.storageDriver.sessiontokenFile: the file has mode 0644, others than its owner may use it: give it 0600 or 0400"
	if len(w) != 1 || w[0] != want {
		t.Errorf("warnings %q, want %q", w, want)
	}

	for _, tt := range []struct{ keys, want string }{
		{"secretkeyFile: " + secret + ".not", "config: storage.storageDriver.secretkeyFile: cannot be read: no such file or directory (c.yaml:3:74)"},
		{"secretkeyFile: " + empty, "config: storage.storageDriver.secretkeyFile: the file is empty: want the secret in it (c.yaml:3:74)"},
		{"secretkeyFile: " + large, "config: storage.storageDriver.secretkeyFile: cannot be read: more than 65536 bytes (c.yaml:3:74)"},
		{"secretkeyFile: " + dir, "config: storage.storageDriver.secretkeyFile: cannot be read: not a regular file (c.yaml:3:74)"},
		{"secretkeyFile: ''", "config: storage.storageDriver.secretkeyFile: names no file: want the path of a file that holds the secret (c.yaml:3:74)"},
		{"secretkeyFile: {}", "config: storage.storageDriver.secretkeyFile: has the wrong type: got a mapping, want a text (c.yaml:3:74)"},
		{"secretkeyFile: " + secret + ", secretkey: hidden",
			"config: storage.storageDriver.secretkeyFile: gives a secret that secretkey gives too: want one of the two (c.yaml:3:59)"},
		{"secretkey: hidden, secretkeyFile: " + secret,
			"config: storage.storageDriver.secretkeyFile: gives a secret that secretkey gives too: want one of the two (c.yaml:3:78)"},
	} {
		_, _, err := loadText("c.yaml", s3With("accesskey: a, "+tt.keys))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s:\ngot  %v\nwant %s", tt.keys, err, tt.want)
		}
	}
	// A secret that nobody uses is not read.
	mustLoad(t, "c.yaml", "storage: {rootDirectory: /d}\ncluster: {hashKeyFile: /not/there}\n")
}
