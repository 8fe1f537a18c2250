// Package config reads zot's configuration file, JSON or YAML, into one typed tree. Its table of keys
// (keys*.go) names every key that zot knows: those that are honoured here, those that are accepted and
// have no effect (with a warning that says what this means), and those that would leave the registry more
// open than the file says and are refused. A key that nobody knows is a problem, and all problems of a
// file are reported at once, with line and column. Values may name environment variables, ${NAME} or
// ${NAME:-default}, and secrets may be read from files; the environment overrides nothing by itself.
//
// TLS, authentication and access control are not enforced in this version. A file that configures any of
// them, by any key with a value that is not empty, is refused as a whole: it would run open.
//
// The package opens no store and imports none of ours but retain, which is pure and says what a policy is: the server turns the tree
// into the parts' own configurations. Start with Load and Config; a new key is one line in the table.
package config
