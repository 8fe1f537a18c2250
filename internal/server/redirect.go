package server

import (
	"context"

	"holdfast/internal/access"
	"holdfast/internal/config"
	"holdfast/internal/edge"
	"holdfast/internal/redirect"
)

func redirectRules(rules []config.RedirectRule) (out []redirect.Rule) {
	for _, r := range rules {
		out = append(out, redirect.Rule{MinBytes: r.MinSize, Networks: r.Networks, UserAgents: r.UserAgents, Header: r.Header, Value: r.HeaderValue, Redirect: r.Redirect})
	}
	return out
}

// redirectBy goes by the rules of a configuration from now on. Its error names all networks that are none; then nothing has changed.
func (s *store) redirectBy(cfg Storage) error {
	rules, err := redirect.New(cfg.RedirectRules, cfg.Redirect)
	if err == nil {
		s.redirects.Store(rules)
	}
	return err
}

// redirected says, for registry.Config.Redirects, whether the request of a context reads a whole blob of so many bytes from the store itself.
func (s *store) redirected(ctx context.Context, bytes int64) bool {
	rules := s.redirects.Load()
	if !rules.Ever() {
		return false
	}
	from := edge.From(ctx)
	req := redirect.Request{Client: from.Client, Proxy: from.Headers}
	if asked := access.From(ctx); asked != nil {
		req.UserAgent = asked.UserAgent
	}
	return rules.Decide(req, bytes)
}
