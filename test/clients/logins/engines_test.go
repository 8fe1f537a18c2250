package logins

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"holdfast/test/clients"
)

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
