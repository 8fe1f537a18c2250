package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
)

// DefaultPrefix is what all keys begin with where Config.Prefix is empty.
const DefaultPrefix = "zot"

// Config is where the servers are, and who we are there.
type Config struct {
	// Addresses are host:port, or one path of a socket, which begins with a slash. One is a server, or a member of a cluster when it says so; several are members of
	// a cluster; with Master they are sentinels.
	Addresses []string
	// Master is the name of the primary that sentinels watch; empty: there are no sentinels.
	Master string

	Username, Password                 string
	SentinelUsername, SentinelPassword string
	ClientName                         string // in CLIENT LIST; empty: holdfast
	DB                                 int    // 0 in a cluster
	RESP2                              bool   // the older protocol; else the newest that the server speaks

	// Prefix is before each key, with a colon; empty: DefaultPrefix. Registries that share a server have one each.
	Prefix string

	TLS bool
	// CAFile are the authorities of the servers' certificates, in PEM; empty: the system's.
	CAFile string
	// CertFile and KeyFile are ours, both or none. All files are read at each start of a connection.
	CertFile, KeyFile string
	// SkipVerify takes any certificate: for tests alone.
	SkipVerify bool
}

// Format shows where the servers are, and no password, for every verb.
func (c Config) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "redis %s", strings.Join(c.Addresses, ",")) // fmt keeps its own errors
}

// Validate reports every problem at once.
func (c Config) Validate() error {
	var errs []error
	if len(c.Addresses) == 0 {
		errs = append(errs, errors.New("redis: there is no address"))
	}
	if c.DB < 0 || len(c.Addresses) > 1 && c.Master == "" && c.DB != 0 {
		errs = append(errs, fmt.Errorf("redis: there is no database %d: a cluster has 0 alone", c.DB))
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		errs = append(errs, errors.New("redis: a certificate needs its key, and a key its certificate"))
	}
	return errors.Join(errs...)
}

// tlsConfig reads the files. nil: no TLS.
func (c Config) tlsConfig() (*tls.Config, error) {
	if !c.TLS {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.SkipVerify} //nolint:gosec // the configuration asks for it, and a warning says so
	if c.CAFile != "" {
		text, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("redis: read the authorities: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("redis: read the authorities: there is no certificate in %s", c.CAFile)
		}
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("redis: read our certificate: %w", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}
