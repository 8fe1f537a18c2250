package s3_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"holdfast/internal/s3"
	"holdfast/internal/s3/s3test"
)

// TestListAsTheSDK: of real stores' answers the client understands what the SDK does, over several pages.
func TestListAsTheSDK(t *testing.T) {
	s3test.Each(t, func(t *testing.T, server s3test.Server) {
		cfg := server.Config(t)
		client := server.Open(t, cfg)
		for _, key := range []string{"l/a&b", "l/a<b>", `l/a"b'`, "l/a b+c%20d", "l/ü", "l/z1", "l/z2", "l/z3"} {
			if _, err := client.PutValue(t.Context(), key, []byte(key), s3.Condition{Absent: true}); err != nil {
				t.Fatal(err)
			}
		}
		var got, want []s3.Item
		base := cfg.RootDirectory + "/holdfast/"
		pages := awss3.NewListObjectsV2Paginator(server.SDK(), &awss3.ListObjectsV2Input{Bucket: &cfg.Bucket, Prefix: aws.String(base + "l/"), MaxKeys: aws.Int32(3)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page.Contents {
				want = append(want, s3.Item{Key: strings.TrimPrefix(*o.Key, base), Info: s3.Info{Size: *o.Size, Version: strings.Trim(*o.ETag, `"`), Modified: *o.LastModified}})
			}
		}
		for item, err := range client.List(t.Context(), "l/", "") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, item)
		}
		if len(want) != 8 || !slices.Equal(got, want) {
			t.Errorf("got  %+v,\nwant %+v", got, want)
		}
		for item, err := range client.List(t.Context(), "l/", "l/a b+c%20d") { // what comes after it
			if err != nil || item.Key <= "l/a b+c%20d" {
				t.Fatal(item, err)
			}
			break
		}
	})
}
