package s3

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestSecret(t *testing.T) {
	cfg := Config{SecretKey: "hunter2", SessionToken: "hunter2"}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "secret", cfg.SecretKey, "cfg", cfg)
	encoded, err := json.Marshal(struct{ S Secret }{cfg.SecretKey})
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{fmt.Sprint(cfg), fmt.Sprintf("%v %+v %#v %s %q", cfg, cfg, cfg, cfg.SecretKey, cfg.SecretKey), log.String(), string(encoded)} {
		if strings.Contains(out, "hunter2") {
			t.Errorf("the secret shows: %s", out)
		}
	}
	if Secret("").String() != "" {
		t.Error("no secret looks like one")
	}
}

func TestConfig(t *testing.T) {
	good := Config{Bucket: "b"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for text, change := range map[string]func(*Config){
		"bucket":                  func(c *Config) { c.Bucket = "" },
		"accesskey, secretkey":    func(c *Config) { c.AccessKey = "a" },
		"chunksize":               func(c *Config) { c.PartSize = 1 << 20 },
		"keyid":                   func(c *Config) { c.KeyID = "k" },
		"regionendpoint":          func(c *Config) { c.Endpoint = "ftp://x" },
		"rootdirectory: \"a/..\"": func(c *Config) { c.RootDirectory = "/a/../" },
	} {
		bad := good
		change(&bad)
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestEndpoint(t *testing.T) {
	no := false
	for _, c := range []struct {
		name      string
		cfg       Config
		env       map[string]string
		endpoint  string
		region    string
		pathStyle bool
	}{
		{"aws", Config{}, nil, "", "us-east-1", false},
		{"aws by region", Config{Region: "eu-west-1"}, nil, "", "eu-west-1", false},
		{"host and port", Config{Endpoint: "minio:9000"}, nil, "https://minio:9000", "us-east-1", true},
		{"host and port, not secure", Config{Endpoint: "minio:9000", Insecure: true}, nil, "http://minio:9000", "us-east-1", true},
		{"a scheme wins", Config{Endpoint: "http://minio:9000/"}, nil, "http://minio:9000", "us-east-1", true},
		{"virtual hosts", Config{Endpoint: "http://minio:9000", ForcePathStyle: &no}, nil, "http://minio:9000", "us-east-1", false},
		{"from the environment", Config{}, map[string]string{"AWS_ENDPOINT_URL": "http://one:1", "AWS_REGION": "r"}, "http://one:1", "r", true},
		{"S3's own wins", Config{}, map[string]string{"AWS_ENDPOINT_URL": "http://one:1", "AWS_ENDPOINT_URL_S3": "http://two:2"}, "http://two:2", "us-east-1", true},
		{"the configuration wins", Config{Endpoint: "http://three:3", Region: "x"}, map[string]string{"AWS_ENDPOINT_URL_S3": "http://two:2", "AWS_REGION": "r"}, "http://three:3", "x", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"} {
				t.Setenv(name, c.env[name])
			}
			t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
			c.cfg.Bucket, c.cfg.AccessKey, c.cfg.SecretKey = "b", "a", "s"
			client, err := New(t.Context(), c.cfg, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if client.Endpoint() != c.endpoint || client.Region() != c.region || client.sdk.Options().UsePathStyle != c.pathStyle {
				t.Errorf("endpoint %q, region %q, path style %t", client.Endpoint(), client.Region(), client.sdk.Options().UsePathStyle)
			}
		})
	}
}

func TestBase(t *testing.T) {
	for root, want := range map[string]string{"": "holdfast/", "/": "holdfast/", "/zot": "zot/holdfast/", "a/b/": "a/b/holdfast/"} {
		if got := (Config{RootDirectory: root}).base(); got != want {
			t.Errorf("%q: %q, want %q", root, got, want)
		}
	}
}

func TestContentRange(t *testing.T) {
	for s, want := range map[string]string{
		"bytes 0-9/10": "0 10 true", "bytes 5-9/10": "5 10 true", "bytes */10": "0 0 false",
		"bytes 0-9/*": "0 0 false", "": "0 0 false", "0-9/10": "0 0 false",
	} {
		start, size, ok := parseContentRange(s)
		if got := fmt.Sprint(start, size, ok); ok && got != want || ok != strings.HasSuffix(want, "true") {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}

// TestClock moves the local clock by hand: wall and monotonic time together.
func TestClock(t *testing.T) {
	c := newClock()
	local := c.start
	c.local = func() time.Time { return local }
	at := func(want time.Duration, what string) {
		t.Helper()
		if got := c.now().Sub(c.start.Add(want)).Abs(); got > time.Millisecond {
			t.Errorf("%s: the clock is %s off", what, got)
		}
	}
	at(0, "before an answer: local time")
	c.observe(c.start.Add(time.Hour))
	at(time.Hour, "an hour ahead")
	local = local.Add(10 * time.Second)
	at(time.Hour+10*time.Second, "goes on by itself")
	c.observe(c.start.Add(time.Hour + 9*time.Second))
	at(time.Hour+10*time.Second, "a Date that was cut to the second or came late takes nothing back")
	c.observe(c.start.Add(time.Hour + 11*time.Second))
	at(time.Hour+11*time.Second, "a better one counts")
	c.wrote(c.start.Add(time.Hour + 20*time.Second))
	at(time.Hour+20*time.Second, "not before a write")
	for range 3 { // a wrong Date is forgotten
		local = local.Add(clockWindow + time.Second)
		c.observe(local)
	}
	if got := c.now().Sub(local).Abs(); got > time.Millisecond && c.now().After(c.floor) {
		t.Errorf("the clock is still %s off", got)
	}
}
