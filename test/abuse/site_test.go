package abuse

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"holdfast/test/cluster"
	"holdfast/test/cluster/clustertest"
)

// full in the environment asks for all rows, against replicas over S3.
const full = "HOLDFAST_ABUSE"

// maxBlob is the largest blob of the limited site, in bytes.
const maxBlob = 16 << 20

// A world is what the rows ask.
type world struct {
	full   bool
	binary string
	dir    string

	main    *site // access control, metrics, three replicas or one
	limited *site // without deletes, with a largest blob; open to all

	hash      string            // of crowdPassword
	passwords map[string]string // of users
	hashes    map[string]string
	mu        sync.Mutex // of writing the password file
	addresses atomic.Uint32
	guessed   atomic.Uint32 // users of the crowd whose password somebody got wrong
	report    *report
	ctx       context.Context // of the whole test
	cleanup   func(func())    // the same
	s3Once    sync.Once
	s3        []string // gateways for rows about buckets
}

// A site is a running installation.
type site struct {
	*cluster.Cluster
	front    string   // host:port of HAProxy, or of the only replica
	replicas []string // host:port of each
	htpasswd string   // its file
}

// The users. adam is the administrator; carl may create below acme/new and nothing else; dave is in the group team; eve may do nothing; victim
// is whose password is guessed; leaver leaves. crowd users have one password, for those who count time.
var users = []string{"adam", "alice", "bob", "carl", "dave", "eve", "victim", "leaver"}

const (
	crowd         = 60
	crowdPassword = "canary-crowd-4f1b"
)

// somebody is one of the crowd whose password nobody got wrong yet: after a few times it is not looked at any more.
func (w *world) somebody() string { return crowdName(40 + int(w.guessed.Add(1))%19) }

func crowdName(n int) string { return fmt.Sprintf("crowd%02d", n) }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{full: os.Getenv(full) != "", dir: t.TempDir(), passwords: map[string]string{}, hashes: map[string]string{}, ctx: t.Context(), cleanup: t.Cleanup}
	w.report = &report{failed: map[string]bool{}, notes: map[string][]string{}}
	var err error
	if w.binary, err = cluster.Build(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	for _, name := range users {
		w.passwords[name] = "canary-" + name + "-" + rand.Text()[:8]
		w.hashes[name] = hashOf(t, w.passwords[name], bcrypt.MinCost+2)
	}
	w.hash = hashOf(t, crowdPassword, 10)
	for n := range crowd {
		w.passwords[crowdName(n)], w.hashes[crowdName(n)] = crowdPassword, w.hash
	}
	w.main = w.newSite(t, cluster.Options{Edit: w.closed})
	w.limited = w.newSite(t, cluster.Options{Edit: limit, S3: w.main.S3})
	w.greet(t)
	return w
}

func hashOf(t *testing.T, password string, cost int) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

// newSite starts three replicas over S3 behind HAProxy, or one over a directory.
func (w *world) newSite(t *testing.T, opt cluster.Options) *site {
	t.Helper()
	s := &site{htpasswd: filepath.Join(w.dir, "htpasswd")}
	if err := w.writePasswords(s.htpasswd); err != nil {
		t.Fatal(err)
	}
	opt.Binary, opt.HAProxyConfig = w.binary, filepath.Join("..", "..", "deploy", "haproxy", "haproxy.cfg")
	if !w.full {
		opt.Store, opt.Replicas, opt.NoHAProxy, opt.S3 = cluster.Local, 1, true, nil
	}
	s.Cluster = clustertest.Start(t, opt)
	s.front = strings.TrimPrefix(s.URL, "http://")
	for _, url := range s.Replicas {
		s.replicas = append(s.replicas, strings.TrimPrefix(url, "http://"))
	}
	return s
}

// writePasswords writes the password file of everybody but some, so that it is there whole or not at all.
func (w *world) writePasswords(path string, without ...string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(w.hashes)) {
		if !slices.Contains(without, name) {
			fmt.Fprintf(&text, "%s:%s\n", name, w.hashes[name])
		}
	}
	if err := os.WriteFile(path+".new", []byte(text.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// closed is the configuration of the main site: who may do what.
func (w *world) closed(cfg map[string]any) {
	http := cfg["http"].(map[string]any)
	http["auth"] = map[string]any{"htpasswd": map[string]any{"path": filepath.Join(w.dir, "htpasswd")}, "apikey": true}
	http["trustedProxies"] = []string{"127.0.0.1"} // HAProxy's; clients come from other addresses of this machine
	http["accessControl"] = rules("dave")
	cfg["extensions"] = map[string]any{"metrics": map[string]any{"enable": true, "prometheus": map[string]any{"path": "/metrics"}}}
}

// rules are http.accessControl, with somebody in the group team.
func rules(team ...string) map[string]any {
	all := []string{"read", "create", "update", "delete"}
	allow := func(actions []string, users ...string) map[string]any {
		return map[string]any{"users": users, "actions": actions}
	}
	repositories := map[string]any{}
	for glob, policies := range map[string][]any{
		"acme/app/**":  {allow(all, "alice")},
		"acme/priv/**": {allow(all, "bob")},
		"acme/new/**":  {allow(all, "alice"), allow([]string{"read", "create"}, "carl")},
		"acme/team/**": {allow(all, "alice"), map[string]any{"groups": []string{"team"}, "actions": []string{"read"}}},
		"pub/**":       {allow(all, "alice")},
	} {
		rule := map[string]any{"policies": policies}
		if glob == "pub/**" {
			rule["anonymousPolicy"] = []string{"read"}
		}
		repositories[glob] = rule
	}
	return map[string]any{
		"repositories": repositories,
		"groups":       map[string]any{"team": map[string]any{"users": team}},
		"adminPolicy":  allow(all, "adam"),
		"metrics":      map[string]any{"users": []string{"adam"}},
	}
}

// limit is the configuration of the limited site.
func limit(cfg map[string]any) {
	cfg["storage"].(map[string]any)["delete"] = false
	cfg["http"].(map[string]any)["maxBlobSize"] = maxBlob
}

// greet lets every replica know the users' passwords, so that what somebody guesses later does not keep them out.
func (w *world) greet(t *testing.T) {
	t.Helper()
	for _, replica := range w.main.replicas {
		a := w.attack(t, replica)
		for _, name := range users {
			a.ask(name, "GET /v2/").is(200)
		}
	}
}

func (w *world) password(user string) string {
	if p, ok := w.passwords[user]; ok {
		return p
	}
	return "canary-nobody-knows-it"
}

// address is one of this machine that nobody asks from yet.
func (w *world) address() string {
	n := w.addresses.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", 10+n>>16, n>>8&0xff, n&0xff)
}

// secrets are words that no answer may contain.
func (w *world) secrets() []string {
	out := []string{w.dir, cluster.SecretKey, crowdPassword, w.hash, "canary"}
	if w.main == nil {
		return out
	}
	for _, s := range []*site{w.main, w.limited} {
		if s != nil && s.Bucket != "" {
			out = append(out, s.Bucket)
			for _, url := range s.S3 {
				out = append(out, strings.TrimPrefix(url, "http://"))
			}
		}
	}
	return out
}

// config is a configuration as YAML or JSON for a process of its own.
func (a *attack) config(cfg map[string]any) string {
	a.Helper()
	text, err := json.Marshal(cfg)
	if err != nil {
		a.Fatal(err)
	}
	return a.file("config.json", string(text))
}

// file writes a file that only its owner may read.
func (a *attack) file(name, text string) string {
	a.Helper()
	path := filepath.Join(a.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		a.Fatal(err)
	}
	return path
}

// TempDir is a folder whose name is a plain word, as it stands in files of YAML.
func (a *attack) TempDir() string {
	a.Helper()
	dir, err := os.MkdirTemp(a.dir, "row")
	if err != nil {
		a.Fatal(err)
	}
	return dir
}

// local is a configuration that serves a directory of its own at any free port.
func (a *attack) local() map[string]any {
	return map[string]any{
		"storage": map[string]any{"rootDirectory": a.TempDir()},
		"http":    map[string]any{"address": "127.0.0.1", "port": "0", "drainDelay": "0s"},
		"log":     map[string]any{"level": "debug"},
	}
}

// command is the program with an environment of its own.
func (a *attack) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(a.Context(), a.binary, args...)
	cmd.Dir = a.TempDir()
	cmd.Env = append(os.Environ(), "AWS_EC2_METADATA_DISABLED=true")
	return cmd
}
