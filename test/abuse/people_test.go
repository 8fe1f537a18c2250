package abuse

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// peopleRows are users who look for what is not theirs.
func peopleRows() []row {
	return []row{
		{number: "A19", name: "a mount from a repository that the user may not read", run: func(a *attack) {
			d := a.blob(a.priv, "secret "+a.word)
			private := a.ask("alice", "POST /v2/"+a.repo+"/blobs/uploads/?mount="+d+"&from="+a.priv).is(202)
			for _, query := range []string{"mount=" + unknown + "&from=" + a.priv, "mount=" + d + "&from=acme/none/" + a.word} {
				never := a.ask("alice", "POST /v2/"+a.repo+"/blobs/uploads/?"+query).is(202)
				if p, n := shape(private), shape(never); p != n {
					a.Errorf("a blob that is there is told apart:\n%s\n%s", p, n)
				}
			}
			a.gone(a.repo, "blobs/"+d)
		}},
		{number: "A20", name: "a mount from anywhere", run: func(a *attack) {
			d := a.blob(a.priv, "secret "+a.word)
			a.ask("alice", "POST /v2/"+a.repo+"/blobs/uploads/?mount="+d).is(202)
			a.gone(a.repo, "blobs/"+d)
			own := a.blob(a.repo+"-b", "own "+a.word)
			a.ask("alice", "POST /v2/"+a.repo+"/blobs/uploads/?mount="+own).oneOf([]int{201, 202})
			a.ask("alice", "POST /v2/"+a.repo+"/blobs/uploads/?mount="+own+"&from="+a.repo+"-b").is(201)
		}},
		{number: "A21", name: "a mount from what is no repository, or of no digest", run: func(a *attack) {
			d := a.blob(a.repo+"-b", "own "+a.word)
			for _, from := range []string{"../..", "%00", "ACME", "a//b"} {
				a.ask("alice", "POST /v2/"+a.repo+"/blobs/uploads/?mount="+d+"&from="+from).is(400, "NAME_INVALID")
			}
			a.ask("alice", "POST /v2/"+a.repo+"/blobs/uploads/?mount=sha256:x&from="+a.repo+"-b").is(400, "DIGEST_INVALID")
		}},
		{number: "A22", name: "a blob of somebody else, by its digest", at: once, run: func(a *attack) {
			a.image(a.repo, "v1")
			d := a.blob(a.priv, "secret "+a.word)
			look := func() {
				for _, replica := range a.main.replicas {
					b := a.at(replica)
					b.ask("alice", "HEAD /v2/"+a.repo+"/blobs/"+d).is(404)
					b.ask("alice", "GET /v2/"+a.repo+"/blobs/"+d).is(404, "BLOB_UNKNOWN")
					b.ask("alice", "GET /v2/"+a.priv+"/blobs/"+d).is(403, "DENIED")
				}
			}
			look()
			for _, replica := range a.main.replicas {
				a.at(replica).there(a.priv, "blobs/"+d)
			}
			look()
		}},
		{number: "A30", name: "every route without credentials", run: func(a *attack) {
			m := a.image(a.priv, "v1")
			a.noCredentials(digest(m))
		}},
		{number: "A32", name: "what is there, by lists and by refusals", run: func(a *attack) {
			m := a.image(a.priv, "v1")
			a.image(a.repo, "v1")
			var names []string
			for next := "/v2/_catalog?n=100"; next != ""; {
				ans := a.ask("alice", "GET "+next).is(200)
				for _, name := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(string(ans.Body), -1) {
					names = append(names, name[1])
				}
				next, _, _ = strings.Cut(strings.TrimPrefix(ans.Header.Get("Link"), "<"), ">")
			}
			for _, name := range names {
				if strings.HasPrefix(name, "acme/priv") {
					a.Errorf("the catalog tells alice of %s", name)
				}
			}
			if !slices.Contains(names, a.repo) {
				a.Errorf("the catalog does not tell alice of her own %s", a.repo)
			}
			nothing := "acme/none/" + a.word
			for _, what := range []string{
				"GET tags/list", "GET referrers/" + digest(m), "GET manifests/v1", "HEAD manifests/v1", "GET manifests/" + digest(m),
				"DELETE manifests/v1", "PUT manifests/v1", "GET blobs/" + unknown, "DELETE blobs/" + unknown, "POST blobs/uploads/",
			} {
				method, rest, _ := strings.Cut(what, " ")
				is, not := a.ask("alice", method+" /v2/"+a.priv+"/"+rest).is(403, "DENIED"), a.ask("alice", method+" /v2/"+nothing+"/"+rest).is(403, "DENIED")
				if one, two := strings.ReplaceAll(shape(is), a.priv, "N"), strings.ReplaceAll(shape(not), nothing, "N"); one != two {
					a.Errorf("%s: a repository that is there is told apart:\n%s\n%s", what, one, two)
				}
			}
		}},
		{number: "A39", name: "digests and ids of somebody else's in a body", run: func(a *attack) {
			config, layer := a.parts(a.priv)
			m := image(config, layer, a.word)
			a.put(a.priv, "v1", m).is(201)
			a.put(a.repo, "v1", m).is(404, "MANIFEST_BLOB_UNKNOWN")
			a.put(a.repo, "v1", indexOf(descriptor(imageType, m))).is(404, "MANIFEST_BLOB_UNKNOWN")
			a.gone(a.repo, "manifests/v1")
			a.put(a.priv, "v1", m).is(201)
		}},
		{number: "A43", name: "headers that say who it is", run: func(a *attack) {
			a.image(a.priv, "v1")
			trust := []string{
				"X-Forwarded-User: bob", "X-WEBAUTH-USER: bob", "X-Remote-User: bob", "Remote-User: bob", "X-Auth-Request-User: bob",
				"X-Real-IP: 127.0.0.1", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Client-Cert: Subject=\"CN=bob\"", "X-SSL-Client-CN: bob",
			}
			a.ask("", "GET /v2/"+a.priv+"/manifests/v1", trust...).is(401, "UNAUTHORIZED")
			a.ask("alice", "GET /v2/"+a.priv+"/manifests/v1", trust...).is(403, "DENIED")
			a.raw("PROXY TCP4 10.0.0.1 10.0.0.2 1111 2222\n" + strings.ReplaceAll(a.text("bob", "GET /v2/", ""), "\r\n", "\n")).is(400)
		}},
		{number: "A43", name: "a client that says to come from elsewhere, again and again", at: direct, run: func(a *attack) {
			got, _ := guess(60, func(i int) (*answer, error) {
				return a.try(a.text("", "GET /v2/", "", basic(fmt.Sprintf("nobody%d-%s", i, a.word), "wrong"), fmt.Sprintf("X-Forwarded-For: 192.0.2.%d", i),
					fmt.Sprintf("X-Real-IP: 192.0.2.%d", i), fmt.Sprintf("Forwarded: for=192.0.2.%d", i)))
			}, a)
			if got[429] == 0 || got[401]+got[429] != 60 {
				a.Errorf("60 wrong logins from one address: %v, want an end of it", got)
			}
		}},
		{number: "A46", name: "what operators look at", run: func(a *attack) {
			for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/v2/_zot/pprof/", "/swagger/v2/index.html", "/config", "/status"} {
				a.ask("", "GET "+path).oneOf([]int{401, 404, 400}).has("!Location")
				a.ask("adam", "GET "+path).oneOf([]int{404, 400}).has("!Location")
			}
			a.ask("", "GET /metrics").is(401, "UNAUTHORIZED")
			a.ask("alice", "GET /metrics").is(403, "DENIED")
			a.ask("adam", "GET /metrics").is(200, "", "go_goroutines")
			// Load balancers ask for readiness here. What it says more is for everybody: no path, no address.
			ans := a.ask("", "GET /readyz?verbose").oneOf([]int{200, 404})
			for _, told := range append(a.secrets(), "/", "127.0.0.1", "s3", "holdfast") {
				if ans.Status == 200 && strings.Contains(strings.ToLower(string(ans.Body)), strings.ToLower(told)) {
					a.Errorf("/readyz?verbose tells %q: %s", told, ans.Body)
				}
			}
			for _, path := range []string{"/v2/_holdfast/gc", "/v2/_holdfast/cluster", "/v2/_holdfast/events"} {
				a.ask("", "GET "+path).is(401, "UNAUTHORIZED")
				a.ask("alice", "GET "+path).oneOf([]int{401, 403})
			}
		}},
	}
}

// shape is what of an answer a client can tell from another, without what is new in each. Names of one length leave no other difference.
func shape(ans *answer) string {
	var b strings.Builder
	fmt.Fprintln(&b, ans.Status)
	for _, name := range slices.Sorted(maps.Keys(ans.Header)) {
		switch name {
		case "Date", "X-Request-Id":
		case "Location", "Docker-Upload-Uuid":
			fmt.Fprintf(&b, "%s: %d bytes\n", name, len(ans.Header.Get(name)))
		default:
			fmt.Fprintf(&b, "%s: %s\n", name, ans.Header.Values(name))
		}
	}
	return b.String() + string(ans.Body)
}

// noCredentials asks every route with every method, of a repository that is there and of one that is not. Which methods a route has is asked of
// the router itself.
func (a *attack) noCredentials(d string) {
	a.Helper()
	nothing := "acme/none/" + a.word
	methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
	routes := map[string]string{ // and the methods that the router must say it has
		"manifests/v1": "GET, HEAD, PUT, DELETE", "manifests/" + d: "GET, HEAD, PUT, DELETE", "blobs/" + unknown: "GET, HEAD, DELETE", "blobs/uploads/": "POST",
		"blobs/uploads/x": "GET, HEAD, PATCH, PUT, DELETE", "tags/list": "GET, HEAD", "referrers/" + d: "GET, HEAD",
	}
	for route, has := range routes {
		if allow := a.ask("adam", "BREW /v2/"+a.priv+"/"+route).is(405).Header.Get("Allow"); allow != has {
			a.Errorf("%s has the methods %s; this test knows %s", route, allow, has)
		}
		for _, method := range methods {
			target := route
			if method == "POST" && route == "blobs/uploads/" {
				target += "?mount=" + unknown + "&from=" + a.priv
			}
			if method == "PUT" && route == "blobs/uploads/x" {
				target += "?digest=" + unknown
			}
			is, not := a.ask("", method+" /v2/"+a.priv+"/"+target), a.ask("", method+" /v2/"+nothing+"/"+target)
			if slices.Contains(strings.Split(has, ", "), method) {
				is.is(401, "UNAUTHORIZED").has("WWW-Authenticate: ~^(Basic|Bearer) realm=\"")
			} else {
				is.oneOf([]int{401, 405})
			}
			// The challenge may name the repository that was asked for.
			if one, two := strings.ReplaceAll(shape(is), a.priv, "N"), strings.ReplaceAll(shape(not), nothing, "N"); one != two && method+route != "POSTblobs/uploads/" {
				a.Errorf("%s %s: a repository that is there is told apart:\n%s\n%s", method, route, one, two)
			}
		}
	}
	for _, path := range []string{"/v2/", "/metrics", "/v2/_holdfast/gc", "/v2/_holdfast/cluster", "/v2/_holdfast/events"} {
		a.ask("", "GET "+path).is(401, "UNAUTHORIZED").has("WWW-Authenticate:")
	}
	for _, path := range []string{"/v2/_oci/ext/discover", "/v2/_zot/ext/search", "/v2/_zot/ext/mgmt", "/zot/auth/apikey", "/v2/_holdfast/nothing"} {
		a.ask("", "GET "+path).oneOf([]int{400, 401, 404})
		a.ask("", "POST "+path).oneOf([]int{400, 401, 404, 405})
	}
	a.image("pub/"+a.word, "v1")
	// Some repositories are for everybody: the list has these, and no other.
	ans := a.ask("", "GET /v2/_catalog?n=1000").is(200, "", `pub/`+a.word)
	if strings.Contains(string(ans.Body), `"acme/`) {
		a.Errorf("the catalog tells everybody of %s", ans.Body)
	}
	a.ask("", "GET /v2/pub/"+a.word+"/manifests/v1").is(200)
	a.ask("", "PUT /v2/pub/"+a.word+"/manifests/v2").is(401, "UNAUTHORIZED")
	a.ask("", "DELETE /v2/pub/"+a.word+"/manifests/v1").is(401, "UNAUTHORIZED")
}

// policyRows are users who do more than they may.
func policyRows() []row {
	return []row{
		{number: "A40", name: "whoever may create sets a tag that is there", run: func(a *attack) {
			repo := "acme/new/" + a.word
			config, layer := a.parts(repo)
			first, second := image(config, layer, "first"), image(config, layer, "second")
			a.putAs("carl", repo, "latest", first).is(201)
			a.putAs("carl", repo, "latest", second).is(403, "DENIED")
			a.putAs("carl", repo, "latest", first).is(201)
			a.there(repo, "manifests/latest").holds(first)
			a.ask("carl", "DELETE /v2/"+repo+"/manifests/latest").is(403, "DENIED")
			a.ask("carl", "DELETE /v2/"+repo+"/manifests/"+digest(first)).is(403, "DENIED")
			a.ask("carl", "DELETE /v2/"+repo+"/blobs/"+digest(layer)).is(403, "DENIED")
		}},
		{number: "A40", name: "two who may create set one tag at once", at: once, run: func(a *attack) {
			repo := "acme/new/" + a.word
			config, layer := a.parts(repo)
			for round := range 5 {
				got := a.together(8, func(i int) string {
					return a.at(a.main.replicas[i%len(a.main.replicas)]).text("carl", fmt.Sprintf("PUT /v2/%s/manifests/t%d", repo, round), image(config, layer, fmt.Sprint(i)), "Content-Type: "+imageType)
				})
				if got[201] != 1 || got[403]+got[503] != 7 {
					a.Errorf("answers %v, want one 201 and 403 else", got)
				}
			}
		}},
		{number: "A40", name: "an immutable tag, by an administrator", at: once, run: func(a *attack) {
			cfg := a.local()
			http := cfg["http"].(map[string]any)
			http["auth"] = map[string]any{"htpasswd": map[string]any{"path": a.main.htpasswd}}
			access := rules()
			access["repositories"].(map[string]any)["acme/app/**"].(map[string]any)["immutableTags"] = []any{map[string]any{"patterns": []string{"v*"}, "except": []string{"v0*"}}}
			http["accessControl"] = access
			b := a.at(a.serve(a.config(cfg)).address)
			config, layer := b.parts(a.repo)
			first, second := image(config, layer, "first"), image(config, layer, "second")
			for _, user := range []string{"alice", "adam"} {
				b.putAs(user, a.repo, "v1", first).is(201)
				b.putAs(user, a.repo, "v1", second).is(403, "DENIED", "immutable")
				b.putAs(user, a.repo, digest(second)+"?tag=latest&tag=v1", second).is(403, "DENIED", "immutable")
				b.ask(user, "DELETE /v2/"+a.repo+"/manifests/v1").is(403, "DENIED", "immutable")
				b.ask(user, "DELETE /v2/"+a.repo+"/manifests/"+digest(first)).is(403, "DENIED", "immutable")
			}
			b.there(a.repo, "manifests/v1").holds(first)
			b.gone(a.repo, "manifests/latest")
			b.putAs("alice", a.repo, "v0.1", first).is(201)
			b.putAs("alice", a.repo, "v0.1", second).is(201)
		}},
		{number: "A41", name: "whoever may create sets several tags, one of which is there", run: func(a *attack) {
			repo := "acme/new/" + a.word
			config, layer := a.parts(repo)
			first, second := image(config, layer, "first"), image(config, layer, "second")
			a.putAs("carl", repo, "v1", first).is(201)
			a.putAs("carl", repo, digest(second)+"?tag=v0&tag=v1&tag=v2", second).is(403, "DENIED")
			a.gone(repo, "manifests/v0")
			a.gone(repo, "manifests/v2")
			a.there(repo, "manifests/v1").holds(first)
			a.putAs("carl", repo, digest(second)+"?tag=v2", second).is(201)
		}},
		{number: "B37", name: "whoever may do nothing", run: func(a *attack) {
			a.image(a.repo, "v1")
			for _, do := range []string{
				"GET /v2/" + a.repo + "/manifests/v1", "PUT /v2/" + a.repo + "/manifests/v1", "POST /v2/" + a.repo + "/blobs/uploads/",
				"GET /v2/" + a.repo + "/tags/list",
			} {
				a.ask("eve", do).is(403, "DENIED")
			}
			a.ask("eve", "GET /v2/_catalog?n=1000").is(200, "", `"repositories":\[("pub/[^"]*",?)*\]`)
		}},
		{number: "A42", name: "members that nobody asked for in an administrator's body", run: func(a *attack) {
			expires := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
			post := func(body string) *answer {
				return a.do("alice", "POST /zot/auth/apikey", body, "Content-Type: application/json")
			}
			post(`{"label":"` + a.word + `","scopes":["` + a.repo + `"],"expirationDate":"` + expires + `"}`).is(201)
			for _, more := range []string{`"admin":true`, `"user":"bob"`, `"username":"adam"`, `"groups":["team"]`, `"apiKey":"zak_x"`} {
				post(`{"label":"x` + a.word + `",` + more + `}`).is(400)
			}
			for _, query := range []string{"admin=true", "full=true&as=adam"} {
				a.ask("", "POST /v2/_holdfast/gc?dry-run=true&"+query, "Authorization: Bearer "+a.adminToken()).is(400)
			}
		}},
		{number: "A39", name: "an API key of somebody else, by its id", run: func(a *attack) {
			ans := a.do("bob", "POST /zot/auth/apikey", `{"label":"`+a.word+`"}`, "Content-Type: application/json").is(201)
			id := regexp.MustCompile(`"uuid":"([^"]+)"`).FindSubmatch(ans.Body)
			key := regexp.MustCompile(`"apiKey":"(zak_[^"]+)"`).FindSubmatch(ans.Body)
			if id == nil || key == nil {
				a.Fatalf("no key, or no id: %s", ans.Body)
			}
			a.ask("alice", "DELETE /zot/auth/apikey?id="+string(id[1])).is(404)
			auth := basic("bob", string(key[1]))
			a.ask("", "GET /v2/", auth).is(200)
			a.stranger().ask("", "GET /v2/", basic(a.somebody(), string(key[1]))).is(401, "UNAUTHORIZED")
			a.ask("bob", "DELETE /zot/auth/apikey?id="+string(id[1])).is(200)
			a.refusedSoon(5*time.Second, "", "GET /v2/", auth)
		}},
	}
}

// refusedSoon asks every replica again and again until it refuses, and looks that this is within a bound.
func (a *attack) refusedSoon(within time.Duration, user, do string, heads ...string) {
	a.Helper()
	if !a.full {
		within *= 5 // whether, not when
	}
	began := time.Now()
	for i, replica := range a.main.replicas {
		b := a.at(replica)
		for {
			ans := b.ask(user, do, heads...)
			if ans.Status == http.StatusUnauthorized || ans.Status == http.StatusForbidden {
				break
			}
			if took := time.Since(began); took > within+time.Second {
				a.Errorf("replica %d answers %s with %d, %v after it should not", i+1, do, ans.Status, took)
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	a.measured("every replica refuses after %v", time.Since(began))
}
