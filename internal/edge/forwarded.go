package edge

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Trusted are the proxies that may say who their client is. The zero value trusts nobody.
type Trusted struct{ nets []netip.Prefix }

// ParseTrusted returns the proxies of a list of networks in CIDR and addresses. Its error names all that are neither.
func ParseTrusted(list []string) (Trusted, error) {
	var t Trusted
	var errs []error
	for _, text := range list {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			var addr netip.Addr
			if addr, err = netip.ParseAddr(text); err == nil && addr.Zone() == "" {
				addr = addr.Unmap()
				prefix = netip.PrefixFrom(addr, addr.BitLen())
			}
		}
		if !prefix.IsValid() || prefix.Addr().Is4In6() {
			errs = append(errs, fmt.Errorf("edge: %q is neither a network in CIDR nor an address", text))
			continue
		}
		t.nets = append(t.nets, prefix.Masked())
	}
	return t, errors.Join(errs...)
}

// Contains reports whether an address is a trusted proxy's.
func (t Trusted) Contains(a netip.Addr) bool {
	return a.IsValid() && slices.ContainsFunc(t.nets, func(p netip.Prefix) bool { return p.Contains(plain(a)) })
}

// maxHops is how many proxies one behind the other are believed.
const maxHops = 16

// Peer returns where a request comes from. What headers say of it counts only when the peer is a trusted proxy: X-Forwarded-For, of which the last address
// that is no trusted proxy's is the client, for all before it the client may have written itself; Forwarded (RFC 7239) where there is no X-Forwarded-For; and
// X-Forwarded-Proto, whose last value counts.
func (t Trusted) Peer(r *http.Request) Peer {
	p := Peer{Client: addrOf(r), Secure: r.TLS != nil}
	if !t.Contains(p.Client) {
		return p
	}
	p.Headers = r.Header
	hops, proto := forwarded(r.Header)
	if list := r.Header.Values("X-Forwarded-For"); len(list) > 0 {
		p.ForwardedFor = strings.Join(list, ", ")
		hops = strings.Split(p.ForwardedFor, ",")
	}
	if list := r.Header.Values("X-Forwarded-Proto"); len(list) > 0 {
		proto = list[len(list)-1]
		proto = strings.TrimSpace(proto[strings.LastIndexByte(proto, ',')+1:])
	}
	if proto != "" {
		p.Secure = strings.EqualFold(proto, "https")
	}
	for i := len(hops) - 1; i >= max(0, len(hops)-maxHops) && t.Contains(p.Client); i-- {
		addr, ok := hop(hops[i])
		if !ok {
			break // who wrote it was the last that is known
		}
		p.Client, p.Proxied = addr, true
	}
	return p
}

// hop reads an address of X-Forwarded-For or of Forwarded's for: with or without a port, one of IPv6 with or without brackets.
func hop(text string) (netip.Addr, bool) {
	text = strings.Trim(strings.TrimSpace(text), `"`)
	if at, err := netip.ParseAddrPort(text); err == nil {
		return plain(at.Addr()), true
	}
	if inner, found := strings.CutPrefix(text, "["); found {
		text = strings.TrimSuffix(inner, "]")
	}
	addr, err := netip.ParseAddr(text)
	return plain(addr), err == nil
}

// forwarded returns what all Forwarded headers say: for of each proxy, "" where one hides it, and the last one's proto.
func forwarded(h http.Header) (hops []string, proto string) {
	for _, line := range h.Values("Forwarded") {
		for element := range strings.SplitSeq(line, ",") {
			from := ""
			proto = ""
			for pair := range strings.SplitSeq(element, ";") {
				name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
				switch {
				case strings.EqualFold(name, "for"):
					from = value
				case strings.EqualFold(name, "proto"):
					proto = strings.Trim(value, `"`)
				}
			}
			hops = append(hops, from)
		}
	}
	return hops, proto
}
