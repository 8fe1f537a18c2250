package samples

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"holdfast/test/cache"
	"holdfast/test/cluster"
)

// sampleVariable names another file to serve than the copy of the published sample for S3.
const sampleVariable = "HOLDFAST_TEST_SAMPLE"

// TestSampleForS3 serves the published sample byte for byte: the SDK's environment says where the bucket and the table are, and the socket is handed over, so that
// port 8080 may be anybody's.
func TestSampleForS3(t *testing.T) {
	file := os.Getenv(sampleVariable)
	if file == "" {
		file = "../../internal/config/testdata/s3.json"
	}
	s := start(t)
	s.serve(file, "AWS_ENDPOINT_URL_S3="+s.s3, "AWS_ENDPOINT_URL_DYNAMODB="+s.table.URL)
	s.pushAndPull()
	s.items("MainTable")
}

// TestSamples serves what other samples say, by their keys and values; addresses alone are those of the servers of the test.
func TestSamples(t *testing.T) {
	s := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	redis, err := cache.StartRedis(ctx, t.TempDir(), "requirepass password")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Kill)
	members, err := cache.StartCluster(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(members.Kill)
	servers, sentinels, err := cache.StartSentinel(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(servers.Kill)
	t.Cleanup(sentinels.Kill)

	type object = map[string]any
	driver := func(root string) object {
		return object{"name": "s3", "rootdirectory": root, "region": region, "regionendpoint": strings.TrimPrefix(s.s3, "http://"), "bucket": "zot-storage", "forcepathstyle": true, "secure": false, "skipverify": false}
	}
	tables := object{
		"name": "dynamodb", "endpoint": s.table.URL, "region": region, "cacheTablename": "ZotBlobTable", "repoMetaTablename": "ZotRepoMetadataTable", "imageMetaTablename": "ZotImageMetaTable",
		"repoBlobsInfoTablename": "ZotRepoBlobsInfoTable", "userDataTablename": "ZotUserDataTable", "apiKeyTablename": "ZotApiKeyTable", "versionTablename": "ZotVersion",
	}
	group := object{"members": []string{"127.0.0.1:9000", "127.0.0.1:9001", "127.0.0.1:9002"}, "hashKey": "loremipsumdolors", "tls": object{"cacert": "test/data/ca.crt"}}
	for name, sample := range map[string]struct {
		storage object
		beside  object
		used    func(s *site)
		says    string
	}{
		"dynamodb": {
			storage: object{"rootDirectory": "/tmp/zot", "dedupe": true, "remoteCache": true, "storageDriver": driver("/zot"), "cacheDriver": tables},
			used:    func(s *site) { s.items("ZotBlobTable") }, says: "is not needed",
		},
		"scale-out": {
			storage: object{"rootDirectory": "/tmp/zot", "dedupe": false, "remoteCache": true, "storageDriver": driver("/zot-scale"), "cacheDriver": tables}, beside: object{"cluster": group},
			used: func(s *site) { s.items("ZotBlobTable") }, says: "no replica owns a repository here",
		},
		"redis": {
			storage: object{"dedupe": true, "gc": true, "rootDirectory": "/tmp/zot", "storageDriver": driver("/zot-redis"), "cacheDriver": object{"name": "redis", "url": "redis://:password@" + redis.Address, "keyprefix": "zot"}},
			beside:  object{"extensions": object{"ui": object{"enable": true}, "search": object{"enable": true}}},
			used:    func(s *site) { s.keys(redis) },
		},
		"redis cluster": {
			storage: object{"dedupe": true, "gc": true, "rootDirectory": "/tmp/zot", "storageDriver": driver("/zot-members"), "cacheDriver": object{"name": "redis", "keyprefix": "zot",
				"url": "redis://" + members[0].Address + "?dial_timeout=3&read_timeout=6s&addr=" + members[1].Address + "&addr=" + members[2].Address}},
			used: func(s *site) { s.keys(members...) },
		},
		"redis with all options": {
			storage: object{"dedupe": true, "gc": true, "rootDirectory": "/tmp/zot", "storageDriver": driver("/zot-all"), "cacheDriver": object{"name": "redis", "keyprefix": "zot", "addr": sentinels.Addresses(),
				"client_name": "client", "db": 1, "protocol": 3, "username": "default", "password": "secret", "sentinel_username": "default", "sentinel_password": "watchers", "max_retries": 3,
				"min_retry_backoff": "5s", "max_retry_backoff": "5s", "dial_timeout": "5s", "read_timeout": "5s", "write_timeout": "5s", "context_timeout_enabled": false, "pool_fifo": false,
				"pool_size": 3, "pool_timeout": "5s", "min_idle_conns": 1, "max_idle_conns": 3, "max_active_conns": 3, "conn_max_idle_time": "5s", "conn_max_lifetime": "5s", "max_redirects": 3,
				"read_only": false, "route_by_latency": false, "route_randomly": false, "master_name": cache.MasterName, "disable_identity": false, "identity_suffix": "zotmeta", "unstable_resp3": false}},
			used: func(s *site) { s.keys(servers[0]) }, says: "all requests share a few connections",
		},
		"subPaths": {
			storage: object{"rootDirectory": "/tmp/zot", "dedupe": true, "storageDriver": driver("/zot-root"), "cacheDriver": object{"name": "dynamodb", "endpoint": s.table.URL, "region": region, "cacheTablename": "RootTable"},
				"subPaths": object{
					"/a": object{"rootDirectory": "/tmp/zot1", "dedupe": false, "storageDriver": driver("/zot-a")},
					"/b": object{"rootDirectory": "/tmp/zot2", "dedupe": true, "remoteCache": false, "storageDriver": driver("/zot-b")},
					"/c": object{"rootDirectory": "/tmp/zot3", "dedupe": true, "remoteCache": true, "storageDriver": driver("/zot-c"), "cacheDriver": object{"name": "dynamodb", "endpoint": s.table.URL, "region": region, "cacheTablename": "cTable"}},
				}},
			used: func(s *site) { s.items("RootTable") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := object{"distSpecVersion": "1.1.0", "storage": sample.storage, "http": object{"address": "127.0.0.1", "port": "9000"}, "log": object{"level": "debug"}}
			for key, value := range sample.beside {
				cfg[key] = value
			}
			text, err := json.Marshal(cfg)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "config.json")
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			s := s.with(t)
			log := s.serve(file)
			s.pushAndPull()
			sample.used(s)
			if text := log(); !strings.Contains(text, sample.says) {
				t.Errorf("it does not say %q", sample.says)
			}
		})
	}
}

// region is that of the samples.
const region = "us-east-2"

// site is a bucket and a table's server, and the program over them.
type site struct {
	*testing.T
	binary string
	s3     string
	table  *cache.DynamoDB
	url    string
}

func (s *site) with(t *testing.T) *site {
	one := *s
	one.T = t
	return &one
}

// start starts versitygw with the bucket of the samples, and a server of DynamoDB's protocol.
func start(t *testing.T) *site {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	binary, err := cluster.Build(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	gateway, err := cluster.Tool("versitygw")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{T: t, binary: binary}
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "zot-storage"), 0o700); err != nil { // a folder is a bucket
		t.Fatal(err)
	}
	listener := s.listen()
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	s.run(exec.Command(gateway, "-q", "-a", cluster.AccessKey, "-s", cluster.SecretKey, "-r", region, "-p", address, "--keep-alive", "--health", "/health", "posix", root))
	s.s3 = "http://" + address
	s.until("the store answers", func() bool { return s.status(s.s3+"/health") == http.StatusOK })
	if s.table, err = cache.StartDynamoDB(ctx, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.table.Kill)
	return s
}

// run starts a program that ends with the test, and returns what it has written so far.
func (s *site) run(cmd *exec.Cmd) func() string {
	s.Helper()
	out, err := os.Create(filepath.Join(s.TempDir(), "log"))
	if err != nil {
		s.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		_ = out.Close()
	})
	return func() string {
		text, err := os.ReadFile(out.Name())
		if err != nil {
			s.Error(err)
		}
		return string(text)
	}
}

func (s *site) listen() net.Listener {
	s.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(s.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		s.Fatal(err)
	}
	return l
}

// serve starts the program with a file, on a socket that is handed over as systemd does, and waits until it is ready.
func (s *site) serve(file string, env ...string) (log func() string) {
	s.Helper()
	l := s.listen()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		s.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" serve "$1"`, s.binary, file)
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+cluster.AccessKey, "AWS_SECRET_ACCESS_KEY="+cluster.SecretKey)
	cmd.Env = append(cmd.Env, env...)
	log = s.run(cmd)
	if err := socket.Close(); err != nil {
		s.Error(err)
	}
	s.url = "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		s.Error(err)
	}
	s.Cleanup(func() {
		for line := range strings.Lines(log()) {
			if s.Failed() && (strings.Contains(line, "WARN") || strings.Contains(line, "ERROR")) {
				s.Log(line)
			}
		}
	})
	s.until("the replica is ready", func() bool { return s.status(s.url+"/readyz") == http.StatusOK })
	return log
}

func (s *site) until(what string, ready func() bool) {
	s.Helper()
	for end := time.Now().Add(time.Minute); !ready(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("it does not come that %s", what)
		}
	}
}

// status is that of the answer to a GET, or 0.
func (s *site) status(url string) int {
	ctx, cancel := context.WithTimeout(s.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		s.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body) // the status is enough
	_ = resp.Body.Close()
	return resp.StatusCode
}

func (s *site) do(want int, method, path, kind, body string) string {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		s.Fatalf("%s %s: %s, %v: %s", method, path, resp.Status, err, text)
	}
	return string(text)
}

// pushAndPull pushes an image with a layer and pulls it, and looks for its blobs as the push of the next image does.
func (s *site) pushAndPull() {
	s.Helper()
	digest := func(text string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))) }
	config, layer := `{}`, "layer of "+s.Name()
	for range 2 {
		for _, blob := range []string{config, layer} {
			s.do(201, "POST", "/v2/team/app/blobs/uploads/?digest="+digest(blob), "application/octet-stream", blob)
			s.do(200, "HEAD", "/v2/team/app/blobs/"+digest(blob), "", "")
			if got := s.do(200, "GET", "/v2/team/app/blobs/"+digest(blob), "", ""); got != blob {
				s.Errorf("a blob is %q, want %q", got, blob)
			}
		}
		manifest := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + digest(config) + `","size":` + strconv.Itoa(len(config)) +
			`},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"` + digest(layer) + `","size":` + strconv.Itoa(len(layer)) + `}]}`
		s.do(201, "PUT", "/v2/team/app/manifests/latest", "application/vnd.oci.image.manifest.v1+json", manifest)
		if got := s.do(200, "GET", "/v2/team/app/manifests/latest", "", ""); got != manifest {
			s.Errorf("the manifest is %q, want %q", got, manifest)
		}
	}
}

// items waits until there is something in a table. There is work meanwhile.
func (s *site) items(table string) {
	s.Helper()
	sdk := dynamodb.New(dynamodb.Options{BaseEndpoint: aws.String(s.table.URL), Region: region, Credentials: credentials.NewStaticCredentialsProvider(cluster.AccessKey, cluster.SecretKey, "")})
	s.until("there is something in "+table, func() bool {
		s.pushAndPull()
		out, err := sdk.Scan(s.Context(), &dynamodb.ScanInput{TableName: &table})
		return err == nil && len(out.Items) > 0
	})
}

// keys waits until one of the servers has a key. There is work meanwhile.
func (s *site) keys(servers ...*cache.Redis) {
	s.Helper()
	s.until("there is something in Redis", func() bool {
		s.pushAndPull()
		for _, r := range servers {
			bytes, err := r.Do(s.Context(), "INFO", "keyspace")
			if n, notNumber := strconv.Atoi(bytes); err == nil && notNumber == nil && n > len("# Keyspace\r\n") {
				return true
			}
		}
		return false
	})
}
