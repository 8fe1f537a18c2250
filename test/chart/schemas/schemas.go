// Package schemas makes JSON schemas for kubeconform, which else asks a server for them: from the description of
// the API that the module of Kubernetes has, and from the CustomResourceDefinition of the Gateway API's.
// They are strict: a field that does not exist is refused. Begin at Write.
package schemas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The modules. Kubernetes' is the version that `make kubernetes` runs.
const (
	kubernetes = "k8s.io/kubernetes@v1.34.4"
	gateway    = "sigs.k8s.io/gateway-api@v1.4.0"
)

// Location is what kubeconform needs to find what Write wrote into dir.
func Location(dir string) string {
	return filepath.Join(dir, "{{.Group}}-{{.ResourceAPIVersion}}-{{.ResourceKind}}.json")
}

// Write writes a schema for each kind into dir. The modules are downloaded when they are not there.
func Write(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("schemas: make folder: %w", err)
	}
	if err := writeAPI(ctx, dir); err != nil {
		return err
	}
	return writeRoute(ctx, dir)
}

type object = map[string]any

func writeAPI(ctx context.Context, dir string) error {
	module, err := download(ctx, kubernetes)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(module, "api", "openapi-spec", "swagger.json"))
	if err != nil {
		return fmt.Errorf("schemas: read API: %w", err)
	}
	var api struct{ Definitions object }
	if err := json.Unmarshal(text, &api); err != nil {
		return fmt.Errorf("schemas: read API: %w", err)
	}
	m := maker{api.Definitions}
	for name, definition := range api.Definitions {
		kinds, _ := definition.(object)["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 { // options of requests have one for each group
			continue
		}
		k := kinds[0].(object)
		if err := write(dir, k["group"].(string), k["version"].(string), k["kind"].(string), m.convert(definition, []string{name})); err != nil {
			return err
		}
	}
	return nil
}

func writeRoute(ctx context.Context, dir string) error {
	module, err := download(ctx, gateway)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(module, "config", "crd", "standard", "gateway.networking.k8s.io_httproutes.yaml"))
	if err != nil {
		return fmt.Errorf("schemas: read HTTPRoute: %w", err)
	}
	var definition struct {
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Schema struct {
					OpenAPIV3Schema object `yaml:"openAPIV3Schema"`
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &definition); err != nil {
		return fmt.Errorf("schemas: read HTTPRoute: %w", err)
	}
	for _, v := range definition.Spec.Versions {
		if err := write(dir, definition.Spec.Group, v.Name, definition.Spec.Names.Kind, maker{}.convert(v.Schema.OpenAPIV3Schema, nil)); err != nil {
			return err
		}
	}
	return nil
}

func write(dir, group, version, kind string, schema any) error {
	if properties, ok := schema.(object)["properties"].(object); ok {
		apiVersion := strings.TrimPrefix(group+"/"+version, "/")
		properties["apiVersion"] = object{"const": apiVersion}
		properties["kind"] = object{"const": kind}
	}
	text, err := json.Marshal(schema)
	if err != nil {
		return fmt.Errorf("schemas: encode %s: %w", kind, err)
	}
	if group == "" {
		group = version // so kubeconform has it
	}
	name := group + "-" + version + "-" + strings.ToLower(kind) + ".json"
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
		return fmt.Errorf("schemas: write %s: %w", kind, err)
	}
	return nil
}

// maker turns OpenAPI into JSON schema.
type maker struct{ definitions object }

// convert copies a schema with its references resolved, except one to a definition that it is in itself (within names):
// that may be anything.
func (m maker) convert(v any, names []string) any {
	in, ok := v.(object)
	if !ok {
		return v
	}
	if ref, ok := in["$ref"].(string); ok {
		name := ref[strings.LastIndex(ref, "/")+1:]
		if slices.Contains(names, name) {
			return object{}
		}
		return m.convert(m.definitions[name], append(slices.Clone(names), name))
	}
	if in["format"] == "int-or-string" || in["x-kubernetes-int-or-string"] == true {
		return object{"type": []string{"string", "integer"}}
	}
	out := object{}
	for key, value := range in {
		switch key {
		case "type", "enum", "required", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems":
			out[key] = value
		case "items", "additionalProperties":
			out[key] = m.convert(value, names)
		case "properties":
			properties := object{}
			for name, property := range value.(object) {
				properties[name] = m.convert(property, names)
			}
			out[key] = properties
		case "oneOf", "anyOf", "allOf", "not": // they only repeat required and such, with properties that are not all
		}
	}
	if out["properties"] != nil && out["additionalProperties"] == nil && in["x-kubernetes-preserve-unknown-fields"] != true {
		out["additionalProperties"] = false
	}
	return out
}

// download returns the folder of a module.
func download(ctx context.Context, module string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	cmd.Dir = os.TempDir() // outside our own module, whose go.sum does not know it
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GO111MODULE=on")
	text, err := cmd.Output()
	var answer struct{ Dir, Error string }
	if decodeErr := json.Unmarshal(text, &answer); decodeErr != nil || answer.Error != "" || answer.Dir == "" {
		return "", fmt.Errorf("schemas: download %s: %w", module, errors.Join(err, decodeErr, errors.New(answer.Error)))
	}
	return answer.Dir, nil
}
