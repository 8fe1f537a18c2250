package config

import (
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"holdfast/internal/collect/retain"
)

// Redacted returns the effective configuration as a YAML file that Load reads: what is honoured, defaults
// included, secrets as "***".
func (c *Config) Redacted() string {
	n := effective(table(), &target{config: c, store: &c.Storage.Store})
	text, err := yaml.Marshal(n)
	if err != nil {
		return fmt.Sprintf("# %v\n", err) // only for text that is not UTF-8, which no file has
	}
	return string(text)
}

// effective is the mapping of the keys of a section that go somewhere and are not empty.
func effective(s *spec, t *target) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	add := func(name string, value *yaml.Node) {
		if value.Kind == yaml.ScalarNode || len(value.Content) > 0 {
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, value)
		}
	}
	for _, child := range s.order {
		switch {
		case child.each != nil && child.into != nil:
			stores := &yaml.Node{Kind: yaml.MappingNode}
			for _, route := range slices.Sorted(maps.Keys(t.config.Storage.SubPaths)) {
				store := t.config.Storage.SubPaths[route]
				value := effective(child.each, &target{config: t.config, store: &store})
				stores.Content = append(stores.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "/" + route}, value)
			}
			add(child.name, stores)
		case child.names != nil:
			sections := &yaml.Node{Kind: yaml.MappingNode}
			for _, name := range child.names(t) {
				sections.Content = append(sections.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, effective(child.each, child.named(t, name)))
			}
			add(child.name, sections)
		case child.variants != nil:
			for _, v := range child.variants {
				if v.into != nil && v.name == reflect.ValueOf(v.into(t)).Elem().String() && v.name != string(DriverLocal) {
					value := effective(v, t)
					value.Content = append([]*yaml.Node{{Kind: yaml.ScalarNode, Value: "name"}, {Kind: yaml.ScalarNode, Value: v.name}}, value.Content...)
					add(child.name, value)
				}
			}
		case child.item != nil && child.item.items != nil:
			list := &yaml.Node{Kind: yaml.SequenceNode}
			for _, item := range child.item.items(t) {
				list.Content = append(list.Content, effective(child.item, item))
			}
			add(child.name, list)
		case child.absent(t):
		case child.section():
			add(child.name, effective(child, t))
		case child.into != nil:
			if value := scalarNode(child.into(t)); value != nil {
				add(child.name, value)
			}
		}
	}
	return n
}

// scalarNode is the value that p points at, or nil for an empty text and for nothing.
func scalarNode(p any) *yaml.Node {
	v := reflect.ValueOf(p).Elem()
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	var n yaml.Node
	var err error
	switch value := v.Interface().(type) {
	case time.Duration:
		err = n.Encode(value.String())
	case slog.Level:
		err = n.Encode(formatLevel(value))
	case Window:
		if value == (Window{}) {
			return nil
		}
		err = n.Encode(value.String())
	case []retain.Glob:
		err = n.Encode(texts(value))
	case []retain.Pattern:
		err = n.Encode(texts(value))
	case Secret:
		err = n.Encode(value.String())
	case string:
		err = n.Encode(escape(value))
	default:
		err = n.Encode(value)
	}
	if err != nil || v.Kind() == reflect.String && strings.TrimSpace(v.String()) == "" {
		return nil
	}
	return &n
}

// escape keeps a text that was read from being taken for a variable when it is read again.
func escape(text string) string { return strings.ReplaceAll(text, "${", "$${") }

func texts[T fmt.Stringer](list []T) []string {
	var all []string
	for _, one := range list {
		all = append(all, escape(one.String()))
	}
	return all
}

// absent reports whether a section whose presence means something is not there.
func (s *spec) absent(t *target) bool {
	if !s.section() || s.into == nil || s.children[fold("enable")] != nil {
		return false
	}
	there := reflect.ValueOf(s.into(t)).Elem()
	return (there.Kind() == reflect.Bool || there.Kind() == reflect.Pointer) && there.IsZero()
}
