package spec

// A Row is one promise: given some content, one exchange and what holds after it.
//
// Its texts are templates: {name} stands for a variable of the row. {repo} and
// {other} are two repository names of the row's own, {nonce} is a random word;
// steps add more (content.go).
type Row struct {
	Name    string // the outcome
	Section string // of the spec, with the endpoint's id; or a number A.. or B..
	Given   []Step
	Exchange
	Then []Step

	// At restricts the row to targets of a kind: "" is every target that deletes.
	At Kind
}

// Kind says which targets a row is for.
type Kind string

// The kinds of targets that rows can ask for.
const (
	Everywhere Kind = ""
	Direct     Kind = "direct"  // no proxy stands between
	Limited    Kind = "limited" // deletion is switched off, a blob has at most MaxBlob bytes
	ShortNames Kind = "short"   // the store holds no repository name of the spec's full length
)

// MaxBlob is the largest blob, in bytes, that a Limited target takes.
const MaxBlob = 1 << 20

// A Step prepares content, or looks after the exchange at what it left. It ends
// the row's test when it does not succeed.
type Step func(*Env)

// An Exchange is one request and the answer that it must get.
type Exchange struct {
	Do     string   // method and target as they stand in the request line: "GET /v2/{repo}/tags/list"
	Header []string // "Name: value"; Host, and Content-Length for a body, are added unless they are here
	Body   string
	Make   func(*Env) string // the body, where it is too long or too odd for a template
	Raw    string            // the whole request instead of all this; line ends are written "\n" and sent as CRLF
	Save   string            // variable for the answer's Location; {NAME?} is the same, ready for a parameter

	Want
	// Proxy is what must come back where a proxy stands between and answers in
	// the registry's place.
	Proxy *Want
}

// A Want is what an answer must be. Beyond it, every answer of 400 or more must
// carry an error body of the spec, and no answer may tell about the machinery
// behind it (check.go).
type Want struct {
	Status int
	Or     []int    // further statuses that are as good
	Code   string   // of every error in the body; "A|B" where both are right
	Says   string   // regular expression that some message or detail must match; case does not matter
	Heads  []string // "Name: value", "Name: ~regexp", "Name:" (there, whatever it is) or "!Name" (not there)
	Exact  string   // the body, byte for byte
	Check  func(*Env, *Answer)
	Bare   bool // the HTTP server may answer by itself: no error body is asked for
}

// step makes an exchange a step of another row.
func (x Exchange) step() Step { return func(e *Env) { e.exchange(x) } }

// all joins tables.
func all(tables ...[]Row) (rows []Row) {
	for _, t := range tables {
		rows = append(rows, t...)
	}
	return rows
}

// each makes one row of every value: change gets a copy of the row to fill in.
func each[T any](row Row, values []T, change func(*Row, T)) (rows []Row) {
	for _, v := range values {
		r := row
		change(&r, v)
		rows = append(rows, r)
	}
	return rows
}
