package s3_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPolicy: docs/s3.md allows what the client calls, and nothing else.
func TestPolicy(t *testing.T) {
	actions := map[string]string{
		"AbortMultipartUpload": "s3:AbortMultipartUpload", "CompleteMultipartUpload": "s3:PutObject", "CreateMultipartUpload": "s3:PutObject", "UploadPart": "s3:PutObject",
		"PutObject": "s3:PutObject", "GetObject": "s3:GetObject", "HeadObject": "s3:GetObject", "DeleteObject": "s3:DeleteObject",
		"ListObjectsV2": "s3:ListBucket", "HeadBucket": "s3:ListBucket", "ListMultipartUploads": "s3:ListBucketMultipartUploads",
		"GetBucketVersioning": "s3:GetBucketVersioning", "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
		"GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
	}
	var called []string
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile(`(?:sdk|presign)\.(?:Presign)?([A-Z][A-Za-z0-9]+)\(`)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range call.FindAllStringSubmatch(string(text), -1) {
			if m[1] == "Options" {
				continue // makes no request
			}
			action := actions[m[1]]
			if action == "" {
				t.Errorf("%s calls %s: which action of the policy is that?", file, m[1])
			}
			called = append(called, action)
		}
	}
	slices.Sort(called)
	called = slices.Compact(called)
	if len(called) < 8 {
		t.Fatalf("the calls are not found: %q", called)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "s3.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```json")
	text, _, _ = strings.Cut(text, "```")
	var policy struct{ Statement []struct{ Action []string } }
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		t.Fatal(err)
	}
	var allowed []string
	for _, s := range policy.Statement {
		allowed = append(allowed, s.Action...)
	}
	slices.Sort(allowed)
	if !slices.Equal(allowed, called) {
		t.Errorf("docs/s3.md allows\n%q, and the client calls\n%q", allowed, called)
	}
}
