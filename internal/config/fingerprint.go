package config

import (
	"crypto/sha256"
	"fmt"
)

// Fingerprint is of all bytes that Load would read: the file's and those of the files that it names for secrets,
// whatever links lead to them. It is another one when one of them is, also when a file comes, goes or cannot be read any
// more. What it shows of the bytes is nothing but whether they changed. env is as Load's.
func Fingerprint(path string, env func(string) (string, bool)) [sha256.Size]byte {
	all := sha256.New()
	add := func(name string, text []byte, err error) {
		_, _ = fmt.Fprintf(all, "%q %d %v\n%s", name, len(text), err, text) // a hash takes everything
	}
	text, err := readFile(path)
	add(path, text, err)
	if err == nil {
		_, _, _ = load(path, text, env, func(name string) (secretFile, error) { // what is wrong with it Load tells
			secret, err := readSecretFile(name)
			add(name, []byte(secret.text), err)
			return secret, err
		})
	}
	return [sha256.Size]byte(all.Sum(nil))
}
