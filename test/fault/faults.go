package fault

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Fault is one way to go wrong.
type Fault struct {
	Name string // in Counts
	do   func(*exchange)
}

// pass does what a proxy does.
func (x *exchange) pass() {
	if resp := x.forward(); resp != nil {
		x.header(resp)
		x.body(resp, resp.Body)
	}
}

// Delay lets a call wait from least to most before it is sent on.
func Delay(least, most time.Duration) Fault {
	return Fault{"delay", func(x *exchange) {
		if x.wait(least + time.Duration(x.random.Int64N(int64(most-least)+1))) {
			x.pass()
		}
	}}
}

// Hang never answers, nor asks the store.
func Hang() Fault {
	return Fault{"hang", func(x *exchange) {
		x.swallow()
		x.wait(time.Hour)
		x.reset()
	}}
}

// wait returns false when the client or the proxy has gone first.
func (x *exchange) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-x.r.Context().Done():
	case <-x.proxy.closed.Done():
	}
	return false
}

// Answer answers with an error of S3's in place of the store, which is not asked.
// A HEAD has no body and so no code.
func Answer(status int, code string) Fault {
	return Fault{code, func(x *exchange) {
		x.swallow()
		x.refuse(status, code)
	}}
}

// InternalError answers 500: the store is in trouble and may be asked again.
func InternalError() Fault { return Answer(http.StatusInternalServerError, "InternalError") }

// SlowDown answers 503: the store wants fewer requests.
func SlowDown() Fault { return Answer(http.StatusServiceUnavailable, "SlowDown") }

// ExpiredToken answers 403, as for credentials whose time has run out.
func ExpiredToken() Fault { return Answer(http.StatusForbidden, "ExpiredToken") }

// TimeTooSkewed answers 403, as for a client whose clock is off.
func TimeTooSkewed() Fault { return Answer(http.StatusForbidden, "RequestTimeTooSkewed") }

// LostAnswer has the store do what it was asked for, and then answers with an
// error as if it had not: status and code as for Answer.
func LostAnswer(status int, code string) Fault {
	return Fault{"applied, then " + code, func(x *exchange) {
		if x.apply() {
			x.refuse(status, code)
		}
	}}
}

// ResetBefore breaks the connection; the store never sees the call.
func ResetBefore() Fault {
	return Fault{"reset before", func(x *exchange) { x.reset() }}
}

// ResetAfter has the store do what it was asked for, and breaks the connection
// instead of the answer.
func ResetAfter() Fault {
	return Fault{"reset after", func(x *exchange) {
		if x.apply() {
			x.reset()
		}
	}}
}

// ErrorIn200 has the store do what it was asked for, and answers 200 with an error in
// the body, as S3 does when a long operation fails after its answer has begun.
func ErrorIn200(code string) Fault {
	return Fault{"200 with " + code, func(x *exchange) {
		if x.apply() {
			x.refuse(http.StatusOK, code)
		}
	}}
}

// ResetBody breaks the connection somewhere in the answer's body.
func ResetBody() Fault { return cut("reset body", true) }

// CutBody ends the connection in order somewhere in the answer's body, short of the
// Content-Length that was announced.
func CutBody() Fault { return cut("cut body", false) }

func cut(name string, reset bool) Fault {
	return Fault{name, func(x *exchange) {
		resp := x.forward()
		if resp == nil {
			return
		}
		x.header(resp)
		if resp.ContentLength > 0 && x.r.Method != http.MethodHead {
			_, _ = io.CopyN(x.w, resp.Body, x.random.Int64N(resp.ContentLength))
			if f, ok := x.w.(http.Flusher); ok {
				f.Flush()
			}
		}
		_ = resp.Body.Close() // its rest is not wanted
		x.breakOff(reset)
	}}
}

// ShortBody answers a read with the first part of the body as if that were all: its
// Content-Length says so too.
func ShortBody() Fault {
	return rewrite("short body", func(x *exchange, body []byte) []byte {
		return body[:x.random.IntN(max(1, len(body)))]
	})
}

// FlipByte changes one bit of one byte of the answer's body.
func FlipByte() Fault {
	return rewrite("flipped byte", func(x *exchange, body []byte) []byte {
		if len(body) > 0 {
			body[x.random.IntN(len(body))] ^= 1 << x.random.IntN(8)
		}
		return body
	})
}

func rewrite(name string, change func(*exchange, []byte) []byte) Fault {
	return Fault{name, func(x *exchange) {
		resp := x.forward()
		if resp == nil {
			return
		}
		if x.r.Method == http.MethodHead || resp.StatusCode >= 300 {
			x.header(resp)
			x.body(resp, resp.Body)
			return
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			x.reset()
			return
		}
		body = change(x, body)
		resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
		x.header(resp)
		x.body(resp, bytes.NewReader(body))
	}}
}

// WrongETag answers with an ETag that is not the object's.
func WrongETag() Fault {
	return Fault{"wrong ETag", func(x *exchange) {
		if resp := x.forward(); resp != nil {
			resp.Header.Set("Etag", fmt.Sprintf(`"%016x%016x"`, x.random.Uint64(), x.random.Uint64()))
			x.header(resp)
			x.body(resp, resp.Body)
		}
	}}
}

// SkewDate moves the Date of the answer, as a store's node with a wrong clock does.
func SkewDate(by time.Duration) Fault {
	return Fault{"skewed Date", func(x *exchange) {
		if resp := x.forward(); resp != nil {
			resp.Header.Set("Date", time.Now().Add(by).UTC().Format(http.TimeFormat))
			x.header(resp)
			x.body(resp, resp.Body)
		}
	}}
}

// apply has the store do what it was asked for, and drops the answer; false when it could not be asked.
func (x *exchange) apply() bool {
	resp := x.forward()
	if resp == nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close() // nobody wants it
	return true
}

// refuse answers with an S3 error document.
func (x *exchange) refuse(status int, code string) {
	text, err := xml.Marshal(struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
		Request string `xml:"RequestId"`
	}{Code: code, Message: "made by the fault proxy", Request: "fault"})
	if err != nil {
		panic(err) // a bug: the type is ours
	}
	x.w.Header().Set("Content-Type", "application/xml")
	x.w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(text) // a client that has gone needs none
	}
}
