package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const local = "storage: {rootDirectory: /d}\n"

// s3With is a file with further keys of the driver, in YAML's flow style.
func s3With(keys string) string {
	return "storage:\n  rootDirectory: /d\n  storageDriver: {name: s3, bucket: images, " + keys + "}\n"
}

// Each file has the problems that are listed, all of them and no other.
func TestProblems(t *testing.T) {
	for name, tt := range map[string]struct {
		file, text string
		want       []string // without "config: "
	}{
		// The file as a whole.
		"empty JSON":        {"c.json", " \n", []string{"is empty: want at least storage.rootDirectory (c.json)"}},
		"empty YAML":        {"c.yaml", "", []string{"is empty: want at least storage.rootDirectory (c.yaml)"}},
		"only a comment":    {"c.yml", "# nothing\n---\n", []string{"is empty: want at least storage.rootDirectory (c.yml)"}},
		"JSON null":         {"c.json", "null", []string{"is empty: want at least storage.rootDirectory (c.json)"}},
		"list":              {"c.json", "\n [1]", []string{"has the wrong type: got a list, want a mapping of keys (c.json:2:2)"}},
		"text":              {"c", "secret text", []string{"has the wrong type: got a text, want a mapping of keys (c:1:1)"}},
		"nothing in it":     {"c.json", "{}", []string{"storage.rootDirectory: is missing: want a directory, as /var/lib/holdfast (c.json:1:1)"}},
		"JSON syntax":       {"c.json", "{\n  \"storage\": {,}\n}", []string{"is not JSON: invalid character ',' looking for beginning of object key string (c.json:2:15)"}},
		"JSON cut off":      {"c.json", "{\n  \"storage\": {", []string{"is not JSON: unexpected end of JSON input (c.json:2:14)"}},
		"JSON and more":     {"c.json", "{}\n{}", []string{"is not JSON: invalid character '{' after top-level value (c.json:2:1)"}},
		"JSON without name": {"c", "{\"storage\": \"}", []string{"is not JSON: unexpected end of JSON input (c:1:14)"}},
		"YAML syntax":       {"c.yaml", "storage:\n  a: b: c\n", []string{"is not YAML: mapping values are not allowed in this context (c.yaml:2:3)"}},
		"YAML tab":          {"c.yaml", "storage:\n \trootDirectory: /d\n", []string{"is not YAML: a tab in the indentation: want spaces (c.yaml:2:2)"}},
		"YAML documents":    {"c.yaml", local + "---\n" + local, []string{"holds a second YAML document: want one (c.yaml:2:1)"}},
		"YAML alias":        {"c.yaml", "storage: *other\n", []string{"is not YAML: an alias that nothing defines; quote a text that begins with * (c.yaml)"}},
		"YAML tag":          {"c.yaml", "storage: !secret text\n", []string{"has a YAML tag: want a plain value; quote a text that begins with ! (c.yaml:1:10)"}},
		"YAML key":          {"c.yaml", "? [a]\n: b\n", []string{"has a key that is not a text: want a name (c.yaml:1:3)"}},
		"YAML merge":        {"c.yaml", "storage:\n  <<: 1\n", []string{"merges what is not a mapping: want a mapping or a list of mappings (c.yaml:2:7)"}},
		"not UTF-8":         {"c.yaml", "a: b\nc: \xff\n", []string{"is not UTF-8 text: want JSON or YAML in UTF-8 (c.yaml:2)"}},
		"too large":         {"c.yaml", "#" + strings.Repeat("x", maxFileBytes), []string{"is too large: want at most 1048576 bytes (c.yaml)"}},
		"other format":      {"c.toml", "a = 1", []string{`is in a format that is not read here: got .toml, want .json, .yaml or .yml (c.toml)`}},
		"deep JSON": {"c.json", strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100),
			[]string{"is not JSON that this program reads: more than 100000 values, or nested deeper than 64 (c.json:1:326)"}},
		"alias in itself": {"c.yaml", "a: &a\n  b: *a\n",
			[]string{"is too large, or an alias multiplies or contains itself: want at most 100000 values, nested at most 64 deep (c.yaml:1:4)"}},

		// The cache of blobs.
		"a cache without a size":      {"c.yaml", s3With("forcepathstyle: true") + "  cache: {dir: /c}\n", []string{`storage.cache.maxBytes: is missing: want what the cache may take of the disk, as "100GiB" (c.yaml:4:10)`}},
		"a cache without a directory": {"c.yaml", s3With("forcepathstyle: true") + "  cache: {maxBytes: 1GiB}\n", []string{`storage.cache.dir: is missing: want a directory for the cache alone, as /var/cache/holdfast (c.yaml:4:10)`}},
		"a cache in a store": {"c.yaml", s3With("forcepathstyle: true") + "  cache: {dir: /d/sub/cache, maxBytes: 1GiB}\n  subPaths: {/a: {rootDirectory: /d/sub}}\n",
			[]string{`storage.subPaths./a.rootDirectory: is the place of another store, or one lies in the other: got "/d/sub", want one apart from storage.cache.dir (c.yaml:5:34)`}},
		"a small cache": {"c.yaml", s3With("forcepathstyle: true") + "  cache: {dir: /c, maxBytes: 1MiB}\n", []string{`storage.cache.maxBytes: is out of range: got "1MiB", want 64MiB or more, or 0 (c.yaml:4:30)`}},

		// Names of keys.
		"unknown":             {"c.yaml", local + "storge: {}\n", []string{`storge: is not a key: got "storge", want "storage" (c.yaml:2:1)`}},
		"unknown, swapped":    {"c.yaml", local + "HTTP: {prot: 1}\n", []string{`http.prot: is not a key: got "prot", want "port" (c.yaml:2:8)`}},
		"unknown, elsewhere":  {"c.yaml", local + "port: 1\n", []string{`port: is not a key: got "port", want http.port, if that is what is meant (c.yaml:2:1)`}},
		"unknown, unlike all": {"c.yaml", local + "log: {colour: red}\n", []string{`log.colour: is not a key: got "colour", want one of level, output, audit, requestLevel (c.yaml:2:7)`}},
		"unknown in list": {"c.yaml", local + "extensions: {sync: {registries: [{}, {url: a}]}}\n",
			[]string{`extensions.sync.registries[1].url: is not a key: got "url", want "urls" (c.yaml:2:39)`}},
		"unknown in the driver":      {"c.yaml", s3With("acceskey: hidden, secretkey: hidden"), []string{`storage.storageDriver.acceskey: is not a key: got "acceskey", want "accesskey" (c.yaml:3:45)`}},
		"unknown file of the driver": {"c.yaml", s3With("secretkeyfiel: hidden, accesskey: hidden"), []string{`storage.storageDriver.secretkeyfiel: is not a key: got "secretkeyfiel", want "secretkeyFile" (c.yaml:3:45)`}},
		"unknown in the cache":       {"c.yaml", "storage: {rootDirectory: /d, cacheDriver: {name: redis, adr: a}}", []string{`storage.cacheDriver.adr: is not a key: got "adr", want "addr" (c.yaml:1:57)`}},
		"value in the key":           {"c.yaml", s3With("accesskey:hidden, secretkey: hidden"), []string{`storage.storageDriver.accesskey…: is not a key: got "accesskey…", want "accesskey" (c.yaml:3:45)`}},
		"twice":                      {"c.json", "{\"storage\": {\"rootDirectory\": \"/d\"},\n\"Storage\": {}}", []string{"Storage: is there twice: got it in line 1 too, want it once (c.json:2:1)"}},

		// Types and ranges.
		"section is text":   {"c.yaml", local + "http: hidden\n", []string{"http: has the wrong type: got a text, want a mapping of keys (c.yaml:2:7)"}},
		"text is section":   {"c.yaml", "storage: {rootDirectory: {a: b}}\n", []string{"storage.rootDirectory: has the wrong type: got a mapping, want a path (c.yaml:1:26)"}},
		"boolean":           {"c.yaml", "storage: {rootDirectory: /d, commit: maybe}\n", []string{`storage.commit: is not a boolean: got "maybe", want true or false (c.yaml:1:38)`}},
		"port":              {"c.json", `{"storage": {"rootDirectory": "/d"}, "http": {"port": "abc"}}`, []string{`http.port: is not a port number: got "abc", want 0 to 65535 (c.json:1:55)`}},
		"port too large":    {"c.json", `{"storage": {"rootDirectory": "/d"}, "http": {"port": 70000}}`, []string{`http.port: is out of range: got 70000, want 0 to 65535 (c.json:1:55)`}},
		"port below 0":      {"c.yaml", local + "http: {port: -1}\n", []string{`http.port: is out of range: got -1, want 0 to 65535 (c.yaml:2:14)`}},
		"port is a list":    {"c.yaml", local + "http: {port: [1]}\n", []string{`http.port: has the wrong type: got a list, want 0 to 65535 (c.yaml:2:14)`}},
		"no unit":           {"c.yaml", local + "http: {readTimeout: 60, drainDelay: \"5\"}\n", []string{`http.readTimeout: is a duration without a unit: got 60, want a duration with a unit, as "90s" or "1h30m" (c.yaml:2:21)`, `http.drainDelay: is a duration without a unit: got "5", want a duration with a unit, as "90s" or "1h30m" (c.yaml:2:37)`}},
		"negative duration": {"c.yaml", local + "http: {drainTimeout: -1s}\n", []string{`http.drainTimeout: is negative: got "-1s", want 0 or more (c.yaml:2:22)`}},
		"level":             {"c.yaml", local + "log: {level: loud}\n", []string{`log.level: is not a level: got "loud", want one of trace, debug, info, warn, warning, error, fatal, panic (c.yaml:2:14)`}},
		"memory":            {"c.yaml", "storage: {rootDirectory: /d, memoryBudget: 1MiB}\n", []string{`storage.memoryBudget: is out of range: got "1MiB", want 16MiB or more, or 0 (c.yaml:1:44)`}},
		"blob size":         {"c.yaml", local + "http: {maxBlobSize: -1}\n", []string{`http.maxBlobSize: is out of range: got -1, want 0 or more (c.yaml:2:21)`}},
		"blob size's unit":  {"c.yaml", local + "http: {maxBlobSize: 1GB}\n", []string{`http.maxBlobSize: is not a size: got "1GB", want bytes, as 33554432 or "32MiB" (c.yaml:2:21)`}},
		"ignored key's type": {"c.yaml", "storage: {rootDirectory: /d, gcDelay: soon, maxRepos: many}\n", []string{
			`storage.gcDelay: is not a duration: got "soon", want a duration with a unit, as "90s" or "1h30m" (c.yaml:1:39)`, `storage.maxRepos: is not a whole number: got "many", want a whole number (c.yaml:1:55)`}},
		"quotas": {"c.yaml", "storage: {rootDirectory: /d, quotas: [{prefix: A, bytes: 0}, {bytes: 1}, {prefix: b}, {prefix: /c, bytes: 1}, {prefix: c/, bytes: 2}]}\n", []string{
			`storage.quotas[0].prefix: is not a prefix of repositories: got "A", want the name of a repository or of a path of them, as "team" or "team/app"; "/" for all of the store (c.yaml:1:48)`,
			`storage.quotas[0].bytes: is out of range: got 0, want 1 or more (c.yaml:1:58)`,
			`storage.quotas[1].prefix: is missing: want the path of repositories, "/" for all of the store (c.yaml:1:62)`,
			`storage.quotas[2].bytes: is missing: want a size, as "500GiB" (c.yaml:1:74)`,
			`storage.quotas[4].prefix: is the same prefix as another: got c, want it once (c.yaml:1:120)`}},
		"redirects": {"c.yaml", "storage: {rootDirectory: /d, redirectRules: [{minSize: -1}, {networks: [10.0.0.0/33], redirect: true}, {header: 'a b', headerValue: x, redirect: true}, {headerValue: x, redirect: false}]}\n", []string{
			`storage.redirectRules[0].redirect: is missing: want true or false: what the rule decides (c.yaml:1:46)`,
			`storage.redirectRules[0].minSize: is out of range: got -1, want 0 or more (c.yaml:1:56)`,
			`storage.redirectRules[1].networks: has an item that is neither a network in CIDR nor an address: got "10.0.0.0/33", want networks and addresses, as "10.0.0.0/8" or "192.0.2.7" (c.yaml:1:72)`,
			`storage.redirectRules[2].header: is not the name of a header: got "a b", want the name of a header, as "X-Holdfast-Redirect" (c.yaml:1:113)`,
			`storage.redirectRules[3].header: is missing: want the header that headerValue is of (c.yaml:1:153)`}},
		"address":          {"c.yaml", local + "http: {address: 10.0.0.256}\n", []string{`http.address: is not an address: got "10.0.0.256", want an IP address or a host name, without a port (c.yaml:2:17)`}},
		"address and port": {"c.yaml", local + "http: {address: \"127.0.0.1:80\"}\n", []string{`http.address: is not an address: got "127.0.0.1:80", want an IP address or a host name, without a port (c.yaml:2:17)`}},
		"IPv4 in brackets": {"c.yaml", local + "http: {address: \"[127.0.0.1]\"}\n", []string{`http.address: is not an address: got "[127.0.0.1]", want an IP address or a host name, without a port (c.yaml:2:17)`}},

		// Drivers.
		"unknown driver":      {"c.yaml", "storage: {storageDriver: {name: s33}}\n", []string{`storage.storageDriver.name: is not a driver: got "s33", want s3 or local (c.yaml:1:33)`}},
		"driver without name": {"c.yaml", "storage: {storageDriver: {bucket: b}}\n", []string{`storage.storageDriver.name: is missing: want s3 or local (c.yaml:1:26)`}},
		"GCS": {"c.yaml", "storage: {rootDirectory: /d, storageDriver: {name: gcs, bucket: b, keyfile: /k}}\n",
			[]string{`storage.storageDriver.name: is a driver that is not in this version: got "gcs", want s3: GCS speaks it at https://storage.googleapis.com with HMAC keys, Azure behind a gateway such as versitygw; set regionendpoint (c.yaml:1:52)`}},
		"Azure": {"c.yaml", "storage: {rootDirectory: /d, storageDriver: {name: azure}}\n",
			[]string{`storage.storageDriver.name: is a driver that is not in this version: got "azure", want s3: GCS speaks it at https://storage.googleapis.com with HMAC keys, Azure behind a gateway such as versitygw; set regionendpoint (c.yaml:1:52)`}},
		"unknown cache": {"c.yaml", "storage: {rootDirectory: /d, cacheDriver: {name: memcached}}\n", []string{`storage.cacheDriver.name: is not a driver: got "memcached", want dynamodb or redis (c.yaml:1:50)`}},
		"no bucket":     {"c.yaml", "storage: {storageDriver: {name: s3}}\n", []string{`storage.storageDriver.bucket: is missing: want the name of a bucket that exists (c.yaml:1:26)`}},
		"bucket":        {"c.yaml", "storage: {storageDriver: {name: s3, bucket: \"s3://b\"}}\n", []string{`storage.storageDriver.bucket: is not a bucket's name: got "s3://b", want the bucket's name alone (c.yaml:1:45)`}},
		"part size":     {"c.yaml", s3With("chunksize: 5242879"), []string{`storage.storageDriver.chunksize: is out of range: got 5242879, want 5MiB to 5GiB, or 0 (c.yaml:3:56)`}},
		"endpoint":      {"c.yaml", s3With("regionendpoint: 'ftp://user:hidden@host'"), []string{`storage.storageDriver.regionendpoint: is not the address of a store: got "ftp://***@host", want http(s)://host[:port], or host[:port] (c.yaml:3:61)`}},
		"endpoint port": {"c.yaml", s3With("regionendpoint: 'host:99999'"), []string{`storage.storageDriver.regionendpoint: has a port that is out of range: got "host:99999", want 1 to 65535 (c.yaml:3:61)`}},
		"prefix":        {"c.yaml", s3With("rootdirectory: /a/../b"), []string{`storage.storageDriver.rootdirectory: has a part that not every store can hold: got "/a/../b", want names with single slashes between them, none of them "." or ".." (c.yaml:3:60)`}},
		"half a key":    {"c.yaml", s3With("accesskey: hidden"), []string{`storage.storageDriver.secretkey: is missing: want it with accesskey, or neither to use the AWS environment (c.yaml:3:18)`}},
		"other half":    {"c.yaml", s3With("secretkey: hidden"), []string{`storage.storageDriver.accesskey: is missing: want it with secretkey, or neither to use the AWS environment (c.yaml:3:18)`}},
		"token alone":   {"c.yaml", s3With("sessiontoken: hidden"), []string{`storage.storageDriver.sessiontoken: belongs to keys that are missing: want accesskey and secretkey with it (c.yaml:3:59)`}},
		"secret's type": {"c.yaml", s3With("accesskey: a, secretkey: [hidden]"), []string{`storage.storageDriver.secretkey: has the wrong type: want a text (c.yaml:3:70)`}},
		"KMS key alone": {"c.yaml", s3With("keyid: k"), []string{`storage.storageDriver.keyid: has no effect without encrypt: want encrypt true, or no keyid (c.yaml:3:52)`}},

		// Stores of their own.
		"nested directories": {"c.yaml", "storage:\n  rootDirectory: /d\n  subPaths:\n    /a: {rootDirectory: /d/x/../a}\n",
			[]string{`storage.subPaths./a.rootDirectory: is the place of another store, or one lies in the other: got "/d/x/../a", want one apart from storage.rootDirectory (c.yaml:4:25)`}},
		"equal prefixes": {"c.yaml", s3With("") + "  subPaths:\n    /a: {storageDriver: {name: s3, bucket: images}}\n",
			[]string{`storage.subPaths./a.storageDriver.rootdirectory: is the place of another store, or one lies in the other: got the same as without it, want one apart from storage.storageDriver.rootdirectory (c.yaml:5:25)`}},
		"sub-path without directory": {"c.yaml", "storage: {rootDirectory: /d, subPaths: {/a: {gc: false}}}\n",
			[]string{`storage.subPaths./a.rootDirectory: is missing: want a directory, as /var/lib/holdfast (c.yaml:1:45)`}},
		"sub-path's name": {"c.yaml", "storage: {rootDirectory: /d, subPaths: {/A: {rootDirectory: /e}, /: {rootDirectory: /f}}}\n", []string{
			`storage.subPaths./A: is not the path of repositories: got "/A", want a path of lower-case names, as "/team" (c.yaml:1:41)`,
			`storage.subPaths./: is not the path of repositories: got "/", want a path of lower-case names, as "/team" (c.yaml:1:66)`}},
		"sub-path twice": {"c.yaml", "storage: {rootDirectory: /d, subPaths: {/a: {rootDirectory: /e}, a/: {rootDirectory: /f}}}\n",
			[]string{`storage.subPaths.a/: is the same path as another: want it once (c.yaml:1:66)`}},
		"delete in a sub-path": {"c.yaml", "storage: {rootDirectory: /d, subPaths: {/a: {rootDirectory: /e, delete: false}}}\n",
			[]string{`storage.subPaths./a.delete: is not a key: got "delete", want storage.delete, if that is what is meant (c.yaml:1:65)`}},

		// The environment.
		"variable not set": {"c.yaml", "storage: {rootDirectory: \"${DATA}/x\"}\n", []string{"storage.rootDirectory: the environment variable DATA is not set: want it set, or ${DATA:-default} (c.yaml:1:26)"}},
		"not closed":       {"c.yaml", "storage: {rootDirectory: \"a${DATA\"}\n", []string{"storage.rootDirectory: has a ${ that is not closed: want ${NAME}, ${NAME:-default}, or $${ for the text ${ (c.yaml:1:26)"}},
		"no variable":      {"c.yaml", "storage: {rootDirectory: \"${hid den}\"}\n", []string{"storage.rootDirectory: has a ${...} without a variable's name: want ${NAME}, ${NAME:-default}, or $${ for the text ${ (c.yaml:1:26)"}},
		"wrong value":      {"c.yaml", local + "http: {port: \"${PORT}\"}\n", []string{`http.port: is not a port number: got "${PORT}" (its value is not shown), want 0 to 65535 (c.yaml:2:14)`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, r, err := loadText(tt.file, tt.text, "PORT", "hidden")
			var got []string
			for _, p := range r.Problems {
				got = append(got, strings.TrimPrefix(p.String(), "config: "))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err != nil && strings.Contains(err.Error(), "hidden") {
				t.Errorf("shows what it should hide: %v", err)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"nothing to say": {"distSpecVersion: 1.1.0-dev\n" + local + "http: {port: 0, externalUrl: https://a, compat: [docker2s2]}\nextensions: {mgmt: {}, ui: {enable: false}, search: {enable: \"False\"}}\n", nil},
		"off":            {"storage: {rootDirectory: /d, gc: false, maxRepos: 0, retention: {policies: []}, remoteCache: false}\nextensions: {}\ncluster: {members: []}\n", nil},
		"dedupe, once for all": {"storage: {rootDirectory: /d, dedupe: false, subPaths: {/a: {rootDirectory: /e, dedupe: 0}}}\n",
			[]string{"config: storage.dedupe, storage.subPaths./a.dedupe: deduplication is always on, and exact: it needs no cache and no lock"}},
		"less than durable": {"storage: {rootDirectory: /d, commit: false}\n", []string{"config: storage.commit: a power cut may take blobs that were acknowledged in the last seconds"}},
		"local redirect":    {"storage: {rootDirectory: /d, redirectBlobURL: true}\n", []string{"config: storage.redirectBlobURL: has no effect: a local store has no URLs to redirect to"}},
		"redirects":         {s3Rules("[{minSize: 1MiB, networks: [10.0.0.0/8], userAgents: ['containerd/*'], redirect: true}, {redirect: false}]"), nil},
		"odd redirects": {s3Rules("[{redirect: true}, {header: x-direct, redirect: false}]"), []string{
			"config: storage.redirectRules[0]: is for every request: the rules after it are for none",
			"config: storage.redirectRules[1].header: is believed of nobody: the rule is for no request without http.trustedProxies"}},
		"local redirects": {"storage: {rootDirectory: /d, redirectRules: [{redirect: true}]}\n", []string{"config: storage.redirectRules: has no effect: a local store has no URLs to redirect to"}},
		"every interface": {local + "http: {address: ''}\n", []string{"config: http.address: is empty: every network interface of the machine is listened on"}},
		"audit":           {local + "log: {audit: /a}\n", nil},
		"quotas":          {"storage: {rootDirectory: /d, maxRepos: 7, quotas: [{prefix: team/a, bytes: 1GiB}, {prefix: /, bytes: 5}], subPaths: {/s: {rootDirectory: /e, quotas: {prefix: s/b, bytes: 1}}}}\n", nil},
		"quota of elsewhere": {"storage: {rootDirectory: /d, subPaths: {/s: {rootDirectory: /e, quotas: [{prefix: a, bytes: 1}]}}}\n",
			[]string{"config: storage.subPaths./s.quotas[0].prefix: is not below the path of this store: the quota is for nothing"}},
		"driver's": {s3With("v4auth: false, objectacl: public-read, loglevel: debug, chunksize: 512MiB"), []string{
			"config: storage.storageDriver.v4auth: has no effect: requests are always signed with version 4",
			"config: storage.storageDriver.objectacl: has no effect: no ACL is sent, the bucket's own rules decide who may read its objects",
			"config: storage.storageDriver.loglevel: has no effect: the requests to the store are not logged one by one",
			"config: storage.storageDriver.chunksize: is more than storage.memoryBudget: parts will be smaller, and blobs made of more pieces"}},
		"driver's, as they are": {s3With("v4auth: '1', objectacl: private, loglevel: 'off', multipartcopychunksize: 1"), nil},
		"present is enabled":    {local + "extensions: {lint: {}}\n", []string{"config: extensions.lint: images are accepted without the mandatory annotations in this version"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, got := mustLoad(t, "c.yaml", tt.text)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// s3Rules is a file with an S3 store and rules of who is redirected to it.
func s3Rules(rules string) string {
	return "storage: {redirectRules: " + rules + ", storageDriver: {name: s3, bucket: bbb, regionendpoint: 'http://h', accesskey: a, secretkey: b}}\n"
}
