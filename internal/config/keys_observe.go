package config

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
)

// Tracing says where traces go.
type Tracing struct {
	// Endpoint is the URL that spans are sent to, by OTLP over HTTP, as http://collector:4318/v1/traces. Empty: as the OTEL_EXPORTER_OTLP_*
	// variables say, and nowhere without them.
	Endpoint string
}

// observeKeys are keys of ours for those who watch a replica.
func observeKeys() []key {
	return []key{
		{path: "http.adminAddress", kind: parseListen, into: func(t *target) any { return &t.config.HTTP.AdminAddress }},
		{path: "log.requestLevel", kind: parseLevel, into: func(t *target) any { return &t.config.Log.Requests }},
		{path: "extensions.tracing.endpoint", kind: parseCollector, into: func(t *target) any { return &t.config.Tracing.Endpoint }},
	}
}

// parseListen returns host:port, or "". The host is an IP address, a name, or nothing for every interface.
func parseListen(n *node) (any, *Problem) {
	const want = `an address and a port, as "127.0.0.1:9090"`
	if n.kind != textNode {
		return nil, mistyped(n, want)
	}
	if n.text == "" {
		return "", nil
	}
	host, port, err := net.SplitHostPort(n.text)
	if err != nil {
		return nil, wrong(n, "is not an address with a port", want)
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && !isHostName(host) {
		return nil, wrong(n, "is not an address with a port", want)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return nil, wrong(n, "has a port that is out of range", "0 to 65535")
	}
	return n.text, nil
}

// parseCollector returns the URL of a collector of traces, or "". What it needs as a password goes into OTEL_EXPORTER_OTLP_HEADERS.
func parseCollector(n *node) (any, *Problem) {
	const want = "a URL without a password, as http://collector:4318/v1/traces"
	if n.kind != textNode {
		return nil, mistyped(n, want)
	}
	if n.text == "" {
		return "", nil
	}
	u, err := url.Parse(n.text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, wrong(n, "is not the URL of a collector of traces", want)
	}
	return n.text, nil
}

// admin warns of a listener that more than this machine reaches: a profile tells what is in memory.
func (w *walker) admin(h *HTTP) {
	if h.AdminAddress == "" {
		return
	}
	host, _, _ := net.SplitHostPort(h.AdminAddress) // was parsed
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() || host == "localhost" {
		return
	}
	w.warn("http.adminAddress", "asks nobody for a password, and its profiles may show secrets: let only the monitoring reach it")
}
