package logins

import (
	"os"
	"path/filepath"

	"holdfast/test/clients"
)

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
