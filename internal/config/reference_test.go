package config

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

var updateReference = flag.Bool("update-reference", false, "write docs/configuration.md and its schema anew")

// TestEveryKeyHasAMeaning: the reference says of each honoured key what it does, and names none that is not there.
func TestEveryKeyHasAMeaning(t *testing.T) {
	said := map[string]bool{}
	for _, m := range meanings() {
		if said[m[0]] {
			t.Errorf("%s: is there twice", m[0])
		}
		said[m[0]] = true
	}
	for _, k := range allKeys() {
		if k.into == nil || strings.HasPrefix(k.path, "storage.subPaths.") {
			continue
		}
		if !said[k.path] {
			t.Errorf("%s: meanings() says nothing of it", k.path)
		}
		delete(said, k.path)
	}
	for path := range said {
		t.Errorf("%s: is not an honoured key", path)
	}
	honoured, _, _ := Keys()
	for _, path := range ours() {
		if !slices.ContainsFunc(honoured, func(k Key) bool { return k.Path == path && k.Ours }) {
			t.Errorf("%s: is not a key of ours", path)
		}
	}
}

// TestReferenceIsCurrent: `make docs` brings the files up to date.
func TestReferenceIsCurrent(t *testing.T) {
	schema, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"configuration.md": Reference(), "configuration.schema.json": string(schema) + "\n"} {
		path := filepath.Join("..", "..", "docs", name)
		if *updateReference {
			if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is not what the code says: run make docs", path)
		}
	}
}

// TestSchema: what Load takes the schema takes, and it finds a key with a letter wrong.
func TestSchema(t *testing.T) {
	schema := compiled(t)
	for _, tc := range []struct {
		name, text string
		valid      bool
	}{
		{"empty", `{}`, true},
		{"plain", `{storage: {rootDirectory: /tmp/zot, gc: "true", gcDelay: 2h}, http: {address: 127.0.0.1, port: "8080"}, log: {level: debug}}`, true},
		{"variables", `{storage: {rootDirectory: "${HOME}", memoryBudget: "${MEMORY}"}, http: {port: "${PORT:-5000}"}}`, true},
		{"S3", `{storage: {storageDriver: {name: s3, bucket: b, region: r, secretkeyFile: /run/secret, chunksize: 32MiB}}}`, true},
		{"subPaths", `{storage: {rootDirectory: /a, subPaths: {/b: {rootDirectory: /b, retention: {policies: [{repositories: ["**"]}]}}}}}`, true},
		{"sections", `{extensions: {metrics: null, scrub: {interval: 24h}, search: {enable: false}}}`, true},
		{"a letter wrong", `{storage: {rootDirektory: /a}}`, false},
		{"a letter wrong below", `{storage: {subPaths: {/b: {gcDeley: 1h}}}}`, false},
		{"a letter wrong in a driver", `{storage: {storageDriver: {name: s3, buckett: b}}}`, false},
		{"a driver that is not there", `{storage: {storageDriver: {name: gcs}}}`, false},
		{"a duration without a unit", `{storage: {gcDelay: 3}}`, false},
		{"a list for a boolean", `{storage: {gc: [true]}}`, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var value any
			if err := yaml.Unmarshal([]byte(tc.text), &value); err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(value); (err == nil) != tc.valid {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("the effective configuration", func(t *testing.T) {
		for _, file := range []string{"zot.yaml", "s3.yaml", "s3.json"} {
			cfg, _, err := Load(filepath.Join("testdata", file), func(string) (string, bool) { return "x", true })
			if err != nil {
				t.Fatal(err)
			}
			var value any
			if err := yaml.Unmarshal([]byte(cfg.Redacted()), &value); err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(value); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	})
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("configuration.schema.json", value); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("configuration.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestExplain(t *testing.T) {
	for name, want := range map[string]string{"GCDELAY": "storage.gcDelay", "storage.storageDriver.bucket": "storage.storageDriver|s3.bucket", "http.tls.cert": "http.tls.cert", "keepTags[].patterns": "storage.retention.policies[].keepTags[].patterns"} {
		found := Explain(name)
		if len(found) != 1 || found[0].Path != want || found[0].Meaning == "" {
			t.Errorf("%s: %+v", name, found)
		}
	}
	if found := Explain("nix"); found != nil {
		t.Errorf("%+v", found)
	}
	for _, k := range Explain("interval") {
		if k.Path == "extensions.scrub.interval" && k.Default != "24h" {
			t.Errorf("%+v", k)
		}
	}
}

// TestUsualText: as a file would say it.
func TestUsualText(t *testing.T) {
	c := beforeFile()
	for want, p := range map[string]any{"5s": &c.HTTP.DrainDelay, "1m": &c.HTTP.DrainTimeout, "24h": &c.Storage.GC.Delay, "info": &c.Log.Level, "": &c.Log.Output} {
		if got := usualText(p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	c.HTTP.DrainDelay *= 2
	if got := usualText(&c.HTTP.DrainDelay); got != "10s" {
		t.Error(got)
	}
}
