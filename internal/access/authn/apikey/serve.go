package apikey

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"holdfast/internal/access"
	"holdfast/internal/access/authn"
	"holdfast/internal/access/authn/answer"
	"holdfast/internal/oci"
)

// maxBodyBytes is how long the body of a POST may be, as in zot.
const maxBodyBytes = 8 << 10

// Server is zot's endpoint of API keys: GET lists those of who asks, POST makes one, DELETE deletes one. Who asks is the identity of the request's access.Request.
type Server struct {
	Keys *Keys
	// Realm is what clients show when they ask for a password.
	Realm string
	// Origins are those of pages that may ask with the session of a browser; those of the registry itself always may.
	Origins *http.CrossOriginProtection
	// Changed is told of keys that were made or deleted: for the audit log. nil: nobody is.
	Changed func(r *http.Request, id access.Identity, key string, made bool)
}

// details is a key in zot's words.
type details struct {
	CreatedAt      time.Time `json:"createdAt"`
	ExpirationDate time.Time `json:"expirationDate"` // year 1: never
	IsExpired      bool      `json:"isExpired"`
	CreatorUA      string    `json:"creatorUa"`
	GeneratedBy    string    `json:"generatedBy"`
	LastUsed       time.Time `json:"lastUsed"` // year 1: never
	Label          string    `json:"label"`
	Scopes         []string  `json:"scopes"`
	UUID           string    `json:"uuid"`
}

func detailsOf(k Key) details {
	return details{k.Created, k.Expires, k.Expired, k.Agent, "manual", k.Used, k.Label, k.Scopes, k.ID}
}

// ServeHTTP answers 200, or 201 for a key that was made; 400 for what cannot be read or has members that are not known; 401 for nobody; 403 for who was given a key
// or token himself, and for a page of another origin; 404 for a key that the user does not have; 405; 409 for too many; 413; 503.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req := access.From(r.Context())
	switch {
	case req == nil || req.Identity.Anonymous():
		w.Header().Set("WWW-Authenticate", authn.Basic(s.Realm)) // RFC 9110, 15.5.2: a 401 has one
		answer.Error(w, http.StatusUnauthorized, oci.Unauthorized, "API keys are for who has logged in")
		return
	case MayMake(req.Identity) != nil:
		answer.Error(w, http.StatusForbidden, oci.Denied, "API keys are made and seen with a password or a session, not with a token or another key")
		return
	case req.Identity.Way == access.Login && s.Origins != nil && s.Origins.Check(r) != nil:
		answer.Error(w, http.StatusForbidden, oci.Denied, "a page of another origin asks")
		return
	}
	switch r.Method {
	case http.MethodGet:
		s.list(w, r, req.Identity)
	case http.MethodPost:
		s.make(w, r, req.Identity)
	case http.MethodDelete:
		s.delete(w, r, req.Identity)
	default:
		w.Header().Set("Allow", "GET, POST, DELETE")
		answer.Error(w, http.StatusMethodNotAllowed, oci.Unsupported, "API keys are listed by GET, made by POST and deleted by DELETE")
	}
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, who access.Identity) {
	keys, err := s.Keys.List(r.Context(), who.Name)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	out := struct {
		APIKeys []details `json:"apiKeys"`
	}{[]details{}}
	for _, k := range keys {
		out.APIKeys = append(out.APIKeys, detailsOf(k))
	}
	answer.JSON(w, http.StatusOK, out)
}

// wanted is the body of a POST.
type wanted struct {
	Label          string   `json:"label"`
	Scopes         []string `json:"scopes"`
	ExpirationDate string   `json:"expirationDate"` // RFC 3339; "": never
}

func (s *Server) make(w http.ResponseWriter, r *http.Request, who access.Identity) {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	d.DisallowUnknownFields()
	var body wanted
	err := d.Decode(&body)
	if err == nil {
		if _, end := d.Token(); !errors.Is(end, io.EOF) {
			err = errors.Join(errors.New("apikey: something follows"), end)
		}
	}
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		answer.Error(w, http.StatusRequestEntityTooLarge, oci.Unsupported, "the body is too long")
		return
	case err != nil:
		answer.Error(w, http.StatusBadRequest, oci.Unsupported, "the body is one JSON object with label, scopes and expirationDate, and nothing else")
		return
	}
	want := Wanted{Label: body.Label, Scopes: body.Scopes, Agent: r.UserAgent()}
	if body.ExpirationDate != "" {
		if want.Expires, err = time.Parse(time.RFC3339, body.ExpirationDate); err != nil {
			answer.Error(w, http.StatusBadRequest, oci.Unsupported, `expirationDate is as "2030-01-31T00:00:00Z"`)
			return
		}
	}
	key, made, err := s.Keys.Make(r.Context(), who, want)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if s.Changed != nil {
		s.Changed(r, who, made.ID, true)
	}
	answer.JSON(w, http.StatusCreated, struct {
		details
		APIKey string `json:"apiKey"`
	}{detailsOf(made), key})
}

func (s *Server) delete(w http.ResponseWriter, r *http.Request, who access.Identity) {
	ids := r.URL.Query()["id"]
	if len(ids) != 1 {
		answer.Error(w, http.StatusBadRequest, oci.Unsupported, "the id of one key is wanted, as ?id=")
		return
	}
	if err := s.Keys.Delete(r.Context(), who.Name, ids[0]); err != nil {
		s.fail(w, r, err)
		return
	}
	if s.Changed != nil {
		s.Changed(r, who, ids[0], false)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, ErrUnknown):
		answer.Error(w, http.StatusNotFound, oci.Unsupported, "there is no such API key")
	case errors.Is(err, ErrTooMany):
		answer.Error(w, http.StatusConflict, oci.Denied, text(err))
	case errors.Is(err, errScope), errors.Is(err, ErrLabel), errors.Is(err, ErrScopes), errors.Is(err, ErrExpires):
		answer.Error(w, http.StatusBadRequest, oci.Unsupported, text(err))
	default:
		if r.Context().Err() == nil {
			s.Keys.cfg.Log.WarnContext(r.Context(), "a request for API keys was not served", "err", err)
		}
		answer.Error(w, http.StatusServiceUnavailable, oci.Unavailable, "the store is out of reach: try again")
	}
}

// text is an error of ours for a client.
func text(err error) string { return strings.TrimPrefix(err.Error(), "apikey: ") }
