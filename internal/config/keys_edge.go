package config

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const defaultMinBodyRate = 1 << 10

// MethodRate is an item of http.ratelimit.methods.
type MethodRate struct {
	// Method is in capitals.
	Method string
	Rate   int
}

// edgeKeys are the keys of what stands between the network and the registry: TLS, proxies, limits.
func edgeKeys() []key {
	return []key{
		{path: "tls.cert", kind: parsePath, into: func(t *target) any { return &t.config.HTTP.TLS.Cert }},
		{path: "tls.key", kind: parsePath, into: func(t *target) any { return &t.config.HTTP.TLS.Key }},
		{path: "tls.cacert", kind: parsePath, into: func(t *target) any { return &t.config.HTTP.TLS.CACert }},
		{path: "h2c", kind: parseBool, into: func(t *target) any { return &t.config.HTTP.Proxy.H2C }},
		{path: "trustedProxies", kind: parseNetworks, into: func(t *target) any { return &t.config.HTTP.Proxy.Trusted }},
		{path: "proxyProtocol", kind: parseBool, into: func(t *target) any { return &t.config.HTTP.Proxy.Protocol }},
		{path: "externalUrl", kind: parseExternalURL, into: func(t *target) any { return &t.config.HTTP.Proxy.ExternalURL }},
		{path: "allowOrigin", kind: parseWords, into: func(t *target) any { return &t.config.HTTP.Proxy.AllowOrigin }},
		{path: "ratelimit.rate", kind: parseCount, into: func(t *target) any { return &t.config.HTTP.Limits.Rate }},
		{path: "ratelimit.methods[]", add: addMethodRate, items: methodRates},
		{path: "ratelimit.methods[].method", kind: parseText, into: func(t *target) any { return &itemOf[MethodRate](t).Method }},
		{path: "ratelimit.methods[].rate", kind: parseCount, into: func(t *target) any { return &itemOf[MethodRate](t).Rate }},
		{path: "limits.clientConcurrency", kind: parseCount, into: func(t *target) any { return &t.config.HTTP.Limits.ClientConcurrency }},
		{path: "limits.maxUploads", kind: parseCount, into: func(t *target) any { return &t.config.HTTP.Limits.MaxUploads }},
		{path: "limits.maxRequests", kind: parseCount, into: func(t *target) any { return &t.config.HTTP.Limits.MaxRequests }},
		{path: "limits.minBodyRate", kind: size(0, 1<<40, true), into: func(t *target) any { return &t.config.HTTP.Limits.MinBodyRate }},
	}
}

// mtlsKeys are the keys of http.auth.mtls.
func mtlsKeys() []key {
	return []key{
		{path: "identityAttributes", kind: parseWords, into: func(t *target) any { return &t.config.HTTP.Auth.MTLS.IdentityAttributes }},
		{path: "uriSanPattern", kind: parseText, into: func(t *target) any { return &t.config.HTTP.Auth.MTLS.URISANPattern }},
		{path: "uriSanIndex", kind: parseCount, into: func(t *target) any { return &t.config.HTTP.Auth.MTLS.URISANIndex }},
		{path: "dnsSanIndex", kind: parseCount, into: func(t *target) any { return &t.config.HTTP.Auth.MTLS.DNSSANIndex }},
		{path: "emailSanIndex", kind: parseCount, into: func(t *target) any { return &t.config.HTTP.Auth.MTLS.EmailSANIndex }},
	}
}

func addMethodRate(t *target) *target {
	l := &t.config.HTTP.Limits
	l.MethodRates = append(l.MethodRates, MethodRate{})
	all := methodRates(t)
	return all[len(all)-1]
}

func methodRates(t *target) []*target {
	var all []*target
	for i := range t.config.HTTP.Limits.MethodRates {
		all = append(all, t.in(&t.config.HTTP.Limits.MethodRates[i]))
	}
	return all
}

// parseWords is parseTexts without the spaces around each, and without empty ones.
func parseWords(n *node) (any, *Problem) {
	list, problem := parseTexts(n)
	if problem != nil {
		return nil, problem
	}
	var words []string
	for _, text := range list.([]string) {
		if text = strings.TrimSpace(text); text != "" {
			words = append(words, text)
		}
	}
	return words, nil
}

// parseNetworks returns networks in CIDR and addresses, as they were written.
func parseNetworks(n *node) (any, *Problem) {
	const want = `networks and addresses, as "10.0.0.0/8" or "192.0.2.7"`
	list, problem := parseWords(n)
	if problem != nil {
		return nil, problem
	}
	for _, text := range list.([]string) {
		prefix, err := netip.ParsePrefix(text)
		if err == nil && !prefix.Addr().Is4In6() {
			continue
		}
		if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
			continue
		}
		return nil, &Problem{Wrong: "has an item that is neither a network in CIDR nor an address", Got: show(text), Want: want}
	}
	return list, nil
}

// parseExternalURL returns a URL without a slash at its end, or "".
func parseExternalURL(n *node) (any, *Problem) {
	const want = "a URL as clients have it, as https://registry.example.com"
	if n.kind != textNode {
		return nil, mistyped(n, want)
	}
	if n.text == "" {
		return "", nil
	}
	u, err := url.Parse(n.text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, wrong(n, "is not a URL that clients could have", want)
	}
	return strings.TrimRight(n.text, "/"), nil
}

// edge checks what one key of the edge cannot know of another.
func (w *walker) edge(h *HTTP) {
	w.tls(h.TLS)
	w.proxies(h)
	for i := range h.Limits.MethodRates {
		one := &h.Limits.MethodRates[i]
		if one.Method = strings.ToUpper(strings.TrimSpace(one.Method)); one.Method == "" {
			w.wrongAt("http.ratelimit.methods", "has an item without a method", "", "a method and its rate, as GET and 100")
		}
	}
	w.mtls(h)
}

func (w *walker) tls(t TLS) {
	switch {
	case t.Cert == "" && t.Key != "" && !w.failed("http.tls.cert"):
		w.wrongAt("http.tls.cert", "is missing", "", "the file of the certificate with key, or neither for plain HTTP")
	case t.Key == "" && t.Cert != "" && !w.failed("http.tls.key"):
		w.wrongAt("http.tls.key", "is missing", "", "the file of the key with cert, or neither for plain HTTP")
	case t.CACert != "" && t.Cert == "" && t.Key == "" && !w.failed("http.tls.cert") && !w.failed("http.tls.key"):
		w.wrongAt("http.tls.cacert", "asks clients for certificates without TLS", "", "cert and key with it")
	}
}

func (w *walker) proxies(h *HTTP) {
	p := h.Proxy
	if p.Protocol && len(p.Trusted) == 0 && !w.failed("http.trustedProxies") {
		w.wrongAt("http.proxyProtocol", "is taken from nobody", "", "http.trustedProxies with the addresses of the load balancers")
	}
	if p.H2C && h.TLS.Cert != "" {
		w.warn("http.h2c", "has no effect: with http.tls a client may speak HTTP/2 anyway")
	}
	for _, text := range p.Trusted {
		if prefix, err := netip.ParsePrefix(text); err == nil && prefix.Bits() == 0 {
			w.warn("http.trustedProxies", "trusts everybody: who reaches the port may say that it is anybody")
		}
	}
	for _, origin := range p.AllowOrigin {
		u, err := url.Parse(origin)
		if origin != "*" && (err != nil || u.Scheme == "" || u.Host == "" || origin != u.Scheme+"://"+u.Host) {
			w.wrongAt("http.allowOrigin", "has an item that is not an origin", show(origin), `what a browser sends, as https://ui.example.com without a slash at its end; or "*" for all, without credentials`)
		}
	}
}

// mtls checks http.auth.mtls.
func (w *walker) mtls(h *HTTP) {
	const path = "http.auth.mtls"
	m := h.Auth.MTLS
	if n := w.nodes[path]; n != nil && !n.empty() && h.TLS.CACert == "" && !w.failed("http.tls.cacert") {
		w.wrongAt(path, "has no certificates to read", "", "http.tls with cert, key and cacert, which asks clients for theirs")
	}
	known := []string{"commonname", "cn", "subject", "dn", "email", "rfc822name", "uri", "url", "dnsname", "dns"}
	for _, name := range m.IdentityAttributes {
		if !slices.Contains(known, fold(name)) {
			w.wrongAt(path+".identityAttributes", "has an item that is no attribute of a certificate", show(name), "CommonName, Subject, Email, URI, DNSName")
		}
	}
	if m.URISANPattern == "" {
		return
	}
	switch re, err := regexp.Compile(m.URISANPattern); {
	case err != nil:
		w.wrongAt(path+".uriSanPattern", "is not a regular expression: "+err.Error(), show(m.URISANPattern), "")
	case re.NumSubexp() < 1:
		w.wrongAt(path+".uriSanPattern", "has no group, which would be the name", show(m.URISANPattern), `one in brackets, as ^spiffe://example\.org/workload/([^/]+)$`)
	}
}
