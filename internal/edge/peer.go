package edge

import (
	"context"
	"net/http"
	"net/netip"
)

// Peer is where a request comes from.
type Peer struct {
	// Client is the address of the peer, or that which a trusted proxy names; invalid where there is none, as behind a unix socket.
	Client netip.Addr
	// Proxied says that a trusted proxy named the client in a header.
	Proxied bool
	// ForwardedFor is X-Forwarded-For as a trusted proxy sent it, else "".
	ForwardedFor string
	// Headers are the request's where the peer is a trusted proxy, which vouches for those that it sets, and nil else. Nobody changes them.
	Headers http.Header
	// Secure says that the client speaks TLS: with us, or with the trusted proxy, as that says.
	Secure bool
}

type key struct{}

// With returns a context of a request that comes from p.
func With(ctx context.Context, p Peer) context.Context { return context.WithValue(ctx, key{}, p) }

// From returns where the request comes from that a context belongs to. Without one it is the zero value.
func From(ctx context.Context) Peer {
	p, _ := ctx.Value(key{}).(Peer)
	return p
}

// Client returns the client's address, which is invalid where nobody knows it.
func Client(ctx context.Context) netip.Addr { return From(ctx).Client }

// Secure reports whether the client speaks TLS, with us or with a trusted proxy.
func Secure(ctx context.Context) bool { return From(ctx).Secure }

// addrOf is the address of a request's peer, without port and zone; invalid for a unix socket.
func addrOf(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return plain(at.Addr())
}

// plain is an address as it is compared: 1.2.3.4 also where it was written ::ffff:1.2.3.4, and without the zone of a link.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// Group is what a limit takes for one client: an address of IPv4, and a /64 of IPv6, of which everybody has many.
func Group(a netip.Addr) netip.Addr {
	if a.Is6() {
		if prefix, err := a.Prefix(64); err == nil {
			return prefix.Addr()
		}
	}
	return a
}
