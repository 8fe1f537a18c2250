package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// RestartAs ends replica n when it still runs, and starts it as another holdfast program. A later Restart is of the first program again.
func (c *Cluster) RestartAs(ctx context.Context, n int, binary string) error {
	old := c.replicas[n-1]
	old.stop()
	c.group.forget(old)
	return c.startReplicaAs(ctx, n, binary)
}

// BuildCommit builds the holdfast program as it was at a commit of this repository into dir, which is empty, and returns its path. The caller's
// working directory must be in the repository, whose history must reach so far.
func BuildCommit(ctx context.Context, dir, commit string) (string, error) {
	archive := filepath.Join(dir, "source.tar")
	source := filepath.Join(dir, "source")
	file := filepath.Join(dir, "holdfast")
	if err := os.Mkdir(source, 0o700); err != nil {
		return "", fmt.Errorf("cluster: build %s: %w", commit, err)
	}
	top, err := exec.CommandContext(ctx, "git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return "", fmt.Errorf("cluster: build %s: find the repository: %w", commit, err)
	}
	for _, step := range []struct {
		dir  string
		line []string
	}{
		{string(top[:len(top)-1]), []string{"git", "archive", "--output", archive, commit}},
		{source, []string{"tar", "-xf", archive}},
		{source, []string{"go", "build", "-p", "2", "-trimpath", "-ldflags", "-X main.version=" + commit, "-o", file, "./cmd/holdfast"}},
	} {
		cmd := exec.CommandContext(ctx, step.line[0], step.line[1:]...)
		cmd.Dir = step.dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("cluster: build %s: %s: %w\n%s", commit, step.line[0], err, out)
		}
	}
	return file, nil
}
