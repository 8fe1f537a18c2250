// Package login lets people log in with a browser, by OpenID Connect and by GitHub's OAuth. What a login needs on its way is in a sealed cookie, and a
// session is a record in the store, so that each request may come to another replica. Begin with Logins; Session is what other requests ask. What an
// identity may do is not decided here.
package login
