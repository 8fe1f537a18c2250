package mem

import (
	"errors"
	"fmt"
	"strings"

	"holdfast/internal/record"
)

// checkKey returns an error unless key has the form that record.Key asks for.
func checkKey(key record.Key) error {
	for part := range strings.SplitSeq(string(key), "/") {
		if part == "" || part == "." || part == ".." || len(part) > 255 {
			return fmt.Errorf("invalid key: part %q is empty, a dot name or over 255 bytes", part)
		}
		for i := range len(part) {
			if c := part[i]; c < ' ' || c > '~' {
				return fmt.Errorf("invalid key: byte %#x in part %q is not printable ASCII", c, part)
			}
		}
	}
	return nil
}

// checkList returns an error unless prefix and after are what List asks for.
func checkList(prefix, after record.Key) error {
	folder, ok := strings.CutSuffix(string(prefix), "/")
	if !ok {
		return errors.New("invalid prefix: it does not end with a slash")
	}
	if after != "" && !strings.HasPrefix(string(after), string(prefix)) {
		return fmt.Errorf("invalid after: %s is not below the prefix", after)
	}
	return checkKey(record.Key(folder))
}

// checkValue returns an error when value is larger than the contract allows, or empty: a value has a nonce.
func checkValue(value []byte) error {
	if len(value) == 0 || len(value) > maxValue {
		return fmt.Errorf("invalid value: %d bytes, want 1 to %d", len(value), maxValue)
	}
	return nil
}

// firstError returns the first error that is not nil.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
