// Package policy decides who may do what: it is http.accessControl, compiled. The meaning is zot's. Of the globs that match a repository's name the longest
// alone counts; its policies, its default policy and its anonymous policy only allow, none of them forbids; the admin policy allows on top. What an
// identity's credentials do not allow (access.Limits) is not allowed by any rule. It makes no requests: start at New and Policy.Decide.
package policy
