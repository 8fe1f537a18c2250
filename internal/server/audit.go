package server

import (
	"context"
	"fmt"

	"holdfast/internal/access"
	"holdfast/internal/audit"
	"holdfast/internal/operate"
)

// openAudit opens the audit log, if there is to be one. Errors: ErrRefused.
func (s *Server) openAudit() (err error) {
	if s.audit, err = audit.Open(s.cfg.Observe.Audit, s.log); err != nil {
		return fmt.Errorf("%w: log.audit: %w", ErrRefused, err)
	}
	s.metrics.Audit(s.audit.Lines, s.audit.Lost)
	return nil
}

// reopenAudit opens the audit log's file anew: what had the process read its configuration again may have moved it away.
func (s *Server) reopenAudit(ctx context.Context) {
	if err := s.audit.Reopen(); err != nil {
		s.log.ErrorContext(ctx, "the audit log was not opened anew: its lines go on where they went", "err", err)
	}
}

// closeAudit closes it, after the last request.
func (s *Server) closeAudit(ctx context.Context) {
	if err := s.audit.Close(); err != nil {
		s.log.WarnContext(ctx, "the end of the audit log may be lost", "err", err)
	}
}

// auditCommand notes the work that a command asks for over the socket, and what became of it. Whoever may open the socket is an administrator.
func (s *Server) auditCommand(ctx context.Context, r operate.Request, code int, err error) {
	e := audit.Event{What: string(r.Do), Outcome: audit.Done, Target: r.Store, User: "local", Way: access.Operator}
	if r.Repository != "" {
		e.Target = r.Repository
		if r.Tag != "" {
			e.Target += ":" + r.Tag
		}
	}
	if err != nil || code != operate.Well {
		e.Outcome = audit.Failed
	}
	s.audit.Tell(ctx, e)
}
