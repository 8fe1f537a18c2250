package site

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"holdfast/test/cluster"
)

func (k Kind) extension() string {
	switch k {
	case Distribution:
		return ".yml"
	case Nginx:
		return ".conf"
	default:
		return ".json"
	}
}

func (k Kind) arguments(file string) []string {
	if k == Nginx {
		return []string{"-c", file}
	}
	return []string{"serve", file}
}

// ready is the path that answers 200 when the server can be used.
func (k Kind) ready() string {
	switch k {
	case Holdfast:
		return "/readyz"
	case Nginx:
		return "/ready"
	default:
		return "/v2/"
	}
}

// rootDirectory is the prefix of all keys in a bucket.
const rootDirectory = "/registry"

// Root is the folder below which the registry has its files. zot's keys in a bucket begin with the root directory twice.
func (s *Subject) Root() string {
	switch {
	case s.Local:
		return s.Folder
	case s.Kind == Zot:
		return filepath.Join(s.Folder, rootDirectory, rootDirectory)
	}
	return filepath.Join(s.Folder, rootDirectory)
}

// config is the configuration of the subject's process n, from 0. All of them log what they log in production, to a file.
func (s *Subject) config(n int) ([]byte, error) {
	switch s.Kind {
	case Holdfast, Zot:
		return s.zotFile(n)
	case Distribution:
		return s.distributionFile(n)
	case Nginx:
		return s.nginxFile(n), nil
	default:
		return nil, fmt.Errorf("site: no configuration for %s", s.Kind)
	}
}

// zotFile is zot's, and ours, which is the same. zot over a bucket is as its clustering document says: without deduplication and without
// collection of garbage.
func (s *Subject) zotFile(n int) ([]byte, error) {
	storage := map[string]any{"rootDirectory": s.Folder, "commit": s.Commit, "gc": s.Kind == Holdfast || s.Local}
	if s.Kind == Zot {
		storage["dedupe"] = s.Local
	}
	if !s.Local {
		storage["rootDirectory"] = filepath.Join(s.site.dir, s.Bucket+"-local")
		delete(storage, "commit")
		storage["storageDriver"] = s.bucketOf(map[string]any{"name": "s3"})
	}
	file := map[string]any{
		"distSpecVersion": "1.1.1",
		"storage":         storage,
		"http":            map[string]any{"address": "127.0.0.1", "port": strconv.Itoa(s.ports[n])},
		"log":             map[string]any{"level": "info"},
	}
	if s.Kind == Holdfast {
		file["http"].(map[string]any)["drainDelay"] = "0s"
		if s.admin != 0 && n == 0 {
			file["http"].(map[string]any)["adminAddress"] = "127.0.0.1:" + strconv.Itoa(s.admin)
		}
	}
	s.remember(file)
	if s.Search {
		file["extensions"] = map[string]any{"search": map[string]any{"enable": true}}
	}
	return json.MarshalIndent(file, "", "  ")
}

// bucketOf adds what the three call the same.
func (s *Subject) bucketOf(driver map[string]any) map[string]any {
	for key, value := range map[string]any{
		"rootdirectory": rootDirectory, "region": cluster.Region, "regionendpoint": s.Proxy.URL, "bucket": s.Bucket, "forcepathstyle": true,
		"accesskey": cluster.AccessKey, "secretkey": cluster.SecretKey, "secure": false, "skipverify": false,
	} {
		driver[key] = value
	}
	return driver
}

// distributionFile is distribution's; JSON is YAML.
func (s *Subject) distributionFile(n int) ([]byte, error) {
	storage := map[string]any{
		"delete":      map[string]any{"enabled": true},
		"redirect":    map[string]any{"disable": true},
		"maintenance": map[string]any{"uploadpurging": map[string]any{"enabled": false}},
	}
	if s.Cache {
		storage["cache"] = map[string]any{"blobdescriptor": "inmemory"}
	}
	if s.Local {
		storage["filesystem"] = map[string]any{"rootdirectory": s.Folder}
	} else {
		storage["s3"] = s.bucketOf(map[string]any{})
	}
	return json.MarshalIndent(map[string]any{
		"version": "0.1",
		"log":     map[string]any{"level": "info"},
		"storage": storage,
		"http":    map[string]any{"addr": "127.0.0.1:" + strconv.Itoa(s.ports[n]), "secret": "the same at every replica"},
	}, "", "  ")
}

// nginxFile has nginx send the files of the folder, as fast as it can.
func (s *Subject) nginxFile(n int) []byte {
	user := ""
	if os.Getuid() == 0 { // its workers may not read our folder otherwise
		user = "user root;\n"
	}
	return []byte(user + `daemon off;
worker_processes auto;
pid ` + s.Folder + `.pid;
error_log ` + s.Folder + `.log;
events { worker_connections 1024; }
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 1000000;
	client_body_temp_path ` + s.Folder + `.tmp;
	proxy_temp_path ` + s.Folder + `.tmp;
	fastcgi_temp_path ` + s.Folder + `.tmp;
	uwsgi_temp_path ` + s.Folder + `.tmp;
	scgi_temp_path ` + s.Folder + `.tmp;
	server {
		listen 127.0.0.1:` + strconv.Itoa(s.ports[n]) + `;
		root ` + s.Folder + `;
		location = /ready { return 200; }
	}
}
`)
}
