package main

import (
	"github.com/spf13/cobra"

	"holdfast/internal/operate"
)

func newQuota() *cobra.Command {
	r := operate.Request{Do: operate.Quota}
	cmd := &cobra.Command{
		Use:   "quota [config]",
		Short: "Print what is used of storage.maxRepos and storage.quotas",
		Long: `Print for each quota of the file what is used of it, by what all replicas have written. With --recount everything that the quotas are
for is counted first, with a read for each blob of each repository; replicas count by themselves once a day, and after a replica has died.` + whereText,
		Example: "  holdfast quota /etc/holdfast/config.json\n  holdfast quota --json --recount /etc/holdfast/config.json",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return work(cmd, args, r) },
	}
	cmd.Flags().BoolVar(&r.Recount, "recount", false, "count anew what is there")
	pathFlags(cmd, &r)
	return cmd
}
