package main

import (
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// spdxType is the media type of a bill of materials in SPDX's JSON.
const spdxType = "application/spdx+json"

// The parts of SPDX 2.3 that a bill has.
type (
	spdx struct {
		Version       string         `json:"spdxVersion"`
		DataLicense   string         `json:"dataLicense"`
		ID            string         `json:"SPDXID"`
		Name          string         `json:"name"`
		Namespace     string         `json:"documentNamespace"`
		Creation      spdxCreation   `json:"creationInfo"`
		Packages      []spdxPackage  `json:"packages"`
		Relationships []spdxRelation `json:"relationships"`
	}
	spdxCreation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		Name          string         `json:"name"`
		ID            string         `json:"SPDXID"`
		Version       string         `json:"versionInfo"`
		Location      string         `json:"downloadLocation"`
		FilesAnalyzed bool           `json:"filesAnalyzed"`
		Purpose       string         `json:"primaryPackagePurpose,omitempty"`
		External      []spdxExternal `json:"externalRefs,omitempty"`
		Declared      string         `json:"licenseDeclared"`
		Concluded     string         `json:"licenseConcluded"`
		Copyright     string         `json:"copyrightText"`
	}
	spdxExternal struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxRelation struct {
		From string `json:"spdxElementId"`
		Type string `json:"relationshipType"`
		To   string `json:"relatedSpdxElement"`
	}
)

// attachBill writes what the program says of the modules that it was built from, as a referrer of its image.
func (i image) attachBill(l *layout, p program, subject v1.Descriptor) (v1.Descriptor, error) {
	info, err := buildinfo.ReadFile(p.File)
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("image: read build information: %w", err)
	}
	content, err := l.json(spdxType, i.bill(info, subject))
	if err != nil {
		return v1.Descriptor{}, err
	}
	config, err := l.blob(v1.MediaTypeEmptyJSON, []byte("{}"))
	if err != nil {
		return v1.Descriptor{}, err
	}
	return l.attach(subject, spdxType, config, content)
}

// bill lists the program, the toolchain whose standard library is in it, and its modules.
func (i image) bill(info *debug.BuildInfo, subject v1.Descriptor) spdx {
	const document, self = "SPDXRef-DOCUMENT", "SPDXRef-holdfast"
	s := spdx{
		Version: "SPDX-2.3", DataLicense: "CC0-1.0", ID: document, Name: "holdfast " + i.Version,
		// Of the content, not of a random number: the same image has the same bill.
		Namespace: "urn:oci:holdfast:" + subject.Digest.Encoded(),
		Creation:  spdxCreation{Created: i.Created.Format(time.RFC3339), Creators: []string{"Tool: holdfast-build-image"}},
		Packages: []spdxPackage{{
			Name: "holdfast", ID: self, Version: i.Version, Location: "NOASSERTION", Purpose: "APPLICATION",
			Declared: "Apache-2.0", Concluded: "NOASSERTION", Copyright: "NOASSERTION",
		}},
		Relationships: []spdxRelation{{From: document, Type: "DESCRIBES", To: self}},
	}
	add := func(p spdxPackage) {
		p.Location, p.Declared, p.Concluded, p.Copyright = "NOASSERTION", "NOASSERTION", "NOASSERTION", "NOASSERTION"
		s.Packages = append(s.Packages, p)
		s.Relationships = append(s.Relationships, spdxRelation{From: self, Type: "DEPENDS_ON", To: p.ID})
	}
	add(modulePackage("stdlib", strings.TrimPrefix(info.GoVersion, "go"), ""))
	for _, m := range slices.SortedFunc(slices.Values(info.Deps), func(a, b *debug.Module) int { return strings.Compare(a.Path, b.Path) }) {
		if m.Replace != nil {
			m = m.Replace
		}
		add(modulePackage(m.Path, m.Version, m.Sum))
	}
	return s
}

// modulePackage is a Go module. sum is that of go.sum, or empty.
func modulePackage(path, version, sum string) spdxPackage {
	locator := "pkg:golang/" + path + "@" + version
	if sum != "" {
		locator += "?checksum=" + url.QueryEscape(sum)
	}
	return spdxPackage{
		Name: path, ID: "SPDXRef-" + hex.EncodeToString([]byte(path)), Version: version,
		External: []spdxExternal{{Category: "PACKAGE-MANAGER", Type: "purl", Locator: locator}},
	}
}
