package config

// extensionKeys are zot's extensions, of which scrub and metrics are here. In zot a section that is there and has no key
// enable turns its extension on.
func extensionKeys() []key {
	keys := []key{
		{path: "search", state: enabled, text: "there is no search in this version, nor what needs it: zli and the web UI find nothing"},
		{path: "search.cve.updateInterval", kind: parseDuration, state: silent},
		{path: "search.cve.trivy.dbRepository", kind: parseText, state: silent},
		{path: "search.cve.trivy.javaDBRepository", kind: parseText, state: silent},
		{path: "search.cve.trivy.vulnSeveritySources", kind: parseTexts, state: silent},
		{path: "search.cve.trivy.sbom.enable", kind: parseBool, state: silent},
		{path: "search.cve.trivy.sbom.format", kind: parseText, state: silent},

		{path: "metrics", into: func(t *target) any { return &t.config.Metrics.Enabled }},
		{path: "metrics.enable", kind: parseBool, into: func(t *target) any { return &t.config.Metrics.Enabled }},
		{path: "metrics.prometheus.path", kind: parseText, into: func(t *target) any { return &t.config.Metrics.Path }},
		{path: "scrub", into: func(t *target) any { return &t.config.Scrub.Enabled }},
		{path: "scrub.enable", kind: parseBool, into: func(t *target) any { return &t.config.Scrub.Enabled }},
		{path: "scrub.interval", kind: parseDuration, into: func(t *target) any { return &t.config.Scrub.Interval }},
		{path: "lint", state: enabled, text: "images are accepted without the mandatory annotations in this version"},
		{path: "lint.mandatoryAnnotations", kind: parseTexts, state: silent},
		{path: "ui", state: enabled, text: "there is no web UI in this version"},
		{path: "trust", state: enabled, text: "signatures are stored and served, not verified in this version"},
		{path: "trust.cosign", kind: parseBool, state: silent},
		{path: "trust.notation", kind: parseBool, state: silent},
		{path: "mgmt", state: silent}, // zot ignores these two
		{path: "apikey", state: silent},

		{path: "events", state: enabled, text: "no events are sent in this version"},
		{path: "events.sinks[].type", kind: parseText, state: silent},
		{path: "events.sinks[].address", kind: parseText, state: silent, hidden: true}, // a URL, perhaps with a password
		{path: "events.sinks[].channel", kind: parseText, state: silent},
		{path: "events.sinks[].timeout", kind: parseDuration, state: silent},
		{path: "events.sinks[].proxy", kind: parseText, state: silent, hidden: true},
		{path: "events.sinks[].headers.*", kind: parseText, state: silent, hidden: true},
	}
	for _, name := range []string{"search", "lint", "ui", "trust", "mgmt", "apikey", "events", "sync"} {
		keys = append(keys, key{path: name + ".enable", kind: parseBool, state: silent})
	}
	for _, at := range []string{"events.sinks[].", "events.sinks[].credentials.", "events.sinks[].tls."} {
		for _, name := range []string{"username", "file", "caCertFile", "certFile", "keyFile"} {
			keys = append(keys, key{path: at + name, kind: parseText, state: silent})
		}
		for _, name := range []string{"password", "token"} {
			keys = append(keys, key{path: at + name, kind: parseText, state: silent, hidden: true})
		}
	}
	return append(keys, syncKeys()...)
}

func syncKeys() []key {
	keys := []key{
		{path: "sync", state: enabled, text: "nothing is mirrored in this version: only what was pushed here is served"},
		{path: "sync.credentialsFile", kind: parsePath, state: silent},
		{path: "sync.downloadDir", kind: parsePath, state: silent},
	}
	return append(keys, below("sync.registries[]", []key{
		{path: "urls", kind: parseTexts, state: silent, hidden: true},
		{path: "pollInterval", kind: parseDuration, state: silent},
		{path: "tlsVerify", kind: parseBool, state: silent},
		{path: "onDemand", kind: parseBool, state: silent},
		{path: "onlySigned", kind: parseBool, state: silent},
		{path: "syncLegacyCosignTags", kind: parseBool, state: silent},
		{path: "preserveDigest", kind: parseBool, state: silent},
		{path: "disableHTTP2", kind: parseBool, state: silent},
		{path: "certDir", kind: parsePath, state: silent},
		{path: "credentialHelper", kind: parseText, state: silent},
		{path: "oauth2CredentialHelper", kind: anything, state: silent},
		{path: "manifestCheckInterval", kind: parseDuration, state: silent},
		{path: "retryDelay", kind: parseDuration, state: silent},
		{path: "maxRetryDelay", kind: parseDuration, state: silent},
		{path: "syncTimeout", kind: parseDuration, state: silent},
		{path: "responseHeaderTimeout", kind: parseDuration, state: silent},
		{path: "maxRetries", kind: parseInt, state: silent},
		{path: "maxIdleConnsPerHost", kind: parseInt, state: silent},
		{path: "reqConcurrent", kind: parseInt, state: silent},
		{path: "reqPerSec", kind: parseFloat, state: silent},
		{path: "content[].prefix", kind: parseText, state: silent},
		{path: "content[].destination", kind: parseText, state: silent},
		{path: "content[].stripPrefix", kind: parseBool, state: silent},
		{path: "content[].tags.regex", kind: parseText, state: silent},
		{path: "content[].tags.excludeRegex", kind: parseText, state: silent},
		{path: "content[].tags.semver", kind: parseBool, state: silent},
	})...)
}
