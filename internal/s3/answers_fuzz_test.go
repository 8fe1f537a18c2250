package s3

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// FuzzS3XML: whatever a store answers, it is understood or an error of ours; "not there" only when the store said just that, and a list is in order, below
// its prefix, and ends.
func FuzzS3XML(f *testing.F) {
	const list = `<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>p/a</Key><Size>1</Size><ETag>"e"</ETag><LastModified>2026-01-02T03:04:05.000Z</LastModified></Contents></ListBucketResult>`
	for _, body := range []string{
		"", list, strings.Replace(list, "false", "true", 1), strings.Replace(list, "p/a", "q/a", 1), strings.Replace(list, "<Size>1", "<Size>-1", 1), strings.Replace(list, "<Size>1", "<Size>x", 1),
		strings.Replace(list, "</Contents>", "</Contents><Contents><Key>p/a</Key></Contents>", 1), "<Error><Code>NoSuchKey</Code></Error>", "<Error><Code>InternalError</Code><Message>m</Message></Error>",
		"<html>", "<a>" + strings.Repeat("<b>", 1000), "<ListBucketResult>", "\xff\xfe", `<!DOCTYPE x [<!ENTITY a "aaaa">]><ListBucketResult><Contents><Key>&a;</Key></Contents></ListBucketResult>`,
		`<ListMultipartUploadsResult><Upload><Key>p/a</Key><UploadId>u</UploadId></Upload><IsTruncated>true</IsTruncated></ListMultipartUploadsResult>`,
	} {
		for _, status := range []int{200, 404, 500} {
			f.Add(status, body, `"e"`, "Mon, 02 Jan 2006 15:04:05 GMT")
		}
	}
	f.Add(412, "<Error><Code>PreconditionFailed</Code></Error>", "", "never")
	f.Fuzz(func(t *testing.T, status int, body, etag, date string) {
		if status < 200 || status > 599 {
			return // the HTTP client's own business
		}
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			c := fakeClient(t, func(*http.Request) (*http.Response, error) {
				if asked++; asked > 200 {
					return nil, errors.New("asked too often")
				}
				r := reply(status, body)
				r.Header["Etag"], r.Header["Last-Modified"], r.Header["Date"] = []string{etag}, []string{date}, []string{date}
				return r, nil
			})
			told := func(what string, err error) {
				var e *Error
				switch {
				case err == nil && what == "delete" && status == http.StatusNotFound: // it is gone
				case err == nil && status >= 300:
					t.Errorf("%s: a status of %d is a success", what, status)
				case err != nil && !errors.As(err, &e):
					t.Errorf("%s: %v is no error of a store", what, err)
				case KindOf(err) == NotFound && err != nil && status != http.StatusNotFound:
					t.Errorf("%s: a status of %d is taken for 'not there': %v", what, status, err)
				}
			}
			ctx := t.Context()
			last, n := "", 0
			for item, err := range c.List(ctx, "p/", "") {
				if err != nil {
					told("list", err)
					break
				}
				if !strings.HasPrefix(item.Key, "p/") || item.Key <= last {
					t.Fatalf("the list has %q after %q", item.Key, last)
				}
				if last, n = item.Key, n+1; n > 10000 {
					t.Fatal("the list has no end")
				}
			}
			value, _, err := c.GetValue(ctx, "k", 1<<10)
			if told("get", err); err == nil && string(value) != body {
				t.Errorf("got %q of %q", value, body)
			}
			_, err = c.Head(ctx, "k")
			told("head", err)
			_, err = c.PutValue(ctx, "k", []byte("v"), Condition{Absent: true})
			told("put", err)
			told("delete", c.Delete(ctx, "k", `"e"`))
			n = 0
			for _, err := range c.ListUploads(ctx, "p/") {
				if err != nil {
					told("list uploads", err)
					break
				}
				if n++; n > 10000 {
					t.Fatal("the list of uploads has no end")
				}
			}
			time.Sleep(time.Hour) // what is under way ends
		})
	})
}
