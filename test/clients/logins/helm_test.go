package logins

import (
	"path/filepath"
)

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
