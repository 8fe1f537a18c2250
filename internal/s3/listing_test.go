package s3

import (
	"encoding/xml"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	smithytime "github.com/aws/smithy-go/time"
)

// pageOf is a page as AWS writes it.
func pageOf(keys int) string {
	var b strings.Builder
	b.WriteString(xmlHead + "\n<ListBucketResult" + rootNS + "><Name>b</Name><Prefix>p/</Prefix><KeyCount>" + strconv.Itoa(keys) + "</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>true</IsTruncated>")
	for i := range keys {
		fmt.Fprintf(&b, "<Contents><Key>p/v1.0.%06d</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified><ETag>&quot;%032x&quot;</ETag>"+
			"<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><Size>%d</Size><StorageClass>STANDARD</StorageClass></Contents>", i, i, 1024+i)
	}
	b.WriteString("</ListBucketResult>")
	return b.String()
}

// TestPlainPage: the form that stores write is read without encoding/xml, and alike.
func TestPlainPage(t *testing.T) {
	body := []byte(pageOf(1000))
	s := scanner{rest: string(body)}
	got, ok := s.readPage()
	want, err := anyPage(body)
	if !ok || err != nil || len(got.items) != 1000 || !got.truncated || !reflect.DeepEqual(got, want) {
		t.Errorf("%d items, plain %t; encoding/xml: %d items, %v", len(got.items), ok, len(want.items), err)
	}
	if first := (Item{"p/v1.0.000000", Info{1024, strings.Repeat("0", 32), time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)}}); got.items[0] != first {
		t.Errorf("got %+v, want %+v", got.items[0], first)
	}
}

// TestListingForms: a page is read in whatever form a store writes it; what is cut, doubled or left out is an error.
func TestListingForms(t *testing.T) {
	const plain = `<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key><Size>1</Size><ETag>e</ETag><LastModified>2026-01-02T03:04:05Z</LastModified></Contents></ListBucketResult>`
	with := func(old, replacement string) string { return strings.Replace(plain, old, replacement, 1) }
	for name, test := range map[string]struct {
		body string
		key  string // "": an error
	}{
		"plain":               {plain, "a"},
		"a comment":           {with("<Contents>", "<!-- c --><Contents>"), "a"},
		"CDATA":               {with(">a<", "><![CDATA[a&b]]><"), "a&b"},
		"entities":            {with(">a<", ">&lt;&#97;&#x62;&amp;&apos;&gt;<"), "<ab&'>"},
		"not ASCII":           {with(">a<", ">ü<"), "ü"},
		"a prefix":            {strings.NewReplacer("</", "</s:", "<", "<s:").Replace(plain), "a"},
		"an attribute":        {with("<Key>", `<Key x="y">`), "a"},
		"white space":         {strings.NewReplacer("><", ">\r\n\t<").Replace(plain) + "\n", "a"},
		"an owner":            {with("<Size>", "<Owner><ID>i</ID><DisplayName/></Owner><Size>"), "a"},
		"empty":               {"", ""},
		"an error":            {"<Error><Code>SlowDown</Code></Error>", ""},
		"cut":                 {strings.TrimSuffix(plain, "</ListBucketResult>"), ""},
		"cut in an entry":     {plain[:strings.Index(plain, "<ETag>")], ""},
		"something after it":  {plain + plain, ""},
		"text after it":       {plain + "x", ""},
		"without IsTruncated": {with("<IsTruncated>false</IsTruncated>", ""), ""},
		"two IsTruncated":     {with("<Contents>", "<IsTruncated>false</IsTruncated><Contents>"), ""},
		"IsTruncated maybe":   {with("false", "maybe"), ""},
		"without a key":       {with("<Key>a</Key>", ""), ""},
		"two keys":            {with("<Key>a</Key>", "<Key>a</Key><Key>b</Key>"), ""},
		"without a time":      {with("<LastModified>2026-01-02T03:04:05Z</LastModified>", ""), ""},
		"a bad size":          {with(">1<", ">-1<"), ""},
		"a bad entity":        {with(">a<", ">&a;<"), ""},
		"tags crossed":        {with("</Key><Size>", "</Size><Size>"), ""},
	} {
		page, err := parseListing([]byte(test.body))
		switch {
		case (err != nil) != (test.key == ""):
			t.Errorf("%s: %+v, %v", name, page, err)
		case err == nil && (len(page.items) != 1 || page.items[0].Key != test.key):
			t.Errorf("%s: %+v, want the key %q", name, page, test.key)
		}
	}
}

// FuzzListing: what is read as a page encoding/xml reads alike, by a struct that is not ours.
func FuzzListing(f *testing.F) {
	f.Add(pageOf(2))
	f.Add(`<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Owner><ID>i</ID></Owner><Key>&lt;&#97;&#x62;</Key><Size>1</Size><ETag/><LastModified>2026-01-02T03:04:05Z</LastModified></Contents></ListBucketResult>`)
	f.Add("<ListBucketResult>\n<Contents/>\t<X>a<Y/>b</X><IsTruncated>true</IsTruncated></ListBucketResult>\r\n")
	f.Add(`<s:ListBucketResult xmlns:s="s"><s:IsTruncated><![CDATA[true]]></s:IsTruncated><!-- c --></s:ListBucketResult>`)
	f.Fuzz(func(t *testing.T, body string) {
		s := scanner{rest: body}
		plain, ok := s.readPage()
		page, err := parseListing([]byte(body))
		if ok && (err != nil || !reflect.DeepEqual(page, plain)) {
			t.Fatalf("%+v, %v; plain %+v", page, err, plain)
		}
		if err != nil {
			return
		}
		var want struct {
			XMLName     xml.Name `xml:"ListBucketResult"`
			IsTruncated string
			Contents    []struct{ Key, Size, ETag, LastModified string }
		}
		if err := xml.Unmarshal([]byte(body), &want); err != nil {
			t.Fatalf("encoding/xml refuses it: %v", err)
		}
		if len(want.Contents) != len(page.items) || (want.IsTruncated == "true") != page.truncated {
			t.Fatalf("%+v, want %+v", page, want)
		}
		for i, c := range want.Contents {
			got := page.items[i]
			at, err := smithytime.ParseDateTime(c.LastModified)
			if got.Key != c.Key || strconv.FormatInt(got.Size, 10) != strings.TrimLeft(strings.TrimPrefix(c.Size, "+"), "0") && got.Size != 0 ||
				got.Version != version(c.ETag) || err == nil && !at.Equal(got.Modified) {
				t.Fatalf("%+v, want %+v", got, c)
			}
		}
	})
}

func BenchmarkListing(b *testing.B) {
	body := []byte(pageOf(1000))
	for name, parse := range map[string]func([]byte) (listing, error){"plain": parseListing, "any": anyPage} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if page, err := parse(body); err != nil || len(page.items) != 1000 {
					b.Fatal(len(page.items), err)
				}
			}
		})
	}
}
