package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"holdfast/internal/collect"
	datas3 "holdfast/internal/data/s3"
	"holdfast/internal/operate"
)

// Operate does what a request asks for on the stores of a configuration: in the server that has one of its directories open, if there is
// one, else in this process. The code is one of those of package operate, or 0 beside an error of Operate's own.
// Errors: ErrRefused, record.ErrUnavailable, an *AskedError that the server told.
func Operate(ctx context.Context, cfg Config, r operate.Request, log *slog.Logger, out, progress io.Writer) (code int, err error) {
	for _, dir := range cfg.dirs() {
		code, err := askOperate(ctx, dir, r, out, progress)
		if !errors.Is(err, errNoServer) {
			return code, err
		}
		if _, err := os.Stat(filepath.Join(dir, ownDir)); err != nil {
			return 0, fmt.Errorf("%w: no registry has been in %s yet: %w", ErrRefused, dir, err)
		}
	}
	err = withStores(ctx, cfg, log, func(stores []*store) error {
		code, err = operate.Do(ctx, operable(stores, log, false), r, out, progress)
		return err
	})
	return code, err
}

// withStores opens the stores of a configuration for the time of one work, and notes for the collector what the work left behind.
func withStores(ctx context.Context, cfg Config, log *slog.Logger, work func([]*store) error) (err error) {
	budget, err := datas3.NewBudget(cfg.MemoryBudget)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	defer func() { err = errors.Join(err, budget.Close()) }()
	openCtx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	stores, err := openStores(openCtx, cfg, asCommand(cfg), budget, nil, log)
	if err != nil {
		return err
	}
	defer keepJoined(ctx, stores)()
	defer func() {
		for _, st := range stores {
			if st.hints != nil {
				err = errors.Join(err, st.hints.Write(context.WithoutCancel(ctx)))
			}
			err = errors.Join(err, st.close(ctx))
		}
	}()
	return work(stores)
}

// operable are open stores as package operate takes them. shared says that a server has them open.
func operable(stores []*store, log *slog.Logger, shared bool) []operate.Store {
	var out []operate.Store
	for _, st := range stores {
		out = append(out, operate.Store{
			Path: st.path, Registry: st.registry, Records: st.format(), Data: st.segments, Holder: holder(),
			Collects: st.rules().Enabled, Policies: st.rules().Policies,
			Collector: func(dryRun bool) *collect.Collector { return st.collector(dryRun, log) },
			Alone:     !shared && st.client == nil,
			Passed:    func(ctx context.Context, r *collect.Report) { st.passed(ctx, log, r) },
			Log:       log.With("store", st.name), Counters: &st.scrubbed, Features: st.features, Quotas: st.book,
		})
	}
	return out
}

// errNoServer says that no server has a directory open.
var errNoServer = errors.New("server: no server has the directory open")

// AskedError is an error of work that a server did for a command.
type AskedError struct {
	Text string
	Code int // how a command is to exit; 0: as for any error
}

// Error is the server's.
func (e *AskedError) Error() string { return e.Text }

// frame is a part of the answer to a request for work: output, progress, or how it ended.
type frame struct {
	Out      []byte `json:"out,omitempty"`
	Progress []byte `json:"progress,omitempty"`
	Ended    *ended `json:"ended,omitempty"` // the last frame
}

type ended struct {
	Code int    `json:"code"`
	Err  string `json:"err,omitempty"`
}

// serveOperate does the work that a command asks for, and streams what comes out as frames. It ends with the request, and so with the command.
func (s *Server) serveOperate(w http.ResponseWriter, r *http.Request) {
	var request operate.Request
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	frames := &framer{to: json.NewEncoder(w), flush: http.NewResponseController(w).Flush}
	s.log.InfoContext(r.Context(), "a command asks for work", "work", request.Do)
	code, err := operate.Do(r.Context(), operable(s.stores, s.log, true), request, part{frames, outPart}, part{frames, progressPart})
	s.auditCommand(r.Context(), request, code, err)
	last := &ended{Code: code}
	if err != nil {
		last.Err = err.Error()
	}
	if err != nil && s.health.draining.Load() {
		last.Code, last.Err = operate.Unavailable, "the server ends; what was done stays, and the next pass goes on from it: "+last.Err
	}
	_ = frames.send(frame{Ended: last}) // a command that is gone needs no answer
}

// framer writes frames. Safe for concurrent use.
type framer struct {
	mu    sync.Mutex
	to    *json.Encoder
	flush func() error
}

func (f *framer) send(one frame) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.to.Encode(one); err != nil {
		return err
	}
	return f.flush()
}

// part is an io.Writer of one kind of frames.
type part struct {
	to *framer
	as func([]byte) frame
}

func outPart(p []byte) frame      { return frame{Out: p} }
func progressPart(p []byte) frame { return frame{Progress: p} }

// Write implements io.Writer.
func (p part) Write(b []byte) (int, error) {
	if err := p.to.send(p.as(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// askOperate has the server that uses a directory do the work. Errors: errNoServer, an *AskedError, and what broke on the way.
func askOperate(ctx context.Context, dir string, r operate.Request, out, progress io.Writer) (int, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return 0, fmt.Errorf("server: ask the server of %s: %w", dir, err)
	}
	last, err := askFrames(ctx, dir, "operate", bytes.NewReader(body), func(f frame) error {
		if _, err := out.Write(f.Out); err != nil {
			return fmt.Errorf("server: print: %w", err)
		}
		if progress != nil {
			_, _ = progress.Write(f.Progress) // nobody may be there to read it
		}
		return nil
	})
	if err == nil && last.Err != "" {
		err = &AskedError{Text: last.Err}
	}
	return last.Code, err
}

// askFrames sends a request for work to the server that uses a directory, and hands on each frame of the answer. It returns the last one's end.
// Errors: errNoServer, what each returns, and what broke on the way.
func askFrames(ctx context.Context, dir, what string, body io.Reader, each func(frame) error) (ended, error) {
	resp, err := ask(ctx, dir, http.MethodPost, what, body)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return ended{}, errNoServer
	case err != nil:
		return ended{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return ended{}, fmt.Errorf("server: the server of %s does not know this work (%s): it is of another version", dir, resp.Status)
	}
	for frames := json.NewDecoder(resp.Body); ; {
		var f frame
		if err := frames.Decode(&f); err != nil {
			if ctx.Err() != nil {
				return ended{}, err
			}
			return ended{Code: operate.Unavailable, Err: fmt.Sprintf("the server ends, or was ended, before the work did; what was done stays: %s", err)}, nil
		}
		if err := each(f); err != nil {
			return ended{}, err
		}
		if f.Ended != nil {
			return *f.Ended, nil
		}
	}
}
