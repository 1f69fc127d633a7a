package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/locoprop/locoprop-go/cmd/locoprop/internal/fetch"
	"github.com/urfave/cli/v2"
)

// distribution is a data set that can be downloaded.
type distribution struct {
	name    string
	mirrors []string
	files   []fetch.File
}

// distributions have the sizes and digests that several independent programs publish for
// these files.
var distributions = []distribution{
	{
		"mnist",
		[]string{"https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist"},
		[]fetch.File{
			{Name: "train-images-idx3-ubyte.gz", Size: 9912422, SHA256: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"},
			{Name: "train-labels-idx1-ubyte.gz", Size: 28881, SHA256: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"},
			{Name: "t10k-images-idx3-ubyte.gz", Size: 1648877, SHA256: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"},
			{Name: "t10k-labels-idx1-ubyte.gz", Size: 4542, SHA256: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"},
		},
	},
	{
		"fashion-mnist",
		[]string{"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com", "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion"},
		[]fetch.File{
			{Name: "train-images-idx3-ubyte.gz", Size: 26421880, SHA256: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"},
			{Name: "train-labels-idx1-ubyte.gz", Size: 29515, SHA256: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"},
			{Name: "t10k-images-idx3-ubyte.gz", Size: 4422102, SHA256: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"},
			{Name: "t10k-labels-idx1-ubyte.gz", Size: 5148, SHA256: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"},
		},
	},
}

func fetchCommand() *cli.Command {
	command := &cli.Command{
		Name:      "fetch",
		Usage:     "download a data set, verified by digest",
		UsageText: "locoprop data fetch mnist|fashion-mnist [--to FOLDER] [--mirror URL]",
		Description: "Files come from public mirrors, are checked by SHA-256, and get their names only then. What an\n" +
			"interrupted download has got is kept, and the next one asks for the rest.",
	}
	for i := range distributions {
		d := &distributions[i]
		command.Subcommands = append(command.Subcommands, &cli.Command{
			Name:  d.name,
			Usage: fmt.Sprintf("download %s into FOLDER/%s", d.name, d.name),
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "to", Usage: "`FOLDER` that --data will name", DefaultText: "the environment variable " + dataVariable + ", else data"},
				&cli.StringFlag{Name: "mirror", Usage: "`URL` of a folder with the files", DefaultText: "public ones: " + d.mirrors[0] + ", ..."},
			},
			Action: d.fetch,
		})
	}
	return command
}

func (d *distribution) fetch(c *cli.Context) error {
	root := c.String("to")
	if root == "" {
		root = os.Getenv(dataVariable)
	}
	if root == "" {
		root = "data"
	}
	say := func(format string, args ...any) { fmt.Fprintf(c.App.ErrWriter, format+"\n", args...) }
	o := fetch.Options{Dir: filepath.Join(root, d.name), Mirrors: d.mirrors, Log: say}
	if mirror := c.String("mirror"); mirror != "" {
		o.Mirrors = []string{mirror}
	}
	tenths := int64(0)
	o.Progress = func(f fetch.File, done int64) {
		if now := 10 * done / f.Size; now > tenths {
			tenths = now
			say("%s: %d %% of %.1f MB", f.Name, 10*now, float64(f.Size)/1e6)
		}
	}
	for _, f := range d.files {
		tenths = 0
		there, err := fetch.Get(c.Context, f, o)
		if err != nil {
			return fmt.Errorf("%w; what has come in is kept: the same command goes on", err)
		}
		if there {
			say("%s: is there already", f.Name)
		}
	}
	say("%s is in %s: locoprop train --dataset %s --data %s", d.name, o.Dir, d.name, quote(root))
	return nil
}
