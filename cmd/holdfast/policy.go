package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/access"
	"holdfast/internal/access/policy"
	"holdfast/internal/oci"
)

func newPolicy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "What http.accessControl of a configuration file allows",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return usageError{errors.New("policy: a command is needed")} },
	}
	cmd.AddCommand(newPolicyExplain())
	return cmd
}

// question is what the flags of explain ask.
type question struct {
	config, user, action, repository, tag, digest string
	groups                                        []string
	anonymous, tls                                bool
}

func newPolicyExplain() *cobra.Command {
	var q question
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Say whether somebody may do something, and which rule decides",
		Long: "Say whether somebody may do something to a repository, and which rule of http.accessControl decides. No\n" +
			"server is asked. Groups are those of the file, and those of --group, as a directory or a token has them. Conditions\n" +
			"see the user, the groups, the action, the repository, the tag or digest, the time of this machine, and --tls;\n" +
			"nothing of a client. The exit code is 0 for what is allowed, and 1 for what is denied.",
		Example: "  holdfast policy explain --config config.yaml --user alice --action update --repository prod/app --tag v1",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return explain(cmd, q) },
	}
	f := cmd.Flags()
	f.StringVar(&q.config, "config", "", "the configuration file; without it there are no rules")
	f.StringVar(&q.user, "user", "", "the name of a user")
	f.StringSliceVar(&q.groups, "group", nil, "a group of the user that the file does not name; may be repeated")
	f.BoolVar(&q.anonymous, "anonymous", false, "somebody without credentials, in place of --user")
	f.StringVar(&q.action, "action", "", "read, create, update, delete or detectManifestCollision")
	f.StringVar(&q.repository, "repository", "", "the name of a repository")
	f.StringVar(&q.tag, "tag", "", "a tag")
	f.StringVar(&q.digest, "digest", "", "a digest, in place of --tag")
	f.BoolVar(&q.tls, "tls", false, "the request comes by TLS")
	return cmd
}

// ask reads the flags.
func (q *question) ask() (*access.Request, policy.Ask, error) {
	r := &access.Request{Time: time.Now(), Secure: q.tls}
	switch {
	case (q.user == "") != q.anonymous || q.anonymous && len(q.groups) > 0:
		return nil, policy.Ask{}, errors.New("who? --user NAME, maybe with --group, or --anonymous alone")
	case q.tag != "" && q.digest != "":
		return nil, policy.Ask{}, errors.New("--tag or --digest, not both")
	case !q.anonymous:
		r.Identity = access.Identity{Name: q.user, Groups: q.groups, Way: access.Htpasswd}
	}
	ask := policy.Ask{Action: access.Action(q.action)}
	if !policy.IsAction(ask.Action) {
		return nil, ask, fmt.Errorf("--action is read, create, update, delete or detectManifestCollision, not %q", q.action)
	}
	var err error
	if ask.Repository, err = oci.ParseRepository(q.repository); err != nil {
		return nil, ask, fmt.Errorf("--repository: %w", err)
	}
	if text := q.tag + q.digest; text != "" {
		if ask.Reference, err = oci.ParseReference(text); err != nil {
			return nil, ask, err
		}
	}
	return r, ask, nil
}

func explain(cmd *cobra.Command, q question) error {
	r, ask, err := q.ask()
	if err != nil {
		return usageError{err}
	}
	var files []string
	if q.config != "" {
		files = append(files, q.config)
	}
	cfg, _, err := load(files)
	if err != nil {
		return err
	}
	rules, err := policy.New(cfg.HTTP.AccessRules())
	if err != nil {
		return err
	}
	d := rules.Decide(r, ask)
	out := cmd.OutOrStdout()
	if _, err := fmt.Fprintln(out, d); err != nil {
		return err
	}
	allowed := d.Allowed
	if pattern := rules.Immutable(ask.Repository, ask.Reference.Tag); ask.Reference.Tag != "" && pattern != "" && allowed && (ask.Action == access.Update || ask.Action == access.Delete) {
		allowed = false
		if _, err := fmt.Fprintf(out, "denied: the tag is immutable by %q, whoever asks\n", pattern); err != nil {
			return err
		}
	}
	if !allowed {
		return codeError{code: exitFailure}
	}
	return nil
}
