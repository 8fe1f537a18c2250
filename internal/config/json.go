package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// parseJSON reads a file of JSON. The result is nil for an empty file.
func parseJSON(file string, text []byte) (*node, *Problem) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	j := &jsonReader{file: file, text: text}
	var all json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil { // the decoder below is laxer than this
		var syntax *json.SyntaxError
		at := Pos{File: file}
		if errors.As(err, &syntax) {
			// Offset counts the bytes read, the wrong one among them, or all of them at an early end.
			at = j.pos(max(0, int(syntax.Offset)-1))
		}
		return nil, &Problem{Pos: at, Wrong: "is not JSON: " + strings.TrimPrefix(err.Error(), "json: ")}
	}
	j.dec = json.NewDecoder(bytes.NewReader(text))
	j.dec.UseNumber()
	n, err := j.value(0)
	if err != nil {
		return nil, &Problem{Pos: j.next(), Wrong: "is not JSON that this program reads: " + err.Error()}
	}
	return n, nil
}

// jsonReader builds nodes from a decoder's tokens, which have no limit but those here.
type jsonReader struct {
	file  string
	text  []byte
	dec   *json.Decoder
	nodes int
	line  int // of offset; both only grow
	start int // offset of that line
	seen  int
}

// next is the place of the token that comes next.
func (j *jsonReader) next() Pos {
	offset := int(j.dec.InputOffset())
	for offset < len(j.text) && strings.IndexByte(" \t\r\n,:", j.text[offset]) >= 0 {
		offset++
	}
	return j.pos(offset)
}

// pos is the place of an offset that is not before those asked for earlier. Columns count bytes.
func (j *jsonReader) pos(offset int) Pos {
	for ; j.seen < min(offset, len(j.text)); j.seen++ {
		if j.text[j.seen] == '\n' {
			j.line++
			j.start = j.seen + 1
		}
	}
	return Pos{File: j.file, Line: j.line + 1, Column: offset - j.start + 1}
}

func (j *jsonReader) value(depth int) (*node, error) {
	if j.nodes++; j.nodes > maxNodes || depth > maxDepth {
		return nil, fmt.Errorf("more than %d values, or nested deeper than %d", maxNodes, maxDepth)
	}
	n := &node{Pos: j.next()}
	token, err := j.dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case nil:
	case bool:
		n.kind, n.text = boolNode, fmt.Sprint(t)
	case json.Number:
		n.kind, n.text = numberNode, t.String()
	case string:
		n.kind, n.text = textNode, t
	case json.Delim:
		n.kind = listNode
		if t == '{' {
			n.kind = mapNode
		}
		return n, j.contents(n, depth)
	}
	return n, nil
}

func (j *jsonReader) contents(n *node, depth int) error {
	for j.dec.More() {
		m := member{Pos: j.next()}
		if n.kind == mapNode {
			token, err := j.dec.Token()
			if err != nil {
				return err
			}
			m.name, _ = token.(string) // a key is nothing else
		}
		value, err := j.value(depth + 1)
		if err != nil {
			return err
		}
		if n.kind == listNode {
			n.items = append(n.items, value)
			continue
		}
		m.value = value
		n.members = append(n.members, m)
	}
	_, err := j.dec.Token() // the closing delimiter
	return err
}
