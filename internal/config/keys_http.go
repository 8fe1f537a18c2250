package config

import (
	"math"
	"slices"
)

// allKeys is the table: every key that zot knows, and ours.
func allKeys() []key {
	keys := []key{
		{path: "distSpecVersion", kind: parseText, into: func(t *target) any { return &t.config.DistSpecVersion }},
		{path: "goVersion", kind: parseText, state: silent},
		{path: "commit", kind: parseText, state: silent},
		{path: "releaseTag", kind: parseText, state: silent},
		{path: "binaryType", kind: parseText, state: silent},
		{path: "scheduler.numWorkers", kind: parseInt, state: silent},
		{path: "cluster", state: ignored, text: "no replica owns a repository here: every replica serves all of them, and members need not know of each other"},
		{path: "cluster.members", kind: parseTexts, state: silent},
		{path: "cluster.hashKey", kind: parseText, state: silent, hidden: true},
		{path: "cluster.tls.cert", kind: parsePath, state: silent},
		{path: "cluster.tls.key", kind: parsePath, state: silent},
		{path: "cluster.tls.cacert", kind: parsePath, state: silent},
	}
	keys = append(keys, below("storage", storeKeys())...)
	keys = append(keys, below("storage", storageKeys())...)
	keys = append(keys, below("storage.subPaths.*", storeKeys())...)
	keys = append(keys, below("http", httpKeys())...)
	keys = append(keys, below("http", edgeKeys())...)
	keys = append(keys, below("http.auth", authKeys())...)
	keys = append(keys, below("http.auth", tokenKeys())...)
	keys = append(keys, below("http.auth.mtls", mtlsKeys())...)
	keys = append(keys, below("http.accessControl", accessKeys())...)
	keys = append(keys, below("log", []key{
		{path: "level", kind: parseLevel, into: func(t *target) any { return &t.config.Log.Level }},
		{path: "output", kind: parsePath, into: func(t *target) any { return &t.config.Log.Output }},
		{path: "audit", kind: parsePath, into: func(t *target) any { return &t.config.Log.Audit }},
	})...)
	keys = append(keys, observeKeys()...)
	return append(keys, below("extensions", extensionKeys())...)
}

func httpKeys() []key {
	return []key{
		{path: "address", kind: parseAddress, into: func(t *target) any { return &t.config.HTTP.Address }},
		{path: "port", kind: parsePort, into: func(t *target) any { return &t.config.HTTP.Port }},
		{path: "readTimeout", kind: parseTimeout, into: func(t *target) any { return &t.config.HTTP.ReadTimeout }},
		{path: "writeTimeout", kind: parseTimeout, into: func(t *target) any { return &t.config.HTTP.WriteTimeout }},
		{path: "drainDelay", kind: parseDuration, into: func(t *target) any { return &t.config.HTTP.DrainDelay }},
		{path: "drainTimeout", kind: parseDuration, into: func(t *target) any { return &t.config.HTTP.DrainTimeout }},
		{path: "maxBlobSize", kind: size(0, math.MaxInt64, true), into: func(t *target) any { return &t.config.Storage.MaxBlobSize }},
		{path: "realm", kind: parseText, into: func(t *target) any { return &t.config.HTTP.Auth.Realm }},
		{path: "compat", kind: parseTexts, state: silent}, // Docker's schema 2 is always accepted
		{path: "auth", into: func(t *target) any { return &t.config.HTTP.Auth.Given }},
		{path: "accessControl", into: func(t *target) any { return &t.config.HTTP.AccessControl.Given }},
	}
}

func authKeys() []key {
	keys := []key{
		{path: "failDelay", kind: parseFailDelay, into: func(t *target) any { return &t.config.HTTP.Auth.FailDelay }},
		{path: "htpasswd.path", kind: parsePath, into: func(t *target) any { return &t.config.HTTP.Auth.Htpasswd }},
	}
	return slices.Concat(keys, ldapKeys(), openIDKeys())
}
