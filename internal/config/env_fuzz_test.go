package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzConfigEnv: whatever the environment holds, it is the text of the one key that asks for it, and changes no other.
func FuzzConfigEnv(f *testing.F) {
	for _, value := range []string{"", "a", "a\nhttp: {port: 1}", `", "x": "`, "${B}", "$${", "${", "}", "\x00", "\xff", "# x", "/../..", "*a", "!!int 1", "null"} {
		f.Add(value, false)
		f.Add(value, true)
	}
	usual, _, err := load("c.yaml", []byte("storage: {rootDirectory: /d}\nlog: {output: /log}\n"), environment(), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value string, asJSON bool) {
		file, text := "c.yaml", "storage: {rootDirectory: /d}\nlog: {output: \"/log${A}\"}\n"
		if asJSON {
			file, text = "c.json", `{"storage": {"rootDirectory": "/d"}, "log": {"output": "/log${A}"}}`
		}
		c, r, err := load(file, []byte(text), environment("A", value, "B", "never"), nil)
		if err != nil {
			for _, p := range r.Problems {
				if p.Path != "log.output" {
					t.Errorf("%q is a problem of %s", value, p.String())
				}
			}
			return
		}
		if c.Log.Output != "/log"+value {
			t.Errorf("%q gives %q", value, c.Log.Output)
		}
		c.Log.Output = usual.Log.Output
		if diff := cmp.Diff(usual, c); diff != "" {
			t.Errorf("%q changes another key:\n%s", value, diff)
		}
	})
}
