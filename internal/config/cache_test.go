package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// withCache is a store in a bucket with a cache, and keys of storage beside it.
func withCache(driver, beside string) string {
	return "storage: {storageDriver: {name: s3, bucket: b}, cacheDriver: {" + driver + "}, " + beside + "}\nhttp: {address: 127.0.0.1}\n"
}

func TestCaches(t *testing.T) {
	redis := func(r Redis) Cache {
		if r.Prefix == "" {
			r.Prefix = "zot"
		}
		return Cache{Driver: CacheRedis, Redis: r, Budget: defaultCacheBudget, Memory: defaultCacheMemory}
	}
	dynamo := func(d DynamoDB) Cache {
		return Cache{Driver: CacheDynamoDB, Dynamo: d, Budget: defaultCacheBudget, Memory: defaultCacheMemory}
	}
	for text, want := range map[string]Cache{
		`name: redis, url: "redis://localhost:6379", keyprefix: zot`: redis(Redis{Addresses: []string{"localhost:6379"}}),
		`name: redis, url: "redis://user:password@host1:6379?dial_timeout=3&read_timeout=6s&addr=host2:6379&addr=host3:6379"`: redis(Redis{
			Addresses: []string{"host1:6379", "host2:6379", "host3:6379"}, Username: "user", Password: "password"}),
		`name: redis, url: "rediss://:p%40ss@[::1]/7?client_name=c&protocol=2"`: redis(Redis{
			Addresses: []string{"[::1]:6379"}, Password: "p@ss", DB: 7, ClientName: "c", Protocol: 2, TLS: true}),
		`name: redis, url: "unix://u:p@/run/redis.sock?db=1"`: redis(Redis{Addresses: []string{"/run/redis.sock"}, Username: "u", Password: "p", DB: 1}),
		`name: redis, addr: ["host1:6379", host2], master_name: m, username: a, password: b, sentinel_username: c, sentinel_password: d, db: 1, protocol: 3, client_name: n, keyprefix: k`: redis(Redis{
			Addresses: []string{"host1:6379", "host2:6379"}, Master: "m", Username: "a", Password: "b", SentinelUsername: "c", SentinelPassword: "d", DB: 1, Protocol: 3, ClientName: "n", Prefix: "k"}),
		`name: redis, addr: "h:1 i:2", tls: {cacert: /ca, cert: /c, key: /k}`:                        redis(Redis{Addresses: []string{"h:1", "i:2"}, TLS: true, CACert: "/ca", Cert: "/c", Key: "/k"}),
		`name: redis, addr: /run/redis.sock`:                                                         redis(Redis{Addresses: []string{"/run/redis.sock"}}),
		`name: redis`:                                                                                redis(Redis{Addresses: []string{"localhost:6379"}}), // go-redis' own
		`name: dynamodb, cacheTablename: BlobTable, region: us-east-2`:                               dynamo(DynamoDB{Table: "BlobTable", Region: "us-east-2"}),
		`name: dynamodb, tableName: MainTable, endpoint: "http://localhost:4566"`:                    dynamo(DynamoDB{Table: "MainTable", Endpoint: "http://localhost:4566"}),
		`name: dynamodb, tableName: Old, cacheTablename: New, endpoint: "dynamodb.example.com:8000"`: dynamo(DynamoDB{Table: "New", Endpoint: "https://dynamodb.example.com:8000"}),
	} {
		c, _ := mustLoad(t, "c.yaml", withCache(text, ""))
		if diff := cmp.Diff(want, c.Storage.Cache); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
		again, _ := mustLoad(t, "c.yaml", strings.ReplaceAll(c.Redacted(), "'***'", "x"))
		again.Storage.Cache.Redis.Password, again.Storage.Cache.Redis.SentinelPassword = want.Redis.Password, want.Redis.SentinelPassword
		if diff := cmp.Diff(want, again.Storage.Cache); diff != "" {
			t.Errorf("%s, shown and read again (-want +got):\n%s", text, diff)
		}
	}
}

func TestCacheProblems(t *testing.T) {
	_, _, err := loadText("c.yaml", withCache(`name: redis, url: "http://user:canary-1@h/", protocol: 4, db: -1, tls: {cert: /c}`, "cacheBudget: 1h, cacheMemory: 3"))
	if err == nil {
		t.Fatal("it was loaded")
	}
	for _, want := range []string{
		"storage.cacheDriver.url: is not a URL of Redis", "storage.cacheBudget: is out of range", "storage.cacheMemory: is out of range",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	for text, want := range map[string]string{
		`name: redis, url: "redis://h:x:canary-1"`:                  "storage.cacheDriver.url: is not a URL",
		`name: redis, url: "redis://:canary-1@h:70000"`:             "storage.cacheDriver.url: has a host that is not one",
		`name: redis, url: "redis://:canary-1@h/first"`:             "storage.cacheDriver.url: has a database that is no number",
		`name: redis, url: "redis://:canary-1@h?colour=red"`:        "storage.cacheDriver.url: has an option that Redis' clients do not know, colour",
		`name: redis, url: "redis://u:12?canary-1@h:6379/0"`:        "storage.cacheDriver.url: has a ?, # or @ that is to be escaped",
		`name: redis, url: "redis://u:12?a&canary@h"`:               "storage.cacheDriver.url: has a ?, # or @ that is to be escaped",
		`name: redis, url: "redis://u:12#canary-1@h:6379/0"`:        "storage.cacheDriver.url: has a ?, # or @ that is to be escaped",
		`name: redis, url: "redis://:canary-1@h?skip_verify=maybe"`: "storage.cacheDriver.url: has a skip_verify",
		`name: redis, url: "unix://:canary-1@relative/path"`:        "storage.cacheDriver.url: is not the path of a socket",
		`name: redis, addr: ["canary-1@h:1"]`:                       `storage.cacheDriver.addr: has an item that is not the address of a server: got "***@h:1"`,
		`name: redis, addr: [h], protocol: 4`:                       "storage.cacheDriver.protocol: is not a version",
		`name: redis, addr: [h], db: -1`:                            "storage.cacheDriver.db: is negative",
		`name: redis, addr: [h], tls: {key: /k}`:                    "storage.cacheDriver.tls: has one of cert and key",
		`name: dynamodb`:                                            "storage.cacheDriver.cacheTablename: is missing",
		`name: dynamodb, cacheTablename: a b`:                       "storage.cacheDriver.cacheTablename: is not a table's name",
		`name: dynamodb, cacheTablename: abc, endpoint: "ftp://x"`:  "storage.cacheDriver.endpoint: is not the address of a store",
		`name: memcached`:                                           "storage.cacheDriver.name: is not a driver",
	} {
		_, _, err := loadText("c.yaml", withCache(text, ""))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(strings.Split(err.Error(), "storage: {")[0], "canary") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What has no effect is said in one line of each kind.
func TestCacheWarnings(t *testing.T) {
	for text, want := range map[string][]string{
		withCache(`name: redis, url: "redis://:x@10.0.0.1?pool_size=3", addr: [h], pool_size: 10, max_retries: 0, read_timeout: 5s`, ""): {
			"storage.cacheDriver.pool_size, storage.cacheDriver.read_timeout, storage.cacheDriver.url (pool_size): " + noRedisOption,
			"storage.cacheDriver.addr: is not used: url says where the servers are", "sends its password over the network without TLS",
		},
		withCache(`name: redis, url: "rediss://h?skip_verify"`, ""):  {"takes any certificate of Redis"},
		withCache(`name: redis, addr: [h, i], db: 3`, ""):            {"storage.cacheDriver.db: is not used: a cluster has one database"},
		withCache(`name: redis, addr: [h]`, "remoteCache: false"):    {"storage.cacheDriver: is not used: remoteCache is false"},
		withCache(`name: redis, addr: [h]`, "cacheMemory: 0"):        {"storage.cacheDriver: is not used: cacheMemory is 0"},
		withCache(`name: redis, addr: [h]`, "remoteCache: true"):     nil,
		withCache(`name: redis, addr: [h]`, "dedupe: false"):         {"storage.dedupe: deduplication is always on"},
		"storage: {rootDirectory: /d, cacheDriver: {name: redis}}\n": {"storage.cacheDriver: says no address", "storage.cacheDriver: is not used: nobody shares a local store"},
		withCache(`name: dynamodb, cacheTablename: abc, repoMetaTablename: a, versionTablename: b, apiKeyTablename: ""`, ""): {
			"storage.cacheDriver.repoMetaTablename, storage.cacheDriver.versionTablename: " + noZotTable,
		},
		withCache(`name: redis, addr: [h]`, "") + "cluster: {members: [\"127.0.0.1:9000\"], hashKey: loremipsumdolors, tls: {cacert: ca}}\n": {"cluster: no replica owns a repository here"},
	} {
		c, r := mustLoad(t, "c.yaml", text)
		var got []string
		for _, line := range r {
			if !strings.Contains(line, "http.address") {
				got = append(got, line)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
		for i := range min(len(got), len(want)) {
			if !strings.Contains(got[i], want[i]) {
				t.Errorf("%s: %q, want %q", text, got[i], want[i])
			}
		}
		if off := strings.Contains(strings.Join(want, ""), "cacheDriver: is not used"); off != (c.Storage.Cache.Driver == "") {
			t.Errorf("%s: the driver is %q", text, c.Storage.Cache.Driver)
		}
	}
}

// The samples that zot publishes about storage, caches and clusters load, by what they say: their keys and values, in our own form.
func TestSamplesOfZot(t *testing.T) {
	const (
		s3     = `storageDriver: {name: s3, rootdirectory: /zot, region: us-east-2, bucket: zot-storage, forcepathstyle: true, secure: true, skipverify: false}`
		stack  = `storageDriver: {name: s3, rootdirectory: /zot, region: us-east-1, regionendpoint: "localhost:4566", bucket: zot-storage, secure: false, skipverify: false}`
		tables = `cacheTablename: ZotBlobTable, repoMetaTablename: ZotRepoMetadataTable, imageMetaTablename: ZotImageMetaTable, repoBlobsInfoTablename: ZotRepoBlobsInfoTable, userDataTablename: ZotUserDataTable, apiKeyTablename: ZotApiKeyTable, versionTablename: ZotVersion`
		local  = `endpoint: "http://localhost:4566", region: us-east-2`
		peers  = `cluster: {members: ["127.0.0.1:9000", "127.0.0.1:9001", "127.0.0.1:9002"], hashKey: loremipsumdolors, tls: {cacert: test/data/ca.crt}}`
		redis  = `cacheDriver: {name: redis, url: "redis://localhost:6379", keyprefix: zot}`
	)
	for name, storage := range map[string]string{
		"all remote":       `dedupe: true, remoteCache: true, ` + stack + `, cacheDriver: {name: dynamodb, ` + local + `, ` + tables + `}`,
		"dynamodb":         `rootDirectory: /tmp/zot, dedupe: true, remoteCache: true, ` + stack + `, cacheDriver: {name: dynamodb, ` + local + `, ` + tables + `}`,
		"redis":            `dedupe: true, gc: true, rootDirectory: /tmp/zot, ` + redis + `, ` + stack,
		"redis cluster":    `dedupe: true, gc: true, rootDirectory: /tmp/zot, cacheDriver: {name: redis, url: "redis://user:password@host1:6379?dial_timeout=3&read_timeout=6s&addr=host2:6379&addr=host3:6379", keyprefix: zot}, ` + stack,
		"redis, all":       `rootDirectory: /tmp/zot, cacheDriver: {name: redis, keyprefix: zot, addr: ["host1:6379", "host2:6379", "host3:6379"], client_name: client, db: 1, protocol: 3, username: user1, password: pass1, sentinel_username: user2, sentinel_password: pass2, max_retries: 3, min_retry_backoff: 5s, max_retry_backoff: 5s, dial_timeout: 5s, read_timeout: 5s, write_timeout: 5s, context_timeout_enabled: false, pool_fifo: false, pool_size: 3, pool_timeout: 5s, min_idle_conns: 1, max_idle_conns: 3, max_active_conns: 3, conn_max_idle_time: 5s, conn_max_lifetime: 5s, max_redirects: 3, read_only: false, route_by_latency: false, route_randomly: false, master_name: zotmeta, disable_identity: false, identity_suffix: zotmeta, unstable_resp3: false}, ` + stack,
		"s3 with subPaths": `rootDirectory: /tmp/zot, dedupe: true, ` + s3 + `, cacheDriver: {name: dynamodb, ` + local + `, cacheTablename: MainTable}, subPaths: {/a: {rootDirectory: /tmp/zot1, dedupe: false, ` + at(s3, "/zot-a") + `}, /b: {rootDirectory: /tmp/zot2, dedupe: true, remoteCache: false, ` + at(s3, "/zot-b") + `}, /c: {rootDirectory: /tmp/zot3, dedupe: true, remoteCache: true, ` + at(s3, "/zot-c") + `, cacheDriver: {name: dynamodb, ` + local + `, cacheTablename: cTable}}}`,
		"no endpoint":      `rootDirectory: /tmp/zot, dedupe: true, gc: true, remoteCache: true, ` + s3 + `, cacheDriver: {name: dynamodb, region: us-east-2, cacheTablename: BlobTable}`,
		"bolt":             `rootDirectory: /tmp/zot, dedupe: true, remoteCache: false`,
		"redis, local":     `rootDirectory: /tmp/zot, remoteCache: true, ` + redis,
		"scale-out":        `rootDirectory: /tmp/zot, dedupe: false, remoteCache: true, ` + stack + `, cacheDriver: {name: dynamodb, ` + local + `, ` + tables + "}}\n" + peers + "\nextensions: {search: {enable: true}, ui: {enable: true}",
		"scale-out, redis": `rootDirectory: /tmp/zot, dedupe: false, remoteCache: true, ` + stack + `, ` + redis + "}\n" + peers + "\nextensions: {search: {enable: true}",
		"scale-out, local": "rootDirectory: /tmp/zot}\n" + peers + "\ndistSpecVersion: \"1.1.0",
	} {
		text := "storage: {" + storage + "}\nhttp: {address: 0.0.0.0, port: \"9000\"}\nlog: {level: debug}\n"
		if strings.HasSuffix(storage, `"1.1.0`) {
			text = strings.Replace(text, `"1.1.0}`, `"1.1.0"`, 1)
		}
		c, report, err := loadText("c.yaml", text)
		r := warnings(report)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		shared := strings.Contains(storage, "cacheDriver") && strings.Contains(storage, "storageDriver")
		if shared != (c.Storage.Cache.Driver != "") {
			t.Errorf("%s: the driver is %q", name, c.Storage.Cache.Driver)
		}
		n := 0
		for _, line := range r {
			if strings.Contains(line, "config: cluster") {
				n++
			}
		}
		if strings.Contains(storage, "cluster:") != (n == 1) {
			t.Errorf("%s: %d lines about the cluster: %q", name, n, r)
		}
	}
}

func at(driver, root string) string {
	return strings.Replace(driver, "rootdirectory: /zot", "rootdirectory: "+root, 1)
}

// Nothing shows a secret of a cache, however it is shown.
func TestCacheSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte("redis://u:canary-url@h\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, r := mustLoad(t, "c.yaml", withCache(`name: redis, urlFile: "`+file+`", password: canary-password, sentinel_password: canary-sentinel`, ""))
	if c.Storage.Cache.Redis.Password != "canary-url" {
		t.Error("the file's URL is not used")
	}
	for _, text := range []string{c.Redacted(), fmt.Sprintf("%v %+v %#v %+v", c, *c, c.Storage.Cache, c.Storage.Cache.Redis), strings.Join(r, "\n")} {
		if strings.Contains(text, "canary") {
			t.Errorf("it shows a secret: %s", text)
		}
	}
}
