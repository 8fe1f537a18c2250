package server

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/api"
	"holdfast/internal/audit"
	"holdfast/internal/grant"
	"holdfast/internal/lease"
	"holdfast/internal/observe/request"
	"holdfast/internal/oci"
	"holdfast/internal/operate"
)

// gcPath is the collector's endpoint. No repository has such a name: a part of one does not begin with an underscore.
const gcPath = "/v2/_holdfast/gc"

// aliveEvery is how often an answer that is not there yet gets an empty line, so that nobody on the way takes the connection for idle.
const aliveEvery = 5 * time.Second

// admit says whether a request may use the operator's endpoints: with a token that "holdfast token" has made. Until there are users this is the
// one place that decides it. Errors: grant.ErrRefused; those of the store, when it has to be asked whether the secret is another.
func (s *Server) admit(r *http.Request) error {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return grant.ErrRefused
	}
	root := s.stores[0]
	err := grant.Check(r.Context(), root.registry.Verify, grant.Admin, strings.TrimSpace(token), root.records.Now())
	if err == nil {
		audit.Note(r.Context(), &access.Request{Identity: access.Identity{Name: "operator", Way: access.Operator}})
	}
	return err
}

// refusal is the answer to a request that was not admitted: what the status is, and what its client is told.
func refusal(h http.Header, err error) (int, *oci.Error) {
	if !errors.Is(err, grant.ErrRefused) {
		return http.StatusServiceUnavailable, oci.Errorf(oci.Unavailable, "the registry's store is out of reach: try again")
	}
	h.Set("WWW-Authenticate", `Bearer realm="holdfast",scope="admin"`)
	return http.StatusUnauthorized, oci.Errorf(oci.Unauthorized, `a token of "holdfast token --for=admin" is needed, that has not expired`)
}

// serveGC tells the collector's status, or makes a pass of it and answers with the report. A pass ends when its client leaves, or when
// ending is closed.
func (s *Server) serveGC(w http.ResponseWriter, r *http.Request, ending <-chan struct{}) {
	if s.api.Load() == nil {
		closeAfterBody(w, r)
		api.WriteUnavailable(w, r)
		return
	}
	request.Explain(r.Context(), s.answerGC(w, r, ending)) // whoever makes a pass tells of its faults
}

// answerGC answers, and returns the cause of an answer that is none of the client's.
func (s *Server) answerGC(w http.ResponseWriter, r *http.Request, ending <-chan struct{}) error {
	refuse := func(status int, code oci.Code, text string) error {
		closeAfterBody(w, r)
		api.WriteError(w, r, status, oci.Errorf(code, "%s", text))
		return nil
	}
	if err := s.admit(r); err != nil {
		closeAfterBody(w, r)
		status, answer := refusal(w.Header(), err)
		api.WriteError(w, r, status, answer)
		if status == http.StatusServiceUnavailable {
			return err
		}
		return nil
	}
	do := operate.Request{Do: operate.Status, JSON: true}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPost:
		var err error
		if do, err = gcRequest(r.URL.RawQuery); err != nil {
			return refuse(http.StatusBadRequest, oci.Unsupported, err.Error())
		}
		if r.ContentLength != 0 {
			return refuse(http.StatusBadRequest, oci.Unsupported, "this request has no body: what to do is in the query")
		}
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		return refuse(http.StatusMethodNotAllowed, oci.Unsupported, "GET tells the status, POST makes a pass")
	}
	return s.operateFor(w, r, ending, do)
}

// gcRequest reads the query of a pass.
func gcRequest(query string) (operate.Request, error) {
	r := operate.Request{Do: operate.GC, JSON: true, Recent: true}
	values, err := url.ParseQuery(query)
	if err != nil {
		return r, errors.New("the query cannot be read")
	}
	for key := range values {
		value := values.Get(key)
		on, err := true, error(nil)
		switch key {
		case "dry-run", "full":
			on, err = strconv.ParseBool(value)
		case "store":
			r.Store = value
		case "repository":
			r.Repository, r.Recent = value, false
		default:
			err = errors.New("unknown")
		}
		switch {
		case err != nil:
			return r, errors.New("the query may have dry-run=true, full=true, store and repository, and nothing else")
		case key == "dry-run":
			r.DryRun = on
		case key == "full" && on:
			r.Recent = false
		}
	}
	return r, nil
}

// operateFor does the work of a request and answers with what comes out. When that takes long the status is 200 before it is known: then
// the report says what went wrong.
func (s *Server) operateFor(w http.ResponseWriter, r *http.Request, ending <-chan struct{}, do operate.Request) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	var out bytes.Buffer
	var code int
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		code, err = operate.Do(ctx, operable(s.stores, s.log, true), do, &out, nil)
	}()
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	w.Header().Set("Cache-Control", "no-store")
	begun := false
	for {
		select {
		case <-ending:
			ending = nil
			cancel()
			continue
		case <-alive.C:
			begun = true
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte("\n")) // a client that is gone ends ctx
			_ = http.NewResponseController(w).Flush()
			continue
		case <-done:
		}
		if err != nil && !begun {
			status, answer := answerTo(code, err)
			api.WriteError(w, r, status, answer)
			return err
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(out.Bytes())
		return err
	}
}

// answerTo turns an error of the work into what the client may know.
func answerTo(code int, err error) (int, *oci.Error) {
	var held *lease.HeldError
	switch {
	case errors.As(err, &held):
		e := oci.Errorf(oci.Denied, "%s has been making a pass since %s: two at once do the same work twice", held.Holder, held.Since.UTC().Format(time.RFC3339))
		return http.StatusConflict, e
	case code == operate.Misused:
		return http.StatusBadRequest, oci.Errorf(oci.Unsupported, "%s", err.Error())
	case code == operate.Unavailable, errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable, oci.Errorf(oci.Unavailable, "the registry's store is out of reach, or the replica ends: try again")
	}
	return http.StatusInternalServerError, oci.Errorf(oci.Unknown, "the pass ended early: the log says why, and the next one goes on from it")
}
