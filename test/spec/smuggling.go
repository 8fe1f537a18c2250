package spec

import (
	"bufio"
	"io"
	"strings"
)

// smugglingRows are requests whose end two servers could see at different places:
// one request must get one answer, or none.
func smugglingRows() []Row {
	start := "POST /v2/{repo}/blobs/uploads/ HTTP/1.1\nHost: registry\nConnection: close\n"
	refused := func(section, name, raw string, or ...int) Row {
		want := Want{Status: 400, Or: or, Bare: true}
		return Row{Name: name, Section: section, Exchange: Exchange{Raw: raw, Want: want, Proxy: &want}}
	}
	return []Row{
		{Name: "Content-Length and Transfer-Encoding: the hidden request has no answer", Section: "A61", Exchange: Exchange{Do: "GET /v2/", Want: Want{Status: 200, Check: func(e *Env, _ *Answer) {
			e.answers(1, "POST /v2/{repo}/blobs/uploads/ HTTP/1.1\nHost: registry\nContent-Length: 4\nTransfer-Encoding: chunked\n\n0\n\n"+
				"GET /v2/ HTTP/1.1\nHost: registry\nConnection: close\n\n")
		}}}},
		{Name: "the same, the other way round", Section: "A61", Exchange: Exchange{Do: "GET /v2/", Want: Want{Status: 200, Check: func(e *Env, _ *Answer) {
			hidden := "GET /v2/ HTTP/1.1\nHost: registry\nConnection: close\n\n"
			e.answers(1, "POST /v2/{repo}/blobs/uploads/ HTTP/1.1\nHost: registry\nTransfer-Encoding: chunked\nContent-Length: 5\n\n0\n\n"+hidden)
		}}}},
		{Name: "the same at the health endpoints", Section: "A61", Exchange: Exchange{Do: "GET /livez", Want: Want{Status: 200, Or: []int{400, 404, 503}, Bare: true, Check: func(e *Env, _ *Answer) {
			for _, do := range []string{"POST /livez", "POST /readyz", "POST /startupz"} {
				e.answers(1, do+" HTTP/1.1\nHost: registry\nContent-Length: 4\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n"+
					"GET /v2/ HTTP/1.1\nHost: registry\nConnection: close\n\n")
			}
		}}}},
		{Name: "the same in a chunk of an upload", Section: "A61", Given: []Step{upload("u")}, Exchange: Exchange{Do: "GET /v2/", Want: Want{Status: 200, Check: func(e *Env, _ *Answer) {
			e.answers(1, "PATCH {u} HTTP/1.1\nHost: registry\nContent-Length: 4\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n"+
				"GET /v2/ HTTP/1.1\nHost: registry\nConnection: close\n\n")
		}}}},
		refused("A62", "two different Content-Length are 400", start+"Content-Length: 4\nContent-Length: 5\n\nabcde"),
		refused("A62", "two lengths in one header are 400", start+"Content-Length: 4, 5\n\nabcde"),
		refused("A62", "a signed Content-Length is 400", start+"Content-Length: +5\n\nabcde"),
		refused("A62", "a negative Content-Length is 400", start+"Content-Length: -5\n\nabcde"),
		refused("A62", "an empty Content-Length is 400", start+"Content-Length: \n\n"),
		refused("A62", "a Content-Length that is no number is 400", start+"Content-Length: 0x5\n\nabcde"),
		refused("A62", "a space before the colon is 400", start+"Content-Length : 0\n\n"),
		refused("A62", "two Hosts are 400", "GET /v2/ HTTP/1.1\nHost: registry\nHost: evil.example\nConnection: close\n\n"),
		refused("A62", "no Host is 400", "GET /v2/ HTTP/1.1\nConnection: close\n\n", 200).proxied(200, 400),
		refused("A62", "a header without a name is 400", "GET /v2/ HTTP/1.1\nHost: registry\n: x\nConnection: close\n\n"),
		refused("A62", "a header without a colon is 400", "GET /v2/ HTTP/1.1\nHost: registry\nnonsense\nConnection: close\n\n"),
		refused("A62", "a zero byte in a header is 400", "GET /v2/ HTTP/1.1\nHost: registry\nX: a\x00b\nConnection: close\n\n"),
		refused("A62", "a space in the target is 400", "GET /v2/a b/tags/list HTTP/1.1\nHost: registry\nConnection: close\n\n"),
		refused("A63", "an unknown Transfer-Encoding is 400 or 501", start+"Transfer-Encoding: xchunked\n\n0\n\n", 501),
		refused("A63", "a second Transfer-Encoding is 400 or 501", start+"Transfer-Encoding: chunked, x\n\n0\n\n", 501),
		{Name: "Transfer-Encoding in HTTP/1.0: the hidden request has no answer", Section: "A63", Exchange: Exchange{Do: "GET /v2/", Want: Want{Status: 200, Check: func(e *Env, _ *Answer) {
			e.answers(1, "POST /v2/{repo}/blobs/uploads/ HTTP/1.0\nHost: registry\nConnection: keep-alive\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n"+
				"GET /v2/ HTTP/1.1\nHost: registry\nConnection: close\n\n")
		}}}},
		refused("A63", "HTTP/3.0 in a request line is refused", "GET /v2/ HTTP/3.0\nHost: registry\nConnection: close\n\n", 505).proxied(200, 400, 505),
		refused("A71", "HTTP/2 without TLS is refused", "PRI * HTTP/2.0\n\nSM\n\n", 403, 404, 405, 505).directly(),
		{Name: "an offer of h2c is not taken", Section: "A71", Exchange: Exchange{Do: "GET /v2/", Header: []string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"},
			Want: Want{Status: 200, Or: []int{400}, Bare: true, Heads: []string{"!Upgrade"}}}},
		{Name: "CONNECT is refused", Section: "A71", Exchange: Exchange{Raw: "CONNECT evil.example:80 HTTP/1.1\nHost: evil.example:80\nConnection: close\n\n",
			Want: Want{Status: 405, Or: []int{400, 404}, Bare: true}, Proxy: &Want{Status: 405, Or: []int{400, 404}, Bare: true}}},
		{Name: "a client that waits for 100 Continue is answered", Section: "RFC 9110 10.1.1", Given: []Step{text("b", "{nonce}"), upload("u")},
			Exchange: Exchange{Do: "PUT {u?}digest={b}", Body: "{b.bytes}", Header: []string{"Expect: 100-continue"}, Want: Want{Status: 201}}},
	}
}

// proxied says what a row wants where a proxy stands between.
func (r Row) proxied(status int, or ...int) Row {
	r.Proxy = &Want{Status: status, Or: or, Bare: true}
	return r
}

// directly keeps a row from proxies, which speak HTTP/2 themselves.
func (r Row) directly() Row {
	r.At = Direct
	return r
}

// answers writes raw, whose last request is hidden in the body of the first, and
// counts the answers until the connection ends. None may be the hidden one's 200.
func (e *Env) answers(most int, raw string) {
	e.Helper()
	conn := e.dial()
	defer conn.Close() //nolint:errcheck // read to its end
	if _, err := io.WriteString(conn, e.text(strings.ReplaceAll(raw, "\n", "\r\n"))); err != nil {
		e.Fatal(err)
	}
	r := bufio.NewReader(conn)
	n := 0
	for {
		a, err := read(r, "GET")
		if err != nil {
			break
		}
		n++
		if a.Status == 200 {
			e.Errorf("answer %d is the hidden request's", n)
		}
	}
	if n > most {
		e.Errorf("%d answers, want at most %d", n, most)
	}
}
