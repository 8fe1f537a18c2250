package server

import (
	"maps"
	"reflect"
	"slices"
	"time"
)

// merged is the configuration that a server which was started with one makes of the next: what can be changed while it
// runs is the next's, all else stays. The collector of a store can be changed and switched off. Not on: nothing was noted for it; and
// not to rules by pulls where pulls were not noted from the start: it would remove what clients use.
func merged(started, next Config) Config {
	out := started
	out.Progress, out.DrainDelay, out.DrainTimeout, out.NoDelete, out.Scrub = next.Progress, next.DrainDelay, next.DrainTimeout, next.NoDelete, next.Scrub
	out.Auth, out.Rules = next.Auth, next.Rules
	out.Edge = started.Edge.merged(next.Edge)
	if next.Edge.TLS.CA == "" && out.Edge.TLS.CA != "" { // the listener goes on asking for certificates, and so does the door
		out.Rules.Authenticates = next.Rules.Authenticates || started.Rules.Authenticates
	}
	out.Storage = started.Storage.merged(next.Storage)
	out.SubPaths = maps.Clone(started.SubPaths)
	for path, sub := range started.SubPaths {
		if now, found := next.SubPaths[path]; found {
			out.SubPaths[path] = sub.merged(now)
		}
	}
	return out
}

func (s Storage) merged(next Storage) Storage {
	out := s
	out.MaxBlobBytes = next.MaxBlobBytes
	out.Limits = next.Limits
	out.Redirect, out.RedirectRules = next.Redirect, next.RedirectRules
	out.Collect = next.Collect
	out.Collect.Enabled = s.Collect.Enabled && next.Collect.Enabled
	if next.Collect.Policies.NeedPullTimes() && !s.Collect.Policies.NeedPullTimes() {
		out.Collect.Policies = s.Collect.Policies
	}
	if s.S3 != nil && next.S3 != nil && s.S3.AccessKey != "" && next.S3.AccessKey != "" {
		keys := *s.S3
		keys.AccessKey, keys.SecretKey, keys.SessionToken = next.S3.AccessKey, next.S3.SecretKey, next.S3.SessionToken
		out.S3 = &keys
	}
	return out
}

// needRestart names the keys of the file that differ between what is used and what is wanted, for people.
func needRestart(used, wanted Config) (keys []string) {
	differ := func(key string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			keys = append(keys, key)
		}
	}
	differ("http.address, http.port", used.Address, wanted.Address)
	differ("http.tls (on or off)", used.Edge.TLS.Cert == "", wanted.Edge.TLS.Cert == "")
	differ("http.h2c", used.Edge.H2C, wanted.Edge.H2C)
	differ("http.proxyProtocol", used.Edge.ProxyProtocol, wanted.Edge.ProxyProtocol)
	differ("storage.memoryBudget", used.MemoryBudget, wanted.MemoryBudget)
	differ("extensions.metrics", used.MetricsPath, wanted.MetricsPath)
	differ("http.adminAddress, log.requestLevel, log.audit, extensions.tracing", used.Observe, wanted.Observe)
	store := func(at string, a, b Storage) {
		differ(at+".gc", a.Collect.Enabled, b.Collect.Enabled)
		differ(at+".gcDelay", a.Ages, b.Ages)
		differ(at+".retention (rules by pulls)", a.Collect.Policies.NeedPullTimes(), a.Collect.Policies.NeedPullTimes() || b.Collect.Policies.NeedPullTimes())
		a.Collect, b.Collect = Collection{}, Collection{}
		a.Ages = b.Ages
		differ(at, a, b)
	}
	store("storage", used.Storage, wanted.Storage)
	paths := func(c Config) []string { return slices.Sorted(maps.Keys(c.SubPaths)) }
	differ("storage.subPaths", paths(used), paths(wanted))
	for _, path := range paths(used) {
		if sub, found := wanted.SubPaths[path]; found {
			store("storage.subPaths."+path, used.SubPaths[path], sub)
		}
	}
	differ("others", used.rest(), wanted.rest())
	return keys
}

// rest is the configuration without what merged takes and needRestart names, so that a field which nobody thought of needs a restart, and says so.
func (c Config) rest() Config {
	c.Address, c.MemoryBudget, c.MetricsPath = "", 0, ""
	c.Storage, c.SubPaths, c.Observe, c.Edge = Storage{}, nil, Observe{}, Edge{}
	c.ExitIfUnavailable, c.Host = false, Host{} // of the command line and the process
	return c
}

// sameWork reports whether two configurations have a server do the same beside requests.
func sameWork(a, b Config) bool {
	if a.Scrub != b.Scrub || !a.Storage.Collect.same(b.Storage.Collect) {
		return false
	}
	for path, sub := range a.SubPaths {
		if !sub.Collect.same(b.SubPaths[path].Collect) {
			return false
		}
	}
	return true
}

func (c Collection) same(other Collection) bool {
	for minute := range 24 * 60 { // windows are of whole minutes of a day
		at := time.Date(2000, 1, 1, 0, minute, 0, 0, time.UTC)
		if c.open(at) != other.open(at) {
			return false
		}
	}
	c.Window, other.Window = nil, nil
	return reflect.DeepEqual(c, other)
}

func (c Collection) open(at time.Time) bool { return c.Window == nil || c.Window(at) }
