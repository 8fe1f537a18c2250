package logins

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
