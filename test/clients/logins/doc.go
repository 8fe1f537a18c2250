// Package logins lets the programs that people use log in to three replicas behind HAProxy, in every way that there is, push, pull, log out, and try again without.
// TestLogins prints a table of it: crane, skopeo and oras against passwords, the token endpoint and anonymous pulls in any run; every client and every way with
// HOLDFAST_TEST_LOGINS=full, as "make logins" does, since their programs are large and their daemons want root. TestReplicas shows that what one replica
// gives or takes back holds at the others.
package logins
