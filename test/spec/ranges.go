package spec

import "strings"

// rangeRows is the Range header on blobs: "Pulling blobs", RFC 9110 section 14.
func rangeRows() []Row {
	const ten = "0123456789"
	pull := Row{Section: "Pulling blobs, end-2, RFC 9110 14", Given: []Step{blob("b", ten)}}
	ask := func(name, ranges string, want Want) Row {
		r := pull
		r.Name = ranges + ": " + name
		r.Exchange = Exchange{Do: "GET /v2/{repo}/blobs/{b}", Header: []string{"Range: " + ranges}, Want: want}
		return r
	}
	part := func(body, contentRange string) Want {
		return Want{Status: 206, Exact: body, Heads: []string{"Content-Range: bytes " + contentRange, "Docker-Content-Digest: {b}"}}
	}
	whole := Want{Status: 200, Exact: ten, Heads: []string{"!Content-Range"}}
	never := Want{Status: 416, Code: "UNSUPPORTED", Heads: []string{"Content-Range: bytes */10"}, Says: "10"}
	number := func(number string, rows ...Row) []Row {
		for i := range rows {
			rows[i].Section = number
		}
		return rows
	}
	head := pull
	head.Name = "HEAD takes no range"
	head.Exchange = Exchange{Do: "HEAD /v2/{repo}/blobs/{b}", Header: []string{"Range: bytes=2-4"}, Want: Want{Status: 200, Heads: []string{"Content-Length: 10"}}}
	offered := pull
	offered.Name = "ranges are offered"
	offered.Exchange = Exchange{Do: "HEAD /v2/{repo}/blobs/{b}", Want: Want{Status: 200, Heads: []string{"Accept-Ranges: bytes"}}}
	changed := pull
	changed.Name = "If-Range of another thing gives the whole"
	changed.Exchange = Exchange{Do: "GET /v2/{repo}/blobs/{b}", Header: []string{"Range: bytes=2-4", `If-Range: "another"`}, Want: whole}

	return all(
		[]Row{
			ask("a part", "bytes=2-4", part("234", "2-4/10")),
			ask("the first byte", "bytes=0-0", part("0", "0-0/10")),
			ask("to the end", "bytes=7-", part("789", "7-9/10")),
			ask("the last bytes", "bytes=-3", part("789", "7-9/10")),
			ask("an end beyond the blob's is the blob's", "bytes=8-99", part("89", "8-9/10")),
			ask("more last bytes than there are is all", "bytes=-99", part(ten, "0-9/10")),
			ask("the unit's case does not matter", "BYTES=2-4", part("234", "2-4/10")),
			head, offered, changed,
			{Name: "no byte of an empty blob", Section: pull.Section, Given: []Step{blob("b", "")},
				Exchange: Exchange{Do: "GET /v2/{repo}/blobs/{b}", Header: []string{"Range: bytes=0-0"}, Want: Want{Status: 416, Heads: []string{"Content-Range: bytes */0"}}}},
			{Name: "a range of an unknown blob is 404", Section: pull.Section, Given: pull.Given,
				Exchange: Exchange{Do: "GET /v2/{repo}/blobs/{zero}", Header: []string{"Range: bytes=0-0"}, Want: Want{Status: 404, Code: "BLOB_UNKNOWN"}}},
		},
		number("B40",
			ask("begins after the end", "bytes=10-", never),
			ask("far after the end", "bytes=99999999999999999999-", Want{Status: 416, Or: []int{200}}),
			ask("ends before it begins", "bytes=5-2", never),
			ask("the last no bytes", "bytes=-0", never)),
		number("B41",
			ask("another unit is ignored", "lines=0-4", whole),
			ask("garbage is ignored", "bytes=abc", whole),
			ask("no range is ignored", "bytes", whole),
			ask("a negative range is ignored", "bytes=--3", whole)),
		number("A24",
			ask("two ranges", "bytes=0-1,4-5", Want{Status: 200, Or: []int{416}}),
			ask("a thousand overlapping ranges", "bytes="+strings.Repeat("0-,", 1000)+"0-", Want{Status: 200, Or: []int{416}})),
	)
}
