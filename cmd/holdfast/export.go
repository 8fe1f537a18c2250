package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/move"
)

func newExport() *cobra.Command {
	r := move.Request{Do: move.OpExport}
	var to string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "export CONFIG REPOSITORY[:TAG|@DIGEST]... --to oci-layout:DIR",
		Short: "Copy images into an OCI layout, with their referrers",
		Long: `Add images to an OCI image layout, with all that they refer to and all that refers to them (signatures, SBOMs): a tag, a digest, or all tags of a
repository. In the layout they have their tags for names, or repository:tag when there is more than one repository. Exit code 1: something
could not be copied, and is named.` + whereText,
		Example: "  holdfast export /etc/holdfast/config.json team/app:v1 team/app:v2 --to oci-layout:./app",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			dir, found := strings.CutPrefix(to, move.KindOCILayout+":")
			if !found || dir == "" {
				return usageError{errors.New("where to? --to oci-layout:DIR")}
			}
			if r.Place, err = absolute(dir); err != nil {
				return err
			}
			r.Only = args[1:]
			return moveImages(cmd, args[0], r, asJSON)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the layout: oci-layout:DIR; it is made, or added to")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
