package abuse

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// loginRows are credentials that are none, and those who try them.
func loginRows() []row {
	return []row{
		{number: "B62", name: "Basic credentials that are none", run: func(a *attack) {
			somebody := a.somebody()
			wrong := []string{
				"Authorization: Basic !!!", "Authorization: Basic YWxpY2U=", "Authorization: Basic " + strings.Repeat("YWFh", 2<<10), "Authorization: Basic", "Authorization: x",
				"Authorization: Digest username=\"alice\"", basic(somebody, crowdPassword+"\x00"), basic("alice\x00", "x"), basic("\xff\xfe", "x"), basic("", "x"), basic(somebody, ""),
				basic(somebody, strings.Repeat("x", 73)), basic(somebody, crowdPassword+strings.Repeat("x", 80)), basic("nobody"+a.word, "x"), basic(strings.ToUpper(somebody), crowdPassword),
			}
			want := ""
			for _, header := range wrong {
				ans := a.stranger().ask("", "GET /v2/"+a.repo+"/tags/list", header).is(401, "UNAUTHORIZED")
				if got := shape(ans); want == "" {
					want = got
				} else if got != want {
					a.Errorf("the answer tells what is wrong with %s:\n%s\n%s", clip(header), got, want)
				}
			}
			a.stranger().ask("", "GET /v2/", basic("alice", a.password("alice")), basic("bob", "wrong")).is(401, "UNAUTHORIZED")
			a.tooLong(a.text("", "GET /v2/", "", "Authorization: Basic "+strings.Repeat("YWFh", 16<<10)))
		}},
		{number: "B64", name: "Bearer tokens that are none", run: func(a *attack) {
			for _, token := range []string{"x", "a.b", "a.b.c", "....", "!!!.???.###", "eyJhbGciOiJub25lIn0.e30.", strings.Repeat("a", 8<<10), ""} {
				a.stranger().ask("", "GET /v2/", "Authorization: Bearer "+token).is(401, "UNAUTHORIZED")
			}
			a.tooLong(a.text("", "GET /v2/", "", "Authorization: Bearer "+strings.Repeat("a", 1<<20)))
		}},
		{number: "A33", name: "names that are known, and names that are not", slow: true, alone: true, at: direct, run: func(a *attack) {
			const names, tries = 40, 3
			var known, not []time.Duration
			var one, other string
			for i := range names {
				pair := map[string]*attack{crowdName(i): a.stranger(), fmt.Sprintf("nobody%02d", i): a.stranger()}
				for range tries {
					for name, b := range pair {
						began := time.Now()
						ans := b.ask("", "GET /v2/", basic(name, "wrong-"+a.word)).is(401, "UNAUTHORIZED")
						took := time.Since(began)
						if strings.HasPrefix(name, "nobody") {
							not, other = append(not, took), shape(ans)
						} else {
							known, one = append(known, took), shape(ans)
						}
					}
				}
			}
			if one != other {
				a.Errorf("the answers differ:\n%s\n%s", one, other)
			}
			a.measured("a known name takes %v, another %v; the fastest quarters up to %v and %v", quantile(known, 2), quantile(not, 2), quantile(known, 4), quantile(not, 4))
			k, n := quantile(known, 4), quantile(not, 4) // on a busy machine medians wander
			if diff := math.Abs(float64(k - n)); diff > 0.3*float64(k) && diff > float64(5*time.Millisecond) {
				a.Errorf("a known name takes %v, another %v", k, n)
			}
		}},
		{number: "A34", name: "a signature that is wrong at its beginning, or at its end", slow: true, alone: true, at: direct, run: func(a *attack) {
			u := a.upload(a.repo)
			flip := func(at int) string {
				c := byte('A')
				if u[at] == c {
					c = 'B'
				}
				return u[:at] + string(c) + u[at+1:]
			}
			both := []string{flip(len(u) - 20), flip(len(u) - 3)}
			var (
				took [2][]float64
				mu   sync.Mutex
				all  sync.WaitGroup
			)
			for i := range 64 { // a forged id waits for the next look at the secret, at most a second, together with all others
				all.Go(func() {
					k := a.keep()
					for range 10 {
						ans, t, err := k.do("alice", "GET "+both[i%2])
						if err != nil {
							a.Error(err)
							return
						}
						ans.is(404, "BLOB_UPLOAD_UNKNOWN")
						mu.Lock()
						took[i%2] = append(took[i%2], float64(t))
						mu.Unlock()
					}
				})
			}
			all.Wait()
			if a.Failed() {
				return
			}
			m0, m1, t := welch(took[0], took[1])
			a.measured("wrong at its beginning %v, at its end %v, t = %.2f", time.Duration(m0), time.Duration(m1), t)
			if math.Abs(t) > 4 && math.Abs(m0-m1) > 0.05*m0 {
				a.Errorf("where a signature is wrong can be told: %v, %v, t = %.2f", time.Duration(m0), time.Duration(m1), t)
			}
		}},
		{number: "A38", name: "a user who leaves, and one who leaves a group", alone: true, at: once, run: func(a *attack) {
			team := "acme/team/" + a.word
			a.image(team, "v1")
			token := a.token("leaver", "")
			for _, replica := range a.main.replicas {
				b := a.at(replica)
				b.ask("leaver", "GET /v2/").is(200)
				b.ask("", "GET /v2/", "Authorization: Bearer "+token).is(200)
				b.ask("dave", "GET /v2/"+team+"/manifests/v1").is(200)
			}
			if err := a.writePasswords(a.main.htpasswd, "leaver"); err != nil {
				a.Fatal(err)
			}
			a.refusedSoon(5*time.Second, "leaver", "GET /v2/")
			a.refusedSoon(5*time.Second, "", "GET /v2/", "Authorization: Bearer "+token)
			restore := a.reconfigure(func(cfg map[string]any) { cfg["http"].(map[string]any)["accessControl"] = rules() })
			a.refusedSoon(7*time.Second, "dave", "GET /v2/"+team+"/manifests/v1")
			a.ask("alice", "GET /v2/"+team+"/manifests/v1").is(200)
			restore()
			if err := a.writePasswords(a.main.htpasswd); err != nil {
				a.Fatal(err)
			}
			a.takenSoon("dave", "GET /v2/"+team+"/manifests/v1")
			a.takenSoon("leaver", "GET /v2/")
		}},
		{number: "A56", name: "a thousand wrong passwords from one address, and for one user", alone: true, at: once, run: func(a *attack) {
			attempts, addresses := 1000, 100
			if !a.full {
				attempts, addresses = 60, 24
			}
			replicas := len(a.main.replicas)
			one := a.stranger()
			a.greet(a.T) // a new configuration knows nobody's password
			began := time.Now()
			got, waits := guess(attempts, func(i int) (*answer, error) {
				return one.try(one.text("", "GET /v2/", "", basic(fmt.Sprintf("guess%d-%s", i, a.word), "wrong")))
			}, a)
			a.measured("from one address: %d are 401, %d are 429, within %v", got[401], got[429], time.Since(began).Round(time.Millisecond))
			if most := 30 + 6*replicas + int(time.Since(began).Seconds()); got[401] > most || got[401]+got[429] != attempts || waits != got[429] {
				a.Errorf("from one address: %v, %d with Retry-After; want at most %d 401, and 429", got, waits, most)
			}
			began = time.Now()
			got, waits = guess(addresses*3, func(i int) (*answer, error) {
				b := *a
				b.from = fmt.Sprintf("127.9.%d.%d", replicas, i%addresses+1)
				return b.try(b.text("", "GET /v2/", "", basic("victim", fmt.Sprintf("wrong%d", i))))
			}, a)
			a.measured("for one user from %d addresses: %d are 401, %d are 429", addresses, got[401], got[429])
			if most := 10 + 6*replicas + int(time.Since(began).Seconds()); got[401] > most || waits != got[429] || got[429] == 0 {
				a.Errorf("for one user from %d addresses: %v, want at most %d 401, and 429", addresses, got, most)
			}
			for _, name := range []string{"alice", "bob", "victim"} {
				one.ask(name, "GET /v2/").is(200) // what is right and known is never in the way
			}
			fresh := a.stranger()
			fresh.ask("", "GET /v2/", basic(crowdName(crowd-1), crowdPassword)).is(200)
		}},
	}
}

// tooLong sends a header that is too long: it is refused, or the connection ended while it is still being sent.
func (a *attack) tooLong(raw string) {
	a.Helper()
	if ans, err := a.try(raw); err == nil {
		a.leaks(ans)
		ans.oneOf([]int{400, 401, 414, 431})
	}
	a.ask("", "GET /livez").is(200)
}

// guess makes attempts, sixteen at once, and counts the answers and those that say when to come back.
func guess(n int, try func(i int) (*answer, error), a *attack) (got map[int]int, waits int) {
	var (
		mu   sync.Mutex
		all  sync.WaitGroup
		gate = make(chan struct{}, 16)
	)
	got = map[int]int{}
	for i := range n {
		all.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			ans, err := try(i)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				a.Error(err)
				return
			}
			a.contract(ans)
			got[ans.Status]++
			if ans.Header.Get("Retry-After") != "" {
				waits++
			}
		})
	}
	all.Wait()
	return got, waits
}

// quantile is what one in n took at most.
func quantile(all []time.Duration, n int) time.Duration {
	all = slices.Clone(all)
	slices.Sort(all)
	return all[len(all)/n]
}

// welch is the means of two samples without their slowest tenths, and by how many standard errors they differ.
func welch(a, b []float64) (m0, m1, t float64) {
	stats := func(x []float64) (mean, variance, n float64) {
		x = slices.Clone(x)
		slices.Sort(x)
		x = x[:len(x)*9/10]
		n = float64(len(x))
		for _, v := range x {
			mean += v / n
		}
		for _, v := range x {
			variance += (v - mean) * (v - mean) / (n - 1)
		}
		return mean, variance, n
	}
	m0, v0, n0 := stats(a)
	m1, v1, n1 := stats(b)
	return m0, m1, (m0 - m1) / math.Sqrt(v0/n0+v1/n1)
}

// reconfigure changes the configuration of every replica, and returns what changes it back.
func (a *attack) reconfigure(change func(map[string]any)) (restore func()) {
	a.Helper()
	before := map[string][]byte{}
	write := func(path string, text []byte) {
		a.Helper()
		if err := os.WriteFile(path+".new", text, 0o600); err != nil {
			a.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			a.Fatal(err)
		}
	}
	for n := range a.main.replicas {
		path := a.main.ConfigFile(n + 1)
		text, err := os.ReadFile(path)
		if err != nil {
			a.Fatal(err)
		}
		before[path] = text
		var cfg map[string]any
		if err := json.Unmarshal(text, &cfg); err != nil {
			a.Fatal(err)
		}
		change(cfg)
		if text, err = json.Marshal(cfg); err != nil {
			a.Fatal(err)
		}
		write(path, text)
	}
	return func() {
		a.Helper()
		for path, text := range before {
			write(path, text)
		}
	}
}

// takenSoon waits until every replica serves a user.
func (a *attack) takenSoon(user, do string) {
	a.Helper()
	for _, replica := range a.main.replicas {
		for began := time.Now(); a.stranger().at(replica).ask(user, do).Status != 200; time.Sleep(500 * time.Millisecond) {
			if time.Since(began) > 15*time.Second {
				a.Fatalf("%s is not served %s again", user, do)
			}
		}
	}
}
