package logins

import (
	"os"
	"path/filepath"
	"testing"

	"holdfast/test/clients"
)

// A client is a program that people use.
type client struct {
	name string
	// asks: its login asks the registry. Others keep the password, and learn later what it is worth.
	asks bool
	// uncertified says why it has no certificates of clients; empty: it has.
	uncertified string
	// eager: shows the secret that it keeps where it could do without.
	eager   bool
	quick   bool // is in any run
	outside bool // takes every registry on a loopback address for an insecure one, to which it shows no certificate
	signs   bool // its push writes something new each time, beside an image that must be there
	// sit makes one with a home of its own, that is to push to one repository and pull from it.
	sit func(s *seat) session
}

// A seat is a client at a site.
type seat struct {
	t     *testing.T
	host  string
	repo  string // its repository
	certs string // the folder of certificates that it uses: ca.crt, and of who has one client.cert and client.key; empty: plain HTTP
	*clients.Program
}

// A session is a client at work. Its errors have the client's words.
type session interface {
	login(name, secret string) error
	logout() error
	push() error
	pull() error
}

var all = []client{
	{name: "docker", asks: true, outside: true, sit: sitDocker},
	{name: "podman", asks: true, sit: sitPodman},
	{name: "buildah", asks: true, sit: sitBuildah},
	{name: "skopeo", asks: true, quick: true, sit: sitSkopeo},
	{name: "crane", quick: true, eager: true, uncertified: "crane has no option for a client's certificate", sit: sitCrane},
	{name: "oras", asks: true, quick: true, sit: sitOras},
	{name: "regctl", asks: true, sit: sitRegctl},
	{name: "helm", asks: true, sit: sitHelm},
	{name: "cosign", eager: true, signs: true, sit: sitCosign},
	{name: "ctr", sit: sitCtr},
}

// ref is the image that it pushes.
func (s *seat) ref() string { return s.host + "/" + s.repo + ":1" }

// try runs the client.
func (s *seat) try(args ...string) error {
	_, err := s.Try(s.t, args...)
	return err
}

// file is a file of its certificates: "" when there is none.
func (s *seat) file(name string) string {
	path := filepath.Join(s.certs, name)
	if _, err := os.Stat(path); s.certs == "" || err != nil {
		return ""
	}
	return path
}

// flags are those for plain HTTP, or those that name the files of certificates that there are.
func (s *seat) flags(plain, ca, cert, key string) []string {
	if s.certs == "" {
		return []string{plain}
	}
	all := []string{ca, s.file("ca.crt")}
	if s.file("client.cert") != "" {
		all = append(all, cert, s.file("client.cert"), key, s.file("client.key"))
	}
	return all
}

// folder is flags for containers' clients.
func (s *seat) folder(prefix string) string {
	if s.certs == "" {
		return "--" + prefix + "tls-verify=false"
	}
	return "--" + prefix + "cert-dir=" + s.certs
}

// find finds the seat's program.
func (s *seat) find(name string, env ...string) {
	s.t.Helper()
	s.Program = clients.Find(s.t, name, env...)
	auth := filepath.Join(s.Home, "auth.json") // podman and its like want it to be there
	s.write("auth.json", "{}")
	s.Program = s.WithEnv("REGISTRY_AUTH_FILE=" + auth)
}

// write writes a file into the client's home.
func (s *seat) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.Home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// layout is an image with a path that every client takes.
func (s *seat) layout() clients.Image {
	s.t.Helper()
	image := clients.NewImage(s.t, 2)
	dir := filepath.Join(clients.Short(s.t), "layout") // podman takes a path for a name: it must be in lower case
	if err := os.Rename(image.Dir, dir); err != nil {
		s.t.Fatal(err)
	}
	image.Dir = dir
	return image
}
