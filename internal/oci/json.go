package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxDepth is how deeply objects and lists of a manifest may nest.
const maxDepth = 64

// parseObject reads one JSON object and nothing after it, into maps (keys in their exact case), slices,
// strings, json.Numbers, bools and nils. It refuses what two parsers could read differently: a key that
// occurs twice, a byte order mark, invalid UTF-8, trailing data. Errors: MANIFEST_INVALID with the
// offset in bytes.
func parseObject(body []byte) (map[string]any, error) {
	if !utf8.Valid(body) {
		return nil, Errorf(ManifestInvalid, "the manifest is not UTF-8, from byte %d", firstInvalid(body))
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	first, err := dec.Token()
	if err != nil {
		return nil, syntaxError(dec, err)
	}
	if first != json.Delim('{') {
		return nil, Errorf(ManifestInvalid, "the manifest is not a JSON object")
	}
	root, err := readObject(dec, 1)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, Errorf(ManifestInvalid, "there is something after the manifest's end, at byte %d", dec.InputOffset())
	}
	return root, nil
}

func firstInvalid(body []byte) int {
	offset := 0
	for len(body) > 0 {
		r, size := utf8.DecodeRune(body)
		if r == utf8.RuneError && size == 1 {
			break
		}
		body = body[size:]
		offset += size
	}
	return offset
}

func readValue(dec *json.Decoder, depth int) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, syntaxError(dec, err)
	}
	switch token {
	case json.Delim('{'):
		return readObject(dec, depth+1)
	case json.Delim('['):
		return readList(dec, depth+1)
	}
	return token, nil
}

func readObject(dec *json.Decoder, depth int) (map[string]any, error) {
	if depth > maxDepth {
		return nil, depthError(dec)
	}
	out := make(map[string]any)
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, syntaxError(dec, err)
		}
		key, ok := token.(string)
		if !ok {
			return nil, syntaxError(dec, fmt.Errorf("a key is not a string"))
		}
		if _, twice := out[key]; twice {
			return nil, Errorf(ManifestInvalid, "key %q occurs twice, at byte %d", Clip(key), dec.InputOffset())
		}
		if out[key], err = readValue(dec, depth); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token() // the closing brace
	if err != nil {
		return nil, syntaxError(dec, err)
	}
	return out, nil
}

func readList(dec *json.Decoder, depth int) ([]any, error) {
	if depth > maxDepth {
		return nil, depthError(dec)
	}
	out := []any{}
	for dec.More() {
		v, err := readValue(dec, depth)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	if _, err := dec.Token(); err != nil {
		return nil, syntaxError(dec, err)
	}
	return out, nil
}

func depthError(dec *json.Decoder) *Error {
	return Errorf(ManifestInvalid, "the manifest nests deeper than %d levels, at byte %d", maxDepth, dec.InputOffset())
}

func syntaxError(dec *json.Decoder, err error) *Error {
	offset := dec.InputOffset()
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		offset = syntax.Offset
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return &Error{Code: ManifestInvalid, Message: fmt.Sprintf("the manifest is not JSON: %v at byte %d", err, offset)}
}
