package api_test

import (
	"strings"
	"testing"

	"holdfast/internal/registry"
)

const text = "a blob in pieces" // 16 bytes

var (
	textDigest = digestOf(text)
	textSHA512 = "sha512:" + strings.Repeat("0", 128)
)

// begun is an upload that holds so many bytes of text.
func begun(n int) []exchange {
	steps := []exchange{{do: "POST " + app + "/blobs/uploads/", status: 202}}
	if n > 0 {
		steps = append(steps, exchange{do: "PATCH {location}", body: text[:n], status: 202})
	}
	return steps
}

func TestUploads(t *testing.T) {
	uploads := "POST " + app + "/blobs/uploads/"
	commit := "PUT {location}?digest=" + textDigest
	stored := "GET " + app + "/blobs/" + textDigest
	run(t, options{}, []exchange{
		{name: "end-4a begins an upload", do: uploads, status: 202, text: exactly(""), heads: []string{"Location:", "Range: 0-0", "Docker-Upload-Uuid:", "Oci-Chunk-Min-Length: 5242880"}},
		{name: "end-4a without the slash", do: "POST " + app + "/blobs/uploads", status: 202},
		{name: "the host of a request is nowhere in the answer", do: uploads, header: []string{"X-Forwarded-Host: evil.example", "Forwarded: host=evil.example"}, status: 202, heads: []string{"Location:"}},
		{name: "GET of uploads is 405", do: "GET " + app + "/blobs/uploads/", status: 405, code: "UNSUPPORTED", heads: []string{"Allow: POST"}},
		{name: "an announced algorithm", do: uploads + "?digest-algorithm=sha512", status: 202},
		{name: "an algorithm that nobody knows", do: uploads + "?digest-algorithm=md5", status: 400, code: "DIGEST_INVALID", says: "sha512"},
		{name: "an upload of a wrong name", do: "POST /v2/ACME/blobs/uploads/", status: 400, code: "NAME_INVALID"},

		{name: "end-4b pushes in one request", do: uploads + "?digest=" + textDigest, body: text, status: 201, text: exactly(""),
			heads: []string{"Location: " + app + "/blobs/" + textDigest, "Docker-Content-Digest: " + textDigest}},
		{name: "end-4b without a length", do: uploads + "?digest=" + textDigest, body: text, chunked: true, status: 201, heads: []string{"Connection: close"}},
		{name: "end-4b of other bytes", do: uploads + "?digest=" + textDigest, body: text + "!", status: 400, code: "DIGEST_INVALID"},
		{name: "end-4b by no digest", do: uploads + "?digest=sha256:zz", body: text, status: 400, code: "DIGEST_INVALID"},
		{name: "two digests", do: uploads + "?digest=" + textDigest + "&digest=" + textDigest, body: text, status: 400, code: "UNSUPPORTED", says: "digest"},

		{name: "end-11 mounts", do: "POST " + nothing + "/blobs/uploads/?mount=" + layerDigest + "&from=acme/app", status: 201, heads: []string{"Location: " + nothing + "/blobs/" + layerDigest, "Docker-Content-Digest: " + layerDigest}},
		{name: "end-11 without a source", do: "POST " + nothing + "/blobs/uploads/?mount=" + layerDigest, status: 201},
		{name: "end-11 of an unknown blob begins an upload", do: uploads + "?mount=" + unknown + "&from=acme/loose", status: 202, heads: []string{"Docker-Upload-Uuid:", "!Docker-Content-Digest"}},
		{name: "end-11 from a wrong name", do: uploads + "?mount=" + layerDigest + "&from=../..", status: 400, code: "NAME_INVALID"},
		{name: "end-11 from a zero byte", do: uploads + "?mount=" + layerDigest + "&from=%00", status: 400, code: "NAME_INVALID", says: "0x00"},
		{name: "end-11 of no digest", do: uploads + "?mount=sha256:x&from=acme/app", status: 400, code: "DIGEST_INVALID"},
		{name: "two mounts", do: uploads + "?mount=a&mount=b", status: 400, code: "UNSUPPORTED"},
		{name: "two sources", do: uploads + "?mount=" + layerDigest + "&from=a&from=b", status: 400, code: "UNSUPPORTED"},
		{name: "two algorithms", do: uploads + "?digest-algorithm=sha256&digest-algorithm=sha512", status: 400, code: "UNSUPPORTED"},
		{name: "a query that is none", do: uploads + "?%zz", status: 400, code: "UNSUPPORTED"},

		{name: "end-13 of nothing yet", given: begun(0), do: "GET {location}", status: 204, heads: []string{"Range: 0-0", "Location:"}},
		{name: "end-13 says how far it is", given: begun(5), do: "GET {location}", status: 204, text: exactly(""), heads: []string{"Range: 0-4", "Location:", "Docker-Upload-Uuid:"}},
		{name: "end-13 by HEAD", given: begun(5), do: "HEAD {location}", status: 204, heads: []string{"Range: 0-4"}},
		{name: "end-13 of no upload", do: "GET " + app + "/blobs/uploads/nonsense", status: 404, code: "BLOB_UPLOAD_UNKNOWN"},
		{name: "end-13 of a way up", do: "GET " + app + "/blobs/uploads/..%2f..%2f..%2fx", status: 404, code: "BLOB_UPLOAD_UNKNOWN"},
		{name: "POST to an upload is 405", given: begun(0), do: "POST {location}", status: 405, code: "UNSUPPORTED", heads: []string{"Allow: GET, HEAD, PATCH, PUT, DELETE"}},

		{name: "end-5 takes a chunk", given: begun(0), do: "PATCH {location}", body: text, status: 202, text: exactly(""), heads: []string{"Range: 0-15", "Location:", "Docker-Upload-Uuid:"}},
		{name: "end-5 without a length", given: begun(0), do: "PATCH {location}", body: text, chunked: true, status: 202, heads: []string{"Range: 0-15", "Connection: close"}},
		{name: "end-5 with a range", given: begun(5), do: "PATCH {location}", header: []string{"Content-Range: 5-15"}, body: text[5:], status: 202, heads: []string{"Range: 0-15"}},
		{name: "end-5 with a range, without a length", given: begun(5), do: "PATCH {location}", header: []string{"Content-Range: 5-15"}, body: text[5:], chunked: true, status: 202},
		{name: "end-5 ahead", given: begun(5), do: "PATCH {location}", header: []string{"Content-Range: 6-15"}, body: text[6:], status: 416, code: "BLOB_UPLOAD_INVALID", says: "5", heads: []string{"Range: 0-4", "Location:"}},
		{name: "end-5 back", given: begun(5), do: "PATCH {location}", header: []string{"Content-Range: 0-15"}, body: text, status: 416, code: "BLOB_UPLOAD_INVALID", heads: []string{"Range: 0-4", "Location:"}},
		{name: "end-5 with another length than the range", given: begun(0), do: "PATCH {location}", header: []string{"Content-Range: 0-3"}, body: text, status: 400, code: "SIZE_INVALID", says: "16 bytes announced by Content-Length, 4 in Content-Range"},
		{name: "end-5 with more than the range, without a length", given: begun(0), do: "PATCH {location}", header: []string{"Content-Range: 0-3"}, body: text, chunked: true, status: 400, code: "SIZE_INVALID"},
		{name: "end-5 with a range that is none", given: begun(0), do: "PATCH {location}", header: []string{"Content-Range: bytes 0-3/4"}, body: "abcd", status: 400, code: "BLOB_UPLOAD_INVALID", says: "^[0-9]+-[0-9]+$"},
		{name: "end-5 with a backward range", given: begun(0), do: "PATCH {location}", header: []string{"Content-Range: 5-2"}, status: 400, code: "BLOB_UPLOAD_INVALID"},
		{name: "end-5 with a huge range", given: begun(0), do: "PATCH {location}", header: []string{"Content-Range: 0-99999999999999999999"}, body: text, status: 400, code: "BLOB_UPLOAD_INVALID", says: "exceeds"},
		{name: "end-5 with the largest number", given: begun(0), do: "PATCH {location}", header: []string{"Content-Range: 0-9223372036854775807"}, body: text, status: 400, code: "BLOB_UPLOAD_INVALID", says: "exceeds"},
		{name: "end-5 with two ranges", given: begun(0), do: "PATCH {location}", header: []string{"Content-Range: 0-3", "Content-Range: 0-3"}, body: "abcd", status: 400, code: "BLOB_UPLOAD_INVALID"},
		{name: "end-5 to no upload", do: "PATCH " + app + "/blobs/uploads/nonsense", body: text, status: 404, code: "BLOB_UPLOAD_UNKNOWN"},

		{name: "end-6 ends it", given: begun(16), do: commit, status: 201, text: exactly(""), heads: []string{"Location: " + app + "/blobs/" + textDigest, "Docker-Content-Digest: " + textDigest}},
		{name: "end-6 with all of it", given: begun(0), do: commit, body: text, status: 201},
		{name: "end-6 with the last chunk", given: append(begun(5), exchange{do: commit, header: []string{"Content-Range: 5-15"}, body: text[5:], status: 201}), do: stored, status: 200, text: exactly(text)},
		{name: "end-6 with the last chunk ahead", given: begun(5), do: commit, header: []string{"Content-Range: 9-15"}, body: text[9:], status: 416, code: "BLOB_UPLOAD_INVALID", heads: []string{"Range: 0-4", "Location:"}},
		{name: "end-6 with a chunk that is none", given: begun(5), do: commit, header: []string{"Content-Range: x"}, body: text[5:], status: 400, code: "BLOB_UPLOAD_INVALID"},
		{name: "end-6 of other bytes", given: begun(5), do: commit, status: 400, code: "DIGEST_INVALID"},
		{name: "after other bytes the upload goes on", given: append(begun(5), exchange{do: commit, status: 400}), do: commit, body: text[5:], status: 201},
		{name: "end-6 without a digest", given: begun(16), do: "PUT {location}", status: 400, code: "DIGEST_INVALID", says: "missing"},
		{name: "end-6 with two digests", given: begun(16), do: commit + "&digest=x", status: 400, code: "UNSUPPORTED"},
		{name: "end-6 with no digest", given: begun(16), do: "PUT {location}?digest=x", status: 400, code: "DIGEST_INVALID"},
		{name: "end-6 with another digest", given: begun(16), do: "PUT {location}?digest=" + textSHA512, status: 400, code: "DIGEST_INVALID"},
		{name: "end-6 with a query that is none", given: begun(16), do: "PUT {location}?%zz", status: 400, code: "UNSUPPORTED"},
		{name: "end-6 of no upload", do: "PUT " + app + "/blobs/uploads/nonsense?digest=" + textDigest, body: text, status: 404, code: "BLOB_UPLOAD_UNKNOWN"},

		{name: "end-14 cancels", given: begun(5), do: "DELETE {location}", status: 204, text: exactly("")},
		{name: "a cancelled upload is unknown", given: append(begun(5), exchange{do: "DELETE {location}", status: 204}), do: "GET {location}", status: 404, code: "BLOB_UPLOAD_UNKNOWN"},
		{name: "end-14 of no upload", do: "DELETE " + app + "/blobs/uploads/nonsense", status: 404, code: "BLOB_UPLOAD_UNKNOWN"},
	})
}

func TestUploadOfAnotherRepositoryIsUnknown(t *testing.T) {
	for _, method := range []string{"GET", "PATCH", "PUT", "DELETE"} {
		s := open(t, options{})
		s.exchange(exchange{do: "POST " + app + "/blobs/uploads/"})
		own := s.location
		s.location = strings.Replace(own, app, loose, 1) + "?digest=" + textDigest
		s.exchange(exchange{do: method + " {location}", status: 404, code: "BLOB_UPLOAD_UNKNOWN"})
		s.location = own
		s.exchange(exchange{do: "GET {location}", status: 204})
	}
}

func TestLimitOfBlobs(t *testing.T) {
	run(t, options{registry: registry.Config{MaxBlobBytes: 40}}, []exchange{
		{name: "announced", do: "POST " + app + "/blobs/uploads/?digest=" + textDigest, body: strings.Repeat("x", 41), status: 413, code: "SIZE_INVALID", says: "40"},
		{name: "not announced", given: begun(0), do: "PATCH {location}", body: strings.Repeat("x", 41), chunked: true, status: 413, code: "SIZE_INVALID", says: "40"},
		{name: "in the second chunk", given: begun(16), do: "PATCH {location}", body: strings.Repeat("x", 25), status: 413, code: "SIZE_INVALID", says: "40"},
	})
}
