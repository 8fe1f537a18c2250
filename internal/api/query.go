package api

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"holdfast/internal/oci"
)

const (
	maxParameters = 64 // of a URL; pushes with many tags need the most
	maxTagsInPush = 46 // spec, "Pushing Manifests": at least 10
	defaultPage   = 10000
	maxPage       = 1000
)

func errParameter(name, got, want string) *oci.Error {
	return &oci.Error{Code: oci.Unsupported, Message: "query parameter " + name + ": " + want, Detail: oci.Field{Field: name, Got: oci.Clip(got), Want: want}}
}

// query reads the URL's parameters, at most maxParameters of them. Errors: UNSUPPORTED.
func query(r *http.Request) (url.Values, error) {
	if strings.Count(r.URL.RawQuery, "&") >= maxParameters {
		return nil, oci.Errorf(oci.Unsupported, "a URL has at most %d query parameters", maxParameters)
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errParameter("", r.URL.RawQuery, "must be percent-encoded key=value pairs joined by &")
	}
	return q, nil
}

// one returns the value of a parameter that may stand once.
func one(q url.Values, name string) (value string, there bool, err error) {
	values := q[name]
	if len(values) > 1 {
		return "", true, errParameter(name, values[1], "may stand only once")
	}
	if len(values) == 0 {
		return "", false, nil
	}
	return values[0], true, nil
}

// pageSize reads n: a number of names, 0 or more; more than a page holds is a page. Errors: UNSUPPORTED.
func pageSize(q url.Values) (int, error) {
	text, there, err := one(q, "n")
	if err != nil || !there {
		return defaultPage, err
	}
	digits := text != ""
	for i := 0; digits && i < len(text); i++ {
		digits = text[i] >= '0' && text[i] <= '9'
	}
	if !digits {
		return 0, errParameter("n", text, "must be a whole number, 0 or more")
	}
	n, err := strconv.Atoi(text)
	if err != nil || n > maxPage {
		return maxPage, nil
	}
	return n, nil
}

// setNext points to the next page (RFC 8288), on this host and path, with the caller's other parameters.
func setNext(w http.ResponseWriter, r *http.Request, q url.Values, n int, last string) {
	next := url.Values{}
	for k, v := range q {
		next[k] = v
	}
	next.Set("n", strconv.Itoa(min(n, maxPage)))
	next.Set("last", last)
	w.Header().Set("Link", "<"+r.URL.EscapedPath()+"?"+next.Encode()+`>; rel="next"`)
}
