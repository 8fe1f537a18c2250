package oci

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"mime"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Descriptor is the image-spec's.
type Descriptor = v1.Descriptor

// The media types of manifests that are stored. Docker's schema 2 is accepted as it is.
const (
	MediaTypeImageManifest  = v1.MediaTypeImageManifest
	MediaTypeImageIndex     = v1.MediaTypeImageIndex
	MediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// Limits of what one manifest may hold.
const (
	MaxManifestBytes   = 4 << 20
	maxLayers          = 1000
	maxChildren        = 10000
	maxEmbeddedBytes   = 64 << 10
	acceptedMediaTypes = MediaTypeImageManifest + ", " + MediaTypeImageIndex + ", " + MediaTypeDockerManifest + ", " + MediaTypeDockerList
)

// Manifest is what the registry reads of an image manifest or an image index. The bytes are kept
// elsewhere, exactly as they were pushed.
type Manifest struct {
	MediaType    string
	ArtifactType string // as the referrers list shows it: artifactType, else the config's media type; "" for an index without one
	Annotations  map[string]string
	Subject      *Descriptor
	Blobs        []Ref // config first, then the layers; foreign layers are left out
	Foreign      []Ref // layers that clients fetch elsewhere: they need not be here, and are kept when they are
	Children     []Ref // the manifests of an index
}

// BlobDigests are the digests of all blobs that the manifest refers to, foreign layers included.
func (m *Manifest) BlobDigests() []Digest {
	out := make([]Digest, 0, len(m.Blobs)+len(m.Foreign))
	for _, refs := range [][]Ref{m.Blobs, m.Foreign} {
		for _, r := range refs {
			out = append(out, r.Digest)
		}
	}
	return out
}

// Ref is a descriptor and where in the manifest it stands, for messages: "layers[2]".
type Ref struct {
	Field string
	Descriptor
}

// ParseManifest reads a manifest strictly: one JSON object, UTF-8, no key twice, no ambiguity between
// image and index (CVE-2021-41190), keys in their exact case and in no other beside it, sizes and digests
// valid. contentType is the request's Content-Type, parameters allowed, or "" (then the body's mediaType
// decides).
// Errors: MANIFEST_INVALID (UnsupportedType for a media type that is not stored), SIZE_INVALID, DIGEST_INVALID never.
// Spec: "Pushing Manifests".
func ParseManifest(contentType string, body []byte) (*Manifest, error) {
	declared, err := parseContentType(contentType)
	if err != nil {
		return nil, err
	}
	if len(body) > MaxManifestBytes {
		return nil, Errorf(ManifestInvalid, "a manifest has at most %d bytes", MaxManifestBytes).With(TooLarge)
	}
	root, err := parseObject(body)
	if err != nil {
		return nil, err
	}
	return (&manifestReader{root: root}).read(declared)
}

func parseContentType(contentType string) (string, error) {
	if strings.TrimSpace(contentType) == "" {
		return "", nil
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err == nil && isManifestType(mediaType) {
		return mediaType, nil
	}
	return "", &Error{
		Code: ManifestInvalid, Reason: UnsupportedType,
		Message: "this media type is not a manifest that the registry stores",
		Detail:  Field{Field: "Content-Type", Got: Clip(contentType), Want: acceptedMediaTypes},
	}
}

func isManifestType(mediaType string) bool {
	switch mediaType {
	case MediaTypeImageManifest, MediaTypeImageIndex, MediaTypeDockerManifest, MediaTypeDockerList:
		return true
	}
	return false
}

func isIndexType(mediaType string) bool {
	return mediaType == MediaTypeImageIndex || mediaType == MediaTypeDockerList
}

// IsIndex reports whether the manifest is an index (or a Docker manifest list).
func (m *Manifest) IsIndex() bool { return isIndexType(m.MediaType) }

type manifestReader struct{ root map[string]any }

func (r *manifestReader) read(declared string) (*Manifest, error) {
	if err := checkCase("", r.root, "schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations"); err != nil {
		return nil, err
	}
	if n, ok := r.root["schemaVersion"].(json.Number); !ok || n.String() != "2" {
		return nil, invalid("schemaVersion", "must be the number 2 (Docker's schema 1 is not supported)")
	}
	mediaType, err := r.mediaType(declared)
	if err != nil {
		return nil, err
	}
	m := &Manifest{MediaType: mediaType}
	if m.Annotations, err = annotations("annotations", r.root["annotations"]); err != nil {
		return nil, err
	}
	if v, there := r.root["artifactType"]; there {
		if s, ok := v.(string); !ok || (s != "" && !IsMediaType(s)) {
			return nil, invalid("artifactType", "must be a media type")
		} else {
			m.ArtifactType = s
		}
	}
	if v, there := r.root["subject"]; there && v != nil {
		d, err := descriptor("subject", v)
		if err != nil {
			return nil, err
		}
		m.Subject = &d
	}
	if m.IsIndex() {
		return m, r.readIndex(m)
	}
	return m, r.readImage(m)
}

// mediaType settles what the manifest is: header and body must agree, and the body must not look
// like both an image and an index.
func (r *manifestReader) mediaType(declared string) (string, error) {
	_, hasLayers := r.root["layers"]
	_, hasConfig := r.root["config"]
	_, hasManifests := r.root["manifests"]
	if hasManifests && (hasLayers || hasConfig) {
		return "", invalid("manifests", "must not stand beside layers or config: is it an index or an image?")
	}
	var inBody string
	if v, there := r.root["mediaType"]; there {
		s, ok := v.(string)
		if !ok || s == "" {
			return "", invalid("mediaType", "must be a media type")
		}
		inBody = s
	}
	switch {
	case declared == "" && inBody == "":
		if hasManifests {
			declared = MediaTypeImageIndex
		} else {
			declared = MediaTypeImageManifest
		}
	case declared == "":
		if !isManifestType(inBody) {
			return parseContentType(inBody)
		}
		declared = inBody
	case inBody != "" && inBody != declared:
		return "", &Error{Code: ManifestInvalid, Message: "mediaType differs from the Content-Type", Detail: Field{Field: "mediaType", Got: Clip(inBody), Want: declared}}
	}
	if isIndexType(declared) && !hasManifests {
		return "", invalid("manifests", "is required in an index")
	}
	if !isIndexType(declared) && hasManifests {
		return "", invalid("manifests", "must not stand in an image manifest")
	}
	return declared, nil
}

func (r *manifestReader) readImage(m *Manifest) error {
	config, there := r.root["config"]
	if !there || config == nil {
		return invalid("config.digest", "config is required")
	}
	d, err := descriptor("config", config)
	if err != nil {
		return err
	}
	m.Blobs = append(m.Blobs, Ref{"config", d})
	if m.ArtifactType == "" {
		m.ArtifactType = d.MediaType
	}
	layers, ok := r.root["layers"].([]any)
	if !ok {
		return invalid("layers", "a list of layers is required (it may be empty)")
	}
	if len(layers) > maxLayers {
		return invalid("layers", "an image has at most %d layers, this one has %d", maxLayers, len(layers))
	}
	for i, v := range layers {
		field := fmt.Sprintf("layers[%d]", i)
		d, err := descriptor(field, v)
		if err != nil {
			return err
		}
		if isForeignLayer(d.MediaType) {
			m.Foreign = append(m.Foreign, Ref{field, d})
			continue
		}
		m.Blobs = append(m.Blobs, Ref{field, d})
	}
	return nil
}

func (r *manifestReader) readIndex(m *Manifest) error {
	children, ok := r.root["manifests"].([]any)
	if !ok {
		return invalid("manifests", "a list of manifests is required (it may be empty)")
	}
	if len(children) > maxChildren {
		return invalid("manifests", "an index has at most %d children, this one has %d", maxChildren, len(children))
	}
	for i, v := range children {
		field := fmt.Sprintf("manifests[%d]", i)
		d, err := descriptor(field, v)
		if err != nil {
			return err
		}
		if isManifestType(d.MediaType) {
			m.Children = append(m.Children, Ref{field, d})
		} else {
			m.Blobs = append(m.Blobs, Ref{field, d})
		}
	}
	return nil
}

// isForeignLayer reports whether clients fetch a layer of this media type from elsewhere, so that it
// need not be in the registry. image-spec: "Non-Distributable Layers".
func isForeignLayer(mediaType string) bool {
	switch mediaType {
	case v1.MediaTypeImageLayerNonDistributable, //nolint:staticcheck // deprecated in the image-spec, still pushed by clients
		v1.MediaTypeImageLayerNonDistributableGzip, //nolint:staticcheck // as above
		v1.MediaTypeImageLayerNonDistributableZstd, //nolint:staticcheck // as above
		"application/vnd.docker.image.rootfs.foreign.diff.tar",
		"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip":
		return true
	}
	return false
}

// descriptor reads a descriptor (image-spec, "OCI Content Descriptors") at a field of the manifest.
func descriptor(field string, v any) (Descriptor, error) {
	var d Descriptor
	o, ok := v.(map[string]any)
	if !ok {
		return d, invalid(field, "must be a descriptor")
	}
	if err := checkCase(field+".", o, "mediaType", "digest", "size", "annotations", "data", "artifactType"); err != nil {
		return d, err
	}
	if d.MediaType, ok = o["mediaType"].(string); !ok || !isContentType(d.MediaType) {
		return d, invalid(field+".mediaType", "must be a media type")
	}
	text, ok := o["digest"].(string)
	if !ok {
		return d, invalid(field+".digest", "is required")
	}
	var err error
	if d.Digest, err = ParseDigest(text); err != nil {
		return d, &Error{Code: ManifestInvalid, Message: field + ".digest is not a digest", Detail: Field{Field: field + ".digest", Got: Clip(text)}, Err: err}
	}
	number, ok := o["size"].(json.Number)
	if !ok {
		return d, invalid(field+".size", "must be a number of bytes")
	}
	if strings.HasPrefix(number.String(), "-") {
		return d, &Error{Code: SizeInvalid, Message: field + ".size is negative", Detail: Field{Field: field + ".size", Got: Clip(number.String()), Want: "0 or more"}}
	}
	if d.Size, err = number.Int64(); err != nil || d.Size == math.MaxInt64 {
		return d, &Error{Code: ManifestInvalid, Message: field + ".size is not a whole number of bytes", Detail: Field{Field: field + ".size", Got: Clip(number.String())}}
	}
	if d.Annotations, err = annotations(field+".annotations", o["annotations"]); err != nil {
		return d, err
	}
	if d.Data, err = embedded(field+".data", o["data"], d); err != nil {
		return d, err
	}
	if s, there := o["artifactType"]; there {
		if d.ArtifactType, ok = s.(string); !ok {
			return d, invalid(field+".artifactType", "must be a media type")
		}
	}
	return d, nil
}

// embedded checks a descriptor's data field: base64 of exactly the content that it describes.
func embedded(field string, v any, d Descriptor) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	text, ok := v.(string)
	if !ok {
		return nil, invalid(field, "must be base64")
	}
	if len(text) > base64.StdEncoding.EncodedLen(maxEmbeddedBytes) {
		return nil, invalid(field, "holds at most %d bytes", maxEmbeddedBytes)
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, invalid(field, "must be base64")
	}
	if int64(len(data)) != d.Size || !IsDigest(d.Digest, data) {
		return nil, invalid(field, "is not the content that size and digest describe")
	}
	return data, nil
}

// checkCase refuses a key that differs from one that we read in nothing but case: to encoding/json, with
// which most clients read manifests, it is the same key.
func checkCase(prefix string, o map[string]any, keys ...string) error {
	for k := range o {
		for _, key := range keys {
			if k != key && strings.EqualFold(k, key) {
				return invalid(prefix+key, "must be written in this case, not as %q", Clip(k))
			}
		}
	}
	return nil
}

func annotations(field string, v any) (map[string]string, error) {
	if v == nil {
		return nil, nil
	}
	o, ok := v.(map[string]any)
	if !ok {
		return nil, invalid(field, "must be an object of strings")
	}
	out := make(map[string]string, len(o))
	for k, v := range o {
		s, ok := v.(string)
		if !ok {
			return nil, invalid(fmt.Sprintf("%s[%s]", field, Clip(k)), "must be a string")
		}
		out[k] = s
	}
	return out, nil
}

// IsMediaType reports whether s is a media type: type/subtype of restricted names, at most 127 bytes
// each (RFC 6838, 4.2).
func IsMediaType(s string) bool {
	kind, sub, found := strings.Cut(s, "/")
	return found && isRestrictedName(kind) && isRestrictedName(sub)
}

// isContentType is IsMediaType with parameters allowed: the image-spec forbids them in a descriptor, yet
// clients that push plain files write "text/plain; charset=utf-8".
func isContentType(s string) bool {
	mediaType, _, _ := strings.Cut(s, ";")
	return len(s) <= 512 && IsMediaType(strings.TrimSpace(mediaType))
}

func isRestrictedName(s string) bool {
	if s == "" || len(s) > 127 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		alnum := isAlnum(c) || c >= 'A' && c <= 'Z'
		if !alnum && (i == 0 || !strings.ContainsRune("!#$&-^_.+", rune(c))) {
			return false
		}
	}
	return true
}

func invalid(field, format string, args ...any) *Error {
	return &Error{Code: ManifestInvalid, Message: field + ": " + fmt.Sprintf(format, args...), Detail: Field{Field: field}}
}
