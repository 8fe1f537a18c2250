package abuse

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// manifestRows are bodies that are no manifest, or not the one that they seem to be.
func manifestRows() []row {
	// refused pushes bodies, which must not be stored.
	refused := func(number, name, says string, bodies func(config, layer string) []string) row {
		return row{number: number, name: name, run: func(a *attack) {
			config, layer := a.parts(a.repo)
			for _, body := range bodies(config, layer) {
				a.put(a.repo, "v1", body, "Content-Type: "+imageType).is(400, "MANIFEST_INVALID", says)
				a.ask("alice", "HEAD /v2/"+a.repo+"/manifests/"+digest(body)).is(404)
			}
			a.gone(a.repo, "manifests/v1")
		}}
	}
	fixed := func(bodies ...string) func(string, string) []string {
		return func(string, string) []string { return bodies }
	}
	configType := "application/vnd.oci.image.config.v1+json"
	return []row{
		{number: "A01", name: "a manifest of 5 MiB, with its length and without an end", run: func(a *attack) {
			ans := a.put(a.repo, "x", strings.Repeat(" ", 5<<20), "Content-Type: "+imageType, "Connection: keep-alive").is(413, "MANIFEST_INVALID", "4194304")
			if !ans.Closed && a.front != a.main.front { // HAProxy keeps the client's
				a.Error("the connection goes on, with the body in it")
			}
			if sent := a.endless(a.repo); sent > 4<<20+16<<20 { // what the kernels on the way hold besides
				a.Errorf("%d bytes of a manifest without an end were taken", sent)
			}
		}},
		{number: "A01", name: "64 manifests of 5 MiB at once", slow: true, alone: true, at: direct, run: func(a *attack) {
			body := strings.Repeat(" ", 5<<20)
			grown := a.growth(func() {
				got := a.together(64, func(int) string {
					return a.text("alice", "PUT /v2/"+a.repo+"/manifests/x", body, "Content-Type: "+imageType)
				})
				if got[413] != 64 {
					a.Errorf("answers %v, want 413 each", got)
				}
			})
			a.measured("with their lengths: %d MiB more", grown>>20)
			if grown > 16<<20 {
				a.Errorf("the replica grew by %d MiB", grown>>20)
			}
			grown = a.growth(func() {
				var all sync.WaitGroup
				for range 64 {
					all.Go(func() { a.endless(a.repo) })
				}
				all.Wait()
			})
			a.measured("without an end: %d MiB more", grown>>20)
			if grown > 16<<20 {
				a.Errorf("64 bodies without an end made the replica grow by %d MiB, want less than 16", grown>>20)
			}
		}},
		{number: "A04", name: "200 000 nested objects", run: func(a *attack) {
			body := strings.Repeat(`{"a":`, 200_000) + "1" + strings.Repeat("}", 200_000)
			ans := a.put(a.repo, "v1", body, "Content-Type: "+imageType).is(400, "MANIFEST_INVALID")
			a.measured("answered after %v", ans.took)
			if a.full && ans.took > 2*time.Second {
				a.Errorf("it took %v", ans.took)
			}
		}},
		refused("A05", "layers and manifests in one body", "manifests", func(config, layer string) []string {
			c, l := descriptor(configType, config), "["+descriptor(layerType, layer)+"]"
			return []string{
				imageOf(c, l, `"manifests":[]`), imageOf(c, l, `"manifests":[`+descriptor(imageType, "x")+`]`),
				`{"schemaVersion":2,"config":` + c + `,"layers":[],"manifests":[]}`,
			}
		}),
		{number: "A06", name: "an index under an image's Content-Type, and the reverse", run: func(a *attack) {
			config, layer := a.parts(a.repo)
			m := image(config, layer, a.word)
			a.put(a.repo, "v1", m, "Content-Type: "+indexType).is(400, "MANIFEST_INVALID", "mediaType|manifests")
			a.put(a.repo, "v1", indexOf(), "Content-Type: "+imageType).is(400, "MANIFEST_INVALID", "mediaType|manifests")
			a.put(a.repo, "v1", strings.Replace(m, imageType, indexType, 1), "Content-Type: "+imageType).is(400, "MANIFEST_INVALID", "mediaType")
			a.gone(a.repo, "manifests/v1")
		}},
		refused("A08", "something behind the end, a byte order mark, no UTF-8", "", func(config, layer string) []string {
			m := image(config, layer, "w")
			return []string{m + `{"x":1}`, "\xef\xbb\xbf" + m, image(config, layer, "\xff\xfe")}
		}),
		{number: "A09", name: "tags that look like signatures and lists of referrers", run: func(a *attack) {
			m := a.image(a.repo, "v1")
			subject := `"subject":` + descriptor(imageType, m) + `,"artifactType":"application/vnd.example.signature"`
			config, layer := a.parts(a.repo)
			signature := imageOf(descriptor(configType, config), "["+descriptor(layerType, layer)+"]", subject)
			a.put(a.repo, digest(signature), signature).is(201).has("OCI-Subject: " + digest(m))
			for _, tag := range []string{"sha256-zz.sig", "sha256-.sig", "sha256-" + digest(m)[7:], "sha256-" + digest(m)[7:] + ".sig", "sha512-zz"} {
				a.put(a.repo, tag, m).oneOf([]int{201, 400})
			}
			ans := a.ask("alice", "GET /v2/"+a.repo+"/referrers/"+digest(m)).is(200)
			if !strings.Contains(string(ans.Body), digest(signature)) || strings.Count(string(ans.Body), `"digest"`) != 1 {
				a.Errorf("the tags change the referrers: %s", ans.Body)
			}
		}},
		{number: "A10", name: "30 indexes that each list their child twice", run: func(a *attack) {
			child := a.image(a.repo)
			mediaType, first := imageType, digest(child)
			for range 30 {
				d := descriptor(mediaType, child)
				child, mediaType = indexOf(d, d), indexType
				a.put(a.repo, digest(child), child).is(201)
			}
			a.put(a.repo, "top", child).is(201)
			if took := a.collect(a.repo); a.full && took > 20*time.Second {
				a.Errorf("a pass of the collector took %v", took)
			}
			a.ask("alice", "GET /v2/"+a.repo+"/referrers/"+first).is(200, "", `"manifests":\[\]`)
			if ans := a.ask("alice", "DELETE /v2/"+a.repo+"/manifests/"+digest(child)).is(202); a.full && ans.took > 20*time.Second {
				a.Errorf("the delete took %v", ans.took)
			}
		}},
		refused("B43", "no JSON object", "object|not JSON", fixed("", "null", "[]", `"x"`, "1")),
		refused("B44", "a syntax error, a key twice, depth over 64", "byte [0-9]+", func(config, _ string) []string {
			c := descriptor(configType, config)
			return []string{
				`{"schemaVersion":2,"config":}`, `{"schemaVersion":2,"config":` + c + `,"layers":[`, imageOf(c, "[]", `"layers":[]`),
				imageOf(c, "[]", `"x":`+strings.Repeat("[", 65)+strings.Repeat("]", 65)),
			}
		}),
		refused("B45", "no schemaVersion 2", "schemaVersion.*2", fixed(`{"config":{},"layers":[]}`, `{"schemaVersion":1}`, `{"schemaVersion":"2"}`, `{"schemaVersion":3}`)),
		{number: "B47", name: "a Content-Type with parameters", run: func(a *attack) {
			config, layer := a.parts(a.repo)
			a.put(a.repo, "v1", image(config, layer, a.word), "Content-Type: "+imageType+"; charset=utf-8").is(201)
			a.there(a.repo, "manifests/v1").has("Content-Type: " + imageType)
		}},
		{number: "B48", name: "a Content-Type that is no manifest's", run: func(a *attack) {
			config, layer := a.parts(a.repo)
			for _, ct := range []string{"text/html", "application/json", "application/vnd.docker.distribution.manifest.v1+prettyjws"} {
				a.put(a.repo, "v1", image(config, layer, a.word), "Content-Type: "+ct).is(415, "MANIFEST_INVALID", "vnd.oci.image.manifest.v1")
			}
		}},
		{number: "B61", name: "4 MiB, and a byte more", run: func(a *attack) {
			config, layer := a.parts(a.repo)
			m := image(config, layer, a.word)
			m += strings.Repeat(" ", 4<<20-len(m))
			a.put(a.repo, "v1", m).is(201)
			a.there(a.repo, "manifests/v1").holds(m)
			a.put(a.repo, "v2", m+" ").is(413, "MANIFEST_INVALID", "4194304")
			a.gone(a.repo, "manifests/v2")
		}},
	}
}

// endless sends a manifest without an end, until it is answered, and returns how many bytes of it were taken.
func (a *attack) endless(repo string) int64 {
	conn, err := a.dial()
	if err != nil {
		a.Error(err)
		return 0
	}
	head := strings.TrimSuffix(a.text("alice", "PUT /v2/"+repo+"/manifests/x", "", "Content-Type: "+imageType, "Transfer-Encoding: chunked"), "0\r\n\r\n")
	sent := make(chan int64, 1)
	go func() {
		n, err := io.WriteString(conn, head)
		total := int64(n)
		for piece := strings.TrimSuffix(chunked(strings.Repeat(" ", 64<<10)), "0\r\n\r\n"); err == nil && total < 1<<30; total += int64(n) {
			n, err = io.WriteString(conn, piece)
		}
		sent <- total
	}()
	ans, err := a.read(bufio.NewReader(conn), head)
	_ = conn.Close()
	if err != nil {
		a.Error(err)
	} else {
		a.contract(ans)
		ans.is(413, "MANIFEST_INVALID", "4194304")
	}
	return <-sent
}

// descriptorRows are manifests whose parts are wrong.
func descriptorRows() []row {
	configType := "application/vnd.oci.image.config.v1+json"
	type bad struct {
		manifest   string
		status     int
		code, says string
	}
	refused := func(number, name string, bodies func(a *attack, config, layer string) []bad) row {
		return row{number: number, name: name, run: func(a *attack) {
			config, layer := a.parts(a.repo)
			for _, b := range bodies(a, config, layer) {
				a.put(a.repo, "v1", b.manifest).is(b.status, b.code, b.says)
			}
			a.gone(a.repo, "manifests/v1")
		}}
	}
	invalid := func(says string, manifests ...string) (all []bad) {
		for _, m := range manifests {
			all = append(all, bad{m, 400, "MANIFEST_INVALID", says})
		}
		return all
	}
	sized := func(config, layer, size string) string {
		return imageOf(descriptor(configType, config), fmt.Sprintf(`[{"mediaType":%q,"digest":%q,"size":%s}]`, layerType, digest(layer), size))
	}
	with := func(config string, members ...string) string {
		return imageOf(descriptor(configType, config), "[]", members...)
	}
	many := func(n int, d string) string { return strings.Repeat(d+",", n-1) + d }
	return []row{
		refused("A29", "sizes that no blob has", func(_ *attack, config, layer string) []bad {
			return []bad{
				{sized(config, layer, "-1"), 400, "SIZE_INVALID", `layers\[0\]`},
				{sized(config, layer, fmt.Sprint(len(layer)+1)), 400, "SIZE_INVALID", `layers\[0\]`},
				{sized(config, layer, "1e30"), 400, "MANIFEST_INVALID", `layers\[0\]`},
			}
		}),
		refused("B49", "a config that is none", func(*attack, string, string) []bad {
			return append(invalid("config", `{"schemaVersion":2,"mediaType":"`+imageType+`","layers":[]}`, imageOf("null", "[]"), imageOf(`"x"`, "[]")),
				invalid(`config\.(digest|mediaType)`, imageOf(`{"mediaType":"a/b","size":2}`, "[]"), imageOf(`{"digest":"`+unknown+`","size":2}`, "[]"))...)
		}),
		{number: "B50", name: "no layers, and a list of none", run: func(a *attack) {
			config, _ := a.parts(a.repo)
			c := descriptor(configType, config)
			a.put(a.repo, "v1", `{"schemaVersion":2,"mediaType":"`+imageType+`","config":`+c+`}`).is(400, "MANIFEST_INVALID", "layers")
			a.put(a.repo, "v1", imageOf(c, "null")).is(400, "MANIFEST_INVALID", "layers")
			a.put(a.repo, "v1", imageOf(c, "[]")).is(201)
		}},
		refused("B51", "1001 layers, and 10 001 children", func(_ *attack, config, layer string) []bad {
			return append(invalid("1000", imageOf(descriptor(configType, config), "["+many(1001, descriptor(layerType, layer))+"]")),
				invalid("10 ?000", indexOf(many(10_001, described(imageType, unknown, 5))))...)
		}),
		refused("B52", "sizes that are none", func(_ *attack, config, layer string) []bad {
			return append(invalid(`layers\[0\]\.size`, sized(config, layer, "1.5"), sized(config, layer, `"10"`), sized(config, layer, "9223372036854775808"), sized(config, layer, "null")),
				bad{sized(config, layer, "-1"), 400, "SIZE_INVALID", `layers\[0\]\.size`})
		}),
		refused("B53", "a size that is not the blob's", func(_ *attack, config, layer string) []bad {
			return []bad{{sized(config, layer, "12345"), 400, "SIZE_INVALID", fmt.Sprintf(`layers\[0\].*12345.*\b%d\b`, len(layer))}}
		}),
		{number: "B54", name: "every missing digest is named", run: func(a *attack) {
			config, layer := a.parts(a.repo)
			x, y := "x "+a.word, "y "+a.word
			m := imageOf(descriptor(configType, config), "["+descriptor(layerType, x)+","+descriptor(layerType, layer)+","+descriptor(layerType, y)+"]")
			ans := a.put(a.repo, "v1", m).is(404, "MANIFEST_BLOB_UNKNOWN", digest(x)).is(404, "", digest(y))
			if n := len(ans.errors()); n != 2 {
				a.Errorf("%d errors for two digests: %s", n, ans.Body)
			}
			a.put(a.repo, "v1", imageOf(descriptor(configType, x), "[]")).is(404, "MANIFEST_BLOB_UNKNOWN", digest(x))
			a.put(a.repo, "v1", indexOf(descriptor(imageType, x))).is(404, "MANIFEST_BLOB_UNKNOWN", digest(x))
			a.gone(a.repo, "manifests/v1")
		}},
		refused("B55", "a subject that is none", func(_ *attack, config, _ string) []bad {
			return append(invalid(`subject\.digest`, with(config, `"subject":{"mediaType":"`+imageType+`","digest":"sha256:abc","size":1}`)),
				invalid("subject", with(config, `"subject":{"mediaType":"`+imageType+`","digest":"`+unknown+`"}`), with(config, `"subject":"`+unknown+`"`), with(config, `"subject":[]`))...)
		}),
		{number: "B56", name: "a subject that is not there", run: func(a *attack) {
			config, _ := a.parts(a.repo)
			m := with(config, `"subject":`+described(imageType, unknown, 5))
			a.put(a.repo, "v1", m).is(201).has("OCI-Subject: " + unknown)
			a.ask("alice", "GET /v2/"+a.repo+"/referrers/"+unknown).is(200, "", digest(m))
		}},
		refused("B57", "embedded data that is another's", func(_ *attack, config, layer string) []bad {
			data := func(text string) string {
				return imageOf(descriptor(configType, config), fmt.Sprintf(`[{"mediaType":%q,"digest":%q,"size":%d,"data":%s}]`, layerType, digest(layer), len(layer), text))
			}
			return invalid(`data`, data(`"***"`), data(`"e30="`), data(`"`+strings.Repeat("AAAA", 30_000)+`"`), data("1"))
		}),
		refused("B58", "annotations that are no texts", func(_ *attack, config, _ string) []bad {
			return invalid("annotations", with(config, `"annotations":{"a":1}`), with(config, `"annotations":["a"]`), with(config, `"annotations":{"a":{}}`))
		}),
		{number: "B58", name: "3 MiB of annotations", run: func(a *attack) {
			config, _ := a.parts(a.repo)
			a.put(a.repo, "v1", with(config, `"annotations":{"a":"`+a.noise(3<<20)+`"}`)).is(201)
		}},
		{number: "B59", name: "an index of depth 100", run: func(a *attack) {
			child := a.image(a.repo)
			mediaType := imageType
			for range 100 {
				child, mediaType = indexOf(descriptor(mediaType, child)), indexType
				a.put(a.repo, digest(child), child).is(201)
			}
			a.there(a.repo, "manifests/"+digest(child))
			a.collect(a.repo)
		}},
	}
}
