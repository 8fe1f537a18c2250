package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"net/http"
	"os"
	"path"
	"strings"

	"holdfast/internal/config"
	"holdfast/internal/data"
	"holdfast/internal/move"
	"holdfast/internal/oci"
	"holdfast/internal/operate"
	"holdfast/internal/record"
	"holdfast/internal/registry"
	"holdfast/internal/s3"
)

// Move does what a request asks for on the stores of a configuration: in the server that has one of its directories open, if there is one, else in this process. A restore
// or an import may be the first that a directory sees. The report is never nil; beside an error it says what was done before. Errors: ErrRefused, record.ErrUnavailable,
// an *AskedError that the server told, those of move.Do.
func Move(ctx context.Context, cfg Config, r move.Request, log *slog.Logger, tell func(move.Progress)) (report *move.Report, err error) {
	report = &move.Report{Do: r.Do, Problems: []move.Problem{}}
	for _, dir := range cfg.dirs() {
		asked, err := askMove(ctx, dir, r, tell)
		if !errors.Is(err, errNoServer) {
			if asked == nil {
				asked = report
			}
			return asked, err
		}
		if _, err := os.Stat(path.Join(dir, ownDir)); err != nil && (r.Do == move.OpBackup || r.Do == move.OpExport) {
			return report, fmt.Errorf("%w: no registry has been in %s yet: %w", ErrRefused, dir, err)
		}
	}
	err = withStores(ctx, cfg, log, func(stores []*store) error {
		report, err = move.Do(ctx, movable(stores, log), r, tell)
		return err
	})
	return report, err
}

// movable are open stores as package move takes them.
func movable(stores []*store, log *slog.Logger) move.Deps {
	var routes []registry.Route
	for _, sub := range stores[1:] {
		routes = append(routes, registry.Route{Path: strings.Trim(sub.path, "/"), To: sub.registry})
	}
	deps := move.Deps{
		Registry: registry.NewRoutes(stores[0].registry, routes),
		Bucket: func(ctx context.Context, file string) (move.Tree, []string, func(), error) {
			return openBucket(ctx, file, log)
		},
	}
	for _, st := range stores {
		owns := func(repo oci.Repository) bool { return pathOf(stores, repo) == st.path }
		deps.Stores = append(deps.Stores, move.Store{Registry: st.registry, Records: st.format(), Owns: owns})
	}
	return deps
}

// pathOf is the path of the store that a repository is in: the longest that it lies below.
func pathOf(stores []*store, repo oci.Repository) string {
	best := "/"
	for _, s := range stores {
		rest, below := strings.CutPrefix("/"+string(repo), s.path)
		if below && (rest == "" || rest[0] == '/') && len(s.path) > len(best) {
			best = s.path
		}
	}
	return best
}

// bucket is what another registry keeps in a bucket.
type bucket struct{ client *s3.Client }

// Files implements move.Tree.
func (b bucket) Files(ctx context.Context, folder string) iter.Seq2[move.File, error] {
	return func(yield func(move.File, error) bool) {
		for item, err := range b.client.List(ctx, folder, "") {
			if !yield(move.File{Name: item.Key, Size: item.Size}, err) {
				return
			}
		}
	}
}

// Open implements move.Tree.
func (b bucket) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	body, err := b.client.Get(ctx, name, 0, -1)
	if s3.KindOf(err) == s3.NotFound {
		return nil, fmt.Errorf("server: open %s: %w", name, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	return body, nil
}

// openBucket opens the bucket of a zot configuration file for reading. zot puts the root directory before its keys twice; a bucket that was copied may have it once.
func openBucket(ctx context.Context, file string, log *slog.Logger) (move.Tree, []string, func(), error) {
	cfg, _, err := config.Load(file, os.LookupEnv)
	if err != nil {
		return nil, nil, nil, err
	}
	if cfg.Storage.Driver != config.DriverS3 {
		return nil, nil, nil, fmt.Errorf("%w: %s names no bucket: import zot's directory with zot:%s", ErrRefused, file, cfg.Storage.RootDirectory)
	}
	s3Config := storage(cfg.Storage.Store).S3
	client, err := s3.New(ctx, *s3Config, log)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	var folders []string
	if root := strings.Trim(s3Config.RootDirectory, "/"); root != "" {
		folders = append(folders, root)
	}
	return bucket{client.Foreign()}, append(folders, ""), client.Close, nil
}

// serveMove does a move that a command asks for, and streams progress and report as frames of JSON. It ends with the request, and so with the command.
func (s *Server) serveMove(w http.ResponseWriter, r *http.Request) {
	var request move.Request
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	frames := &framer{to: json.NewEncoder(w), flush: http.NewResponseController(w).Flush}
	s.log.InfoContext(r.Context(), "a command asks for a move", "move", string(request.Do), "place", request.Place)
	report, err := move.Do(r.Context(), movable(s.stores, s.log), request, func(p move.Progress) {
		if text, err := json.Marshal(p); err == nil {
			_ = frames.send(frame{Progress: text}) // a command that is gone needs none
		}
	})
	last := &ended{}
	if err != nil {
		last.Code, last.Err = MoveCode(err), err.Error()
	}
	if err != nil && s.health.draining.Load() {
		last.Code, last.Err = operate.Unavailable, "the server ends; what was copied stays, and the next call goes on from it: "+last.Err
	}
	text, err := json.Marshal(report)
	if err != nil {
		last.Err = err.Error()
	}
	_ = frames.send(frame{Out: text, Ended: last}) // as above
}

// askMove has the server that uses a directory do a move. Errors: errNoServer, an *AskedError, and what broke on the way.
func askMove(ctx context.Context, dir string, r move.Request, tell func(move.Progress)) (*move.Report, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("server: ask the server of %s: %w", dir, err)
	}
	var report *move.Report
	last, err := askFrames(ctx, dir, "move", bytes.NewReader(body), func(f frame) error {
		var p move.Progress
		if len(f.Progress) > 0 && tell != nil && json.Unmarshal(f.Progress, &p) == nil {
			tell(p)
		}
		if len(f.Out) > 0 {
			return json.Unmarshal(f.Out, &report)
		}
		return nil
	})
	if err == nil && last.Err != "" {
		err = &AskedError{Text: last.Err, Code: last.Code}
	}
	return report, err
}

// MoveCode is how a command exits that a move's error ends, 0 for one that has a code of its own: a request that makes no sense, or a store that does not answer.
func MoveCode(err error) int {
	var misused *move.MisusedError
	switch {
	case errors.As(err, &misused):
		return operate.Misused
	case errors.Is(err, record.ErrUnavailable), errors.Is(err, data.ErrUnavailable), errors.Is(err, move.ErrLocked):
		return operate.Unavailable
	}
	return 0
}
