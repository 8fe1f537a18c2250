package config

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// finish hands down what all stores share, and checks what one key cannot know of another.
func (w *walker) finish(c *Config) {
	if v := c.DistSpecVersion; v != "" && v != "1.1" && !strings.HasPrefix(v, "1.1.") {
		w.warn("distSpecVersion", "is noted only: this registry speaks version "+spokenVersion+" of the distribution-spec")
	}
	if c.HTTP.Address == "" {
		w.warn("http.address", "is empty: every network interface of the machine is listened on")
	}
	w.scrub(&c.Scrub)
	w.metrics(&c.Metrics)
	w.admin(&c.HTTP)
	w.ldap(c.HTTP.Auth.LDAP)
	w.openID(&c.HTTP)
	w.tokens(&c.HTTP.Auth)
	w.edge(&c.HTTP)
	w.auth(&c.HTTP)
	w.accessControl(&c.HTTP) // needs to know who can be found out
	var roots []root
	w.store(&c.Storage.Store, c, "storage", &roots)
	w.blobCache(&c.Storage.Store, "storage", &roots)
	w.quotas(&c.Storage.Store, "storage", "")
	w.redirects(&c.Storage.Store, &c.HTTP, "storage")
	for _, route := range slices.Sorted(maps.Keys(c.Storage.SubPaths)) {
		store := c.Storage.SubPaths[route]
		store.DeleteEnabled, store.MaxBlobSize = c.Storage.DeleteEnabled, c.Storage.MaxBlobSize
		w.store(&store, c, w.routes[route], &roots)
		w.blobCache(&store, w.routes[route], &roots)
		w.quotas(&store, w.routes[route], route)
		w.redirects(&store, &c.HTTP, w.routes[route])
		c.Storage.SubPaths[route] = store
	}
}

const defaultMetricsPath = "/metrics"

// metrics fills in the path, and refuses one that something else is served at.
func (w *walker) metrics(m *Metrics) {
	const path = "extensions.metrics.prometheus.path"
	if m.Path == "" {
		m.Path = defaultMetricsPath
	}
	taken := m.Path == "/" || m.Path == "/v2" || strings.HasPrefix(m.Path, "/v2/") || slices.Contains([]string{"/livez", "/readyz", "/startupz"}, m.Path)
	if !strings.HasPrefix(m.Path, "/") || taken || strings.ContainsAny(m.Path, "?#% ") {
		w.wrongAt(path, "is not a path for metrics", m.Path, `one of its own, as "/metrics"`)
	}
}

// place is where a key is, or the nearest section above it that the file has.
func (w *walker) place(path string) Pos {
	for w.nodes[path] == nil {
		path = path[:max(0, strings.LastIndexByte(path, '.'))] // "" is the file
	}
	return w.nodes[path].Pos
}

func (w *walker) wrongAt(path, what, got, want string) {
	w.problem(Problem{Pos: w.place(path), Path: path, Wrong: what, Got: got, Want: want})
}

func (w *walker) store(s *Store, c *Config, path string, roots *[]root) {
	w.collector(s, path)
	w.cache(s, path)
	if w.failed(path+".storageDriver") || w.failed(path+".storageDriver.name") {
		return // nobody knows what it should have
	}
	if s.Driver == DriverS3 {
		w.bucket(s.S3, c, path+".storageDriver")
		w.separate(root{path + ".storageDriver.rootdirectory", bucketID(s.S3), strings.Trim(s.S3.RootDirectory, "/")}, roots)
		return
	}
	s.S3 = S3{}
	if s.Redirect {
		w.warn(path+".redirectBlobURL", "has no effect: a local store has no URLs to redirect to")
	}
	if !s.Commit {
		w.warn(path+".commit", "a power cut may take blobs that were acknowledged in the last seconds")
	}
	if s.RootDirectory == "" {
		if !w.failed(path + ".rootDirectory") {
			w.wrongAt(path+".rootDirectory", "is missing", "", "a directory, as /var/lib/holdfast")
		}
		return
	}
	dir, err := filepath.Abs(s.RootDirectory)
	if err != nil { // the working directory is gone: what is relative stays so
		dir = filepath.Clean(s.RootDirectory)
	}
	w.separate(root{path + ".rootDirectory", string(DriverLocal), strings.Trim(filepath.ToSlash(dir), "/")}, roots)
}

func (w *walker) bucket(b S3, c *Config, path string) {
	if b.Bucket == "" && !w.failed(path+".bucket") {
		w.wrongAt(path+".bucket", "is missing", "", "the name of a bucket that exists")
	}
	access, secret := w.has(path+".accesskey", b.AccessKey), w.has(path+".secretkey", b.SecretKey)
	switch {
	case access && !secret:
		w.wrongAt(path+".secretkey", "is missing", "", "it with accesskey, or neither to use the AWS environment")
	case secret && !access:
		w.wrongAt(path+".accesskey", "is missing", "", "it with secretkey, or neither to use the AWS environment")
	case !access && b.SessionToken != "":
		w.wrongAt(path+".sessiontoken", "belongs to keys that are missing", "", "accesskey and secretkey with it")
	}
	if b.KeyID != "" && !b.Encrypt && !w.failed(path+".encrypt") {
		w.wrongAt(path+".keyid", "has no effect without encrypt", "", "encrypt true, or no keyid")
	}
	budget := c.Storage.MemoryBudget
	if budget == 0 {
		budget = usualMemoryBudget
	}
	if b.ChunkSize > budget {
		w.warn(path+".chunksize", "is more than storage.memoryBudget: parts will be smaller, and blobs made of more pieces")
	}
}

// has reports whether a secret is set, or would be but for a problem.
func (w *walker) has(path string, s Secret) bool { return s != "" || w.failed(path) }

// failed reports whether there is a problem with a key, or with the file that holds its value.
func (w *walker) failed(path string) bool {
	return w.meant[path] || slices.ContainsFunc(w.report.Problems, func(p Problem) bool {
		return fold(p.Path) == fold(path) || fold(p.Path) == fold(path+"File")
	})
}

// root is where a store lies: a path without slashes at its ends, in something that id names.
type root struct {
	path string // of the key
	id   string
	at   string
}

func bucketID(b S3) string {
	endpoint := strings.TrimRight(fold(b.RegionEndpoint), "/")
	if _, host, found := strings.Cut(endpoint, "://"); found {
		endpoint = host
	}
	return endpoint + "/" + b.Bucket
}

// separate refuses a store that lies in another, or around it: each would take the other's for foreign.
func (w *walker) separate(r root, roots *[]root) {
	for _, other := range *roots {
		if r.id == other.id && (within(r.at, other.at) || within(other.at, r.at)) {
			got := "the same as without it"
			if n := w.nodes[r.path]; n != nil {
				got = n.got()
			}
			w.wrongAt(r.path, "is the place of another store, or one lies in the other", got, "one apart from "+other.path)
			return
		}
	}
	*roots = append(*roots, r)
}

func within(inner, outer string) bool {
	return inner == outer || outer == "" || strings.HasPrefix(inner, outer+"/")
}
