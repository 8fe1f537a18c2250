// Package ldap asks a directory whether a name and a password belong together, and which groups their holder is in: it searches the user's entry
// as an account of its own, and then binds as the user. Begin with Directory.Check. It knows nothing of rules, and keeps nothing but answers of
// the last seconds.
package ldap
