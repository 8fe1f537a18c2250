package spec

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"sync"
)

// sessionRows is the life of an upload: end-13, end-14, and what must not be one.
func sessionRows() []Row {
	return all(statusRows(), endedRows(), strangerRows(), brokenRows(), parallelUploadRows())
}

func statusRows() []Row {
	const section = "Pushing a blob in chunks, end-13"
	return []Row{
		{Name: "a new upload is 204", Section: section, Given: []Step{upload("u")},
			Exchange: Exchange{Do: "GET {u}", Want: Want{Status: 204, Heads: []string{"Location:", "Range: 0-0"}}}},
		{Name: "an upload under way is 204 with its Range", Section: section, Given: []Step{upload("u"), chunk("u", "0-4", "hello")},
			Exchange: Exchange{Do: "GET {u}", Save: "u", Want: Want{Status: 204, Heads: []string{"Location:", "Range: 0-4"}}},
			Then:     []Step{chunk("u", "5-10", " world")}},
		{Name: "the Location of any earlier answer will do", Section: section,
			Given:    []Step{upload("u"), func(e *Env) { e.vars["first"] = e.vars["u"] }, chunk("u", "0-4", "hello"), chunk("u", "5-10", " world")},
			Exchange: Exchange{Do: "GET {first}", Want: Want{Status: 204, Heads: []string{"Range: 0-10"}}}},
		{Name: "cancelling is 204", Section: "Cancel a blob upload, end-14", Given: []Step{upload("u"), chunk("u", "0-4", "hello")},
			Exchange: Exchange{Do: "DELETE {u}", Want: Want{Status: 204}}},
		{Name: "cancelling before the first byte is 204", Section: "Cancel a blob upload, end-14", Given: []Step{upload("u")},
			Exchange: Exchange{Do: "DELETE {u}", Want: Want{Status: 204}}, Then: []Step{noUpload("{u}", "GET")}},
	}
}

// noUpload asks an upload that is none.
func noUpload(target, method string) Step {
	return Exchange{Do: method + " " + target, Header: octets, Want: Want{Status: 404, Code: "BLOB_UPLOAD_UNKNOWN"}}.step()
}

// noUploadRows asks {u} in every way there is: it must be no upload.
func noUploadRows(row Row) []Row {
	return each(row, []string{"GET {u}", "PATCH {u}", "PUT {u?}digest={zero}", "DELETE {u}"}, func(r *Row, do string) {
		method, _, _ := strings.Cut(do, " ")
		r.Name += ": " + method
		r.Exchange = Exchange{Do: do, Want: Want{Status: 404, Code: "BLOB_UPLOAD_UNKNOWN"}}
		if method == "PATCH" {
			r.Body, r.Header = "hello", octets
		}
	})
}

// location sets {NAME} to a place that no answer gave.
func location(name, path string) Step {
	return func(e *Env) { e.vars[name], e.vars[name+"?"] = e.text(path), e.text(path)+"?" }
}

func endedRows() []Row {
	cancelled := Row{Section: "B33", Name: "after its cancellation an upload is 404", Given: []Step{
		upload("u"), chunk("u", "0-4", "hello"), Exchange{Do: "DELETE {u}", Want: Want{Status: 204}}.step(),
	}}
	finished := Row{Section: "B33", Name: "after its end an upload is 404", Given: []Step{
		text("b", "hello"), upload("u"), chunk("u", "0-4", "hello"), Exchange{Do: "PUT {u?}digest={b}", Want: Want{Status: 201}}.step(),
	}}
	whole := Row{Section: "B33", Name: "after its end in one request an upload is 404", Given: []Step{
		text("b", "hello"), upload("u"), Exchange{Do: "PUT {u?}digest={b}", Body: "hello", Header: octets, Want: Want{Status: 201}}.step(),
	}}
	return all(noUploadRows(cancelled), noUploadRows(finished), noUploadRows(whole))
}

func strangerRows() []Row {
	unknown := Row{Section: "B36", Name: "an unknown id is 404", Given: []Step{
		image("m", "v1"), location("u", "/v2/{repo}/blobs/uploads/6fa459ea-ee8a-3ca4-894e-db77e160355e"),
	}}
	noUUID := Row{Section: "B36", Name: "an id that could be none is 404", Given: []Step{
		image("m", "v1"), location("u", "/v2/{repo}/blobs/uploads/x"),
	}}
	foreign := Row{Section: "B37", Name: "an id of another repository is 404", Given: []Step{
		upload("u"), chunk("u", "0-4", "hello"), image("m", "v1"),
		func(e *Env) {
			e.vars["mine"] = e.vars["u"]
			for _, k := range []string{"u", "u?"} {
				e.vars[k] = strings.Replace(e.vars[k], "/v2/"+e.vars["repo"]+"/", "/v2/"+e.vars["other"]+"/", 1)
			}
		},
	}, Then: []Step{Exchange{Do: "GET {mine}", Want: Want{Status: 204, Heads: []string{"Range: 0-4"}}}.step()}}
	forged := func(name string, forge func(id string) string) []Row {
		row := Row{Section: "A18", Name: name + " is 404", Given: []Step{upload("u"), chunk("u", "0-4", "hello"), func(e *Env) {
			path, query, _ := strings.Cut(e.vars["u"], "?")
			at := strings.LastIndex(path, "/") + 1
			id := forge(path[at:])
			e.vars["u"], e.vars["u?"] = path[:at]+id, path[:at]+id+"?"
			if query != "" {
				e.vars["u"], e.vars["u?"] = path[:at]+id+"?"+query, path[:at]+id+"?"+query+"&"
			}
		}}}
		return noUploadRows(row)
	}
	other := func(c byte) byte {
		if c == 'A' {
			return 'B'
		}
		return 'A'
	}
	return all(
		noUploadRows(unknown), noUploadRows(noUUID), noUploadRows(foreign),
		forged("an id with its first character changed", func(id string) string { return string(other(id[0])) + id[1:] }),
		forged("an id with a character in its middle changed", func(id string) string {
			return id[:len(id)/2] + string(other(id[len(id)/2])) + id[len(id)/2+1:]
		}),
		forged("an id cut short", func(id string) string { return id[:len(id)-1] }),
		[]Row{
			{Name: "a path in place of an id is 404", Section: "A14", Given: []Step{image("m", "v1")},
				Exchange: Exchange{Do: "GET /v2/{repo}/blobs/uploads/..%2f..%2f..%2fx", Want: Want{Status: 404, Code: "BLOB_UPLOAD_UNKNOWN"}}},
			{Name: "a long id is 404", Section: "B36", Given: []Step{image("m", "v1")},
				Exchange: Exchange{Do: "GET /v2/{repo}/blobs/uploads/" + strings.Repeat("a", 4000), Want: Want{Status: 404, Code: "BLOB_UPLOAD_UNKNOWN"}}},
		},
	)
}

// brokenRows are bodies shorter and longer than announced.
func brokenRows() []Row {
	send := func(e *Env, x Exchange, cut int) {
		_, wire := e.request(x)
		conn := e.dial()
		defer conn.Close() //nolint:errcheck // that is the point
		if _, err := conn.Write(wire[:len(wire)-cut]); err != nil {
			e.Fatal(err)
		}
	}
	return []Row{
		{Name: "a client that dies in a chunk leaves the upload as it was", Section: "B29",
			Given: []Step{text("b", "hello world"), upload("u"), chunk("u", "0-4", "hello"), func(e *Env) {
				send(e, Exchange{Do: "PATCH {u}", Body: " world", Header: []string{"Content-Range: 5-10"}}, 3)
			}},
			Exchange: Exchange{Do: "GET {u}", Save: "u", Want: Want{Status: 204, Heads: []string{"Range: 0-4"}}},
			Then: []Step{Exchange{Do: "PUT {u?}digest={b}", Body: " world", Header: octets, Want: Want{Status: 201}}.step(),
				holds("/v2/{repo}/blobs/{b}", "hello world")}},
		{Name: "a client that dies in the PUT leaves no blob", Section: "B29",
			Given: []Step{text("b", "hello {nonce}"), upload("u"), func(e *Env) {
				send(e, Exchange{Do: "PUT {u?}digest={b}", Body: "{b.bytes}", Header: octets}, 3)
			}},
			Exchange: Exchange{Do: "GET {u}", Save: "u", Want: Want{Status: 204}},
			Then:     []Step{gone("/v2/{repo}/blobs/{b}")}},
		{Name: "what follows a body is another request", Section: "B30", Given: []Step{upload("u")},
			Exchange: Exchange{Do: "GET {u}", Want: Want{Status: 204, Check: func(e *Env, _ *Answer) {
				_, wire := e.request(Exchange{Do: "PATCH {u}", Body: "hello, and more than that\r\n\r\n",
					Header: []string{"Content-Length: 5", "Connection: keep-alive"}})
				conn := e.dial()
				defer conn.Close()  //nolint:errcheck // read
				go conn.Write(wire) //nolint:errcheck // the answers tell
				r := bufio.NewReader(conn)
				first, err := read(r, "PATCH")
				if err != nil || first.Status != 202 {
					e.Fatalf("the first request is answered by %v, %v, want 202", first, err)
				}
				second, err := read(r, "GET")
				if err == nil && second.Status != 400 {
					e.Errorf("the garbage after the body is answered by %d, want 400 or an end", second.Status)
				}
				if _, err := io.Copy(io.Discard, r); err != nil {
					e.Logf("the connection ends by %v", err)
				}
			}}}},
	}
}

func parallelUploadRows() []Row {
	return []Row{
		{Name: "of two chunks at one place, one wins", Section: "B34", Given: []Step{text("b", "hello world"), upload("u"), chunk("u", "0-4", "hello")},
			Exchange: Exchange{Do: "GET {u}", Want: Want{Status: 204, Check: func(e *Env, _ *Answer) {
				got := e.together(2, func(int) Exchange {
					return Exchange{Do: "PATCH {u}", Body: " world", Header: []string{"Content-Range: 5-10"}}
				})
				if got[202] != 1 || got[416] != 1 {
					e.Errorf("two chunks at once are answered by %v, want one 202 and one 416", got)
				}
			}}},
			Then: []Step{Exchange{Do: "PUT {u?}digest={b}", Want: Want{Status: 201}}.step(), holds("/v2/{repo}/blobs/{b}", "hello world")}},
		{Name: "the same blob by eight uploads at once", Section: "B35",
			Given: []Step{text("b", "the same {nonce}"), func(e *Env) {
				for i := range 8 {
					upload(fmt.Sprintf("u%d", i))(e)
				}
			}},
			Exchange: Exchange{Do: "GET {u0}", Want: Want{Status: 204, Check: func(e *Env, _ *Answer) {
				got := e.together(8, func(i int) Exchange {
					return Exchange{Do: fmt.Sprintf("PUT {u%d?}digest={b}", i), Body: "{b.bytes}", Header: octets}
				})
				if got[201] != 8 {
					e.Errorf("eight pushes of one blob are answered by %v, want 201 each", got)
				}
			}}},
			Then: []Step{holds("/v2/{repo}/blobs/{b}", "{b.bytes}")}},
		{Name: "one PUT sent eight times at once", Section: "B35", Given: []Step{text("b", "the same {nonce}"), upload("u"), chunk("u", "0-3", "the ")},
			Exchange: Exchange{Do: "GET {u}", Want: Want{Status: 204, Check: func(e *Env, _ *Answer) {
				e.vars["rest"] = e.vars["b.bytes"][4:]
				got := e.together(8, func(int) Exchange {
					return Exchange{Do: "PUT {u?}digest={b}", Body: "{rest}", Header: octets}
				})
				if got[201] == 0 || got[500]+got[503] > 0 {
					e.Errorf("eight times one PUT is answered by %v, want some 201 and no failure", got)
				}
			}}},
			Then: []Step{holds("/v2/{repo}/blobs/{b}", "{b.bytes}")}},
	}
}

// together sends n exchanges at once and counts the statuses.
func (e *Env) together(n int, x func(i int) Exchange) map[int]int {
	e.Helper()
	var (
		mu  sync.Mutex
		wg  sync.WaitGroup
		got = make(map[int]int)
	)
	for i := range n {
		wg.Go(func() {
			a, err := e.try(x(i))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				e.Errorf("%s: %v", x(i).label(), err)
				return
			}
			got[a.Status]++
		})
	}
	wg.Wait()
	return got
}
