package abuse

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// patch sends a chunk to an upload.
func (a *attack) patch(location, contentRange, body string, heads ...string) *answer {
	a.Helper()
	if contentRange != "" {
		heads = append(heads, "Content-Range: "+contentRange)
	}
	return a.do("alice", "PATCH "+location, body, append(heads, octets)...)
}

// together sends n requests at once and counts the statuses.
func (a *attack) together(n int, raw func(i int) string) map[int]int {
	a.Helper()
	var (
		mu  sync.Mutex
		wg  sync.WaitGroup
		got = map[int]int{}
	)
	for i := range n {
		wg.Go(func() {
			ans, err := a.try(raw(i))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				a.Error(err)
				return
			}
			a.contract(ans)
			got[ans.Status]++
		})
	}
	wg.Wait()
	return got
}

// uploadRows are uploads of one request.
func uploadRows() []row {
	return []row{
		{number: "A26", name: "bytes of another digest", run: func(a *attack) {
			content := "these bytes " + a.word
			for _, d := range []string{unknown, digest(content + "!")} {
				a.do("alice", "PUT "+with(a.upload(a.repo), "digest="+d), content, octets).is(400, "DIGEST_INVALID")
				a.do("alice", "POST /v2/"+a.repo+"/blobs/uploads/?digest="+d, content, octets).is(400, "DIGEST_INVALID")
				a.gone(a.repo, "blobs/"+d)
			}
			a.gone(a.repo, "blobs/"+digest(content))
			a.ask("alice", "GET /v2/_catalog?n=1000&last="+a.repo[:len(a.repo)-1]).is(200)
		}},
		{number: "B23", name: "no digest at the end", run: func(a *attack) {
			u := a.upload(a.repo)
			a.do("alice", "PUT "+u, "x", octets).is(400, "DIGEST_INVALID", "digest is missing")
			a.do("alice", "PUT "+with(u, "digest="+digest("x")), "x", octets).is(201)
		}},
		{number: "B32", name: "an empty last chunk, and a blob of no bytes", run: func(a *attack) {
			u := a.patch(a.upload(a.repo), "0-4", "hello").is(202).location()
			a.ask("alice", "PUT "+with(u, "digest="+digest("hello")), "Content-Length: 0").is(201)
			a.do("alice", "PUT "+with(a.upload(a.repo), "digest="+digest("")), "", octets).is(201)
			a.there(a.repo, "blobs/"+digest("")).holds("").has("Content-Length: 0")
		}},
		{number: "B33", name: "an upload that was cancelled, or has ended", run: func(a *attack) {
			cancelled := a.patch(a.upload(a.repo), "", "hello").is(202).location()
			a.ask("alice", "DELETE "+cancelled).is(204)
			ended := a.patch(a.upload(a.repo), "", "hello").is(202).location()
			a.ask("alice", "PUT "+with(ended, "digest="+digest("hello"))).is(201)
			a.noUpload("alice", cancelled, ended)
		}},
		{number: "B36", name: "an upload that never was", run: func(a *attack) {
			a.image(a.repo, "v1")
			at := "/v2/" + a.repo + "/blobs/uploads/"
			a.noUpload("alice", at+"6fa459ea-ee8a-3ca4-894e-db77e160355e", at+"x", at+"%00", at+strings.Repeat("a", 4000))
		}},
		{number: "B37", name: "an upload of another repository", run: func(a *attack) {
			u := a.patch(a.upload(a.repo), "", "hello").is(202).location()
			foreign := strings.Replace(u, a.repo, a.repo+"-other", 1)
			a.noUpload("alice", foreign)
			never := a.ask("alice", "GET /v2/"+a.repo+"-other/blobs/uploads/x")
			if got := a.ask("alice", "GET "+foreign); string(got.Body) != string(never.Body) {
				a.Errorf("another repository's upload is told apart from an unknown one: %s, %s", got.Body, never.Body)
			}
			a.ask("alice", "GET "+u).is(204).has("Range: 0-4")
		}},
		{number: "B38", name: "a blob above the largest size", at: once, run: func(a *attack) {
			a = a.at(a.limited.front)
			whole := a.noise(maxBlob)
			a.do("", "PUT "+with(a.ask("", "POST /v2/x/blobs/uploads/").is(202).location(), "digest="+digest(whole)), whole, octets).is(201)
			large := whole + "!"
			u := a.ask("", "POST /v2/x/blobs/uploads/").is(202).location()
			for _, do := range []string{"PUT " + with(u, "digest="+digest(large)), "POST /v2/x/blobs/uploads/?digest=" + digest(large), "PATCH " + u} {
				a.do("", do, large, octets).is(413, "SIZE_INVALID", "16777216|16 ?MiB")
			}
			a.ask("", "GET /v2/x/blobs/"+digest(large)).is(404, "BLOB_UNKNOWN")
		}},
		{number: "A66", name: "a stream without an end into one upload", at: once, run: func(a *attack) {
			a = a.at(a.limited.front)
			// A part that is on its way while its upload is given up may stay behind, for the collector: not every time.
			for range 4 {
				before := a.parts3()
				a.streamed()
				if a.Failed() {
					return
				}
				for range 20 {
					if a.parts3() <= before {
						return
					}
					time.Sleep(250 * time.Millisecond)
				}
			}
			a.Errorf("the S3 server keeps %d parts of uploads that were given up", a.parts3())
		}},
	}
}

// streamed sends to an upload of the limited site without an end, until it is refused.
func (a *attack) streamed() {
	a.Helper()
	u := a.ask("", "POST /v2/endless/blobs/uploads/").is(202).location()
	conn := a.conn()
	head := strings.TrimSuffix(a.text("", "PATCH "+u, "", octets, "Transfer-Encoding: chunked"), "0\r\n\r\n")
	sent := make(chan int64, 1)
	go func() {
		piece := strings.TrimSuffix(chunked(a.noise(1<<20)), "0\r\n\r\n")
		n, err := io.WriteString(conn, head)
		total := int64(n)
		for err == nil && total < 1<<40 {
			n, err = io.WriteString(conn, piece)
			total += int64(n)
		}
		sent <- total
	}()
	ans, err := a.read(bufio.NewReader(conn), head)
	_ = conn.Close()
	if err != nil {
		a.Fatal(err)
	}
	a.contract(ans)
	ans.is(413, "SIZE_INVALID", "16777216|16 ?MiB")
	if total := <-sent; total > 4*maxBlob {
		a.Errorf("%d bytes were taken of a stream that may have %d", total, maxBlob)
	}
}

// parts3 counts the parts of unfinished uploads that the S3 server keeps for the limited site.
func (a *attack) parts3() (n int) {
	a.Helper()
	if a.limited.Bucket == "" {
		return 0
	}
	_ = filepath.WalkDir(filepath.Join(a.main.S3Folder(), a.limited.Bucket, ".sgwtmp", "multipart"), func(_ string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			n++
		}
		return nil // what goes meanwhile
	})
	return n
}

// noUpload asks uploads that are none, in every way there is, all at once: a forged id is looked at again after the cluster's secret was read anew,
// which is once a second for all who wait.
func (a *attack) noUpload(user string, uploads ...string) {
	a.Helper()
	var all []string
	for _, u := range uploads {
		all = append(all, a.text(user, "GET "+u, ""), a.text(user, "PATCH "+u, "hello", octets), a.text(user, "PUT "+with(u, "digest="+unknown), "hello", octets), a.text(user, "DELETE "+u, ""))
	}
	a.allAre(all, 404, "BLOB_UPLOAD_UNKNOWN")
}

// allAre sends requests at once, all of which have the same answer.
func (a *attack) allAre(raw []string, status int, code string) {
	a.Helper()
	var all sync.WaitGroup
	for _, text := range raw {
		all.Go(func() {
			ans, err := a.try(text)
			if err != nil {
				a.Error(err)
				return
			}
			a.contract(ans)
			ans.is(status, code)
		})
	}
	all.Wait()
}

// chunkRows are uploads in pieces.
func chunkRows() []row {
	ranges := func(number, name, code, says string, ranges ...string) row {
		return row{number: number, name: name, run: func(a *attack) {
			u := a.upload(a.repo)
			for _, r := range ranges {
				a.patch(u, r, "0123456789").is(400, code, says)
			}
			a.do("alice", "PUT "+with(u, "digest="+digest("0123456789")), "0123456789", octets).is(201)
		}}
	}
	return []row{
		ranges("B25", "Content-Range that is none", "BLOB_UPLOAD_INVALID", `\^\[0-9\]\+-\[0-9\]\+\$`, "abc", "5-2", "-1-5", "bytes 0-9/10", "0-9,10-19", "0-", "-9"),
		ranges("B26", "Content-Range beyond every size", "BLOB_UPLOAD_INVALID", "largest blob|max", "0-99999999999999999999"),
		ranges("B28", "Content-Range of another length", "SIZE_INVALID", "10 .*4 |4 .*10 ", "0-3"),
		{number: "B27", name: "a chunk that skips, or goes back", run: func(a *attack) {
			u := a.patch(a.upload(a.repo), "0-4", "hello").is(202).location()
			for _, r := range []string{"6-10", "0-4", "3-7"} {
				a.patch(u, r, "world").is(416, "BLOB_UPLOAD_INVALID", `next byte.*\b5\b`).has("Range: 0-4", "Location:")
			}
			a.do("alice", "PUT "+with(u, "digest="+digest("hello world")), " world", octets, "Content-Range: 5-10").is(201)
		}},
		{number: "B29", name: "a client that dies in a chunk", run: func(a *attack) {
			u := a.patch(a.upload(a.repo), "0-4", "hello").is(202).location()
			conn := a.conn()
			if _, err := io.WriteString(conn, a.text("alice", "PATCH "+u, " wor", octets, "Content-Length: 6")); err != nil {
				a.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond) // so that it is read before the end; without it the row is easier
			_ = conn.Close()
			status := a.ask("alice", "GET "+u).is(204).has("Range: ~^0-[0-9]+$")
			if end := status.Header.Get("Range"); end != "0-4" {
				a.Errorf("after the death the upload has %s, which nobody was told", end)
			}
			a.do("alice", "PUT "+with(status.location(), "digest="+digest("hello world")), " world", octets, "Content-Range: 5-10").is(201)
		}},
		{number: "B30", name: "more bytes than Content-Length", run: func(a *attack) {
			u := a.upload(a.repo)
			raw := a.text("alice", "PATCH "+u, "hello, and more than that\r\n\r\n", "Content-Length: 5", "Connection: keep-alive")
			all := a.answers(strings.ReplaceAll(raw, "\r\n", "\n"))
			if len(all) == 0 || all[0].Status != 202 {
				a.Fatalf("the chunk has %d answers", len(all))
			}
			for _, ans := range all[1:] {
				ans.is(400)
			}
			a.ask("alice", "GET "+u).is(204).has("Range: 0-4")
		}},
		{number: "B31", name: "a chunk below the minimum", run: func(a *attack) {
			u := a.patch(a.upload(a.repo), "0-0", "h").oneOf([]int{202, 400}, "SIZE_INVALID").location()
			a.do("alice", "PUT "+with(u, "digest="+digest("hello")), "ello", octets).is(201)
		}},
		{number: "B34", name: "two chunks at one place", run: func(a *attack) {
			u := a.patch(a.upload(a.repo), "0-4", "hello").is(202).location()
			got := a.together(2, func(int) string { return a.text("alice", "PATCH "+u, " world", "Content-Range: 5-10", octets) })
			if got[202] != 1 || got[416] != 1 {
				a.Errorf("answers %v, want one 202 and one 416", got)
			}
			a.ask("alice", "PUT "+with(u, "digest="+digest("hello world"))).is(201)
			a.there(a.repo, "blobs/"+digest("hello world")).holds("hello world")
		}},
		{number: "B35", name: "one blob by two uploads", run: func(a *attack) {
			content := "the same " + a.word
			var at []string
			for range 4 {
				at = append(at, a.upload(a.repo))
			}
			got := a.together(len(at), func(i int) string {
				return a.text("alice", "PUT "+with(at[i], "digest="+digest(content)), content, octets)
			})
			if got[201] != len(at) {
				a.Errorf("answers %v, want 201 each", got)
			}
			a.there(a.repo, "blobs/"+digest(content)).holds(content)
		}},
		{number: "B39", name: "a form in the place of bytes", run: func(a *attack) {
			a.do("alice", "PATCH "+a.upload(a.repo), "hello", "Content-Type: multipart/form-data; boundary=x").oneOf([]int{202, 415}, "BLOB_UPLOAD_INVALID")
		}},
	}
}

// sessionRows are uploads of somebody else.
func sessionRows() []row {
	return []row{
		{number: "A16", name: "a chunk to another user's upload", run: func(a *attack) {
			u := a.do("bob", "PATCH "+a.upload(a.priv), "bob's", octets).is(202).location()
			mine := strings.Replace(u, a.priv, a.repo, 1)
			a.do("alice", "PATCH "+mine, "alice's", octets).is(404, "BLOB_UPLOAD_UNKNOWN")
			a.ask("bob", "GET "+u).is(204).has("Range: 0-4")
			a.ask("bob", "PUT "+with(u, "digest="+digest("bob's"))).is(201)
		}},
		{number: "A17", name: "another user's upload in every way", run: func(a *attack) {
			u := a.do("bob", "PATCH "+a.upload(a.priv), "bob's", octets).is(202).location()
			a.noUpload("alice", strings.Replace(u, a.priv, a.repo, 1))
			var all []string
			for _, do := range []string{"GET " + u, "PATCH " + u, "PUT " + with(u, "digest="+digest("bob's")), "DELETE " + u} {
				all = append(all, a.text("alice", do, ""))
			}
			a.allAre(all, 403, "DENIED")
			// In a repository that both may write the upload is still its owner's alone.
			shared := a.ask("adam", "POST /v2/"+a.repo+"/blobs/uploads/").is(202).location()
			a.noUpload("alice", shared)
			a.ask("adam", "GET "+shared).is(204)
			a.ask("bob", "GET "+u).is(204).has("Range: 0-4")
		}},
		{number: "A18", name: "an upload's id that is forged, spliced, or another cluster's", run: func(a *attack) {
			u, other := a.patch(a.upload(a.repo), "", "hello").is(202).location(), a.upload(a.repo)
			at := strings.LastIndex(u, "/") + 1
			id, second := u[at:], other[at:]
			var ids []string
			for i := 0; i < len(id); i += 3 {
				c := byte('A')
				if id[i] == c {
					c = 'B'
				}
				ids = append(ids, id[:i]+string(c)+id[i+1:])
			}
			ids = append(ids, id[:len(id)-1], id+"A", id[:len(id)/2]+second[min(len(second), len(id)/2):], second[:len(second)/2]+id[min(len(id), len(second)/2):])
			var all []string
			for _, forged := range ids {
				if forged != id && forged != second {
					all = append(all, a.text("alice", "GET "+u[:at]+forged, ""))
				}
			}
			a.allAre(all, 404, "BLOB_UPLOAD_UNKNOWN")
			b := a.at(a.limited.front)
			foreign := b.ask("", "POST /v2/"+a.repo+"/blobs/uploads/").is(202).location()
			a.noUpload("alice", u[:at]+ids[0], foreign)
			a.ask("alice", "GET "+u).is(204).has("Range: 0-4")
		}},
	}
}

// blobRows read blobs.
func blobRows() []row {
	const ten = "0123456789"
	get := func(a *attack, ranges string) *answer {
		a.Helper()
		return a.ask("alice", "GET /v2/"+a.repo+"/blobs/"+digest(ten), "Range: "+ranges)
	}
	return []row{
		{number: "A24", name: "a thousand ranges", run: func(a *attack) {
			a.blob(a.repo, ten)
			for _, ranges := range []string{"bytes=" + strings.Repeat("0-,", 999) + "0-", "bytes=0-1,4-5"} {
				if ans := get(a, ranges).oneOf([]int{200, 416}); ans.Status == 200 {
					ans.holds(ten)
				}
			}
		}},
		{number: "B40", name: "ranges that the blob does not have", run: func(a *attack) {
			a.blob(a.repo, ten)
			for _, ranges := range []string{"bytes=5-2", "bytes=10-", "bytes=-0", "bytes=99-100"} {
				get(a, ranges).is(416, "UNSUPPORTED", "10").has("Content-Range: bytes */10")
			}
		}},
		{number: "B41", name: "ranges that are none", run: func(a *attack) {
			a.blob(a.repo, ten)
			for _, ranges := range []string{"lines=0-4", "bytes=abc", "bytes", "bytes=--3", "bytes=0x0-0x5"} {
				get(a, ranges).is(200).holds(ten)
			}
		}},
	}
}
