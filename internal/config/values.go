package config

import (
	"log/slog"
	"math"
	"net/netip"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// kind reads the value of a key. The problem that it may return has no place and no path yet.
type kind func(n *node) (any, *Problem)

func (p *Problem) at(pos Pos, path string) Problem {
	if p.Path = path; p.Line == 0 { // else it is of an item of a list
		p.Pos = pos
	}
	return *p
}

// wrong is a problem with a scalar, which it shows.
func wrong(n *node, what, want string) *Problem {
	return &Problem{Wrong: what, Got: n.got(), Want: want}
}

// mistyped is a problem with the type of n, which may be a secret in the wrong place: it is not shown.
func mistyped(n *node, want string) *Problem {
	return &Problem{Wrong: "has the wrong type", Got: n.kindName(), Want: want}
}

// assign sets what dst points at to v, where the types differ in name only; a pointer is made.
func assign(dst, v any) {
	to, from := reflect.ValueOf(dst).Elem(), reflect.ValueOf(v)
	if to.Kind() == reflect.Pointer {
		to.Set(reflect.New(to.Type().Elem()))
		to = to.Elem()
	}
	to.Set(from.Convert(to.Type()))
}

// mark says that a section is there: the bool that dst points at becomes true, and a pointer points at something.
func mark(dst any) {
	to := reflect.ValueOf(dst).Elem()
	switch {
	case to.Kind() != reflect.Pointer:
		assign(dst, true)
	case to.IsNil():
		to.Set(reflect.New(to.Type().Elem()))
	}
}

// anything is for keys whose values nobody reads.
func anything(*node) (any, *Problem) { return nil, nil }

// parseText takes numbers and booleans for the text that was written, as zot does.
func parseText(n *node) (any, *Problem) {
	if !n.scalar() {
		return nil, mistyped(n, "a text")
	}
	return n.text, nil
}

// parseTexts takes a list, or a single text with commas in it, as zot does.
func parseTexts(n *node) (any, *Problem) {
	if n.scalar() {
		return strings.Split(n.text, ","), nil
	}
	if n.kind != listNode {
		return nil, mistyped(n, "a list of texts")
	}
	var texts []string
	for _, item := range n.items {
		if !item.scalar() {
			return nil, &Problem{Wrong: "has an item of the wrong type", Got: item.kindName(), Want: "a text"}
		}
		texts = append(texts, item.text)
	}
	return texts, nil
}

// parseBool takes texts such as "true" and "1", and 0 and 1, as zot does.
func parseBool(n *node) (any, *Problem) {
	if !n.scalar() {
		return nil, mistyped(n, "true or false")
	}
	v, err := strconv.ParseBool(n.text)
	if err != nil {
		return nil, wrong(n, "is not a boolean", "true or false")
	}
	return v, nil
}

func integer(n *node) (int64, bool) {
	if n.kind == numberNode {
		if f, err := strconv.ParseFloat(n.text, 64); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 && strings.ContainsAny(n.text, ".eE") {
			return int64(f), true
		}
	}
	i, err := strconv.ParseInt(n.text, 0, 64)
	return i, err == nil
}

// parseInt takes the text of a number, as zot does.
func parseInt(n *node) (any, *Problem) {
	if n.kind != numberNode && n.kind != textNode {
		return nil, mistyped(n, "a whole number")
	}
	i, ok := integer(n)
	if !ok {
		return nil, wrong(n, "is not a whole number", "a whole number")
	}
	return i, nil
}

func parseFloat(n *node) (any, *Problem) {
	if n.kind != numberNode && n.kind != textNode {
		return nil, mistyped(n, "a number")
	}
	f, err := strconv.ParseFloat(n.text, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, wrong(n, "is not a number", "a number")
	}
	return f, nil
}

func parsePort(n *node) (any, *Problem) {
	const want = "0 to 65535"
	if n.kind != numberNode && n.kind != textNode {
		return nil, mistyped(n, want)
	}
	i, ok := integer(n)
	if n.kind == textNode { // a port is decimal, whatever it begins with
		var err error
		i, err = strconv.ParseInt(n.text, 10, 64)
		ok = err == nil
	}
	if !ok {
		return nil, wrong(n, "is not a port number", want)
	}
	if i < 0 || i > math.MaxUint16 {
		return nil, wrong(n, "is out of range", want)
	}
	return i, nil
}

// units of sizes. The longer of two that end alike comes first.
var units = [...]struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}}

// size is a number of bytes, or a text with a unit, between two limits; 0 is allowed where zero says so.
func size(least, most int64, zero bool) kind {
	return func(n *node) (any, *Problem) {
		want := "bytes, as 33554432 or \"32MiB\""
		if n.kind != numberNode && n.kind != textNode {
			return nil, mistyped(n, want)
		}
		digits := &node{kind: n.kind, text: n.text}
		unit := int64(1)
		for _, u := range units {
			if before, found := strings.CutSuffix(n.text, u.name); found {
				digits.text, unit = strings.TrimSpace(before), u.bytes
			}
		}
		i, ok := integer(digits)
		if !ok || i > math.MaxInt64/unit || i < math.MinInt64/unit {
			return nil, wrong(n, "is not a size", want)
		}
		if i *= unit; (i < least || i > most) && (i != 0 || !zero) {
			return nil, wrong(n, "is out of range", sizeRange(least, most, zero))
		}
		return i, nil
	}
}

func sizeRange(least, most int64, zero bool) string {
	text := formatSize(least)
	if most < math.MaxInt64 {
		text += " to " + formatSize(most)
	} else {
		text += " or more"
	}
	if zero && least > 0 {
		text += ", or 0"
	}
	return text
}

func formatSize(bytes int64) string {
	text := strconv.FormatInt(bytes, 10)
	for _, u := range units {
		if bytes >= u.bytes && bytes%u.bytes == 0 {
			text = strconv.FormatInt(bytes/u.bytes, 10) + u.name
		}
	}
	return text
}

const wantDuration = `a duration with a unit, as "90s" or "1h30m"`

func duration(n *node) (time.Duration, *Problem) {
	if n.kind != numberNode && n.kind != textNode {
		return 0, mistyped(n, wantDuration)
	}
	if n.kind == numberNode && n.empty() {
		return 0, nil
	}
	if _, err := strconv.ParseFloat(n.text, 64); err == nil && n.text != "0" {
		return 0, wrong(n, "is a duration without a unit", wantDuration)
	}
	d, err := time.ParseDuration(n.text)
	if err != nil {
		return 0, wrong(n, "is not a duration", wantDuration)
	}
	return d, nil
}

func parseDuration(n *node) (any, *Problem) {
	d, problem := duration(n)
	if problem == nil && d < 0 {
		problem = wrong(n, "is negative", "0 or more")
	}
	return d, problem
}

// parseTimeout takes negative durations for 0, which is "none", as zot does.
func parseTimeout(n *node) (any, *Problem) {
	d, problem := duration(n)
	return max(d, 0), problem
}

// levels are zot's, and warn by either name.
var levels = [...]struct {
	name  string
	level slog.Level
}{
	{"trace", LevelTrace},
	{"debug", slog.LevelDebug},
	{"info", slog.LevelInfo},
	{"warn", slog.LevelWarn},
	{"warning", slog.LevelWarn},
	{"error", slog.LevelError},
	{"fatal", LevelFatal},
	{"panic", LevelPanic},
}

func parseLevel(n *node) (any, *Problem) {
	var names []string
	for _, l := range levels {
		if fold(n.text) == l.name && n.scalar() {
			return l.level, nil
		}
		names = append(names, l.name)
	}
	if !n.scalar() {
		return nil, mistyped(n, "one of "+strings.Join(names, ", "))
	}
	return nil, wrong(n, "is not a level", "one of "+strings.Join(names, ", "))
}

func formatLevel(level slog.Level) string {
	for _, l := range levels {
		if l.level == level {
			return l.name
		}
	}
	return strings.ToLower(level.String())
}

// parseAddress returns an IP address without brackets, a host name, or "" for every interface.
func parseAddress(n *node) (any, *Problem) {
	const want = "an IP address or a host name, without a port"
	if n.kind != textNode {
		return nil, mistyped(n, want)
	}
	host := n.text
	if inner, found := strings.CutPrefix(host, "["); found {
		inner, found = strings.CutSuffix(inner, "]")
		if ip, err := netip.ParseAddr(inner); !found || err != nil || !ip.Is6() {
			return nil, wrong(n, "is not an address", want)
		}
		return inner, nil
	}
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return host, nil
	}
	if !isHostName(host) {
		return nil, wrong(n, "is not an address", want)
	}
	return host, nil
}

// isHostName reports whether host is labels of letters, digits, "-" and "_", of which the last is not a
// number: 10.0.0.256 is no name.
func isHostName(host string) bool {
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || strings.Trim(fold(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	_, err := strconv.ParseUint(labels[len(labels)-1], 10, 64)
	return err != nil && len(host) <= 253
}

// parseEndpoint takes what the s3 driver takes: a URL with nothing after the host, or host[:port].
func parseEndpoint(n *node) (any, *Problem) {
	const want = "http(s)://host[:port], or host[:port]"
	if n.kind != textNode {
		return nil, mistyped(n, want)
	}
	if n.text == "" {
		return "", nil
	}
	full := n.text
	if !strings.Contains(full, "://") {
		full = "https://" + full
	}
	u, err := url.Parse(full)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
	default:
		if port := u.Port(); port != "" {
			if i, err := strconv.ParseUint(port, 10, 16); err != nil || i == 0 {
				return nil, wrong(n, "has a port that is out of range", "1 to 65535")
			}
		}
		return n.text, nil
	}
	return nil, wrong(n, "is not the address of a store", want)
}

// parseBucket refuses what no store takes for a bucket. Each has further rules of its own.
func parseBucket(n *node) (any, *Problem) {
	const want = "the bucket's name alone"
	if !n.scalar() {
		return nil, mistyped(n, want)
	}
	if len(n.text) > 255 || strings.ContainsFunc(n.text, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '/' }) {
		return nil, wrong(n, "is not a bucket's name", want)
	}
	return n.text, nil
}

// parsePrefix refuses parts of a path that not every store can hold in a key.
func parsePrefix(n *node) (any, *Problem) {
	if !n.scalar() {
		return nil, mistyped(n, "a path")
	}
	trimmed := strings.Trim(n.text, "/")
	for part := range strings.SplitSeq(trimmed, "/") {
		if trimmed != "" && (part == "" || part == "." || part == ".." || len(part) > 255 || strings.ContainsFunc(part, func(r rune) bool { return r < ' ' || r == 0x7f })) {
			return nil, wrong(n, "has a part that not every store can hold", `names with single slashes between them, none of them "." or ".."`)
		}
	}
	return n.text, nil
}

// parsePath is the path of a file or directory.
func parsePath(n *node) (any, *Problem) {
	if !n.scalar() {
		return nil, mistyped(n, "a path")
	}
	if strings.ContainsRune(n.text, 0) {
		return nil, wrong(n, "is not a path", "no byte 0 in it")
	}
	return n.text, nil
}

// word is a text without spaces or control characters, as what goes into a header.
func word(what string) kind {
	return func(n *node) (any, *Problem) {
		if !n.scalar() {
			return nil, mistyped(n, what)
		}
		if strings.ContainsFunc(n.text, func(r rune) bool { return r < ' ' || r >= 0x7f }) || strings.TrimSpace(n.text) != n.text {
			return nil, wrong(n, "is not "+what, "printable ASCII characters")
		}
		return n.text, nil
	}
}
