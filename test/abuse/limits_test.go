package abuse

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// usage is what the main site's replicas hold together.
func (a *attack) usage() (resident int64) {
	a.Helper()
	for n := range a.main.replicas {
		u, err := a.main.Usage(n + 1)
		if err != nil {
			a.Fatal(err)
		}
		resident += u.Resident
	}
	return resident
}

// growth is by how much the replicas together were larger than before, at most, while f ran; a fifth of a second between two looks.
func (a *attack) growth(f func()) int64 {
	a.Helper()
	before := a.usage()
	most := before
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return max(most, a.usage()) - before
		case <-tick.C:
			most = max(most, a.usage())
		}
	}
}

// goroutines counts those of a replica, by its metrics.
func (a *attack) goroutines(replica string) (n int) {
	a.Helper()
	text := string(a.at(replica).ask("adam", "GET /metrics").is(200).Body)
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "go_goroutines "); ok {
			if _, err := fmt.Sscan(rest, &n); err != nil {
				a.Fatal(err)
			}
		}
	}
	return n
}

// adminToken is an operator's.
func (a *attack) adminToken() string {
	a.Helper()
	out, err := a.command("token", "--for=admin", "--ttl=10m", a.main.ConfigFile(1)).Output()
	if err != nil {
		a.Fatalf("holdfast token: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// collect makes a pass of the collector over what has changed, which another pass may be in the way of, and tells how long it took.
func (a *attack) collect(repo string) time.Duration {
	a.Helper()
	token := "Authorization: Bearer " + a.adminToken()
	for range 20 {
		ans := a.do("", "POST /v2/_holdfast/gc?dry-run=true&repository="+repo, "", token)
		switch {
		case ans.Status == http.StatusOK:
			return ans.took
		case ans.Status != http.StatusServiceUnavailable && ans.Status != http.StatusConflict:
			ans.is(200)
			return 0
		}
		time.Sleep(300 * time.Millisecond) // another row's pass
	}
	a.Error("no pass of the collector could be made")
	return 0
}

// limitRows are what would cost a careless server dear.
func limitRows() []row {
	return []row{
		{number: "A65", name: "uploads that are begun and left", alone: true, at: once, run: func(a *attack) {
			n, each := 10_000, 8
			if !a.full {
				n = 400
			}
			sessions := a.objects("u")
			var got sync.Map
			grown := a.growth(func() {
				var all sync.WaitGroup
				for range each {
					all.Go(func() {
						k := a.keep()
						for range n / each {
							ans, _, err := k.do("alice", "POST /v2/"+a.repo+"/blobs/uploads/", "Content-Length: 0")
							if err != nil {
								a.Error(err)
								return
							}
							got.Store(ans.Status, true)
						}
					})
				}
				all.Wait()
			})
			got.Range(func(status, _ any) bool {
				if status != 202 && status != 429 {
					a.Errorf("a POST is answered %v", status)
				}
				return true
			})
			if after := a.objects("u"); after != sessions {
				a.Errorf("%d POST have written %d objects", n, after-sessions)
			}
			a.measured("%d uploads begun: the replicas grew by %d KiB", n, grown>>10)
			if a.full && grown > 48<<20 {
				a.Errorf("the replicas grew by %d MiB", grown>>20)
			}
		}},
		{number: "A65", name: "more requests than a limit", at: once, run: func(a *attack) {
			cfg := a.local()
			http := cfg["http"].(map[string]any)
			http["ratelimit"], http["limits"] = map[string]any{"rate": 5}, map[string]any{"clientConcurrency": 4}
			b := a.at(a.serve(a.config(cfg)).address)
			got := b.together(60, func(int) string { return b.text("", "GET /v2/", "") })
			if got[429] == 0 || got[200] == 0 || got[200]+got[429] != 60 {
				a.Errorf("60 requests at once: %v, want some 200 and 429", got)
			}
			b.ask("", "GET /livez").is(200)
			b.stranger().ask("", "GET /v2/").is(200) // others are not in the way
		}},
		{number: "A66", name: "more bytes than a quota", at: once, run: func(a *attack) {
			cfg := a.local()
			cfg["storage"].(map[string]any)["quotas"] = []any{map[string]any{"prefix": "team", "bytes": "1KiB"}}
			cfg["extensions"] = map[string]any{"metrics": map[string]any{}}
			b := a.at(a.serve(a.config(cfg)).address)
			for began := time.Now(); !strings.Contains(string(b.ask("", "GET /metrics").Body), `holdfast_quota_in_force{prefix="team",store="/"} 1`); time.Sleep(100 * time.Millisecond) {
				if time.Since(began) > 30*time.Second {
					a.Fatal("the quota is not in force, since nothing was counted")
				}
			}
			push := func(repo, content string) *answer {
				a.Helper()
				return b.do("", "POST /v2/"+repo+"/blobs/uploads/?digest="+digest(content), content, octets)
			}
			push("team/x", a.noise(900)).is(201)
			push("team/x", a.noise(200)).is(403, "DENIED", "quota of team")
			push("other/x", a.noise(200)).is(201)
			b.ask("", "GET /v2/team/x/blobs/"+digest(a.noise(200))).is(404)
		}},
		{number: "A67", name: "a layer that unpacks to 10 GiB", alone: true, at: once, run: func(a *attack) {
			content := a.bomb()
			runtime := a.goroutines(a.main.replicas[0])
			began := time.Now()
			grown := a.growth(func() { a.blob(a.repo, content) })
			a.ask("alice", "HEAD /v2/"+a.repo+"/blobs/"+digest(content)).is(200).has(fmt.Sprintf("Content-Length: %d", len(content)))
			a.measured("pushed in %v, the replicas grew by %d MiB, goroutines before and after: %d, %d", time.Since(began), grown>>20, runtime, a.goroutines(a.main.replicas[0]))
			if a.full && grown > 128<<20 {
				a.Errorf("the replicas grew by %d MiB for a layer of %d MiB", grown>>20, len(content)>>20)
			}
			if a.full && time.Since(began) > 20*time.Second {
				a.Errorf("the push took %v", time.Since(began))
			}
		}},
	}
}

// objects counts what the S3 server has below a folder of the main bucket's records; 0 where there is none.
func (a *attack) objects(folder string) (n int) {
	a.Helper()
	if a.main.Bucket == "" {
		return 0
	}
	root := filepath.Join(a.main.S3Folder(), a.main.Bucket, "zot", "holdfast", folder)
	err := filepath.WalkDir(root, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			n++
		}
		if os.IsNotExist(err) {
			return nil
		}
		return err
	})
	if err != nil {
		a.Fatal(err)
	}
	return n
}

// bomb is some 10 MB that gunzip makes 10 GiB of, and the attack's word, so that nobody has pushed it.
func (a *attack) bomb() string {
	a.Helper()
	var one bytes.Buffer
	w := gzip.NewWriter(&one)
	if _, err := w.Write(make([]byte, 10<<20)); err != nil {
		a.Fatal(err)
	}
	if err := w.Close(); err != nil {
		a.Fatal(err)
	}
	return strings.Repeat(one.String(), 1024) + a.word
}

// raceRows are clients that do the same at once.
func raceRows() []row {
	return []row{
		{number: "A69", name: "one tag, two manifests, sixteen writers", alone: true, at: once, run: func(a *attack) {
			config, layer := a.parts(a.repo)
			both := []string{image(config, layer, "one"), image(config, layer, "two")}
			rounds := 3
			if a.full {
				rounds = 25
			}
			if text := os.Getenv("HOLDFAST_ABUSE_ROUNDS"); text != "" {
				n, err := strconv.Atoi(text)
				if err != nil {
					a.Fatalf("HOLDFAST_ABUSE_ROUNDS: %v", err)
				}
				rounds = n
			}
			for round := range rounds {
				var (
					mu    sync.Mutex
					all   sync.WaitGroup
					acked = map[string]bool{}
				)
				for i := range 16 {
					all.Go(func() {
						b := a.at(a.main.replicas[i%len(a.main.replicas)])
						m := both[i%2]
						ans, err := b.try(b.text("alice", "PUT /v2/"+a.repo+"/manifests/latest", m, "Content-Type: "+imageType))
						if err != nil {
							a.Error(err)
							return
						}
						b.contract(ans)
						ans.oneOf([]int{201, 503})
						mu.Lock()
						defer mu.Unlock()
						if ans.Status == 201 {
							acked[digest(m)] = true
						}
					})
				}
				all.Wait()
				var seen []string
				for _, replica := range a.main.replicas {
					seen = append(seen, a.at(replica).there(a.repo, "manifests/latest").Header.Get("Docker-Content-Digest"))
				}
				if slices.Sort(seen); seen[0] != seen[len(seen)-1] || !acked[seen[0]] {
					a.Fatalf("round %d: the replicas say %v, acknowledged were %v", round, seen, acked)
				}
			}
			a.measured("%d rounds of 16 writers", rounds)
		}},
		{number: "A23", name: "a blob that is deleted here and read there", at: once, run: func(a *attack) {
			other, content := a.repo+"-b", "cached "+a.word
			a.blob(a.repo, content)
			a.blob(other, content)
			for _, replica := range a.main.replicas { // warm
				a.at(replica).there(a.repo, "blobs/"+digest(content))
				a.at(replica).there(other, "blobs/"+digest(content))
			}
			a.at(a.main.replicas[0]).ask("alice", "DELETE /v2/"+a.repo+"/blobs/"+digest(content)).is(202)
			deleted := time.Now()
			for i, replica := range a.main.replicas {
				b := a.at(replica)
				for b.ask("alice", "GET /v2/"+a.repo+"/blobs/"+digest(content)).Status != 404 {
					if took := time.Since(deleted); i == 0 || took > 2*time.Second {
						a.Fatalf("replica %d has it %v after the delete", i+1, took)
					}
				}
				times := 10
				if a.full {
					times = 100
				}
				for range times {
					b.ask("alice", "GET /v2/"+a.repo+"/blobs/"+digest(content)).is(404, "BLOB_UNKNOWN")
				}
				b.there(other, "blobs/"+digest(content)).holds(content)
			}
		}},
	}
}

// deleteRows are deletes that must not be.
func deleteRows() []row {
	return []row{
		{number: "A68", name: "a layer of a live manifest", run: func(a *attack) {
			config, layer := a.parts(a.repo)
			m := image(config, layer, a.word)
			a.put(a.repo, "v1", m).is(201)
			for _, content := range []string{config, layer} {
				a.ask("alice", "DELETE /v2/"+a.repo+"/blobs/"+digest(content)).is(405, "DENIED", "refer.*"+digest(m))
				a.there(a.repo, "blobs/"+digest(content)).holds(content)
			}
		}},
		{number: "A44", name: "deletes that are switched off", at: once, run: func(a *attack) {
			a = a.at(a.limited.front)
			a.do("", "POST /v2/keep/blobs/uploads/?digest="+digest("{}"), "{}", octets).is(201)
			m := imageOf(descriptor("application/vnd.oci.image.config.v1+json", "{}"), "[]")
			a.do("", "PUT /v2/keep/manifests/v1", m, "Content-Type: "+imageType).is(201)
			for _, what := range []string{"manifests/v1", "manifests/" + digest(m), "blobs/" + digest("{}")} {
				a.ask("", "DELETE /v2/keep/"+what).is(405, "UNSUPPORTED")
				a.ask("", "DELETE /v2/keep/"+what, "X-HTTP-Method-Override: DELETE").is(405, "UNSUPPORTED")
				a.ask("", "GET /v2/keep/"+what).is(200)
			}
			a.ask("", "DELETE "+a.ask("", "POST /v2/keep/blobs/uploads/").is(202).location()).is(204)
		}},
	}
}
