package locoprop_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	docPath    = regexp.MustCompile("`((?:locoprop|csrc|cmd|bindings|docs|third_party|…)/[^` ]*)`")
	docLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	docName    = regexp.MustCompile("`([\\w.]+)` in\\s+`((?:locoprop|csrc|cmd|bindings)/[^` ]+\\.\\w+)`(?:\\s+and\\s+`((?:locoprop|csrc|cmd)/[^` ]+\\.\\w+)`)?")
	docHeading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// Every file and folder that a document names in backquotes is there, has in it the name
// that is said to be, and so is every file and section that it links to: formulas move from
// file to file, and the documents with them.
func TestDocsLeadSomewhere(t *testing.T) {
	root := ".."
	files := []string{"README.md", "CHANGELOG.md"}
	require.NoError(t, filepath.WalkDir(filepath.Join(root, "docs"), func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			name, err := filepath.Rel(root, path)
			require.NoError(t, err)
			files = append(files, name)
		}
		return err
	}))
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		return string(text)
	}
	paths, names, links := 0, 0, 0
	for _, file := range files {
		text := read(file)
		for _, m := range docPath.FindAllStringSubmatch(text, -1) {
			paths++
			pattern := strings.Replace(m[1], "…/", "locoprop/method/", 1) // of the table of baselines
			found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
			require.NoError(t, err)
			assert.NotEmpty(t, found, "%s: %s", file, m[1])
		}
		for _, m := range docName.FindAllStringSubmatch(text, -1) { // `Order` in `locoprop/dataset/order.go`
			name := m[1][strings.LastIndex(m[1], ".")+1:]
			for _, path := range m[2:] {
				if path != "" {
					names++
					assert.Regexp(t, `\b`+name+`\b`, read(path), "%s: %s in %s", file, m[1], path)
				}
			}
		}
		for _, m := range docLink.FindAllStringSubmatch(text, -1) {
			target, section, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, ":") { // another site
				continue
			}
			links++
			to := file
			if target != "" {
				to = filepath.Join(filepath.Dir(file), filepath.FromSlash(target))
			}
			_, err := os.Stat(filepath.Join(root, to))
			if !assert.NoError(t, err, "%s: %s", file, m[1]) || section == "" {
				continue
			}
			anchors := map[string]bool{}
			for _, h := range docHeading.FindAllStringSubmatch(read(to), -1) {
				anchors[anchor(h[1])] = true
			}
			assert.True(t, anchors[section], "%s: %s", file, m[1])
		}
	}
	assert.Greater(t, paths, 150)
	assert.Greater(t, names, 10)
	assert.Greater(t, links, 100)
}

// anchor is what a heading is linked by: in lower case, hyphens for spaces, without
// punctuation.
func anchor(heading string) string {
	keep := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(keep, " ", "-")
}
