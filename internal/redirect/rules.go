package redirect

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Rule is for the requests that all of its conditions hold for; what is empty is no condition.
type Rule struct {
	// MinBytes is how large the blob is at least.
	MinBytes int64
	// Networks are networks in CIDR, and addresses, one of which the client is in. A client whose address nobody knows is in none.
	Networks []string
	// UserAgents are globs, one of which the User-Agent is, all of it: "*" is any number of characters. Upper and lower case do not matter.
	UserAgents []string
	// Header is a header that a trusted proxy has sent, with Value, or with any where Value is empty.
	Header, Value string
	// Redirect is what is decided.
	Redirect bool
}

// Request is what is known of the one who asks for a blob.
type Request struct {
	// Client is the address; invalid where nobody knows it.
	Client    netip.Addr
	UserAgent string
	// Proxy is the header as a trusted proxy sent it; nil where the request came from nobody who is trusted.
	Proxy http.Header
}

// Rules are asked one after the other: the first that is for a request decides. Safe for concurrent use.
type Rules struct {
	rules     []rule
	otherwise bool
}

type rule struct {
	minBytes      int64
	nets          []netip.Prefix // nil: any
	agents        []string       // in lower case; nil: any
	header, value string         // header is canonical; "": any
	redirect      bool
}

// New returns rules, with what is decided where none is for a request. Its error names all networks that are none.
func New(list []Rule, otherwise bool) (*Rules, error) {
	out := &Rules{otherwise: otherwise}
	var errs []error
	for i, r := range list {
		one := rule{minBytes: r.MinBytes, header: http.CanonicalHeaderKey(r.Header), value: r.Value, redirect: r.Redirect}
		for _, text := range r.Networks {
			net, err := network(text)
			if err != nil {
				errs = append(errs, fmt.Errorf("redirect: rule %d: %w", i+1, err))
			}
			one.nets = append(one.nets, net)
		}
		for _, agent := range r.UserAgents {
			one.agents = append(one.agents, strings.ToLower(agent))
		}
		out.rules = append(out.rules, one)
	}
	return out, errors.Join(errs...)
}

func network(text string) (netip.Prefix, error) {
	if prefix, err := netip.ParsePrefix(text); err == nil && !prefix.Addr().Is4In6() {
		return prefix.Masked(), nil
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is neither a network in CIDR nor an address", text)
	}
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen()), nil
}

// Ever reports whether any request may be redirected: if not, nobody need ask.
func (r *Rules) Ever() bool {
	return r.otherwise || slices.ContainsFunc(r.rules, func(one rule) bool { return one.redirect })
}

// Decide reports whether a request for a whole blob of so many bytes is redirected.
func (r *Rules) Decide(req Request, bytes int64) bool {
	for i := range r.rules {
		if r.rules[i].holds(&req, bytes) {
			return r.rules[i].redirect
		}
	}
	return r.otherwise
}

func (r *rule) holds(req *Request, bytes int64) bool {
	if bytes < r.minBytes {
		return false
	}
	if r.nets != nil {
		client := req.Client.Unmap().WithZone("")
		if !slices.ContainsFunc(r.nets, func(p netip.Prefix) bool { return p.Contains(client) }) {
			return false
		}
	}
	if r.agents != nil {
		agent := strings.ToLower(req.UserAgent)
		if !slices.ContainsFunc(r.agents, func(glob string) bool { return matches(glob, agent) }) {
			return false
		}
	}
	if r.header != "" {
		values := req.Proxy[r.header]
		return len(values) > 0 && (r.value == "" || slices.Contains(values, r.value))
	}
	return true
}

// matches reports whether all of s is what a glob says. It takes time in proportion to their lengths' product at most: a client chooses s.
func matches(glob, s string) bool {
	first, rest, any := strings.Cut(glob, "*")
	if !any {
		return s == glob
	}
	s, ok := strings.CutPrefix(s, first)
	for ok {
		var part string
		part, rest, any = strings.Cut(rest, "*")
		if !any {
			return strings.HasSuffix(s, part)
		}
		_, s, ok = strings.Cut(s, part) // the first place that there is leaves most for the others
	}
	return false
}
