package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run builds a program for each platform and packs them.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	dir := flags.String("out", "bin/image", "folder of the OCI layout; one that is there is replaced")
	version := flags.String("version", "unknown", "version of the program, and the tag in the layout")
	revision := flags.String("revision", "", "commit of the source, for a label")
	created := flags.String("created", "0", "seconds since 1970: the time of all files and labels, as SOURCE_DATE_EPOCH")
	tags := flags.String("tags", "", "build tags of the program")
	arches := flags.String("arch", "amd64,arm64", "architectures, with commas")
	keyFile := flags.String("key", "", "ECDSA P-256 key, PKCS #8 in PEM, that signs; empty: no signatures")
	reference := flags.String("reference", "holdfast", "the name without a tag under which the image will be published: it is signed too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	seconds, err := strconv.ParseInt(*created, 10, 64)
	if err != nil {
		return fmt.Errorf("image: -created %s: %w", *created, err)
	}
	img := image{Version: *version, Revision: *revision, Created: time.Unix(seconds, 0).UTC(), Reference: *reference}
	if *keyFile != "" {
		if img.Key, err = readKey(*keyFile); err != nil {
			return err
		}
	}
	work, err := os.MkdirTemp("", "holdfast-image-")
	if err != nil {
		return fmt.Errorf("image: make folder: %w", err)
	}
	defer os.RemoveAll(work) //nolint:errcheck // a temporary folder
	for arch := range strings.SplitSeq(*arches, ",") {
		file := filepath.Join(work, arch)
		if err := build(ctx, file, arch, *version, *tags); err != nil {
			return err
		}
		img.Programs = append(img.Programs, program{Arch: arch, File: file})
	}
	d, err := img.write(*dir)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s:%s %s\n", *dir, layoutTag(*version), d)
	return err
}

// build compiles the program so that only the source and the toolchain decide its bytes.
func build(ctx context.Context, file, arch, version, tags string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-p", "2", "-trimpath", "-buildvcs=false", "-tags", tags,
		"-ldflags", "-s -w -buildid= -X main.version="+version, "-o", file, "holdfast/cmd/holdfast")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=", "GOAMD64=v1", "GOARM64=v8.0")
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("image: build holdfast for %s: %w\n%s", arch, errors.Join(err, ctx.Err()), said.String())
	}
	return nil
}
