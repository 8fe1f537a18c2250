package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Build builds the holdfast program into dir and returns its path; with
// HOLDFAST_TEST_BINARY set it returns that instead. The caller's working
// directory must be in the module.
func Build(ctx context.Context, dir string) (string, error) {
	if path := os.Getenv("HOLDFAST_TEST_BINARY"); path != "" {
		return filepath.Abs(path)
	}
	file := filepath.Join(dir, "holdfast")
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", "grpcnotrace", "-o", file, "holdfast/cmd/holdfast")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cluster: build holdfast: %w\n%s", err, out)
	}
	return file, nil
}
