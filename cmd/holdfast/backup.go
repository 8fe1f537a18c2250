package main

import (
	"github.com/spf13/cobra"

	"holdfast/internal/move"
)

func newBackup() *cobra.Command {
	r := move.Request{Do: move.OpBackup}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "backup CONFIG DIRECTORY",
		Short: "Add a snapshot of all repositories to a directory",
		Long: `Add a snapshot of all repositories to a directory, while replicas serve, push and collect. What the directory has is not copied again; a backup
that was interrupted goes on where it was. The directory is an OCI image layout; repositories/NAME/_oci in it is one of each repository.
Exit code 1: something could not be copied, and is named; all else is in the snapshot.` + whereText,
		Example: "  holdfast backup /etc/holdfast/config.json /mnt/backup\n  holdfast backup --keep=30 --json /etc/holdfast/config.json /mnt/backup",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if r.Place, err = absolute(args[1]); err != nil {
				return err
			}
			return moveImages(cmd, args[0], r, asJSON)
		},
	}
	cmd.Flags().IntVar(&r.Keep, "keep", 0, "keep only so many snapshots, and remove what no other needs; 0: all")
	cmd.Flags().BoolVar(&r.Verify, "verify", false, "read all that the directory has of them, compare it with its digests, and copy again what is damaged")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newRestore() *cobra.Command {
	r := move.Request{Do: move.OpRestore}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "restore CONFIG DIRECTORY [REPOSITORY...]",
		Short: "Bring back what a backup has",
		Long: `Push the repositories of a snapshot, all or those that are named, into the stores of a configuration file: the ones that were backed up, or any others.
What is there already stays and costs nothing; a restore that was interrupted goes on where it was. Tags that name something else by now
are left and named, unless --overwrite is given. Exit code 1: something was not restored.` + whereText,
		Example: "  holdfast restore /etc/holdfast/new.json /mnt/backup\n  holdfast restore --snapshot=20260301T020000Z --overwrite /etc/holdfast/config.json /mnt/backup team/app",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if r.Place, err = absolute(args[1]); err != nil {
				return err
			}
			r.Only = args[2:]
			return moveImages(cmd, args[0], r, asJSON)
		},
	}
	cmd.Flags().StringVar(&r.Snapshot, "snapshot", "", "which snapshot; without it the newest")
	inFlags(cmd, &r, &asJSON)
	return cmd
}
