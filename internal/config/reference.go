package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Key is what a reference says of a key.
type Key struct {
	Path    string // with dots; "[]" an item of a list, "|x" the driver of that name
	Type    string // of an honoured key, for people
	Default string // of an honoured key, as a file would say it; "" for none
	Meaning string // what it does, or what it means that it does nothing
	Ours    bool   // zot does not know it
	Secret  bool   // never shown, and the key's name with File names a file that holds it
}

// Keys are the honoured keys, in the order of the reference, and then those that have no effect here though somebody may miss it, in the
// table's. Keys of sections that have no effect are not among them, nor those of storage.subPaths.
func Keys() (honouredKeys, ignoredKeys, refusedKeys []Key) {
	table := map[string]key{}
	for _, k := range allKeys() {
		table[k.path] = k
		if strings.HasPrefix(k.path, "storage.subPaths.") {
			continue
		}
		at := Key{Path: k.path, Meaning: k.text, Secret: k.hidden}
		switch k.state {
		case ignored, enabled:
			ignoredKeys = append(ignoredKeys, at)
		case refused:
			if at.Meaning += ": want " + k.want; k.want == "" {
				at.Meaning = k.text
			}
			refusedKeys = append(refusedKeys, at)
		}
	}
	usual := fileDefaults()
	for _, m := range meanings() {
		k, found := table[m[0]]
		if !found {
			continue // a test looks for these
		}
		at := Key{Path: m[0], Meaning: m[1], Secret: k.hidden, Ours: slices.Contains(ours(), m[0])}
		if k.kind != nil {
			p := k.into(usual)
			at.Type = typeName(p)
			at.Default = usualText(p)
		}
		honouredKeys = append(honouredKeys, at)
	}
	return honouredKeys, ignoredKeys, refusedKeys
}

// ours are the honoured keys that zot does not know.
func ours() []string {
	return []string{
		"storage.ignoreForeign", "storage.gcRequestsPerSecond", "storage.delete", "storage.memoryBudget", "http.drainDelay", "http.drainTimeout", "http.maxBlobSize", "http.adminAddress",
		"http.accessControl.repositories.*.immutableTags[].patterns", "http.accessControl.repositories.*.immutableTags[].except", "log.requestLevel", "extensions.tracing.endpoint",
		"http.auth.token", "http.auth.token.enable", "http.auth.token.service",
		"http.h2c", "http.trustedProxies", "http.proxyProtocol", "http.limits.clientConcurrency", "http.limits.maxUploads", "http.limits.maxRequests", "http.limits.minBodyRate",
		"storage.cache.dir", "storage.cache.maxBytes",
		"storage.quotas[].prefix", "storage.quotas[].bytes", "storage.cacheBudget", "storage.cacheMemory",
		"storage.redirectRules[].minSize", "storage.redirectRules[].networks", "storage.redirectRules[].userAgents", "storage.redirectRules[].header",
		"storage.redirectRules[].headerValue", "storage.redirectRules[].redirect",
		"storage.cacheDriver|redis.tls", "storage.cacheDriver|redis.tls.cacert", "storage.cacheDriver|redis.tls.cert", "storage.cacheDriver|redis.tls.key", "storage.cacheDriver|redis.tls.skipVerify",
		"http.auth.ldap.bindDN", "http.auth.ldap.bindPassword",
	}
}

// fileDefaults is a target with what holds where a file says nothing, and an item of each list.
func fileDefaults() *target {
	c := beforeFile()
	t := addPolicy(&target{config: c, store: &c.Storage.Store})
	return addKeepTags(t)
}

// usualText is the value that p points at, as a file would say it. What is empty is not said, but for booleans.
func usualText(p any) string {
	v := reflect.ValueOf(p).Elem()
	n := scalarNode(p)
	switch {
	case n == nil || v.IsZero() && v.Kind() != reflect.Bool && typeName(p) != "level":
		return ""
	case typeName(p) == "size":
		return formatSize(v.Int())
	case typeName(p) == "duration":
		text := n.Value
		for _, none := range []string{"m0s", "h0m"} {
			if strings.HasSuffix(text, none) {
				text = text[:len(text)-2]
			}
		}
		return text
	}
	return n.Value
}

// typeName is the type of the value that p points at, for people.
func typeName(p any) string {
	t := reflect.TypeOf(p).Elem()
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t == reflect.TypeFor[Window]():
		return "times of a day"
	case t.Kind() == reflect.Bool:
		return "boolean"
	case t.Kind() == reflect.Slice:
		return "list of texts"
	case t.Kind() == reflect.Int64:
		return "size"
	case t.Kind() == reflect.Int:
		if strings.Contains(t.Name(), "Level") {
			return "level"
		}
		return "number"
	}
	return "text"
}

// Reference is the reference of all keys, as Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString(`# Configuration

zot's file, JSON or YAML; this page is made by ` + "`holdfast config reference`" + ` from the table by which the file is read. ` + "`holdfast verify FILE`" + ` lists every
problem and warning of a file at once; ` + "`holdfast config show FILE`" + ` prints what a file comes to, ` + "`holdfast config explain KEY`" + ` one line of this page,
and ` + "`holdfast config schema`" + ` a JSON Schema for editors.

Upper and lower case of keys do not matter. A text may name a variable of the environment: ` + "`${NAME}`" + `, or ` + "`${NAME:-default}`" + `. A secret may be in a file instead: the
key's name with ` + "`File`" + ` after it, as ` + "`secretkeyFile`" + `, names it. A duration is ` + "`90s`" + ` or ` + "`1h30m`" + `; a size is bytes, or ` + "`32MiB`" + `. Keys in *italics* are ours; zot does not know them.

| Key | Type | Where the file does not say | Meaning |
|---|---|---|---|
`)
	honoured, ignored, refused := Keys()
	for _, k := range honoured {
		name, kind, usual := "`"+k.Path+"`", k.Type, ""
		if k.Ours {
			name = "*" + name + "*"
		}
		if k.Secret {
			kind = "secret"
		}
		if k.Default != "" {
			usual = "`" + k.Default + "`"
		}
		_, _ = fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", cell(name), kind, cell(usual), cell(k.Meaning))
	}
	b.WriteString("\n`storageDriver|s3` is the section `storageDriver` whose `name` is `s3`; `[]` is an item of a list.\n\n## Accepted, without effect\n\nA warning says so at the start, where somebody may miss the effect.\n\n| Key | |\n|---|---|\n")
	for _, k := range ignored {
		_, _ = fmt.Fprintf(&b, "| %s | %s |\n", cell("`"+k.Path+"`"), cell(k.Meaning))
	}
	b.WriteString("\n## Refused\n\nThe file asks for protection, or a driver, that is not there: it would run otherwise than it says.\n\n| Key | |\n|---|---|\n")
	for _, k := range refused {
		_, _ = fmt.Fprintf(&b, "| %s | %s |\n", cell("`"+k.Path+"`"), cell(k.Meaning))
	}
	return b.String()
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// Explain is what the reference says of the keys that a name means: a whole path, or its end. Upper and lower case do not matter.
func Explain(name string) []Key {
	honoured, ignored, refused := Keys()
	var found []Key
	for _, k := range slices.Concat(honoured, ignored, refused) {
		plain := fold(strings.NewReplacer("|s3", "", "|local", "", "|dynamodb", "", "|redis", "", "[]", "").Replace(k.Path))
		if want := fold(strings.ReplaceAll(name, "[]", "")); plain == want || strings.HasSuffix(plain, "."+want) {
			found = append(found, k)
		}
	}
	return found
}

// Schema is a JSON Schema (2020-12) of the file, for editors: all keys, in the table's spelling, with what they mean. What it accepts Load may
// refuse still: a schema cannot say all.
func Schema() ([]byte, error) {
	said := map[string]string{}
	for _, m := range meanings() {
		said[m[0]] = m[1]
	}
	root := schemaOf(table(), "", said, fileDefaults())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Configuration of Holdfast"
	return json.MarshalIndent(root, "", "  ")
}

// object is a part of a JSON Schema.
type object = map[string]any

func schemaOf(s *spec, path string, said map[string]string, usual *target) object {
	var o object
	switch {
	case s.item != nil:
		item := schemaOf(s.item, path+"[]", said, usual)
		o = object{"oneOf": []object{{"type": "array", "items": item}, item}}
	case s.variants != nil:
		var each []object
		for _, v := range s.variants {
			if v.state == refused {
				continue
			}
			one := schemaOf(v, path+"|"+v.name, said, usual)
			props, _ := one["properties"].(object)
			if props == nil {
				props = object{}
				one["type"], one["properties"], one["additionalProperties"] = "object", props, false
			}
			props["name"] = object{"const": v.name}
			one["required"] = []string{"name"}
			each = append(each, one)
		}
		o = object{"oneOf": each}
	case s.each != nil:
		o = object{"type": "object", "additionalProperties": schemaOf(s.each, path+".*", said, usual)}
	case s.children != nil:
		props := object{}
		for _, child := range s.order {
			props[child.name] = schemaOf(child, join(path, child.name), said, usual)
			if child.hidden && child.children == nil {
				props[child.name+"File"] = object{"type": "string", "description": "a file that holds " + child.name}
			}
		}
		o = object{"type": []string{"object", "null"}, "properties": props, "additionalProperties": false}
	case s.kind != nil && s.into != nil:
		o = valueSchema(typeName(s.into(usual)))
	default:
		o = object{}
	}
	text := said[strings.Replace(path, "storage.subPaths.*", "storage", 1)]
	if text == "" {
		text = s.text
	}
	if text != "" {
		o["description"] = text
	}
	return o
}

func valueSchema(kind string) object {
	variable := object{"type": "string", "pattern": `\$\{`}
	switch kind {
	case "boolean":
		return object{"anyOf": []object{{"type": "boolean"}, {"enum": []any{"true", "false", 0, 1, "0", "1"}}, variable}}
	case "number":
		return object{"anyOf": []object{{"type": "integer"}, {"type": "string", "pattern": `^[0-9]+$`}, variable}}
	case "size":
		return object{"anyOf": []object{{"type": "integer"}, {"type": "string", "pattern": `^[0-9]+ *([KMGT]iB)?$`}, variable}}
	case "duration":
		return object{"anyOf": []object{{"const": 0}, {"type": "string", "pattern": `^-?([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^0?$`}, variable}}
	case "list of texts":
		return object{"anyOf": []object{{"type": "array", "items": object{"type": []string{"string", "number", "boolean"}}}, {"type": "string"}}}
	}
	return object{"type": []string{"string", "number", "boolean", "null"}}
}
