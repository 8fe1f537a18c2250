package logins

import (
	"fmt"
	"os"
	"testing"

	"holdfast/test/cluster"
)

// built is where the program is built: once, for all tests of the package.
var built string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "holdfast-logins-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	built = dir
	code := m.Run()
	_ = os.RemoveAll(dir) // what is left is a temporary folder
	os.Exit(code)
}

func binary(t *testing.T) string {
	t.Helper()
	path, err := cluster.Build(t.Context(), built) // again it takes no time: nothing has changed
	if err != nil {
		t.Fatal(err)
	}
	return path
}
