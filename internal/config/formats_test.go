package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The same file in every form in which it may come.
func TestFormats(t *testing.T) {
	const (
		json = "{\n\t\"storage\": {\n\t\t\"rootDirectory\": \"/d\\u002fe\",\r\n\t\t\"commit\": true, \"gc\": null\n\t},\n\t\"http\": {\"port\": 5e3}\n}\n"
		yaml = "# A comment\n---\nstorage:\n  rootDirectory: /d/e\n  commit: True\n  gc: ~\nhttp:\n  port: 5000\n...\n"
	)
	want := Default()
	want.Storage.RootDirectory, want.HTTP.Port = "/d/e", 5000
	for _, tt := range []struct{ file, text string }{
		{"c.json", json}, {"c.JSON", json}, {"c.yaml", json}, {"c.yml", json}, {"c", json}, {"c.conf", json}, {"c.json", "\ufeff" + json},
		{"c.yaml", yaml}, {"c.yml", yaml}, {"c", yaml}, {"c.conf", yaml}, {"c.yaml", "\ufeff" + yaml}, {"c.yaml", strings.ReplaceAll(yaml, "\n", "\r\n")},
		{"c", "{storage: {rootDirectory: /d/e, commit: true}, http: {port: 5000}}"},
	} {
		c, _ := mustLoad(t, tt.file, tt.text)
		if diff := cmp.Diff(want, c); diff != "" {
			t.Errorf("%s (-want +got):\n%s%s", tt.file, diff, tt.text)
		}
	}
}

func TestYAMLAliasesAndMerges(t *testing.T) {
	c, _ := mustLoad(t, "c.yaml", `
storage:
  rootDirectory: /d
  storageDriver: &driver
    name: s3
    bucket: &bucket images
    region: eu-west-1
    rootdirectory: root
  subPaths:
    /a:
      storageDriver: {<<: *driver, rootdirectory: a}
    /b:
      storageDriver:
        rootdirectory: b
        <<: [{bucket: others}, *driver]
    /c:
      storageDriver: {name: s3, bucket: *bucket, rootdirectory: c}
`)
	for route, want := range map[string]S3{
		"a": {Bucket: "images", Region: "eu-west-1", RootDirectory: "a", Secure: true},
		"b": {Bucket: "others", Region: "eu-west-1", RootDirectory: "b", Secure: true},
		"c": {Bucket: "images", RootDirectory: "c", Secure: true},
	} {
		if diff := cmp.Diff(want, c.Storage.SubPaths[route].S3); diff != "" {
			t.Errorf("%s (-want +got):\n%s", route, diff)
		}
	}
}

// Nine levels of nine aliases each would be 400 million values.
func TestAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i <= 9; i++ {
		level, below := string(rune('0'+i)), "*a"+string(rune('0'+i-1))
		b.WriteString("a" + level + ": &a" + level + " [" + strings.TrimSuffix(strings.Repeat(below+", ", 9), ", ") + "]\n")
	}
	start := time.Now()
	_, r, err := loadText("c.yaml", b.String())
	if err == nil || len(r.Problems) != 1 || !strings.Contains(err.Error(), "an alias multiplies") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestEnvironment(t *testing.T) {
	c, w := mustLoad(t, "c.yaml", `
storage:
  rootDirectory: ${DATA}/${NAME:-none}/$${DATA}/$DATA/$
  commit: ${COMMIT:-true}
  storageDriver:
    name: s3
    bucket: ${BUCKET}
    region: "${EMPTY:-eu-west-1}"
    rootdirectory: ${PREFIX:-}
    accesskey: ${KEY}
    secretkey: ${KEY}
    useragent: ${NEST:-a:-b}
http:
  port: ${PORT}
`, "DATA", "/data", "BUCKET", "images", "EMPTY", "", "KEY", "a${DATA}", "PORT", "5000")
	want := Default()
	want.Storage.Driver, want.Storage.RootDirectory = DriverS3, "/data/none/${DATA}/$DATA/$"
	want.Storage.S3 = S3{Bucket: "images", AccessKey: "a${DATA}", SecretKey: "a${DATA}", UserAgent: "a:-b", Secure: true}
	want.HTTP.Port = 5000
	if diff := cmp.Diff(want, c); diff != "" || w != nil {
		t.Errorf("(-want +got):\n%s\nwarnings: %q", diff, w)
	}
}

// A variable, or an alias of a text with one, does not multiply without an end.
func TestEnvironmentBomb(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, text := range []string{
		local + "log: {output: '" + strings.Repeat("${LONG}", 20) + "'}\n",
		"goVersion: &a '" + strings.Repeat("x", 100_000) + "${LONG}'\nhttp: {compat: [*a" + strings.Repeat(", *a", 10_000) + "]}\n" + local,
	} {
		_, r, err := loadText("c.yaml", text, "LONG", long)
		if err == nil || !strings.Contains(r.Problems[0].String(), "makes the file too large with what the environment says: want at most 1048576 bytes") {
			t.Errorf("got %v", err)
		}
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1": "127.0.0.1:80", "0.0.0.0": "0.0.0.0:80", "::1": "[::1]:80", "[::1]": "[::1]:80", "[fe80::1%eth0]": "[fe80::1%eth0]:80",
		"::": "[::]:80", "": ":80", "localhost": "localhost:80", "registry-1.example.com": "registry-1.example.com:80",
	} {
		c, _ := mustLoad(t, "c.yaml", local+"http: {port: 80, address: \""+address+"\"}\n")
		if got := c.HTTP.Addr(); got != want {
			t.Errorf("%q: Addr = %q, want %q", address, got, want)
		}
	}
	for _, address := range []string{"[", "[]", "::1::", "1.2.3", "300.1.1.1", "a b", "http://localhost", "host:80", "a..b", "-a", strings.Repeat("a.", 200) + "b"} {
		if _, _, err := loadText("c.yaml", local+"http: {address: \""+address+"\"}\n"); err == nil {
			t.Errorf("%q is taken for an address", address)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"rootDirectory", "storageDriver", "subPaths", "gc", "gcDelay", "port", "address"}
	for name, want := range map[string]string{
		"rootdir": "", "rootDirectry": "rootDirectory", "ROOTDIRECTORY ": "rootDirectory", "subPath": "subPaths", "gcdealy": "gcDelay", "gv": "gc",
		"prot": "port", "adress": "address", "": "", "colour": "", strings.Repeat("x", 500): "",
	} {
		if got := nearest(name, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", name, got, want)
		}
	}
}
