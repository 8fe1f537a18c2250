package spec

// chunkRows is "Pushing a blob in chunks": end-5, end-6, end-13.
func chunkRows() []Row {
	return all(appendRows(), orderRows(), contentRangeRows())
}

func appendRows() []Row {
	const section = "Pushing a blob in chunks, end-5"
	hello := []Step{text("b", "hello world"), upload("u")}
	patch := func(contentRange, body string, heads ...string) Exchange {
		return Exchange{Do: "PATCH {u}", Body: body, Save: "u",
			Header: []string{"Content-Type: application/octet-stream", "Content-Range: " + contentRange},
			Want:   Want{Status: 202, Heads: append([]string{"Location:"}, heads...)}}
	}
	end := Exchange{Do: "PUT {u?}digest={b}", Save: "at", Want: Want{Status: 201, Heads: []string{"Location:"}}}
	last := end
	last.Body, last.Header = " world", []string{"Content-Type: application/octet-stream", "Content-Range: 5-10"}
	plain := end
	plain.Body, plain.Header = " world", octets
	stream := patch("", "hello", "Range: 0-4")
	stream.Header = octets
	endless := stream
	endless.Header = []string{"Content-Type: application/octet-stream", "Transfer-Encoding: chunked"}
	whole := holds("{at}", "hello world")
	with := func(steps ...Step) []Step { return append(hello[:2:2], steps...) }
	return []Row{
		{Name: "the first chunk is 202 with Location and Range", Section: section, Given: hello, Exchange: patch("0-4", "hello", "Range: 0-4")},
		{Name: "the second chunk is 202 with the whole Range", Section: section, Given: with(chunk("u", "0-4", "hello")), Exchange: patch("5-10", " world", "Range: 0-10")},
		{Name: "PUT without a body ends the upload", Section: section, Given: with(chunk("u", "0-4", "hello"), chunk("u", "5-10", " world")), Exchange: end, Then: []Step{whole}},
		{Name: "PUT with the last chunk ends the upload", Section: section, Given: with(chunk("u", "0-4", "hello")), Exchange: last, Then: []Step{whole}},
		{Name: "PUT with the last chunk and no Content-Range ends the upload", Section: section, Given: with(chunk("u", "0-4", "hello")), Exchange: plain, Then: []Step{whole}},
		{Name: "a chunk without Content-Range is appended", Section: section, Given: hello, Exchange: stream, Then: []Step{last.step(), whole}},
		{Name: "a chunk without Content-Length is appended", Section: section, Given: hello, Exchange: endless, Then: []Step{last.step(), whole}},
		{Name: "chunks of one byte make a blob", Section: section, Given: with(
			chunk("u", "0-0", "h"), chunk("u", "1-1", "e"), chunk("u", "2-2", "l"), chunk("u", "3-3", "l"), chunk("u", "4-4", "o"), chunk("u", "5-9", " worl")),
			Exchange: patch("10-10", "d", "Range: 0-10"), Then: []Step{end.step(), whole}},
		{Name: "a chunk of 6 MB and a small one make a blob", Section: section, Given: []Step{upload("u"), func(e *Env) {
			e.keep("b", long(6_000_000, e.vars["nonce"]), "")
			e.vars["head"], e.vars["rest"] = e.vars["b.bytes"][:5_999_990], e.vars["b.bytes"][5_999_990:]
		}, chunk("u", "0-5999989", "{head}")}, Exchange: patch("5999990-5999999", "{rest}", "Range: 0-5999999"), Then: []Step{end.step(), holds("{at}", "{b.bytes}")}},
		{Name: "the minimum chunk, if any, is a number", Section: section,
			Exchange: Exchange{Do: "POST /v2/{repo}/blobs/uploads/", Want: Want{Status: 202, Check: func(e *Env, a *Answer) {
				if v := a.Header.Get("OCI-Chunk-Min-Length"); v != "" {
					e.problem(headProblem("OCI-Chunk-Min-Length: ~^[0-9]+$", a.Header))
				}
			}}}},
		{Name: "a small chunk that is not the last is accepted, or refused with the minimum", Section: "B31", Given: with(chunk("u", "0-4", "hello")),
			Exchange: Exchange{Do: "PATCH {u}", Body: " ", Header: []string{"Content-Range: 5-5"}, Want: Want{Status: 202, Or: []int{400}, Code: "SIZE_INVALID"}}},
		{Name: "an empty last chunk", Section: "B32", Given: with(chunk("u", "0-10", "hello world")),
			Exchange: Exchange{Do: "PUT {u?}digest={b}", Header: []string{"Content-Length: 0"}, Save: "at", Want: Want{Status: 201}}, Then: []Step{whole}},
		{Name: "a blob of no bytes", Section: "B32", Given: []Step{text("b", ""), upload("u")}, Exchange: end, Then: []Step{there("/v2/{repo}/blobs/{b}")}},
		{Name: "a form's Content-Type is bytes, or refused", Section: "B39", Given: hello,
			Exchange: Exchange{Do: "PATCH {u}", Body: "hello", Header: []string{"Content-Type: multipart/form-data; boundary=x"}, Want: Want{Status: 202, Or: []int{415}, Code: "BLOB_UPLOAD_INVALID"}}},
	}
}

func orderRows() []Row {
	const section = "Pushing a blob in chunks, end-5, 416"
	one := []Step{text("b", "hello world"), upload("u"), chunk("u", "0-4", "hello")}
	patch := func(contentRange, body, says string) Exchange {
		return Exchange{Do: "PATCH {u}", Body: body, Header: []string{"Content-Range: " + contentRange}, Want: Want{
			Status: 416, Code: "BLOB_UPLOAD_INVALID", Says: says, Heads: []string{"Range: 0-4", "Location:"},
		}}
	}
	put := patch("6-10", "world", "5")
	put.Do = "PUT {u?}digest={b}"
	status := Exchange{Do: "GET {u}", Save: "u", Want: Want{Status: 204, Heads: []string{"Range: 0-4", "Location:"}}}.step()
	goOn := Exchange{Do: "PUT {u?}digest={b}", Body: " world", Header: []string{"Content-Range: 5-10"}, Save: "at", Want: Want{Status: 201}}.step()
	after := []Step{status, goOn, holds("{at}", "hello world")}
	first := patch("5-9", "world", "0")
	first.Heads = []string{"Location:", "Range: 0-0"}
	return []Row{
		{Name: "a chunk that skips ahead is 416 and changes nothing", Section: section, Given: one, Exchange: patch("6-10", "world", "5"), Then: after},
		{Name: "a chunk that comes again is 416 and changes nothing", Section: section, Given: one, Exchange: patch("0-4", "hello", "5"), Then: after},
		{Name: "a chunk that overlaps is 416 and changes nothing", Section: section, Given: one, Exchange: patch("3-10", "lo world", "5"), Then: after},
		{Name: "a last chunk out of order is 416 and changes nothing", Section: section, Given: one, Exchange: put, Then: after},
		{Name: "a first chunk that does not begin at 0 is 416", Section: section, Given: []Step{upload("u")}, Exchange: first},
		{Name: "ahead and back are told where to go on", Section: "B27", Given: one, Exchange: patch("100-102", "abc", `next byte.*\b5\b`), Then: after},
	}
}

func contentRangeRows() []Row {
	row := Row{Given: []Step{text("b", "0123456789"), upload("u")},
		Then: []Step{Exchange{Do: "PUT {u?}digest={b}", Body: "{b.bytes}", Header: octets, Want: Want{Status: 201}}.step()}}
	bad := func(section string, want Want, ranges ...string) []Row {
		return each(row, ranges, func(r *Row, v string) {
			r.Name, r.Section = "Content-Range "+v+" is refused and changes nothing", section
			r.Exchange = Exchange{Do: "PATCH {u}", Body: "0123456789", Header: []string{"Content-Range: " + v}, Want: want}
		})
	}
	invalid := Want{Status: 400, Code: "BLOB_UPLOAD_INVALID"}
	return all(
		bad("B25", Want{Status: 400, Code: "BLOB_UPLOAD_INVALID", Says: `\[0-9\]\+-\[0-9\]\+|first.*last|start.*end`},
			"abc", "5-2", "-1-5", "bytes 0-9/10", "bytes=0-9", "0-9,10-19", "0-", "-9", "0x0-0x9", "0 - 9"),
		bad("B26", invalid, "0-99999999999999999999", "99999999999999999999-99999999999999999999", "0-9223372036854775807"),
		bad("B28", Want{Status: 400, Code: "SIZE_INVALID", Says: "10.*4|4.*10"}, "0-3"),
		bad("B28", Want{Status: 400, Code: "SIZE_INVALID", Says: "10.*20|20.*10"}, "0-19"),
	)
}

// problem reports what a check found, if anything.
func (e *Env) problem(problem string) {
	e.Helper()
	if problem != "" {
		e.Error(problem)
	}
}
