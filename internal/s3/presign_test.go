package s3

import (
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"
)

// presigning is a client that is never asked for anything but URLs.
func presigning(t testing.TB, change func(*Config)) *Client {
	t.Helper()
	cfg := Config{Region: "eu-central-1", Bucket: "bucket", AccessKey: "AKIDEXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	change(&cfg)
	c, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestPresign: our URLs are the SDK's, byte for byte.
func TestPresign(t *testing.T) {
	path, host := true, false
	for name, change := range map[string]func(*Config){
		"AWS":                    func(*Config) {},
		"AWS, path style":        func(c *Config) { c.ForcePathStyle = &path },
		"AWS, bucket with a dot": func(c *Config) { c.Bucket = "a.bucket" },
		"dual stack":             func(c *Config) { c.UseDualstack = true },
		"accelerate":             func(c *Config) { c.Accelerate = true },
		"FIPS":                   func(c *Config) { c.UseFIPS, c.Region = true, "us-east-1" },
		"session token":          func(c *Config) { c.SessionToken = "IQoJb3JpZ2luX2Vj+/=&? ü~" },
		"endpoint":               func(c *Config) { c.Endpoint = "http://127.0.0.1:7070" },
		"endpoint, virtual host": func(c *Config) { c.Endpoint, c.ForcePathStyle = "https://s3.example.com:8443", &host },
		"endpoint, port 80":      func(c *Config) { c.Endpoint = "http://s3.example.com:80" },
		"endpoint, port 443":     func(c *Config) { c.Endpoint = "https://s3.example.com:443" },
		"endpoint with a path":   func(c *Config) { c.Endpoint = "https://s3.example.com/below/it" },
		"IPv6":                   func(c *Config) { c.Endpoint = "http://[::1]:9000" },
		"root":                   func(c *Config) { c.RootDirectory = "a b/ü/+&=?#%25/~!*'()" },
		"access key":             func(c *Config) { c.AccessKey = "a+b=c" },
		"access key with slash":  func(c *Config) { c.AccessKey = "a/b/c" },
		"access point":           func(c *Config) { c.Bucket = "arn:aws:s3:eu-central-1:123456789012:accesspoint/mine" },
	} {
		t.Run(name, func(t *testing.T) {
			c := presigning(t, change)
			for _, key := range []string{"d/00/0123456789abcdef0123456789abcdef", "k", "with space", "ä+=&?#%2F%", "a/b//c", "~-_.!*'();:@,$[]", strings.Repeat("x/", 100) + "x"} {
				for _, ttl := range []time.Duration{time.Second, 20 * time.Minute, 7 * 24 * time.Hour, 90*time.Second + 999*time.Millisecond} {
					want, err := c.presign.bySDK(t.Context(), c.cfg.Bucket, c.base+key, ttl)
					if err != nil {
						t.Fatal(err)
					}
					u, err := url.Parse(want)
					if err != nil {
						t.Fatal(err)
					}
					at, err := time.Parse(amzDate, u.Query().Get(queryDate))
					if err != nil {
						t.Fatal(err)
					}
					got, err := c.presign.url(t.Context(), c.cfg.Bucket, c.base+key, ttl, at)
					if err != nil {
						t.Fatal(err)
					}
					if got != want {
						t.Fatalf("%q for %s:\n%s, want\n%s", key, ttl, got, want)
					}
				}
			}
		})
	}
}

// TestPresignAnew: another day and other credentials are other signatures.
func TestPresignAnew(t *testing.T) {
	c := presigning(t, func(*Config) {})
	seen := map[string]bool{}
	at := time.Date(2026, 12, 31, 23, 59, 59, 999, time.UTC)
	for i := range 4 {
		text, err := c.presign.url(t.Context(), "bucket", "k", time.Minute, at)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if day := at.Format("20060102"); !strings.Contains(q.Get(queryCredential), "/"+day+"/") || !strings.HasPrefix(q.Get(queryDate), day) {
			t.Errorf("%s at %s", text, at)
		}
		if want := []string{"AKIDEXAMPLE", "AKIDEXAMPLE", "b", "b"}[i]; !strings.HasPrefix(q.Get(queryCredential), want+"/") {
			t.Errorf("%s is not of %s", text, want)
		}
		if seen[q.Get(querySignature)] || q.Has(queryToken) != (i == 3) {
			t.Errorf("%d: %s", i, text)
		}
		seen[q.Get(querySignature)] = true
		switch i {
		case 0:
			at = at.Add(time.Second)
		case 1:
			c.SetKeys("b", "c", "")
		case 2:
			c.SetKeys("b", "c", "token")
		}
	}
}

// BenchmarkPresign is what a redirect costs, beside what it cost with the SDK.
func BenchmarkPresign(b *testing.B) {
	c := presigning(b, func(c *Config) { c.Endpoint = "http://127.0.0.1:7070" })
	const key = "d/00/0123456789abcdef0123456789abcdef"
	b.Run("SDK", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.presign.bySDK(b.Context(), "bucket", c.base+key, time.Minute); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Presign(b.Context(), key, time.Minute); err != nil {
				b.Fatal(err)
			}
		}
	})
}
