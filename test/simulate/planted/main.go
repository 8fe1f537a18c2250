// Planted builds a program of this module with planted bugs in it, for checkers to find:
//
//	go run ./test/simulate/planted -build ./cmd/holdfast -o /tmp/holdfast-planted
//	HOLDFAST_PLANTED=no-last-look /tmp/holdfast-planted serve
//
// Without -build it lists the bugs.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"holdfast/test/simulate/plant"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	build := flag.String("build", "", "the package to build, such as ./cmd/holdfast")
	out := flag.String("o", "", "the file to write")
	test := flag.Bool("test", false, "build the package's tests")
	flag.Parse()
	if *build == "" || *out == "" {
		for _, bug := range plant.Bugs() {
			fmt.Printf("%-34s %s\n", bug.Name, bug.Rule)
		}
		return nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	root, err := plant.Root(ctx)
	if err != nil {
		return err
	}
	path, err := filepath.Abs(*out)
	if err != nil {
		return err
	}
	return plant.Build(ctx, root, *build, path, *test)
}
