package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CacheDriver says what replicas share a cache in; empty: in nothing.
type CacheDriver string

// The drivers of shared caches.
const (
	CacheRedis    CacheDriver = "redis"
	CacheDynamoDB CacheDriver = "dynamodb"
)

// Cache is what a store remembers of itself, in memory and where replicas share it. It decides nothing: it may be wiped, stale or gone at any time.
type Cache struct {
	// Driver is empty where there is no shared cache: also with Remote false, and for a local store.
	Driver CacheDriver
	Redis  Redis    // of that driver; otherwise zero
	Dynamo DynamoDB // of that driver; otherwise zero
	// Remote is storage.remoteCache, nil where the file does not say: a driver that is there is used.
	Remote *bool
	// Budget is how long a request waits for the shared cache, at most.
	Budget time.Duration
	// Memory is how many bytes are remembered in the process, about.
	Memory int64
}

// Redis is one server, or a cluster, or sentinels. The fields are the keys of cacheDriver.
type Redis struct {
	URL       Secret   // empty in what Load returns: what it says is in the other fields
	Addresses []string // host:port, or one path of a socket; at least one
	Master    string   // the sentinels' name of the primary; empty: there are no sentinels
	Prefix    string   // of all keys, "zot" where the file does not say

	Username         string
	Password         Secret
	SentinelUsername string
	SentinelPassword Secret
	ClientName       string
	DB               int
	Protocol         int // 2, 3, or 0 for the newest

	TLS               bool
	CACert, Cert, Key string
	SkipVerify        bool
}

// DynamoDB is a table. Credentials are found by the SDK's chain.
type DynamoDB struct {
	Endpoint, Region string // empty: the SDK's environment
	Table            string
	TableName        string // of a file of zot 1.4, until it is Table
}

const (
	defaultCacheBudget = 5 * time.Millisecond
	defaultCacheMemory = 32 << 20
	defaultRedisPrefix = "zot"

	noRedisOption = "has no effect: all requests share a few connections, no call is repeated, and cacheBudget says how long one may take"
	noZotTable    = "is not needed: what zot keeps in that table is in the store itself"
)

// cacheKeys are the shared caches of zot's two drivers, whose options are those of go-redis, and what is ours about caches.
func cacheKeys() []key {
	driver := func(t *target) any { return &t.store.Cache.Driver }
	redis := func(t *target) *Redis { return &t.store.Cache.Redis }
	keys := []key{
		{path: "remoteCache", kind: parseBool, into: func(t *target) any { return &t.store.Cache.Remote }},
		{path: "cacheBudget", kind: parseCacheBudget, into: func(t *target) any { return &t.store.Cache.Budget }},
		{path: "cacheMemory", kind: size(16<<10, 1<<40, true), into: func(t *target) any { return &t.store.Cache.Memory }},
		{path: "cacheDriver|dynamodb", into: driver},
		{path: "cacheDriver|dynamodb.name", kind: parseText, state: silent},
		{path: "cacheDriver|dynamodb.endpoint", kind: parseEndpoint, into: func(t *target) any { return &t.store.Cache.Dynamo.Endpoint }},
		{path: "cacheDriver|dynamodb.region", kind: word("a region"), into: func(t *target) any { return &t.store.Cache.Dynamo.Region }},
		{path: "cacheDriver|dynamodb.cacheTablename", kind: parseTable, into: func(t *target) any { return &t.store.Cache.Dynamo.Table }},
		{path: "cacheDriver|dynamodb.tableName", kind: parseTable, into: func(t *target) any { return &t.store.Cache.Dynamo.TableName }},
		{path: "cacheDriver|redis", into: driver},
		{path: "cacheDriver|redis.name", kind: parseText, state: silent},
		{path: "cacheDriver|redis.url", kind: parseText, hidden: true, into: func(t *target) any { return &redis(t).URL }},
		{path: "cacheDriver|redis.addr", kind: parseRedisAddresses, into: func(t *target) any { return &redis(t).Addresses }},
		{path: "cacheDriver|redis.master_name", kind: parseText, into: func(t *target) any { return &redis(t).Master }},
		{path: "cacheDriver|redis.keyprefix", kind: word("a prefix"), into: func(t *target) any { return &redis(t).Prefix }},
		{path: "cacheDriver|redis.username", kind: parseText, into: func(t *target) any { return &redis(t).Username }},
		{path: "cacheDriver|redis.password", kind: parseText, hidden: true, into: func(t *target) any { return &redis(t).Password }},
		{path: "cacheDriver|redis.sentinel_username", kind: parseText, into: func(t *target) any { return &redis(t).SentinelUsername }},
		{path: "cacheDriver|redis.sentinel_password", kind: parseText, hidden: true, into: func(t *target) any { return &redis(t).SentinelPassword }},
		{path: "cacheDriver|redis.client_name", kind: word("a name"), into: func(t *target) any { return &redis(t).ClientName }},
		{path: "cacheDriver|redis.db", kind: parseInt, into: func(t *target) any { return &redis(t).DB }},
		{path: "cacheDriver|redis.protocol", kind: parseInt, into: func(t *target) any { return &redis(t).Protocol }},
		{path: "cacheDriver|redis.tls", into: func(t *target) any { return &redis(t).TLS }},
		{path: "cacheDriver|redis.tls.cacert", kind: parsePath, into: func(t *target) any { return &redis(t).CACert }},
		{path: "cacheDriver|redis.tls.cert", kind: parsePath, into: func(t *target) any { return &redis(t).Cert }},
		{path: "cacheDriver|redis.tls.key", kind: parsePath, into: func(t *target) any { return &redis(t).Key }},
		{path: "cacheDriver|redis.tls.skipVerify", kind: parseBool, into: func(t *target) any { return &redis(t).SkipVerify }},
	}
	for _, name := range []string{"repoMetaTablename", "repoBlobsInfoTablename", "imageMetaTablename", "userDataTablename", "apiKeyTablename", "versionTablename"} {
		keys = append(keys, key{path: "cacheDriver|dynamodb." + name, kind: parseText, state: ignored, text: noZotTable})
	}
	for _, name := range redisOptions() {
		keys = append(keys, key{path: "cacheDriver|redis." + name, kind: anything, state: ignored, text: noRedisOption})
	}
	return keys
}

// redisOptions are those of go-redis that have no meaning for the client that is used.
func redisOptions() []string {
	return []string{
		"max_retries", "min_retry_backoff", "max_retry_backoff", "dial_timeout", "read_timeout", "write_timeout", "context_timeout_enabled",
		"pool_fifo", "pool_size", "pool_timeout", "min_idle_conns", "max_idle_conns", "max_active_conns", "conn_max_idle_time",
		"conn_max_lifetime", "max_redirects", "read_only", "route_by_latency", "route_randomly", "disable_identity",
		"identity_suffix", "unstable_resp3",
	}
}

// parseCacheBudget is a time that a request may well be late by.
func parseCacheBudget(n *node) (any, *Problem) {
	d, problem := duration(n)
	if problem == nil && (d < time.Millisecond || d > time.Second) {
		problem = wrong(n, "is out of range", "1ms to 1s")
	}
	return d, problem
}

func parseTable(n *node) (any, *Problem) {
	const want = "a table's name: 3 to 255 letters, digits, and any of _.-"
	if !n.scalar() {
		return nil, mistyped(n, want)
	}
	odd := strings.ContainsFunc(n.text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("_.-", r)
	})
	if odd || len(n.text) < 3 || len(n.text) > 255 {
		return nil, wrong(n, "is not a table's name", want)
	}
	return n.text, nil
}

// parseRedisAddresses takes a list, or a text with spaces, as zot does, or commas between.
func parseRedisAddresses(n *node) (any, *Problem) {
	const want = "host:port, or a list of them"
	list, problem := parseTexts(n)
	if problem != nil {
		return nil, problem
	}
	var all []string
	for _, text := range list.([]string) {
		parts := []string{text}
		if n.scalar() {
			parts = strings.Fields(text)
		}
		for _, one := range parts {
			address, err := redisAddress(one)
			if err != nil {
				return nil, &Problem{Wrong: "has an item that is not the address of a server", Got: show(one), Want: want}
			}
			all = append(all, address)
		}
	}
	return all, nil
}

// redisAddress completes an address: "" is this machine, and the port 6379.
func redisAddress(text string) (string, error) {
	if strings.HasPrefix(text, "/") {
		return text, nil // a socket
	}
	host, port := text, ""
	if strings.Contains(text, ":") && !strings.HasSuffix(text, "]") {
		var err error
		if host, port, err = net.SplitHostPort(text); err != nil {
			return "", errors.New("is not host:port")
		}
	}
	host = strings.Trim(host, "[]")
	if host == "" {
		host = "localhost"
	}
	if port == "" {
		port = "6379"
	}
	if i, err := strconv.ParseUint(port, 10, 16); err != nil || i == 0 || net.ParseIP(host) == nil && !isHostName(host) {
		return "", errors.New("is not host:port")
	}
	return net.JoinHostPort(host, port), nil
}

// cache checks the shared cache, and says when it is not used.
func (w *walker) cache(s *Store, path string) {
	c := &s.Cache
	path += ".cacheDriver"
	if w.failed(path) || w.failed(path+".name") {
		return
	}
	switch c.Driver {
	case CacheRedis:
		c.Dynamo = DynamoDB{}
		w.redis(&c.Redis, path)
	case CacheDynamoDB:
		c.Redis = Redis{}
		w.dynamo(&c.Dynamo, path)
	default:
		return
	}
	switch {
	case s.Driver != DriverS3:
		w.warn(path, "is not used: nobody shares a local store, and it needs no cache")
	case c.Remote != nil && !*c.Remote:
		w.warn(path, "is not used: remoteCache is false")
	case c.Memory == 0:
		w.warn(path, "is not used: cacheMemory is 0")
	default:
		return
	}
	c.Driver, c.Redis, c.Dynamo = "", Redis{}, DynamoDB{}
}

func (w *walker) dynamo(d *DynamoDB, path string) {
	if d.Table == "" {
		d.Table = d.TableName
	}
	d.TableName = ""
	if d.Table == "" && !w.failed(path+".cacheTablename") && !w.failed(path+".tableName") {
		w.wrongAt(path+".cacheTablename", "is missing", "", "the name of a table, which is made when it is not there")
	}
	if d.Endpoint != "" && !strings.Contains(d.Endpoint, "://") {
		d.Endpoint = "https://" + d.Endpoint
	}
}

func (w *walker) redis(r *Redis, path string) {
	if r.URL != "" {
		if len(r.Addresses) > 0 {
			w.warn(path+".addr", "is not used: url says where the servers are")
			r.Addresses = nil
		}
		text := string(r.URL)
		r.URL = "" // what it says is in the other fields from now on
		if err := r.fromURL(text, func(option string) { w.warn(path+".url ("+option+")", noRedisOption) }); err != nil {
			w.wrongAt(path+".url", err.Error(), "", "redis://[user:password@]host[:port][/db], rediss:// for TLS, ?addr=host:port for each further member of a cluster")
			return
		}
	}
	if r.Prefix == "" {
		r.Prefix = defaultRedisPrefix
	}
	if len(r.Addresses) == 0 && !w.failed(path+".addr") && !w.failed(path+".url") {
		r.Addresses = []string{"localhost:6379"}
		w.warn(path, "says no address: localhost:6379 is taken, as in zot")
	}
	if r.Protocol != 0 && r.Protocol != 2 && r.Protocol != 3 {
		w.wrongAt(path+".protocol", "is not a version of Redis' protocol", strconv.Itoa(r.Protocol), "2 or 3")
	}
	if r.DB < 0 {
		w.wrongAt(path+".db", "is negative", strconv.Itoa(r.DB), "0 or more")
	}
	if r.DB > 0 && r.Master == "" && len(r.Addresses) > 1 {
		w.warn(path+".db", "is not used: a cluster has one database")
		r.DB = 0
	}
	if (r.Cert == "") != (r.Key == "") && !w.failed(path+".tls.cert") && !w.failed(path+".tls.key") {
		w.wrongAt(path+".tls", "has one of cert and key", "", "both or none")
	}
	if r.SkipVerify {
		w.warn(path, "takes any certificate of Redis: for tests alone")
	}
	if !r.TLS && r.Password != "" && slices.ContainsFunc(r.Addresses, func(a string) bool { return !ofThisMachine(a) }) {
		w.warn(path, "sends its password over the network without TLS")
	}
}

// ofThisMachine reports whether an address is of this machine.
func ofThisMachine(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true // a socket
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// fromURL takes what a URL says, as go-redis reads it: it wins over the keys beside it. unused is told of options without a meaning here. Errors show nothing of the URL.
func (r *Redis) fromURL(text string, unused func(option string)) error {
	u, err := url.Parse(text)
	if err != nil {
		return errors.New("is not a URL")
	}
	if strings.Contains(u.RawQuery, "@") || u.Fragment != "" { // what follows may be the rest of a password
		return errors.New("has a ?, # or @ that is to be escaped: %3F, %23, %40")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("has options that cannot be read")
	}
	db := strings.Trim(u.Path, "/")
	switch u.Scheme {
	case "redis", "valkey":
	case "rediss", "valkeys":
		r.TLS = true
	case "unix":
		r.Addresses, db = []string{u.Path}, ""
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") {
			return errors.New("is not the path of a socket")
		}
	default:
		return errors.New("is not a URL of Redis")
	}
	if u.Scheme != "unix" {
		for _, one := range append([]string{u.Host}, query["addr"]...) {
			address, err := redisAddress(one)
			if err != nil {
				return errors.New("has a host that is not one")
			}
			r.Addresses = append(r.Addresses, address)
		}
	}
	if u.User != nil {
		r.Username = u.User.Username()
		if password, set := u.User.Password(); set {
			r.Password = Secret(password)
		}
	}
	if db == "" {
		db = query.Get("db")
	}
	return r.options(db, query, unused)
}

func (r *Redis) options(db string, query url.Values, unused func(option string)) (err error) {
	if db != "" {
		if r.DB, err = strconv.Atoi(db); err != nil {
			return errors.New("has a database that is no number")
		}
	}
	known := redisOptions()
	for name, values := range query {
		value := values[len(values)-1]
		switch {
		case name == "addr" || name == "db":
		case name == "protocol":
			if r.Protocol, err = strconv.Atoi(value); err != nil {
				return errors.New("has a protocol that is no number")
			}
		case name == "client_name":
			if _, problem := word("a name")(&node{kind: textNode, text: value}); problem != nil {
				return errors.New("has a client_name that is not printable")
			}
			r.ClientName = value
		case name == "master_name":
			r.Master = value
		case name == "skip_verify":
			if r.SkipVerify, err = strconv.ParseBool(value); err != nil && value != "" {
				return errors.New("has a skip_verify that is not true or false")
			}
			r.SkipVerify = r.SkipVerify || value == ""
		case slices.Contains(known, name) || name == "idle_timeout" || name == "max_conn_age": // two that go-redis has renamed
			unused(name)
		default:
			return fmt.Errorf("has an option that Redis' clients do not know, %s", showKey(name))
		}
	}
	return nil
}
