package logins

import (
	"holdfast/test/clients"
)

// podman is buildah too: they have their options, and their store, from one library.
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

func sitBuildah(s *seat) session {
	s.find("buildah")
	store := clients.Short(s.t)
	s.Program = s.With("--root", store+"/root", "--runroot", store+"/run", "--storage-driver", "vfs")
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
