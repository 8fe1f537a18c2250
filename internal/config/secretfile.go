package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const maxSecretBytes = 64 << 10

// secretFile is a file that a key with the ending File names.
type secretFile struct {
	text string
	mode fs.FileMode
}

// readSecretFile reads a regular file, or one that a link leads to. Its errors name neither the content
// nor the path, which may be the secret itself, in the wrong key.
func readSecretFile(path string) (secretFile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return secretFile{}, bare(err)
	}
	if !info.Mode().IsRegular() { // a pipe might never answer
		return secretFile{}, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return secretFile{}, bare(err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil && len(text) > maxSecretBytes {
		err = fmt.Errorf("more than %d bytes", maxSecretBytes)
	}
	return secretFile{text: string(text), mode: info.Mode()}, bare(err)
}

// bare is err without the path that it is about.
func bare(err error) error {
	var about *fs.PathError
	if errors.As(err, &about) {
		return about.Err
	}
	return err
}

// credential reports whether a file is one of systemd's LoadCredential=: in a folder that only the service may look into, with an access
// list, which shows as rights of the group.
func (w *walker) credential(file string) bool {
	dir, _ := w.env("CREDENTIALS_DIRECTORY")
	return dir != "" && filepath.Dir(filepath.Clean(file)) == filepath.Clean(dir)
}

// secretFrom sets the secret that the key path names from the file that path+"File" names.
func (w *walker) secretFrom(s *spec, n *node, path string, t *target) {
	name, problem := parseText(n)
	if problem != nil {
		w.problem(problem.at(n.Pos, path))
		return
	}
	if s.state != honoured {
		return // what is not used is not read
	}
	file := name.(string)
	if file == "" {
		w.problem(Problem{Pos: n.Pos, Path: path, Wrong: "names no file", Want: "the path of a file that holds the secret"})
		return
	}
	secret, err := w.readSecret(file)
	if err != nil {
		w.problem(Problem{Pos: n.Pos, Path: path, Wrong: "cannot be read: " + err.Error()})
		return
	}
	if secret.mode.Perm()&0o077 != 0 && !w.credential(file) {
		w.warn(path, fmt.Sprintf("the file has mode %04o, others than its owner may use it: give it 0600 or 0400", secret.mode.Perm()))
	}
	text := strings.TrimRight(secret.text, "\r\n")
	if text == "" {
		w.problem(Problem{Pos: n.Pos, Path: path, Wrong: "the file is empty", Want: "the secret in it"})
		return
	}
	assign(s.into(t), text)
}
