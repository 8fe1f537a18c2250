// Package trial makes one history and judges it: it starts an installation, lets clients work, breaks things meanwhile if
// asked to, mends them, reads everything back from each replica, looks at the store, and says what it found.
package trial
