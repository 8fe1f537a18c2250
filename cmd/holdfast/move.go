package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"holdfast/internal/move"
	"holdfast/internal/operate"
	"holdfast/internal/server"
)

// absolute is the path as a server with another working directory finds it.
func absolute(path string) (string, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("where is %s? %w", path, err)
	}
	return full, nil
}

// moveImages has a request done on the stores of a configuration file, and prints what came of it.
func moveImages(cmd *cobra.Command, file string, r move.Request, asJSON bool) error {
	cfg, _, err := load([]string{file})
	if err != nil {
		return err
	}
	stores, err := serverConfig(cfg)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	show := newShow(cmd.ErrOrStderr(), asJSON)
	report, err := server.Move(cmd.Context(), stores, r, log, show.tell)
	show.end()
	printErr := printReport(cmd.OutOrStdout(), report, err, asJSON)
	var asked *server.AskedError
	switch code := server.MoveCode(err); {
	case err != nil && errors.Is(cmd.Context().Err(), context.Canceled):
		return codeError{exitFailure, errors.New("interrupted; what was copied stays, and the next call goes on from it")}
	case code == operate.Misused:
		return usageError{err}
	case code != 0:
		return codeError{code, err}
	case errors.As(err, &asked) && asked.Code == operate.Misused:
		return usageError{err}
	case errors.As(err, &asked) && asked.Code != 0:
		return codeError{asked.Code, err}
	case err != nil || printErr != nil:
		return errors.Join(err, printErr)
	case report.ProblemsTotal > 0:
		return codeError{exitFailure, nil}
	}
	return nil
}

// printReport prints what was done. Of a call that failed at once there is nothing to print for people.
func printReport(out io.Writer, report *move.Report, err error, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(report)
	}
	if err != nil && report.Repositories == 0 {
		return nil
	}
	return report.WriteText(out)
}

// show shows progress: a bar on a terminal, else a line now and then; nothing beside JSON that no terminal is for.
type show struct {
	to       io.Writer // nil: nobody
	progress *mpb.Progress
	bar      *mpb.Bar
	now      atomic.Pointer[move.Progress] // the bar reads it
	last     time.Time
}

// lineEvery is how often a line tells of the progress.
const lineEvery = 10 * time.Second

func newShow(stderr io.Writer, asJSON bool) *show {
	s := &show{to: stderr, last: time.Now()}
	if !isTerminal(stderr) {
		if asJSON {
			s.to = nil
		}
		return s
	}
	s.now.Store(&move.Progress{})
	s.progress = mpb.New(mpb.WithOutput(stderr), mpb.WithAutoRefresh())
	s.bar = s.progress.New(0, mpb.BarStyle(),
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string {
			now := s.now.Load()
			return fmt.Sprintf("%d/%d repositories ", now.Repositories, now.Of)
		})),
		mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f"), decor.AverageSpeed(decor.SizeB1024(0), "  % .1f")),
	)
	return s
}

func (s *show) tell(p move.Progress) {
	switch {
	case s.bar != nil:
		s.now.Store(&p)
		s.bar.SetTotal(p.BytesKnown, false)
		s.bar.SetCurrent(p.Bytes)
	case s.to != nil && time.Since(s.last) >= lineEvery:
		s.last = time.Now()
		_, _ = fmt.Fprintf(s.to, "%d of %d repositories, %d blobs, %d of %d bytes that are known of; at %s\n", // nobody may be there to read it
			p.Repositories, p.Of, p.Blobs, p.Bytes, p.BytesKnown, p.Repository)
	}
}

func (s *show) end() {
	if s.bar != nil {
		s.bar.Abort(true)
		s.progress.Wait()
	}
}
