//go:build linux

package tutorial

import (
	"fmt"
	"slices"
	"strings"
)

// block is a code block of the page that is carried out.
type block struct {
	line     int    // of its first line of text, from 1
	section  string // the heading that it is below
	hosts    []string
	file     string // "": commands
	oneByOne bool
	load     bool
	text     string
}

// parse returns the blocks with hosts, in their order. Errors: a word after the language that nobody knows, a block that does not end.
func parse(page string) ([]block, error) {
	var blocks []block
	var at *block // the block that is open; one without hosts is left out
	open, section := false, ""
	for i, line := range strings.Split(page, "\n") {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open:
			if len(at.hosts) > 0 {
				blocks = append(blocks, *at)
			}
			open = false
		case fence:
			open, at = true, &block{line: i + 2, section: section}
			words := strings.Fields(info)
			for _, word := range words[min(1, len(words)):] {
				name, value, _ := strings.Cut(word, "=")
				switch name {
				case "host":
					at.hosts = strings.Split(value, ",")
				case "file":
					at.file = value
				case "one-by-one":
					at.oneByOne = true
				case "under-load":
					at.load = true
				default:
					return nil, fmt.Errorf("tutorial: line %d: %q is not known", i+1, word)
				}
			}
		case open:
			at.text += line + "\n"
		case strings.HasPrefix(line, "## "):
			section = strings.TrimPrefix(line, "## ")
		}
	}
	if open {
		return nil, fmt.Errorf("tutorial: the block of line %d does not end", at.line)
	}
	if !slices.ContainsFunc(blocks, func(b block) bool { return b.load }) {
		return nil, fmt.Errorf("tutorial: no block is under load")
	}
	return blocks, nil
}
