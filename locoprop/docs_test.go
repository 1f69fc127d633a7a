package locoprop_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every file that docs/method.md sends a reader to is there, and so is every section
// that it links to.
func TestMethodDocsLeadSomewhere(t *testing.T) {
	root := ".."
	text, err := os.ReadFile(filepath.Join(root, "docs", "method.md"))
	require.NoError(t, err)
	files := regexp.MustCompile("`((?:locoprop|csrc|cmd|bindings|docs)/[^` ]*)`").FindAllStringSubmatch(string(text), -1)
	require.Greater(t, len(files), 80)
	for _, f := range files {
		found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(f[1])))
		require.NoError(t, err)
		assert.NotEmpty(t, found, f[1])
	}

	anchors := map[string]bool{}
	for _, h := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		anchors[anchor(h[1])] = true
	}
	links := regexp.MustCompile(`\]\(#([^)]*)\)`).FindAllStringSubmatch(string(text), -1)
	require.Greater(t, len(links), 30)
	for _, l := range links {
		assert.True(t, anchors[l[1]], "#%s", l[1])
	}
}

// anchor is what a heading is linked by: in lower case, hyphens for spaces, without
// punctuation.
func anchor(heading string) string {
	keep := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(keep, " ", "-")
}
