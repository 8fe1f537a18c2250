package main

import (
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/move"
)

func newImport() *cobra.Command {
	r := move.Request{Do: move.OpImport}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import CONFIG --from KIND:PLACE [REPOSITORY...]",
		Short: "Bring in the images of another registry's storage, or of an OCI layout",
		Long: `Push all images of another registry's storage, or those of the repositories that are named, into the stores of a configuration file: tags, manifests without
one, and what refers to them. Everything is compared with its digest. What is there already is not read; an import that was interrupted
goes on where it was. The other registry must be stopped, or read-only. Sources:
  oci-layout:DIR    an OCI image layout
  zot:DIR           zot's root directory; its database is not needed
  zot-s3:CONFIG     the bucket that zot's own configuration file names
  distribution:DIR  the root directory of CNCF distribution, which has docker/registry/v2
Exit code 1: something was not imported, and is named; all else is there.` + whereText,
		Example: "  holdfast import /etc/holdfast/config.json --from zot-s3:/etc/zot/config.json --dry-run\n" +
			"  holdfast import /etc/holdfast/config.json --from distribution:/var/lib/registry --repository-prefix=old\n" +
			"  holdfast import /etc/holdfast/config.json --from oci-layout:./image --repository=team/app",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, place, found := strings.Cut(r.Place, ":")
			if found && place != "" {
				path, err := absolute(place)
				if err != nil {
					return err
				}
				place = path
			}
			request := r
			if request.Place = kind; found {
				request.Place += ":" + place
			}
			request.Only = args[1:]
			return moveImages(cmd, args[0], request, asJSON)
		},
	}
	cmd.Flags().StringVar(&r.Place, "from", "", "the source: "+move.Kinds)
	cmd.Flags().StringVar(&r.Repository, "repository", "", "of an OCI layout: the repository of images whose names there are tags")
	inFlags(cmd, &r, &asJSON)
	return cmd
}

// inFlags are the flags of commands that push.
func inFlags(cmd *cobra.Command, r *move.Request, asJSON *bool) {
	cmd.Flags().StringVar(&r.Prefix, "repository-prefix", "", "put this and a slash before the names of repositories")
	cmd.Flags().BoolVar(&r.DryRun, "dry-run", false, "look what is to be copied, and write nothing; bytes are not read")
	cmd.Flags().BoolVar(&r.Overwrite, "overwrite", false, "set tags that name something else already")
	cmd.Flags().BoolVar(asJSON, "json", false, "print JSON")
}
