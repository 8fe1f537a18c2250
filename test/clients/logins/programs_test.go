package logins

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

type crane struct {
	*seat
	image clients.Image
}

func sitCrane(s *seat) session {
	s.find("crane")
	if ca := s.file("ca.crt"); ca != "" {
		s.Program = s.WithEnv("SSL_CERT_FILE=" + ca)
	}
	return &crane{s, s.layout()}
}

func (c *crane) login(name, secret string) error {
	return c.try("auth", "login", "-u", name, "-p", secret, c.host)
}
func (c *crane) logout() error { return c.try("auth", "logout", c.host) }
func (c *crane) push() error   { return c.try("push", c.image.Dir, c.ref()) }
func (c *crane) pull() error {
	dir := filepath.Join(c.t.TempDir(), "pulled")
	if err := c.try("pull", "--format", "oci", c.ref(), dir); err != nil {
		return err
	}
	clients.Pulled(c.t, dir, c.image.Digest)
	return nil
}

type skopeo struct {
	*seat
	image clients.Image
}

func sitSkopeo(s *seat) session {
	s.find("skopeo")
	return &skopeo{s, s.layout()}
}

func (c *skopeo) login(name, secret string) error {
	return c.try("login", c.folder(""), "-u", name, "-p", secret, c.host)
}
func (c *skopeo) logout() error { return c.try("logout", c.host) }
func (c *skopeo) push() error {
	return c.try("--insecure-policy", "copy", c.folder("dest-"), "oci:"+c.image.Dir+":"+c.image.Tag, "docker://"+c.ref())
}

func (c *skopeo) pull() error {
	dir := c.t.TempDir()
	if err := c.try("--insecure-policy", "copy", c.folder("src-"), "docker://"+c.ref(), "oci:"+dir+":1"); err != nil {
		return err
	}
	clients.Pulled(c.t, dir, c.image.Digest)
	return nil
}

type oras struct {
	*seat
	image clients.Image
}

func sitOras(s *seat) session {
	s.find("oras")
	return &oras{s, s.layout()}
}

func (c *oras) login(name, secret string) error {
	return c.try(append([]string{"login", "-u", name, "-p", secret, c.host}, c.flags("--plain-http", "--ca-file", "--cert-file", "--key-file")...)...)
}
func (c *oras) logout() error { return c.try("logout", c.host) }
func (c *oras) push() error {
	return c.try(append(append([]string{"cp", "--from-oci-layout"}, c.flags("--to-plain-http", "--to-ca-file", "--to-cert-file", "--to-key-file")...), c.image.Dir+":"+c.image.Tag, c.ref())...)
}

func (c *oras) pull() error {
	dir := c.t.TempDir()
	if err := c.try(append(append([]string{"cp", "--to-oci-layout"}, c.flags("--from-plain-http", "--from-ca-file", "--from-cert-file", "--from-key-file")...), c.ref(), dir+":1")...); err != nil {
		return err
	}
	clients.Pulled(c.t, dir, c.image.Digest)
	return nil
}

type regctl struct {
	*seat
	image clients.Image
}

func sitRegctl(s *seat) session {
	s.find("regctl", "REGCTL_CONFIG="+filepath.Join(s.t.TempDir(), "regctl.json"))
	return &regctl{s, s.layout()}
}

// know tells regctl how to reach the registry; it keeps that, and reads no files of certificates but takes their text.
func (c *regctl) know() error {
	args := []string{"registry", "set", "--skip-check", c.host, "--tls", "disabled"}
	if c.certs != "" {
		args = append(args[:4], "--tls", "enabled")
		for option, name := range map[string]string{"--cacert": "ca.crt", "--client-cert": "client.cert", "--client-key": "client.key"} {
			var text []byte
			if path := c.file(name); path != "" {
				var err error
				if text, err = os.ReadFile(path); err != nil {
					return err
				}
			}
			args = append(args, option, string(text))
		}
	}
	return c.try(args...)
}

func (c *regctl) login(name, secret string) error {
	if err := c.know(); err != nil {
		return err
	}
	return c.try("registry", "login", "-u", name, "-p", secret, c.host)
}
func (c *regctl) logout() error { return c.try("registry", "logout", c.host) }
func (c *regctl) push() error {
	if err := c.know(); err != nil {
		return err
	}
	return c.try("image", "copy", "ocidir://"+c.image.Dir+":"+c.image.Tag, c.ref())
}

func (c *regctl) pull() error {
	if err := c.know(); err != nil {
		return err
	}
	dir := filepath.Join(c.t.TempDir(), "pulled")
	if err := c.try("image", "copy", c.ref(), "ocidir://"+dir+":1"); err != nil {
		return err
	}
	clients.Pulled(c.t, dir, c.image.Digest)
	return nil
}

type helm struct{ *seat }

func sitHelm(s *seat) session {
	s.find("helm")
	s.write("demo/Chart.yaml", "apiVersion: v2\nname: demo\nversion: 0.1.0\ndescription: a chart\ntype: application\n")
	s.Run(s.t, "package", filepath.Join(s.Home, "demo"), "--destination", s.Home)
	return &helm{s}
}

func (c *helm) tls() []string {
	return c.flags("--plain-http", "--ca-file", "--cert-file", "--key-file")
}
func (c *helm) login(name, secret string) error {
	return c.try(append([]string{"registry", "login", "-u", name, "-p", secret, c.host}, c.tls()...)...)
}
func (c *helm) logout() error { return c.try("registry", "logout", c.host) }
func (c *helm) push() error {
	return c.try(append([]string{"push", filepath.Join(c.Home, "demo-0.1.0.tgz"), "oci://" + c.host + "/" + c.repo}, c.tls()...)...)
}

func (c *helm) pull() error {
	return c.try(append([]string{"pull", "oci://" + c.host + "/" + c.repo + "/demo", "--version", "0.1.0", "--destination", c.t.TempDir()}, c.tls()...)...)
}

// cosign signs an image that oras has pushed, and verifies the signature.
type cosign struct {
	*seat
	oras   *oras
	pushes []string // the name and the secret that oras pushes with
}

func sitCosign(s *seat) session {
	s.find("cosign", "COSIGN_PASSWORD=")
	s.Run(s.t, "generate-key-pair")
	with := *s
	return &cosign{seat: s, oras: sitOras(&with).(*oras)}
}

func (c *cosign) options() []string {
	if c.certs == "" {
		return []string{"--allow-http-registry", "--allow-insecure-registry"}
	}
	return c.flags("", "--registry-cacert", "--registry-client-cert", "--registry-client-key")
}

func (c *cosign) login(name, secret string) error {
	c.pushes = []string{name, secret}
	return c.try("login", "-u", name, "-p", secret, c.host)
}

// logout is another client's: cosign has none.
func (c *cosign) logout() error {
	c.write("config.json", "{}")
	c.pushes = nil
	return c.oras.logout()
}

func (c *cosign) push() error {
	c.oras.certs = c.certs
	var pushed error
	if c.pushes != nil {
		pushed = c.oras.login(c.pushes[0], c.pushes[1])
	}
	if pushed == nil {
		pushed = c.oras.push()
	}
	// Where oras may not push there is an image nevertheless, of before; it is cosign that is asked.
	err := c.try(append([]string{"sign", "-y", "--key", "cosign.key", "--tlog-upload=false", "--use-signing-config=false", c.ref()}, c.options()...)...)
	if err == nil {
		return pushed
	}
	return err
}

func (c *cosign) pull() error {
	return c.try(append([]string{"verify", "--key", "cosign.pub", "--insecure-ignore-tlog", c.ref()}, c.options()...)...)
}

type podman struct {
	*seat
	image clients.Image
}

func sitPodman(s *seat) session {
	s.find("podman")
	store := clients.Short(s.t)
	s.Program = s.With("--root", store+"/root", "--runroot", store+"/run", "--storage-driver", "vfs", "--events-backend", "none")
	return &podman{s, s.layout()}
}

func (c *podman) login(name, secret string) error {
	return c.try("login", c.folder(""), "-u", name, "-p", secret, c.host)
}
func (c *podman) logout() error { return c.try("logout", c.host) }
func (c *podman) push() error {
	id, err := c.Try(c.t, "pull", "oci:"+c.image.Dir+":"+c.image.Tag)
	if err != nil {
		return err
	}
	return c.try("push", c.folder(""), id, c.ref())
}

func (c *podman) pull() error {
	if err := c.try("rmi", "--all", "--force"); err != nil {
		return err
	}
	return c.try("pull", c.folder(""), c.ref())
}

type buildah struct {
	*seat
	image clients.Image
}

func sitBuildah(s *seat) session {
	s.find("buildah")
	store := clients.Short(s.t)
	s.Program = s.With("--root", store+"/root", "--runroot", store+"/run", "--storage-driver", "vfs")
	return &buildah{s, s.layout()}
}

func (c *buildah) login(name, secret string) error {
	return c.try("login", c.folder(""), "-u", name, "-p", secret, c.host)
}
func (c *buildah) logout() error { return c.try("logout", c.host) }
func (c *buildah) push() error {
	id, err := c.Try(c.t, "pull", "oci:"+c.image.Dir+":"+c.image.Tag)
	if err != nil {
		return err
	}
	return c.try("push", c.folder(""), id, c.ref())
}

func (c *buildah) pull() error {
	if err := c.try("rmi", "--all", "--force"); err != nil {
		return err
	}
	return c.try("pull", c.folder(""), c.ref())
}

// seed is the name of an image in an archive.
const seed = "docker.io/library/seed:1"

// docker is the engine with its client. The engine reads certificates from a folder of the system, in place of which it sees one of ours.
type docker struct {
	*seat
	system  string
	archive string
}

func sitDocker(s *seat) session {
	c := &docker{seat: s, system: clients.Short(s.t)}
	s.Program = clients.Docker(s.t, s.host, c.system)
	image := s.layout()
	c.archive = filepath.Join(s.Home, "image.tar")
	clients.Find(s.t, "skopeo").Run(s.t, "--insecure-policy", "copy", "oci:"+image.Dir+":"+image.Tag, "docker-archive:"+c.archive+":"+seed)
	return c
}

// show has the engine see the certificates that are used now.
func (c *docker) show() error {
	if c.certs == "" {
		return nil
	}
	dir := filepath.Join(c.system, c.host)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.CopyFS(dir, os.DirFS(c.certs))
}

func (c *docker) login(name, secret string) error {
	return c.try("login", "-u", name, "-p", secret, c.host)
}

// forgets checks that a login keeps a refresh token, and no password.
func (c *docker) forgets(name, secret string) error {
	text, err := os.ReadFile(filepath.Join(c.Home, "config.json"))
	if err != nil {
		return err
	}
	if bytes.Contains(text, []byte(base64.StdEncoding.EncodeToString([]byte(name+":"+secret)))) || !bytes.Contains(text, []byte("identitytoken")) {
		return fmt.Errorf("docker keeps %s", text)
	}
	return nil
}

func (c *docker) logout() error { return c.try("logout", c.host) }
func (c *docker) push() error {
	if err := c.show(); err != nil {
		return err
	}
	if err := c.try("load", "--input", c.archive); err != nil {
		return err
	}
	if err := c.try("tag", seed, c.ref()); err != nil {
		return err
	}
	return c.try("push", c.ref())
}

func (c *docker) pull() error {
	if err := c.show(); err != nil {
		return err
	}
	if out, err := c.Try(c.t, "images", "-q", c.ref()); err != nil {
		return err
	} else if out != "" {
		if err := c.try("rmi", c.ref()); err != nil {
			return err
		}
	}
	return c.try("pull", c.ref())
}

// ctr has no login: it is told the password with each command. Where its hosts are it is told in a file.
type ctr struct {
	*seat
	archive string
	user    []string
}

func sitCtr(s *seat) session {
	s.Program = clients.Containerd(s.t)
	image := s.layout()
	c := &ctr{seat: s, archive: filepath.Join(s.Home, "image.tar")}
	clients.Find(s.t, "skopeo").Run(s.t, "--insecure-policy", "copy", "--preserve-digests", "oci:"+image.Dir+":"+image.Tag, "oci-archive:"+c.archive+":"+seed)
	return c
}

func (c *ctr) login(name, secret string) error {
	c.user = []string{"--user", name + ":" + secret}
	return nil
}

func (c *ctr) logout() error {
	c.user = nil
	return nil
}

func (c *ctr) options() []string {
	if c.certs == "" {
		return append([]string{"--plain-http"}, c.user...)
	}
	text := fmt.Sprintf("server = %q\n[host.%q]\nca = %q\n", "https://"+c.host, "https://"+c.host, c.file("ca.crt"))
	if cert := c.file("client.cert"); cert != "" {
		text += fmt.Sprintf("client = [[%q, %q]]\n", cert, c.file("client.key"))
	}
	c.write("hosts/"+c.host+"/hosts.toml", text)
	return append([]string{"--hosts-dir", filepath.Join(c.Home, "hosts")}, c.user...)
}

func (c *ctr) push() error {
	if err := c.try("image", "import", "--snapshotter", "native", c.archive); err != nil {
		return err
	}
	if err := c.try("image", "tag", "--force", seed, c.ref()); err != nil {
		return err
	}
	return c.try(append(append([]string{"image", "push"}, c.options()...), c.ref())...)
}

func (c *ctr) pull() error {
	if err := c.try("image", "rm", c.ref()); err != nil && !strings.Contains(err.Error(), "not found") {
		return err
	}
	return c.try(append(append([]string{"image", "pull", "--snapshotter", "native"}, c.options()...), c.ref())...)
}
