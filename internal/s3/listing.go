package s3

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	smithytime "github.com/aws/smithy-go/time"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// maxListing is the most that is read of a page, in bytes: a thousand keys of a KiB each, every byte of them escaped.
const maxListing = 8 << 20

// listing is a page of ListObjectsV2. Keys are as they are in the bucket.
type listing struct {
	items     []Item
	truncated bool
}

// listObjects asks for a page. Errors are the SDK's, as those of wire.do; *Error for an answer that is no page.
func (c *Client) listObjects(w *watch, prefix, after string, size int) (listing, error) {
	const name = "ListObjectsV2"
	query := url.Values{"list-type": {"2"}, "prefix": {prefix}, "max-keys": {strconv.Itoa(size)}}
	if after != "" {
		query.Set("start-after", after)
	}
	out, err := c.wire.do(w.ctx, call{
		op: name, method: http.MethodGet, header: headers(),
		query: strings.ReplaceAll(query.Encode(), "+", "%20"), // as it is signed
	})
	if err != nil {
		return listing{}, err
	}
	body, err := io.ReadAll(io.LimitReader(out.body, maxListing+1))
	if err = errors.Join(err, out.body.Close()); err != nil {
		return listing{}, &smithyhttp.RequestSendError{Err: err}
	}
	page, err := parseListing(body)
	if err != nil {
		if code, message, ok := parseError(body); ok { // some stores say 200 and then what went wrong
			err = fmt.Errorf("%s: %s", code, message)
		}
		return listing{}, &Error{Op: name, Kind: Unavailable, Err: err}
	}
	return page, nil
}

// parseListing reads a page. A document that is not one, or leaves out of a key what every store says of it, is an error: nothing is passed
// over that could be a key. The form in which stores write it is read by readPage, in a tenth of the time; any other by anyPage.
func parseListing(body []byte) (listing, error) {
	if len(body) > maxListing {
		return listing{}, errors.New("a page of more than 8 MiB")
	}
	s := scanner{rest: string(body)}
	if page, ok := s.readPage(); ok {
		return page, nil
	}
	return anyPage(body)
}

// anyPage reads every form that encoding/xml does.
func anyPage(body []byte) (listing, error) {
	var parsed struct {
		XMLName     xml.Name `xml:"ListBucketResult"`
		IsTruncated []string
		Contents    []struct {
			Key, Size, ETag, LastModified []string
		}
	}
	d := xml.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(&parsed); err != nil {
		return listing{}, fmt.Errorf("the answer is no list: %w", err)
	}
	if err := atEnd(d); err != nil {
		return listing{}, err
	}
	if len(parsed.IsTruncated) != 1 {
		return listing{}, errors.New("a list that does not say once whether it goes on")
	}
	var page listing
	var ok bool
	if page.truncated, ok = parseBool(parsed.IsTruncated[0]); !ok {
		return listing{}, fmt.Errorf("a list that goes on: %q", parsed.IsTruncated[0])
	}
	for _, c := range parsed.Contents {
		if len(c.Key) != 1 || len(c.Size) != 1 || len(c.ETag) != 1 || len(c.LastModified) != 1 {
			return listing{}, errors.New("an entry of the list without key, size, ETag or time, or with two of them")
		}
		item, ok := listed(c.Key[0], c.Size[0], c.ETag[0], c.LastModified[0])
		if !ok {
			return listing{}, fmt.Errorf("an entry of the list with size %q and time %q", c.Size[0], c.LastModified[0])
		}
		page.items = append(page.items, item)
	}
	return page, nil
}

// atEnd wants nothing but comments and white space after a document.
func atEnd(d *xml.Decoder) error {
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the answer is no list: %w", err)
		}
		switch token := token.(type) {
		case xml.Comment:
		case xml.CharData:
			if len(bytes.TrimSpace(token)) > 0 {
				return errors.New("the answer goes on after the list")
			}
		default:
			return errors.New("the answer goes on after the list")
		}
	}
}

func parseBool(s string) (value, ok bool) { return s == "true", s == "true" || s == "false" }

// listed is an entry by what the store says of it; ok is false for what is no size or no time.
func listed(key, size, etag, modified string) (item Item, ok bool) {
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil || n < 0 {
		return Item{}, false
	}
	at, err := time.Parse(time.RFC3339, modified)
	if err != nil {
		if at, err = smithytime.ParseDateTime(modified); err != nil { // the SDK's other forms
			return Item{}, false
		}
	}
	return Item{Key: strings.Clone(key), Info: Info{Size: n, Version: strings.Clone(version(etag)), Modified: at.UTC()}}, true // not the page: whoever keeps a key does not keep that
}

// scanner reads XML of the plain form: ASCII, elements without attributes, text with the five named entities or those of printable
// characters, white space only where it means nothing. Its methods answer false for all else, and what they have read then counts for nothing.
type scanner struct {
	rest string
}

const (
	xmlHead  = `<?xml version="1.0" encoding="UTF-8"?>`
	rootName = "ListBucketResult"
	rootOpen = "<" + rootName
	rootNS   = ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`
	maxDepth = 4 // of elements that mean nothing here
)

// readPage reads a document to its end.
func (s *scanner) readPage() (page listing, ok bool) {
	s.skip(xmlHead)
	s.space()
	if !s.skip(rootOpen) {
		return listing{}, false
	}
	s.skip(rootNS)
	if !s.skip(">") {
		return listing{}, false
	}
	said := false
	for {
		s.space()
		if s.skip("</" + rootName + ">") {
			s.space()
			return page, said && len(s.rest) == 0
		}
		name, empty, ok := s.open()
		switch {
		case !ok:
			return listing{}, false
		case name == "Contents":
			item, ok := s.contents(empty)
			if !ok {
				return listing{}, false
			}
			page.items = append(page.items, item)
		case name == "IsTruncated":
			text, ok := s.element(name, empty)
			if !ok || said {
				return listing{}, false
			}
			if page.truncated, said = parseBool(text); !said {
				return listing{}, false
			}
		case !s.pass(name, empty, maxDepth):
			return listing{}, false
		}
	}
}

// contents reads the rest of an entry.
func (s *scanner) contents(empty bool) (Item, bool) {
	var key, size, etag, modified string
	var have, bit byte
	for !empty {
		s.space()
		if s.skip("</Contents>") {
			break
		}
		name, empty, ok := s.open()
		if !ok {
			return Item{}, false
		}
		var text *string
		switch name {
		case "Key":
			text, bit = &key, 1
		case "Size":
			text, bit = &size, 2
		case "ETag":
			text, bit = &etag, 4
		case "LastModified":
			text, bit = &modified, 8
		default:
			if !s.pass(name, empty, maxDepth) {
				return Item{}, false
			}
			continue
		}
		if *text, ok = s.element(name, empty); !ok || have&bit != 0 {
			return Item{}, false
		}
		have |= bit
	}
	if have != 15 {
		return Item{}, false
	}
	return listed(key, size, etag, modified)
}

// pass passes over the rest of an element that means nothing here: text, or elements down to depth.
func (s *scanner) pass(name string, empty bool, depth int) bool {
	if empty {
		return true
	}
	if _, ok := s.text(); !ok {
		return false
	}
	for {
		if s.close(name) {
			return true
		}
		inner, empty, ok := s.open()
		if !ok || depth == 0 || !s.pass(inner, empty, depth-1) {
			return false
		}
		if _, ok := s.text(); !ok {
			return false
		}
	}
}

// element reads the text of an element that was opened, and its end.
func (s *scanner) element(name string, empty bool) (string, bool) {
	if empty {
		return "", true
	}
	text, ok := s.text()
	return text, ok && s.close(name)
}

// open reads the beginning of an element without attributes; empty is one that is its end too.
func (s *scanner) open() (name string, empty, ok bool) {
	if len(s.rest) < 2 || s.rest[0] != '<' {
		return "", false, false
	}
	i := 1
	for i < len(s.rest) && (s.rest[i] >= 'a' && s.rest[i] <= 'z' || s.rest[i] >= 'A' && s.rest[i] <= 'Z') {
		i++
	}
	name, s.rest = s.rest[1:i], s.rest[i:]
	switch {
	case len(name) == 0:
		return "", false, false
	case s.skip("/>"):
		return name, true, true
	}
	return name, false, s.skip(">")
}

// close reads the end of an element.
func (s *scanner) close(name string) bool {
	n := len(name)
	if len(s.rest) < n+3 || s.rest[:2] != "</" || s.rest[2:2+n] != name || s.rest[2+n] != '>' {
		return false
	}
	s.rest = s.rest[n+3:]
	return true
}

// text reads up to the next tag.
func (s *scanner) text() (string, bool) {
	i, entities := 0, false
	for ; i < len(s.rest) && s.rest[i] != '<'; i++ {
		switch b := s.rest[i]; {
		case b == '&':
			entities = true
		case b == '>', b >= 0x7f, b < ' ' && b != '\n' && b != '\t':
			return "", false
		}
	}
	if i == len(s.rest) {
		return "", false
	}
	raw := s.rest[:i]
	s.rest = s.rest[i:]
	if !entities {
		return raw, true
	}
	return unescape(raw)
}

// unescape replaces entities.
func unescape(raw string) (string, bool) {
	out := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		if raw[0] != '&' {
			out, raw = append(out, raw[0]), raw[1:]
			continue
		}
		end := strings.IndexByte(raw, ';')
		if end < 0 {
			return "", false
		}
		b, ok := entity(raw[1:end])
		if !ok {
			return "", false
		}
		out, raw = append(out, b), raw[end+1:]
	}
	return string(out), true
}

// entity is the character of an entity, between & and ;, if it is printable ASCII.
func entity(name string) (byte, bool) {
	switch name {
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "amp":
		return '&', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	digits, base := "", 10
	if strings.HasPrefix(name, "#x") {
		digits, base = name[2:], 16
	} else if strings.HasPrefix(name, "#") {
		digits = name[1:]
	}
	n, err := strconv.ParseUint(digits, base, 8)
	if err != nil || n < ' ' || n > '~' {
		return 0, false
	}
	return byte(n), true
}

func (s *scanner) space() {
	i := 0
	for i < len(s.rest) && (s.rest[i] == ' ' || s.rest[i] == '\n' || s.rest[i] == '\t' || s.rest[i] == '\r') {
		i++
	}
	s.rest = s.rest[i:]
}

// skip reads text, if it is next.
func (s *scanner) skip(text string) (ok bool) {
	s.rest, ok = strings.CutPrefix(s.rest, text)
	return ok
}
