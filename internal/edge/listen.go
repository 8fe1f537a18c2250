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
	return proxied{&proxyproto.Listener{
		Listener: listener, ReadHeaderTimeout: headerTimeout,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			if tcp, ok := o.Upstream.(*net.TCPAddr); ok {
				if addr, ok := netip.AddrFromSlice(tcp.IP); ok && trusted().Contains(addr) {
					return proxyproto.USE, nil
				}
			}
			return proxyproto.SKIP, nil
		},
	}}
}

type proxied struct{ net.Listener }

// Accept implements net.Listener.
func (p proxied) Accept() (net.Conn, error) {
	conn, err := p.Listener.Accept()
	if named, ok := conn.(*proxyproto.Conn); ok {
		return halfClosed{named}, err
	}
	return conn, err
}

// halfClosed is a connection whose one direction can be closed, as net/http does after an answer that came before the request's end: closed at once, the
// answer would be lost on a client that still sends.
type halfClosed struct{ *proxyproto.Conn }

// CloseWrite closes the direction to the peer.
func (c halfClosed) CloseWrite() error {
	if tcp, ok := c.TCPConn(); ok {
		return tcp.CloseWrite()
	}
	return nil
}
