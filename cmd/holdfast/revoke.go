package main

import (
	"github.com/spf13/cobra"

	"holdfast/internal/operate"
)

func newRevoke() *cobra.Command {
	r := operate.Request{Do: operate.RevokeUser}
	cmd := &cobra.Command{
		Use:   "revoke --user=NAME [config]",
		Short: "Refuse the tokens, sessions and API keys that a user was given until now",
		Long: `Refuse what a user was given until now: tokens of our own endpoint, refresh tokens, sessions of browsers, API keys, and tokens that other servers
gave him. It holds at every replica within 2 seconds. His password is as good as before: remove him where he is known, then revoke.` + whereText,
		Example: "  holdfast revoke --user=alice /etc/holdfast/config.json",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return work(cmd, args, r) },
	}
	cmd.Flags().StringVar(&r.User, "user", "", "the user's name")
	cmd.Flags().BoolVar(&r.JSON, "json", false, "print JSON")
	return cmd
}
