package fault

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestCallOf(t *testing.T) {
	tests := []struct{ method, url, op, class string }{
		{"GET", "/b/zot/holdfast/d/0a/id", "GetObject", Data},
		{"HEAD", "/b/zot/holdfast/d/0a/id", "HeadObject", Data},
		{"PUT", "/b/zot/holdfast/d/0a/id?partNumber=1&uploadId=u", "UploadPart", Data},
		{"POST", "/b/zot/holdfast/d/0a/id?uploads", "CreateMultipartUpload", Data},
		{"POST", "/b/zot/holdfast/d/0a/id?uploadId=u", "CompleteMultipartUpload", Data},
		{"DELETE", "/b/zot/holdfast/d/0a/id?uploadId=u", "AbortMultipartUpload", Data},
		{"GET", "/b/zot/holdfast/d/0a/id?uploadId=u", "ListParts", Data},
		{"PUT", "/b/holdfast/l/0a/sha256-ff/repo", "PutObject", Record},
		{"DELETE", "/b/holdfast/u/0a/id", "DeleteObject", Record},
		{"GET", "/b?list-type=2&prefix=zot%2Fholdfast%2Fr%2Faa", "ListObjectsV2", Record},
		{"GET", "/b/?list-type=2&prefix=zot%2Fholdfast%2Fcfg%2F", "ListObjectsV2", Cluster},
		{"GET", "/b?uploads&prefix=zot%2Fholdfast%2Fd%2F", "ListMultipartUploads", Data},
		{"HEAD", "/b", "HeadBucket", Other},
		{"GET", "/b?versioning", "GET", Other},
		{"POST", "/b?delete", "DeleteObjects", Other},
		{"PUT", "/b/zot/other", "PutObject", Other},
	}
	for _, test := range tests {
		got := callOf(httptest.NewRequest(test.method, test.url, http.NoBody))
		if got.Op != test.op || got.Class != test.class {
			t.Errorf("%s %s: %s of %s, want %s of %s", test.method, test.url, got.Op, got.Class, test.op, test.class)
		}
	}
}
