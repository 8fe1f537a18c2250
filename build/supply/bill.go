package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
)

// The parts of CycloneDX 1.6 that a bill has.
type (
	bill struct {
		Format       string       `json:"bomFormat"`
		Spec         string       `json:"specVersion"`
		Serial       string       `json:"serialNumber"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Component component `json:"component"`
	}
	component struct {
		Ref        string     `json:"bom-ref"`
		Type       string     `json:"type"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		URL        string     `json:"purl"`
		Hashes     []hash     `json:"hashes,omitempty"`
		Licences   []licence  `json:"licenses,omitempty"`
		Properties []property `json:"properties,omitempty"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	licence struct {
		License struct {
			ID string `json:"id"`
		} `json:"license"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref string   `json:"ref"`
		On  []string `json:"dependsOn,omitempty"`
	}
)

// billOf lists the binary, the standard library that is in it, and its modules. It says nothing of when it was made, and its number is made of the binary's
// hash, so that the same binary has the same bill.
func billOf(file, version string, info *debug.BuildInfo, modules []module) ([]byte, error) {
	binary, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("supply: read the binary: %w", err)
	}
	sum := sha256.Sum256(binary)
	self := component{
		Ref: "holdfast", Type: "application", Name: "holdfast", Version: version, URL: "pkg:generic/holdfast@" + version,
		Hashes: []hash{{"SHA-256", hex.EncodeToString(sum[:])}}, Licences: licences("Apache-2.0"),
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "GOOS", "GOARCH", "CGO_ENABLED", "-tags", "-trimpath":
			self.Properties = append(self.Properties, property{"holdfast:build:" + s.Key, s.Value})
		}
	}
	b := bill{
		Format: "CycloneDX", Spec: "1.6", Serial: "urn:uuid:" + uuid(sum), Version: 1, Metadata: metadata{self},
		Components: []component{standardLibrary(strings.TrimPrefix(info.GoVersion, "go"))},
	}
	for _, m := range modules {
		c := component{Type: "library", Name: m.path, Version: m.version, URL: "pkg:golang/" + m.path + "@" + m.version, Licences: licences(m.licences...)}
		if c.Ref = c.URL; m.sum != "" {
			c.Properties = []property{{"holdfast:go.sum", m.sum}}
		}
		b.Components = append(b.Components, c)
	}
	top := dependency{Ref: self.Ref}
	for _, c := range b.Components {
		top.On = append(top.On, c.Ref)
	}
	b.Dependencies = []dependency{top}
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("supply: write the bill: %w", err)
	}
	return append(text, '\n'), nil
}

func standardLibrary(version string) component {
	url := "pkg:golang/stdlib@" + version
	return component{Ref: url, Type: "library", Name: "stdlib", Version: version, URL: url, Licences: licences("BSD-3-Clause")}
}

func licences(ids ...string) []licence {
	all := make([]licence, len(ids))
	for i, id := range ids {
		all[i].License.ID = id
	}
	return all
}

// uuid is a UUID, version 8 (RFC 9562), of a hash's first bytes.
func uuid(sum [sha256.Size]byte) string {
	u := sum[:16]
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
