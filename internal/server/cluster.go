package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"holdfast/internal/api"
	"holdfast/internal/cluster"
	"holdfast/internal/grant"
	"holdfast/internal/observe/request"
	"holdfast/internal/oci"
	"holdfast/internal/record"
)

// The endpoints of the cluster's view. No repository has such a name.
const (
	clusterPath = "/v2/_holdfast/cluster"
	eventsPath  = "/v2/_holdfast/events"
)

// newDesk returns a desk that shows what is over open stores.
func newDesk(stores []*store) *cluster.Desk {
	var sources []cluster.Source
	for _, st := range stores {
		sources = append(sources, cluster.Source{Path: st.path, Records: st.format(), Collects: func() bool { return st.rules().Enabled }, Features: st.features})
	}
	name := func() string { return "" }
	if m := stores[0].member; m != nil {
		name = m.ID
	}
	return cluster.NewDesk(cluster.NewViewer(sources), name)
}

// serveCluster tells how the cluster is, once or again and again.
func (s *Server) serveCluster(w http.ResponseWriter, r *http.Request, ending <-chan struct{}) {
	if s.api.Load() == nil {
		closeAfterBody(w, r)
		api.WriteUnavailable(w, r)
		return
	}
	request.Explain(r.Context(), s.answerCluster(w, r, ending))
}

// answerCluster answers, and returns the cause of an answer that is none of the client's.
func (s *Server) answerCluster(w http.ResponseWriter, r *http.Request, ending <-chan struct{}) error {
	closeAfterBody(w, r)
	if err := s.admit(r); err != nil {
		status, answer := refusal(w.Header(), err)
		api.WriteError(w, r, status, answer)
		if status == http.StatusServiceUnavailable {
			return err
		}
		return nil
	}
	if r.Method != http.MethodGet && (r.Method != http.MethodHead || r.URL.Path == eventsPath) {
		w.Header().Set("Allow", "GET")
		api.WriteError(w, r, http.StatusMethodNotAllowed, oci.Errorf(oci.Unsupported, "GET tells how the cluster is"))
		return nil
	}
	if r.URL.Path == eventsPath {
		status, err := s.desk.ServeEvents(w, r, ending, func() bool { return !errors.Is(s.admit(r), grant.ErrRefused) })
		if status == http.StatusServiceUnavailable {
			api.WriteError(w, r, status, oci.Errorf(oci.Unavailable, "the registry's store is out of reach, or very many watch at this replica: try again"))
		}
		return err
	}
	v, err := s.desk.View(r.Context())
	if err != nil {
		api.WriteError(w, r, http.StatusServiceUnavailable, oci.Errorf(oci.Unavailable, "the registry's store is out of reach: try again"))
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // a client that is gone needs no answer
	return nil
}

// serveView tells a command on this machine how the cluster is.
func (s *Server) serveView(w http.ResponseWriter, r *http.Request) {
	v, err := s.desk.View(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // as above
}

// askView asks the server that uses a directory how its cluster is. Errors: as ask.
func askView(ctx context.Context, dir string) (cluster.View, error) {
	var v cluster.View
	resp, err := ask(ctx, dir, http.MethodGet, "cluster", nil)
	if err != nil {
		return v, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusServiceUnavailable {
		return v, fmt.Errorf("server: the server of %s cannot look at its cluster now: %w", dir, record.ErrUnavailable)
	}
	if resp.StatusCode != http.StatusOK {
		return v, fmt.Errorf("server: the server of %s does not tell how its cluster is: %s", dir, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		return v, fmt.Errorf("server: ask the server of %s: %w", dir, err)
	}
	return v, nil
}
