package main

import (
	"github.com/spf13/cobra"

	"holdfast/internal/operate"
)

func newUpgrade() *cobra.Command {
	r := operate.Request{Do: operate.Upgrade}
	cmd := &cobra.Command{
		Use:   "upgrade [config]",
		Short: "Print which features the storage format has, or enable one",
		Long: `Print the features of the storage format: which are enabled in each store, which this version knows and can enable, and who is in the way.
A new version is run without any of them: it reads and writes what the one before it does, and one can go back. --enable is the step after which older
versions do not start any more; there is no way back. It is refused (exit code 75) while a replica, or a command, of a version that does not know the feature may
write, and names it: one that runs, or one that was lost less than ten minutes ago. Replicas notice within seconds.` + whereText,
		Example: "  holdfast upgrade /etc/holdfast/config.json\n  holdfast upgrade --enable=FEATURE /etc/holdfast/config.json",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return work(cmd, args, r) },
	}
	cmd.Flags().StringVar(&r.Enable, "enable", "", "enable this feature, for good")
	pathFlags(cmd, &r)
	return cmd
}

func newSecret() *cobra.Command {
	r := operate.Request{Do: operate.Rotate}
	rotate := &cobra.Command{
		Use:   "rotate [config]",
		Short: "Replace the cluster's secret, under which uploads and tokens are signed",
		Long: `Replace the cluster's secret. The new one signs from now on, the old one is good for a day more: uploads in progress go on, and no replica is
restarted. Admin tokens that the old one signed end after a day. When the old one is known to somebody who should not know it, --revoke
ends it at once: uploads in progress begin anew, and every token is refused within a minute.` + whereText,
		Example: "  holdfast secret rotate /etc/holdfast/config.json",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return work(cmd, args, r) },
	}
	rotate.Flags().BoolVar(&r.Revoke, "revoke", false, "the old secret is good no more")
	pathFlags(rotate, &r)
	return group("secret", "The cluster's secret", rotate)
}
