// Command wget is what the pod of helm test runs in the test of package kubernetes: wget -T seconds -O - URL. Debian's static busybox
// has a wget, which crashes where it looks up a host.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "wget:", err)
		os.Exit(1)
	}
}

func run() error {
	limit := flag.Int("T", 10, "seconds")
	_ = flag.String("O", "-", "only - is known")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(*limit)*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, flag.Arg(0), http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", resp.Status)
	}
	_, err = io.Copy(os.Stdout, resp.Body)
	return err
}
