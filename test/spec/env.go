package spec

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// An Env is one run of one row.
type Env struct {
	*testing.T
	target Target
	host   string // host:port
	vars   map[string]string
}

func newEnv(t *testing.T, target Target) *Env {
	nonce := word()
	e := &Env{T: t, target: target, host: strings.TrimPrefix(target.URL, "http://"), vars: map[string]string{
		"nonce": nonce, "repo": "spec/" + nonce, "other": "spec/" + nonce + "-other",
		"image": v1.MediaTypeImageManifest, "index": v1.MediaTypeImageIndex,
		"docker": "application/vnd.docker.distribution.manifest.v2+json",
		"list":   "application/vnd.docker.distribution.manifest.list.v2+json",
		"layer":  v1.MediaTypeImageLayer,
		"zero":   "sha256:" + strings.Repeat("0", 64), "zero512": "sha512:" + strings.Repeat("0", 128),
	}}
	return e
}

// word returns a random word that may stand in a repository name.
func word() string { return strings.ToLower(rand.Text()[:13]) }

func (e *Env) play(row Row) {
	e.Helper()
	for _, step := range row.Given {
		step(e)
	}
	e.exchange(row.Exchange)
	for _, step := range row.Then {
		step(e)
	}
}

var variable = regexp.MustCompile(`\{[a-z][a-z0-9_.]*\??\}`)

// text fills in a template.
func (e *Env) text(template string) string {
	e.Helper()
	return variable.ReplaceAllStringFunc(template, func(s string) string {
		v, ok := e.vars[s[1:len(s)-1]]
		if !ok {
			e.Fatalf("the row uses %s, which no step has set; it has %v", s, slices.Sorted(maps.Keys(e.vars)))
		}
		return v
	})
}

// keep makes content a set of variables: {NAME} its digest, {NAME.size},
// {NAME.bytes}, and descriptors {NAME.d} as a layer, {NAME.c} as a config and
// {NAME.m} as a manifest of the given media type.
func (e *Env) keep(name, content, mediaType string) {
	d := digest.FromString(content).String()
	e.vars[name], e.vars[name+".bytes"] = d, content
	e.vars[name+".size"] = strconv.Itoa(len(content))
	e.vars[name+".sha512"] = digest.SHA512.FromString(content).String()
	for suffix, mt := range map[string]string{"d": v1.MediaTypeImageLayer, "c": v1.MediaTypeImageConfig, "m": mediaType} {
		text, err := json.Marshal(v1.Descriptor{MediaType: mt, Digest: digest.Digest(d), Size: int64(len(content))})
		if err != nil {
			e.Fatal(err)
		}
		e.vars[name+"."+suffix] = string(text)
	}
}

// saveLocation keeps an answer's Location for later requests.
func (e *Env) saveLocation(name string, a *Answer) {
	e.Helper()
	u, err := url.Parse(a.Header.Get("Location"))
	if err != nil || u.Path == "" {
		e.Fatalf("Location %q is no URL to go on with: %v", a.Header.Get("Location"), err)
	}
	location, sep := u.EscapedPath(), "?"
	if u.RawQuery != "" {
		location, sep = location+"?"+u.RawQuery, "&"
	}
	e.vars[name], e.vars[name+"?"] = location, location+sep
}
