package redirect

import (
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

func TestDecide(t *testing.T) {
	inside, outside := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("192.0.2.1")
	proxy := func(value string) http.Header { return http.Header{"X-Direct": {value}} }
	for name, row := range map[string]struct {
		rules     []Rule
		otherwise bool
		req       Request
		bytes     int64
		want      bool
	}{
		"no rule":                     {nil, true, Request{}, 1, true},
		"no rule, off":                {nil, false, Request{}, 1, false},
		"large":                       {[]Rule{{MinBytes: 10, Redirect: true}}, false, Request{}, 10, true},
		"small":                       {[]Rule{{MinBytes: 10, Redirect: true}}, false, Request{}, 9, false},
		"small, otherwise":            {[]Rule{{MinBytes: 10}}, true, Request{}, 9, true},
		"inside":                      {[]Rule{{Networks: []string{"2001:db8::/32", "10.0.0.0/8"}, Redirect: true}}, false, Request{Client: inside}, 1, true},
		"inside, written as IPv6":     {[]Rule{{Networks: []string{"10.0.0.0/8"}, Redirect: true}}, false, Request{Client: netip.MustParseAddr("::ffff:10.1.2.3")}, 1, true},
		"an address":                  {[]Rule{{Networks: []string{"10.1.2.3"}, Redirect: true}}, false, Request{Client: inside}, 1, true},
		"outside":                     {[]Rule{{Networks: []string{"10.0.0.0/8"}, Redirect: true}}, false, Request{Client: outside}, 1, false},
		"nowhere":                     {[]Rule{{Networks: []string{"0.0.0.0/0", "::/0"}, Redirect: true}}, false, Request{}, 1, false},
		"agent":                       {[]Rule{{UserAgents: []string{"docker/*", "containerd/*"}, Redirect: true}}, false, Request{UserAgent: "Containerd/2.1"}, 1, true},
		"agent's part":                {[]Rule{{UserAgents: []string{"*skopeo*"}, Redirect: true}}, false, Request{UserAgent: "x skopeo/1"}, 1, true},
		"another agent":               {[]Rule{{UserAgents: []string{"docker/*"}, Redirect: true}}, false, Request{UserAgent: "xdocker/1"}, 1, false},
		"header":                      {[]Rule{{Header: "x-direct", Value: "1", Redirect: true}}, false, Request{Proxy: proxy("1")}, 1, true},
		"header of any value":         {[]Rule{{Header: "X-Direct", Redirect: true}}, false, Request{Proxy: proxy("")}, 1, true},
		"another value":               {[]Rule{{Header: "X-Direct", Value: "1", Redirect: true}}, false, Request{Proxy: proxy("11")}, 1, false},
		"no header":                   {[]Rule{{Header: "X-Direct", Redirect: true}}, false, Request{Proxy: http.Header{}}, 1, false},
		"header of nobody trusted":    {[]Rule{{Header: "X-Direct", Redirect: true}}, false, Request{}, 1, false},
		"all must hold":               {[]Rule{{MinBytes: 5, Networks: []string{"10.0.0.0/8"}, UserAgents: []string{"a"}, Redirect: true}}, false, Request{Client: inside, UserAgent: "b"}, 5, false},
		"all hold":                    {[]Rule{{MinBytes: 5, Networks: []string{"10.0.0.0/8"}, UserAgents: []string{"a"}, Redirect: true}}, false, Request{Client: inside, UserAgent: "a"}, 5, true},
		"the first decides":           {[]Rule{{Networks: []string{"10.0.0.0/8"}}, {Redirect: true}}, true, Request{Client: inside}, 1, false},
		"the second where not first":  {[]Rule{{Networks: []string{"10.0.0.0/8"}}, {Redirect: true}}, false, Request{Client: outside}, 1, true},
		"a rule without a condition":  {[]Rule{{}}, true, Request{}, 0, false},
		"what is empty is no network": {[]Rule{{Networks: []string{}, Redirect: true}}, false, Request{}, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			rules, err := New(row.rules, row.otherwise)
			if err != nil {
				t.Fatal(err)
			}
			if got := rules.Decide(row.req, row.bytes); got != row.want {
				t.Errorf("%t", got)
			}
			if row.want && !rules.Ever() {
				t.Error("it says that it never does")
			}
		})
	}
	if rules, err := New([]Rule{{}, {MinBytes: 1}}, false); err != nil || rules.Ever() {
		t.Errorf("rules that never redirect say that they do: %v", err)
	}
	if _, err := New([]Rule{{}, {Networks: []string{"10.0.0.0/33", "x", "10.0.0.0/8"}}}, false); err == nil ||
		strings.Count(err.Error(), "rule 2") != 2 || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("%v", err)
	}
}

// FuzzUserAgent compares with a regular expression.
func FuzzUserAgent(f *testing.F) {
	for _, pair := range [][2]string{{"a*b", "ab"}, {"*", ""}, {"", ""}, {"a*a", "a"}, {"*aab", "aaab"}, {"a**b*", "axbx"}, {"*ab*ab*", "abab"}, {"ab*bc", "abc"}} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, glob, s string) {
		re, err := regexp.Compile(`(?s)\A` + strings.ReplaceAll(regexp.QuoteMeta(glob), `\*`, `.*`) + `\z`)
		if err != nil {
			return // no text
		}
		if got, want := matches(glob, s), re.MatchString(s); got != want && strings.ToValidUTF8(glob+s, "") == glob+s {
			t.Errorf("%q of %q: %t", glob, s, got)
		}
	})
}
