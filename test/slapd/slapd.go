package slapd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"holdfast/test/ports"
)

// What is in the directory.
const (
	BaseDN       = "dc=example,dc=org"
	PeopleDN     = "ou=people," + BaseDN
	SearcherDN   = "cn=searcher,ou=services," + BaseDN
	SearcherPass = "searcher-password"
	adminDN      = "cn=admin," + BaseDN
	adminPass    = "admin-password"
)

// Person is an entry below PeopleDN.
type Person struct {
	UID, Password string
	Groups        []string // CNs, below ou=groups
	Below         string   // an ou of its own below PeopleDN; empty: right below
	Also          string   // a second uid; empty: none
}

// DN is the person's.
func (p Person) DN() string {
	if p.Below != "" {
		return "uid=" + p.UID + ",ou=" + p.Below + "," + PeopleDN
	}
	return "uid=" + p.UID + "," + PeopleDN
}

// GroupDN is the DN of a group.
func GroupDN(cn string) string { return "cn=" + cn + ",ou=groups," + BaseDN }

// Server is a directory.
type Server struct {
	Port, TLSPort int    // plain with StartTLS; LDAPS
	CAFile        string // the authority that its certificate is of
	OtherCAFile   string // another one
	dir           string
	cmd           *exec.Cmd
	exited        chan struct{}
	log           *os.File
}

// Start makes a directory with people in it below dir, and returns when it answers.
func Start(ctx context.Context, dir string, people ...Person) (*Server, error) {
	if err := install(ctx); err != nil {
		return nil, err
	}
	found, err := ports.Free(ctx, 2)
	if err != nil {
		return nil, err
	}
	s := &Server{Port: found[0], TLSPort: found[1], dir: dir, CAFile: filepath.Join(dir, "ca.pem"), OtherCAFile: filepath.Join(dir, "other.pem")}
	if err := s.certificates(); err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{"slapd.conf": s.config(), "data.ldif": ldif(people)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	add := exec.CommandContext(ctx, slapdPath, "-T", "add", "-f", filepath.Join(dir, "slapd.conf"), "-l", filepath.Join(dir, "data.ldif"))
	add.Stderr = &out
	if err := add.Run(); err != nil {
		return nil, fmt.Errorf("slapd: fill the directory: %w: %s", err, out.String())
	}
	return s, s.Run(ctx)
}

const slapdPath = "/usr/sbin/slapd"

// install asks Debian for slapd, which its package does not start.
func install(ctx context.Context) error {
	if _, err := os.Stat(slapdPath); err == nil {
		return nil
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("slapd: find the project: %w", err)
	}
	if out, err := exec.CommandContext(ctx, filepath.Join(strings.TrimSpace(string(out)), "scripts", "tools.sh"), "ldap").CombinedOutput(); err != nil {
		return fmt.Errorf("slapd: install: %w: %s", err, out)
	}
	return nil
}

// Run starts the server that was killed.
func (s *Server) Run(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	urls := fmt.Sprintf("ldap://127.0.0.1:%d ldaps://127.0.0.1:%d", s.Port, s.TLSPort)
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), slapdPath, "-f", filepath.Join(s.dir, "slapd.conf"), "-h", urls, "-d", "0")
	s.cmd.Stdout, s.cmd.Stderr, s.log = log, log, log
	s.exited = make(chan struct{})
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("slapd: start: %w", err)
	}
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait() // a server that was killed
		close(exited)
	}(s.cmd, s.exited)
	for {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(s.TLSPort))
		if err == nil {
			return c.Close()
		}
		select {
		case <-s.exited:
			text, _ := os.ReadFile(log.Name()) // for people
			return fmt.Errorf("slapd: it ended: %s", text)
		case <-ctx.Done():
			return fmt.Errorf("slapd: it does not listen: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Kill ends the server, frozen or not, and waits for its end.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.exited
	_ = s.log.Close()
}

// Freeze stops the server as a machine that hangs does, and returns when every thread of it has stopped; Thaw lets it go on.
func (s *Server) Freeze() error {
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.cmd.Process.Pid))
		if err != nil {
			return err
		}
		stopped := 0
		for _, t := range threads {
			if text, err := os.ReadFile(t); err == nil && bytes.Contains(text, []byte(") T ")) {
				stopped++
			}
		}
		if stopped == len(threads) && stopped > 0 {
			return nil
		}
	}
	return errors.New("slapd: it does not stop")
}

// Thaw ends Freeze.
func (s *Server) Thaw() error { return s.cmd.Process.Signal(syscall.SIGCONT) }

// Modify changes entries, as LDIF says.
func (s *Server) Modify(ctx context.Context, ldif string) error {
	cmd := exec.CommandContext(ctx, "ldapmodify", "-x", "-H", "ldap://127.0.0.1:"+strconv.Itoa(s.Port), "-D", adminDN, "-w", adminPass)
	cmd.Stdin = strings.NewReader(ldif)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("slapd: modify: %w: %s", err, out)
	}
	return nil
}

func (s *Server) config() string {
	return fmt.Sprintf(`include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile %[1]s/pid
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
TLSCACertificateFile %[1]s/ca.pem
TLSCertificateFile %[1]s/server.pem
TLSCertificateKeyFile %[1]s/server.key
database mdb
suffix "%[2]s"
rootdn "%[3]s"
rootpw %[4]s
directory %[1]s/db
index uid eq
overlay memberof
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="%[5]s" read by * none
`, s.dir, BaseDN, adminDN, adminPass, SearcherDN)
}

func ldif(people []Person) string {
	var b strings.Builder
	add := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format, args...) } // a builder takes everything
	add("dn: %s\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example\n\n", BaseDN)
	for _, ou := range []string{"people", "groups", "services"} {
		add("dn: ou=%s,%s\nobjectClass: organizationalUnit\nou: %[1]s\n\n", ou, BaseDN)
	}
	add("dn: %s\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: searcher\nuserPassword: %s\n\n", SearcherDN, SearcherPass)
	below, groups := map[string]bool{}, map[string][]Person{}
	for _, p := range people {
		if p.Below != "" && !below[p.Below] {
			below[p.Below] = true
			add("dn: ou=%s,%s\nobjectClass: organizationalUnit\nou: %[1]s\n\n", p.Below, PeopleDN)
		}
		add("dn: %s\nobjectClass: inetOrgPerson\ncn: %s\nsn: %[2]s\nuid: %[2]s\nuserPassword: %s\n", p.DN(), p.UID, p.Password)
		if p.Also != "" {
			add("uid: %s\n", p.Also)
		}
		for _, g := range p.Groups { // as the overlay would, which does not see what slapadd adds
			add("memberOf: %s\n", GroupDN(g))
			groups[g] = append(groups[g], p)
		}
		add("\n")
	}
	for g, members := range groups {
		add("dn: %s\nobjectClass: groupOfNames\ncn: %s\n", GroupDN(g), g)
		for _, m := range members {
			add("member: %s\n", m.DN())
		}
		add("\n")
	}
	return b.String()
}

// certificates makes two authorities, and a certificate of the first for 127.0.0.1.
func (s *Server) certificates() error {
	now := time.Now()
	template := func(name string, serial int64) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour)}
	}
	authority := func(name, file string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		ca := template(name, 1)
		ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
		der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
		if err != nil {
			return nil, nil, err
		}
		return ca, key, writePEM(file, "CERTIFICATE", der)
	}
	if _, _, err := authority("Another authority", s.OtherCAFile); err != nil {
		return err
	}
	ca, caKey, err := authority("Authority of the test", s.CAFile)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	leaf := template("directory", 2)
	leaf.IPAddresses, leaf.ExtKeyUsage = []net.IP{net.IPv4(127, 0, 0, 1)}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(writePEM(filepath.Join(s.dir, "server.pem"), "CERTIFICATE", der), writePEM(filepath.Join(s.dir, "server.key"), "EC PRIVATE KEY", keyDER))
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
