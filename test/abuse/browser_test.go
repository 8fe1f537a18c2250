package abuse

import "strings"

// browserRows are answers by which a browser, or a client that trusts a host, could be misled.
func browserRows() []row {
	page := func(a *attack) string { return "<html><script>alert('" + a.word + "')</script></html>" }
	safe := []string{
		"Content-Type: application/octet-stream", "X-Content-Type-Options: nosniff",
		"Content-Security-Policy: ~default-src 'none'.*sandbox", "Content-Disposition: ~^attachment",
	}
	return []row{
		{number: "A51", name: "another host in the headers", run: func(a *attack) {
			for _, heads := range [][]string{
				{"Host: evil.example"}, {"X-Forwarded-Host: evil2.example", "X-Forwarded-Proto: https"}, {"Forwarded: host=evil3.example;proto=https"}, {"X-Forwarded-Prefix: //evil4.example"},
			} {
				a.ask("alice", "POST /v2/"+a.repo+"/blobs/uploads/", heads...).is(202).has("Location: ~^/v2/" + a.repo + "/blobs/uploads/")
				// The host that was asked for is the client's own affair; what other headers say of it is not.
				if got := a.ask("", "GET /v2/", heads...).Header.Get("WWW-Authenticate"); strings.Contains(got, "evil") && !strings.HasPrefix(heads[0], "Host:") {
					a.Errorf("the challenge sends credentials to %s", got)
				}
			}
		}},
		{number: "A52", name: "redirects to another site", run: func(a *attack) {
			for _, value := range []string{"//evil.example", "/%5Cevil.example", "https:evil.example", "https://evil.example"} {
				for _, path := range []string{"/v2/", "/zot/auth/login", "/zot/auth/logout", "/zot/auth/callback/oidc", "/auth/login"} {
					a.ask("", "GET "+path+"?callback="+value+"&callback_ui="+value+"&redirect="+value).has("!Location")
				}
				a.ask("alice", "GET /v2/?callback="+value).oneOf([]int{200, 400}).has("!Location")
			}
			a.ask("alice", "GET /v2/../evil.example").is(400, "NAME_INVALID").has("!Location")
			a.ask("alice", "GET //evil.example/v2/").oneOf([]int{400, 404}).has("!Location")
			a.ask("alice", "GET //v2/").oneOf([]int{400, 404}).has("!Location")
		}},
		{number: "A53", name: "pages of another origin", run: func(a *attack) {
			a.image(a.repo, "v1")
			cors := []string{"!Access-Control-Allow-Origin", "!Access-Control-Allow-Credentials"}
			a.ask("alice", "GET /v2/"+a.repo+"/manifests/v1", "Origin: https://evil.example").is(200).has(cors...)
			for _, path := range []string{"/v2/", "/v2/" + a.repo + "/manifests/v1", "/v2/_catalog", "/zot/auth/apikey"} {
				a.ask("", "OPTIONS "+path, "Origin: https://evil.example", "Access-Control-Request-Method: DELETE", "Access-Control-Request-Headers: authorization").has(cors...)
			}
		}},
		{number: "A54", name: "a page that is pushed as a layer", run: func(a *attack) {
			d := a.blob(a.repo, page(a))
			get := "GET /v2/" + a.repo + "/blobs/" + d
			a.ask("alice", get, "Accept: text/html").is(200).holds(page(a)).has(safe...)
			a.ask("alice", get, "Accept: text/html", "Range: bytes=0-9").is(206).has(safe...)
			config, layer := a.parts(a.repo)
			a.put(a.repo, "v1", image(config, layer, "<script>")).is(201)
			a.ask("alice", "GET /v2/"+a.repo+"/manifests/v1", "Accept: text/html").is(200).has("X-Content-Type-Options: nosniff", "Content-Type: "+imageType)
			if ans := a.ask("alice", "GET /v2/%3Cscript%3E/tags/list").is(400, "NAME_INVALID"); strings.Contains(string(ans.Body), "<script>") {
				a.Errorf("an error repeats a tag: %s", ans.Body)
			}
		}},
	}
}
