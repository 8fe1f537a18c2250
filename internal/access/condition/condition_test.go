package condition

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/internal/access"
	"holdfast/internal/oci"
)

const digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func request() *Request {
	return &Request{
		Access: &access.Request{
			Identity: access.Identity{Name: "alice", Way: access.Workload, Claims: map[string]any{"ref": "refs/heads/main", "n": 3.0, "aud": []any{"a", "b"}}},
			Time:     time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), Method: "PUT", UserAgent: "curl/8", Client: netip.MustParseAddr("::ffff:10.1.2.3"),
			ForwardedFor: "192.0.2.1, 10.0.0.1", TLSVersion: "1.3", Secure: true,
		},
		Groups: []string{"ops", "dev"}, Action: access.Update, Repository: "prod/app", Reference: oci.Reference{Tag: "v1"},
	}
}

// Every field that zot documents has its name and type.
func TestFields(t *testing.T) {
	for _, tt := range []struct {
		expression string
		want       bool
	}{
		{`req.time < timestamp("2099-12-31T23:59:59Z") && req.time.getFullYear() == 2026 && req.time.getHours() == 12`, true},
		{`req.method == "PUT" && req.userAgent.startsWith("curl")`, true},
		{`req.action in ["create", "update"]`, true},
		{`req.repository.startsWith("prod/") && req.repository == "prod/app"`, true},
		{`req.reference == "v1" && req.referenceType == "tag" && req.tag == "v1" && req.digest == ""`, true},
		{`req.tag.matches("^v[0-9]+$")`, true},
		{`req.user.username == "alice" && "ops" in req.user.groups && size(req.user.groups) == 2`, true},
		{`!req.auth.anonymous && !req.auth.admin`, true},
		{`req.client.ip == "10.1.2.3" && req.client.forwardedFor[0] == "192.0.2.1" && size(req.client.forwardedFor) == 2`, true},
		{`req.tls.enabled && req.tls.version == "1.3"`, true},
		{`req.claims.ref == "refs/heads/main" && req.claims.n == 3 && "b" in req.claims.aud`, true},
		{`has(req.claims.nothing)`, false},
		{`req.claims[?"nothing"].orValue("x") == "x"`, true},
		{`sets.contains(req.user.groups, ["ops"])`, true},
		{`req.tls.enabled`, true},
	} {
		e, err := Compile(tt.expression, Bool, "req")
		if err != nil {
			t.Errorf("%s: %v", tt.expression, err)
			continue
		}
		if got, err := e.Bool(request().Variables()); err != nil || got != tt.want {
			t.Errorf("%s = %v, %v", tt.expression, got, err)
		}
	}
}

func TestReferenceOfADigest(t *testing.T) {
	r := request()
	r.Reference = oci.Reference{Digest: digest}
	e, err := Compile(`req.referenceType == "digest" && req.digest == "`+digest+`" && req.tag == "" && req.reference == req.digest`, Bool, "req")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := e.Bool(r.Variables()); !got || err != nil {
		t.Errorf("= %v, %v", got, err)
	}
}

func TestNobody(t *testing.T) {
	e, err := Compile(`req.auth.anonymous && req.user.username == "" && size(req.user.groups) == 0 && size(req.claims) == 0 && req.client.ip == "" && !req.tls.enabled && req.referenceType == ""`, Bool, "req")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Request{{}, {Access: &access.Request{}}} {
		if got, err := e.Bool(r.Variables()); !got || err != nil {
			t.Errorf("= %v, %v", got, err)
		}
	}
}

func TestCompileSaysWhere(t *testing.T) {
	for _, tt := range []struct {
		expression   string
		result       Result
		line, column int
		says         string
	}{
		{"req.tag ==", Bool, 1, 11, "Syntax error"},
		{"req.tag == 'a' &&\n  other.x", Bool, 2, 3, "undeclared reference to 'other'"},
		{"'text'", Bool, 1, 1, "must give true or false"},
		{"1 + 'a'", Bool, 1, 3, "no matching overload"},
		{"true", Text, 1, 1, "must give a text"},
		{"[1]", Texts, 1, 1, "must give a list of texts"},
		{"", Bool, 1, 1, "Syntax error"},
		{strings.Repeat("(", 1000) + "true" + strings.Repeat(")", 1000), Bool, 0, 0, "recursion"},
		{strings.Repeat("true && ", MaxBytes/8) + "true", Bool, 0, 0, "bytes"},
	} {
		_, err := Compile(tt.expression, tt.result, "req")
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.Message, tt.says) || tt.line != 0 && (e.Line != tt.line || e.Column != tt.column) {
			t.Errorf("%.40q: %v, want %d:%d %s", tt.expression, err, tt.line, tt.column, tt.says)
		}
	}
}

// What cannot be evaluated is an error, neither a panic nor true.
func TestWhatCannotBeEvaluated(t *testing.T) {
	long := make([]any, 2000)
	for i := range long {
		long[i] = "x"
	}
	r := request()
	r.Access.Identity.Claims["long"] = long
	for _, expression := range []string{
		`req.claims.missing == "x"`,
		`req.claims.n.startsWith("x")`,
		`req.user.username`,
		`req.claims.long.all(a, req.claims.long.all(b, a == b))`, // four million steps
		`1 / (req.claims.n == 3 ? 0 : 1) == 1`,
		`req.tag.matches("(")`,
	} {
		e, err := Compile(expression, Bool, "req")
		if err != nil {
			continue // a compiler that sees it first is as good
		}
		began := time.Now()
		if got, err := e.Bool(r.Variables()); got || err == nil {
			t.Errorf("%s = %v, %v", expression, got, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s took %v", expression, took)
		}
	}
}

// The same serves the claims of a token.
func TestClaims(t *testing.T) {
	variables := map[string]any{
		"claims": map[string]any{"sub": "repo:acme/app", "groups": []any{"a", "b"}, "mixed": []any{"a", 1.0}, "verified": true},
		"vars":   map[string]any{"owner": "acme"},
	}
	compile := func(expression string, result Result) *Expression {
		t.Helper()
		e, err := Compile(expression, result, "claims", "vars")
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	if got, err := compile(`vars.owner + "-" + claims.sub.split(":")[0]`, Text).Text(variables); got != "acme-repo" || err != nil {
		t.Errorf("text = %q, %v", got, err)
	}
	if got, err := compile(`claims.groups.map(g, "team:" + g)`, Texts).Texts(variables); err != nil || cmp.Diff([]string{"team:a", "team:b"}, got) != "" {
		t.Errorf("texts = %q, %v", got, err)
	}
	for _, expression := range []string{`claims.mixed`, `claims.sub`, `claims.verified`} {
		if got, err := compile(expression, Texts).Texts(variables); got != nil || !errors.Is(err, ErrType) {
			t.Errorf("%s: %q, %v", expression, got, err)
		}
	}
	if got, err := compile(`claims.verified`, Text).Text(variables); got != "" || !errors.Is(err, ErrType) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := compile(`claims.verified`, Bool).Bool(variables); !got || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	got, err := compile(`{"a": claims.sub.split(":")}`, Any).Value(variables)
	if err != nil {
		t.Fatal(err)
	}
	variables["vars"] = map[string]any{"parts": got}
	if text, err := compile(`vars.parts.a[1]`, Text).Text(variables); text != "acme/app" || err != nil {
		t.Errorf("a variable of a variable = %q, %v", text, err)
	}
}
