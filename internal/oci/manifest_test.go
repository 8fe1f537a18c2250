package oci_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	"holdfast/internal/oci"
)

const imageType = oci.MediaTypeImageManifest

func descriptor(members string) string {
	return `{"mediaType":"application/octet-stream","digest":"sha256:` + hex64 + `","size":7` + members + `}`
}

func image(members string) string {
	return `{"schemaVersion":2,"config":` + descriptor("") + `,"layers":[` + descriptor("") + `]` + members + `}`
}

func index(members string) string {
	return `{"schemaVersion":2,"manifests":[` + strings.Replace(descriptor(""), "application/octet-stream", imageType, 1) + `]` + members + `}`
}

func TestManifestsThatAreTaken(t *testing.T) {
	embedded := fmt.Sprintf(`{"mediaType":"a/b","digest":%q,"size":2,"data":%q}`, digest.FromString("{}"), base64.StdEncoding.EncodeToString([]byte("{}")))
	for _, x := range []struct {
		name, contentType, body string
		want                    string // media type, artifact type, blobs, children, subject
	}{
		{"an image", imageType, image(""), imageType + " application/octet-stream [config layers[0]] [] "},
		{"an image without a Content-Type", "", image(`,"mediaType":"` + imageType + `"`), imageType + " application/octet-stream [config layers[0]] [] "},
		{"an image without any type", "", image(""), imageType + " application/octet-stream [config layers[0]] [] "},
		{"a Content-Type with parameters", imageType + "; charset=utf-8", image(""), imageType + " application/octet-stream [config layers[0]] [] "},
		{"Docker's image", oci.MediaTypeDockerManifest, image(""), oci.MediaTypeDockerManifest + " application/octet-stream [config layers[0]] [] "},
		{"an artifact", imageType, image(`,"artifactType":"a/b"`), imageType + " a/b [config layers[0]] [] "},
		{"a subject", imageType, image(`,"subject":` + descriptor("")), imageType + " application/octet-stream [config layers[0]] [] sha256:" + hex64},
		{"a subject that is null", imageType, image(`,"subject":null`), imageType + " application/octet-stream [config layers[0]] [] "},
		{"no layers", imageType, `{"schemaVersion":2,"config":` + descriptor("") + `,"layers":[]}`, imageType + " application/octet-stream [config] [] "},
		{"a foreign layer is left out", imageType, strings.Replace(image(""), `"layers":[{"mediaType":"application/octet-stream"`, `"layers":[{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"`, 1), imageType + " application/octet-stream [config] [] "},
		{"embedded data", imageType, image(`,"subject":` + embedded), imageType + " application/octet-stream [config layers[0]] [] " + string(digest.FromString("{}"))},
		{"an index", oci.MediaTypeImageIndex, index(""), oci.MediaTypeImageIndex + "  [] [manifests[0]] "},
		{"an index without any type", "", index(`,"artifactType":"a/b"`), oci.MediaTypeImageIndex + " a/b [] [manifests[0]] "},
		{"Docker's list", oci.MediaTypeDockerList, index(""), oci.MediaTypeDockerList + "  [] [manifests[0]] "},
		{"an index of what is no manifest", "", `{"schemaVersion":2,"manifests":[` + descriptor("") + `]}`, oci.MediaTypeImageIndex + "  [manifests[0]] [] "},
		{"an empty index", oci.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[]}`, oci.MediaTypeImageIndex + "  [] [] "},
		{"a parameter in a descriptor's type", "", image(`,"subject":` + strings.Replace(descriptor(""), "application/octet-stream", "text/plain; charset=utf-8", 1)), imageType + " application/octet-stream [config layers[0]] [] sha256:" + hex64},
		{"annotations, in any case", "", image(`,"annotations":{"a":"1","A":"2","Layers":"3"}`), imageType + " application/octet-stream [config layers[0]] [] "},
		{"members that nobody knows", "", image(`,"x":{"Layers":[1,{"a":true}]}`), imageType + " application/octet-stream [config layers[0]] [] "},
	} {
		t.Run(x.name, func(t *testing.T) {
			m, err := oci.ParseManifest(x.contentType, []byte(x.body))
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("%s %s %s %s ", m.MediaType, m.ArtifactType, fields(m.Blobs), fields(m.Children))
			if m.Subject != nil {
				got += string(m.Subject.Digest)
			}
			if got != x.want {
				t.Errorf("%q, want %q", got, x.want)
			}
		})
	}
}

func fields(refs []oci.Ref) []string {
	out := []string{}
	for _, r := range refs {
		out = append(out, r.Field)
	}
	return out
}

func TestManifestsThatAreRefused(t *testing.T) {
	list := func(n int) string { return strings.TrimSuffix(strings.Repeat(descriptor("")+",", n), ",") }
	layer := func(members string) string {
		return `{"schemaVersion":2,"config":` + descriptor("") + `,"layers":[` + members + `]}`
	}
	for _, x := range []struct {
		name, contentType, body string
		reason                  oci.Reason
		code                    oci.Code // "" is MANIFEST_INVALID
		says                    string
	}{
		{name: "nothing", body: "", says: "unexpected EOF"},
		{name: "null", body: "null", says: "object"},
		{name: "a list", body: "[]", says: "object"},
		{name: "a string", body: `"x"`, says: "object"},
		{name: "a syntax error", body: `{"schemaVersion":2,,`, says: "byte 19"},
		{name: "no end", body: `{"schemaVersion":2`, says: "unexpected EOF"},
		{name: "no end of a list", body: `{"a":[1`, says: "unexpected EOF"},
		{name: "no value", body: `{"a"`, says: "unexpected EOF"},
		{name: "a key that is none", body: `{1:2}`, says: "byte"},
		{name: "a wrong end of a list", body: `{"a":[1}}`, says: "byte"},
		{name: "a wrong end of an object", body: `{"a":1]`, says: "byte"},
		{name: "something after the end", body: image("") + `{"x":1}`, says: "after the manifest's end"},
		{name: "a byte order mark", body: "\ufeff" + image(""), says: "byte 1"},
		{name: "no UTF-8", body: `{"a":"é` + "\xff" + `"}`, says: "byte 8"},
		{name: "a key twice", body: image(`,"layers":[]`), says: `"layers" occurs twice`},
		{name: "a key twice within", body: image(`,"x":[{"a":1,"\u0061":2}]`), says: `"a" occurs twice`},
		{name: "a key that a parser takes for another", body: image(`,"Layers":[]`), says: `layers: must be written in this case, not as "Layers"`},
		{name: "a key that a parser takes for one that is not there", body: image(`,"ſubject":` + descriptor("")), says: "subject"},
		{name: "a descriptor's key in capitals", body: layer(descriptor(`,"Digest":"x"`)), says: "layers[0].digest"},
		{name: "too deep, objects", body: strings.Repeat(`{"a":`, 200000), says: "64"},
		{name: "too deep, lists", body: `{"a":` + strings.Repeat(`[`, 65), says: "64"},
		{name: "no schemaVersion", body: `{}`, says: "schemaVersion"},
		{name: "schemaVersion 1", body: `{"schemaVersion":1}`, says: "schemaVersion"},
		{name: "schemaVersion is a string", body: `{"schemaVersion":"2"}`, says: "schemaVersion"},
		{name: "another type", contentType: "text/html", body: image(""), reason: oci.UnsupportedType, says: "media type"},
		{name: "another type in the body", body: image(`,"mediaType":"text/html"`), reason: oci.UnsupportedType, says: "media type"},
		{name: "a type that is none", contentType: ";", body: image(""), reason: oci.UnsupportedType, says: "media type"},
		{name: "two types", contentType: oci.MediaTypeDockerManifest, body: image(`,"mediaType":"` + imageType + `"`), says: "differs"},
		{name: "mediaType is a number", body: image(`,"mediaType":1`), says: "mediaType"},
		{name: "layers and manifests", contentType: imageType, body: image(`,"manifests":[]`), says: "index or an image"},
		{name: "an image said to be an index", contentType: oci.MediaTypeImageIndex, body: image(""), says: "manifests"},
		{name: "an index said to be an image", contentType: imageType, body: index(""), says: "manifests"},
		{name: "manifests is null", body: `{"schemaVersion":2,"manifests":null}`, says: "manifests"},
		{name: "no config", body: `{"schemaVersion":2,"layers":[]}`, says: "config"},
		{name: "config is null", body: `{"schemaVersion":2,"layers":[],"config":null}`, says: "config"},
		{name: "config is a list", body: `{"schemaVersion":2,"layers":[],"config":[]}`, says: "config"},
		{name: "no layers", body: `{"schemaVersion":2,"config":` + descriptor("") + `}`, says: "layers"},
		{name: "too many layers", body: layer(list(1001)), says: "1000"},
		{name: "too many children", body: `{"schemaVersion":2,"manifests":[` + list(10001) + `]}`, says: "10000"},
		{name: "a child that is none", body: `{"schemaVersion":2,"manifests":[1]}`, says: "manifests[0]"},
		{name: "a layer that is none", body: layer(`1`), says: "layers[0]"},
		{name: "no media type", body: layer(`{"digest":"sha256:` + hex64 + `","size":1}`), says: "layers[0].mediaType"},
		{name: "no digest", body: layer(`{"mediaType":"a/b","size":1}`), says: "layers[0].digest"},
		{name: "a wrong digest", body: layer(`{"mediaType":"a/b","digest":"sha256:x","size":1}`), says: "layers[0].digest"},
		{name: "no size", body: layer(`{"mediaType":"a/b","digest":"sha256:` + hex64 + `"}`), says: "layers[0].size"},
		{name: "a negative size", body: layer(`{"mediaType":"a/b","digest":"sha256:` + hex64 + `","size":-1}`), code: oci.SizeInvalid, says: "layers[0].size"},
		{name: "a fraction for a size", body: layer(`{"mediaType":"a/b","digest":"sha256:` + hex64 + `","size":1.5}`), says: "layers[0].size"},
		{name: "a size that is too large", body: layer(`{"mediaType":"a/b","digest":"sha256:` + hex64 + `","size":9223372036854775807}`), says: "layers[0].size"},
		{name: "a subject that is a string", body: image(`,"subject":"x"`), says: "subject"},
		{name: "an artifactType that is a number", body: image(`,"artifactType":1`), says: "artifactType"},
		{name: "an artifactType that is no type", body: image(`,"artifactType":"x"`), says: "artifactType"},
		{name: "a descriptor's artifactType is a number", body: layer(descriptor(`,"artifactType":1`)), says: "layers[0].artifactType"},
		{name: "annotations are a list", body: image(`,"annotations":[]`), says: "annotations"},
		{name: "an annotation is a number", body: image(`,"annotations":{"k":1}`), says: "annotations[k]"},
		{name: "a descriptor's annotation is a number", body: layer(descriptor(`,"annotations":{"k":1}`)), says: "layers[0].annotations[k]"},
		{name: "data is a number", body: layer(descriptor(`,"data":1`)), says: "layers[0].data"},
		{name: "data is not base64", body: layer(descriptor(`,"data":"!"`)), says: "layers[0].data"},
		{name: "data of other content", body: layer(descriptor(`,"data":"e30="`)), says: "layers[0].data"},
		{name: "too much data", body: layer(descriptor(`,"data":"` + strings.Repeat("A", 90000) + `"`)), says: "65536"},
		{name: "too many bytes", body: image(strings.Repeat(" ", oci.MaxManifestBytes)), reason: oci.TooLarge, says: "4194304"},
	} {
		t.Run(x.name, func(t *testing.T) {
			m, err := oci.ParseManifest(x.contentType, []byte(x.body))
			var e *oci.Error
			if !errors.As(err, &e) {
				t.Fatalf("%+v, %v", m, err)
			}
			if x.code == "" {
				x.code = oci.ManifestInvalid
			}
			if e.Code != x.code || e.Reason != x.reason || !strings.Contains(e.Message, x.says) {
				t.Errorf("%+v, want %s, reason %d, saying %q", e, x.code, x.reason, x.says)
			}
		})
	}
}

// What the standard library's parser, which most clients use, sees of a manifest.
type seen struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *seenDescriptor   `json:"config"`
	Layers        []seenDescriptor  `json:"layers"`
	Manifests     []seenDescriptor  `json:"manifests"`
	Subject       *seenDescriptor   `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

type seenDescriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	Annotations  map[string]string `json:"annotations"`
	Data         []byte            `json:"data"`
	ArtifactType string            `json:"artifactType"`
}

func (d *seenDescriptor) descriptor() oci.Descriptor {
	return oci.Descriptor{MediaType: d.MediaType, Digest: oci.Digest(d.Digest), Size: d.Size, Annotations: d.Annotations, Data: d.Data, ArtifactType: d.ArtifactType}
}

// FuzzParseManifest: whatever the bytes, they are read or refused; what is taken, every client reads alike;
// and nothing can be added to it unseen.
func FuzzParseManifest(f *testing.F) {
	for _, body := range []string{
		"", "{}", "null", "[]", "{", image(""), index(""), image(`,"mediaType":"` + imageType + `"`), image(`,"subject":` + descriptor("")), image(`,"artifactType":"a/b","annotations":{"k":"v"}`),
		image(`,"Layers":[]`), image(`,"layers":[]`), image(`,"x":[1,-0,1e9,null,true,"\ud800"]`), index(`,"artifactType":"a/b"`), image("") + "{}", image(`,"manifests":[]`),
		strings.Replace(image(""), `"size":7`, `"size":1e0`, 1), strings.Replace(image(""), `"size":7`, `"size":-0`, 1), strings.Repeat(`{"a":`, 70), "\ufeff{}", image(`,"config":` + descriptor(`,"data":"e30="`)),
	} {
		f.Add("", []byte(body))
		f.Add(imageType, []byte(body))
		f.Add(oci.MediaTypeImageIndex+"; a=b", []byte(body))
	}
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		m, err := oci.ParseManifest(contentType, body)
		if err != nil {
			var e *oci.Error
			if !errors.As(err, &e) || e.Code != oci.ManifestInvalid && e.Code != oci.SizeInvalid || e.Message == "" {
				t.Errorf("refused by %#v", err)
			}
			return
		}
		var s seen
		if err := json.Unmarshal(body, &s); err != nil {
			t.Fatalf("taken, and no JSON to others: %v", err)
		}
		if diff := cmp.Diff(whatIsSeen(m, &s), m, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("others see something else (-others +we):\n%s", diff)
		}
		if again, err := oci.ParseManifest(m.MediaType, body); err != nil || cmp.Diff(m, again) != "" {
			t.Errorf("by its own type it is %+v, %v, not %+v", again, err, m)
		}
		open := strings.IndexByte(string(body), '{')
		for _, ambiguous := range []string{string(body) + "{}", string(body) + "\x00", `{"schemaVersion":2,` + string(body[open+1:]), string(body[:open]) + `{"SchemaVersion":2,` + string(body[open+1:])} {
			if _, err := oci.ParseManifest(contentType, []byte(ambiguous)); err == nil {
				t.Errorf("%q is taken", ambiguous)
			}
		}
		if _, err := oci.ParseManifest(contentType, []byte(string(body)+" \n")); err != nil && len(body)+2 <= oci.MaxManifestBytes {
			t.Errorf("with space after it, it is refused: %v", err)
		}
	})
}

// whatIsSeen is the manifest that others read, in our terms; what of it we leave out is left to m.
func whatIsSeen(m *oci.Manifest, s *seen) *oci.Manifest {
	out := &oci.Manifest{MediaType: s.MediaType, ArtifactType: s.ArtifactType, Annotations: s.Annotations}
	if s.SchemaVersion != 2 {
		out.MediaType = "not of version 2"
	}
	if out.MediaType == "" {
		out.MediaType = m.MediaType
	}
	if s.Subject != nil {
		d := s.Subject.descriptor()
		out.Subject = &d
	}
	if m.IsIndex() {
		for i, d := range s.Manifests {
			ref := oci.Ref{Field: fmt.Sprintf("manifests[%d]", i), Descriptor: d.descriptor()}
			switch d.MediaType {
			case imageType, oci.MediaTypeImageIndex, oci.MediaTypeDockerManifest, oci.MediaTypeDockerList:
				out.Children = append(out.Children, ref)
			default:
				out.Blobs = append(out.Blobs, ref)
			}
		}
		return out
	}
	out.Blobs = append(out.Blobs, oci.Ref{Field: "config", Descriptor: s.Config.descriptor()})
	if out.ArtifactType == "" {
		out.ArtifactType = s.Config.MediaType
	}
	for i, d := range s.Layers {
		if !strings.Contains(d.MediaType, "nondistributable") && !strings.Contains(d.MediaType, "foreign") {
			out.Blobs = append(out.Blobs, oci.Ref{Field: fmt.Sprintf("layers[%d]", i), Descriptor: d.descriptor()})
		}
	}
	return out
}
