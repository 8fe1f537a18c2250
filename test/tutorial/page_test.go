//go:build linux

package tutorial

import (
	"reflect"
	"testing"
)

func TestParse(t *testing.T) {
	page := "# T\n```sh\nmake\n```\n## One\n```yaml host=1,2 file=/etc/x\na: b\n```\n## Two\n```sh host=3 one-by-one under-load\nls\n\nls\n```\n"
	got, err := parse(page)
	want := []block{
		{line: 7, section: "One", hosts: []string{"1", "2"}, file: "/etc/x", text: "a: b\n"},
		{line: 11, section: "Two", hosts: []string{"3"}, oneByOne: true, load: true, text: "ls\n\nls\n"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, wrong := range []string{"```sh hots=1\n```\n", "```sh host=1\n", "```sh host=1\n```\n"} {
		if got, err := parse(wrong); err == nil {
			t.Errorf("%q gives %+v", wrong, got)
		}
	}
}
