package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// line is a line of the log. What a client chose is clipped; of what it sent as credentials nothing is here but a name.
type line struct {
	Log        string    `json:"log"` // "audit": where it is beside other lines
	Time       time.Time `json:"time"`
	Event      string    `json:"event"` // "request", or what Event.What says
	Outcome    Outcome   `json:"outcome"`
	User       string    `json:"user,omitempty"`
	Way        string    `json:"way,omitempty"`
	Groups     []string  `json:"groups,omitempty"`
	Claimed    string    `json:"claimed,omitempty"` // the name with credentials that were refused
	Client     string    `json:"client,omitempty"`
	Method     string    `json:"method,omitempty"`
	Route      string    `json:"route,omitempty"`
	Action     string    `json:"action,omitempty"`
	Repository string    `json:"repository,omitempty"`
	Reference  string    `json:"reference,omitempty"` // a tag, or a digest that the path names
	Digest     string    `json:"digest,omitempty"`    // of what was pushed, deleted or read
	From       string    `json:"from,omitempty"`      // of a mount: the repository
	Path       string    `json:"path,omitempty"`      // where it says more than the fields before; without the query
	Target     string    `json:"target,omitempty"`    // of an event: a key's or a token's id, a store
	Status     int       `json:"status,omitempty"`
	Code       string    `json:"code,omitempty"` // of the error, as the client got it
	Bytes      int64     `json:"bytes_in,omitempty"`
	Millis     int64     `json:"duration_ms,omitempty"`
	Request    string    `json:"request,omitempty"`
	Agent      string    `json:"user_agent,omitempty"`
}

// The most bytes of what a client chose, and of a line: what is clipped fits, but for text that is all escapes.
const (
	maxName   = 256
	maxGroups = 32
	maxLine   = 16 << 10
)

// encoded is the line with its newline. It holds nothing that a terminal, or who takes files apart by lines, takes for anything but text.
func (l *line) encoded() ([]byte, error) {
	l.clip()
	text, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("audit: encode a line: %w", err)
	}
	if text = plain(text); len(text) > maxLine {
		l.Groups, l.Agent, l.Path, l.Claimed = nil, "", "", ""
		if text, err = json.Marshal(l); err != nil {
			return nil, fmt.Errorf("audit: encode a line: %w", err)
		}
		text = plain(text)
	}
	return append(text, '\n'), nil
}

func (l *line) clip() {
	for _, field := range []*string{&l.User, &l.Claimed, &l.Repository, &l.Reference, &l.Digest, &l.From, &l.Path, &l.Target, &l.Agent, &l.Event, &l.Client, &l.Way, &l.Code} {
		*field = clipped(*field)
	}
	if len(l.Groups) > maxGroups {
		l.Groups = append(l.Groups[:maxGroups:maxGroups], "…")
	}
	for i := range l.Groups {
		l.Groups[i] = clipped(l.Groups[i])
	}
}

func clipped(s string) string {
	if len(s) > maxName {
		end := maxName
		for end > maxName-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}

// plain escapes what encoding/json lets through and is no text: DEL, the controls of C1, and marks that change the direction of what follows. In JSON all of it
// is within strings.
func plain(text []byte) []byte {
	odd := func(r rune) bool { return r >= 0x7f && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) }
	if bytes.IndexFunc(text, odd) < 0 {
		return text
	}
	var out bytes.Buffer
	for _, r := range string(text) {
		if !odd(r) {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return out.Bytes()
}
