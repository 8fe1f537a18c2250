package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"holdfast/test/cluster"
)

const (
	s3Address = "http://" + nodeAddress + ":7070"
	bucket    = "images"
	rootKey   = "administrator" // of the S3 server; pods get accounts of their own
	rootKeyIs = "administrators-secret"
)

// registry starts a Holdfast outside of the cluster, over a directory, and pushes to it what the kubelet will pull.
func (s *site) registry(ctx context.Context) error {
	text := fmt.Sprintf(`{"storage": {"rootDirectory": %q}, "http": {"address": "127.0.0.1", "port": "5000"}}`, s.path("outside"))
	if err := s.write("outside.json", text); err != nil {
		return err
	}
	if err := s.start(ctx, "outside", s.Binary, "serve", s.path("outside.json")); err != nil {
		return err
	}
	if err := until(ctx, "the registry outside is ready", time.Minute, answers("http://"+outside+"/readyz", "")); err != nil {
		return err
	}
	oras, err := cluster.Tool("oras")
	if err != nil {
		return err
	}
	for _, version := range []string{before, after} {
		if _, err := command(ctx, oras, "cp", "-r", "--from-oci-layout", "--to-plain-http", s.path("image-"+version)+":"+version, outside+"/holdfast:"+version); err != nil {
			return err
		}
	}
	return s.pushTools(ctx)
}

// pushTools makes two images: one that sleeps, which holds the network of a pod, and one for helm test.
func (s *site) pushTools(ctx context.Context) error {
	busybox, err := cluster.Tool("busybox")
	if err != nil {
		return err
	}
	layer := s.path("tools.tar")
	if err := writeLayer(layer, map[string]string{"bin/busybox": busybox, "bin/wget": s.path("wget")}); err != nil {
		return err
	}
	crane, err := cluster.Tool("crane")
	if err != nil {
		return err
	}
	for name, entrypoint := range map[string]string{"pause": "/bin/busybox,sleep,1000000000", "wget": "/bin/wget"} {
		ref := outside + "/tools/" + name + ":1"
		if _, err := command(ctx, crane, "append", "--insecure", "-f", layer, "-t", ref); err != nil {
			return err
		}
		if _, err := command(ctx, crane, "mutate", "--insecure", "--set-platform", "linux/amd64", "--entrypoint", entrypoint, "-t", ref, ref); err != nil {
			return err
		}
	}
	return nil
}

// writeLayer writes an archive of programs: names in it, and files here.
func writeLayer(file string, programs map[string]string) error {
	out, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("kubernetes: write layer: %w", err)
	}
	w := tar.NewWriter(out)
	for name, path := range programs {
		program, readErr := os.ReadFile(path)
		err = errors.Join(err, readErr, w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(program))}))
		if err == nil {
			_, err = w.Write(program)
		}
	}
	if err := errors.Join(err, w.Close(), out.Close()); err != nil {
		return fmt.Errorf("kubernetes: write layer: %w", err)
	}
	return nil
}

// store starts the S3 server for the pods, with a bucket and a first account.
func (s *site) store(ctx context.Context) error {
	bin, err := cluster.Tool("versitygw")
	if err != nil {
		return err
	}
	for _, dir := range []string{"objects", "accounts"} {
		if err := os.MkdirAll(s.path(dir), 0o750); err != nil {
			return fmt.Errorf("kubernetes: make folder: %w", err)
		}
	}
	if err := s.start(ctx, "s3", bin, "-q", "-a", rootKey, "-s", rootKeyIs, "-r", cluster.Region, "-p", filepath.Base(s3Address), "--keep-alive", "--health", "/health",
		"--iam-dir", s.path("accounts"), "--iam-cache-disable", "posix", s.path("objects")); err != nil {
		return err
	}
	if err := until(ctx, "the S3 server answers", time.Minute, answers(s3Address+"/health", "")); err != nil {
		return err
	}
	if _, err := s3Client(rootKey, rootKeyIs).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		return fmt.Errorf("kubernetes: make bucket: %w", err)
	}
	return s.account(ctx, "create-user", "--access", "first", "--secret", "firsts-secret", "--role", "admin")
}

// account changes the accounts of the S3 server.
func (s *site) account(ctx context.Context, args ...string) error {
	bin, err := cluster.Tool("versitygw")
	if err != nil {
		return err
	}
	_, err = command(ctx, bin, append([]string{"admin", "--access", rootKey, "--secret", rootKeyIs, "--endpoint-url", s3Address, "--region", cluster.Region}, args...)...)
	return err
}

func s3Client(key, secret string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(s3Address), Region: cluster.Region, UsePathStyle: true, HTTPClient: &http.Client{Timeout: 10 * time.Second},
		Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""),
	})
}
