package edge

import (
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"
)

// headerTimeout is how long a trusted proxy may take for the PROXY protocol's header.
const headerTimeout = 5 * time.Second

// ProxyProtocol returns a listener whose connections have the client's address where a trusted proxy says it by the PROXY protocol, version 1 or 2; the header may
// be missing, as with a proxy's health checks. From others it is no such header: HTTP and TLS take it for nonsense, and close.
func ProxyProtocol(listener net.Listener, trusted func() Trusted) net.Listener {
	return &proxyproto.Listener{
		Listener: listener, ReadHeaderTimeout: headerTimeout,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			if tcp, ok := o.Upstream.(*net.TCPAddr); ok {
				if addr, ok := netip.AddrFromSlice(tcp.IP); ok && trusted().Contains(addr) {
					return proxyproto.USE, nil
				}
			}
			return proxyproto.SKIP, nil
		},
	}
}
