package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var content = bytes.Repeat([]byte("0123456789abcdef"), 20000) // several buffers long

func file() File {
	sum := sha256.Sum256(content)
	return File{Name: "a.gz", Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
}

// server answers requests in the given ways, one after another, and any further one well.
// It keeps the ranges that were asked for.
type server struct {
	*httptest.Server
	ways   []string
	ranges []string
}

func serve(t *testing.T, ways ...string) *server {
	s := &server{ways: ways}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	way := "good"
	if n := len(s.ranges); n < len(s.ways) {
		way = s.ways[n]
	}
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	switch way {
	case "good":
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	case "cut": // announces all and sends a part
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write(content[:100000])
	case "short": // pretends that the part is all
		_, _ = w.Write(content[:100000])
	case "stall":
		_, _ = w.Write(content[:50000])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	case "silent":
		<-r.Context().Done()
	case "wrong":
		_, _ = w.Write(bytes.Repeat([]byte("x"), len(content)))
	case "long":
		_, _ = w.Write(append(content[:len(content):len(content)], content...))
	case "whole": // heeds no range
		_, _ = w.Write(content)
	case "other range":
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 7-%d/%d", len(content)-1, len(content)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(content[7:])
	default:
		w.WriteHeader(map[string]int{"404": 404, "500": 500, "416": 416}[way])
	}
}

func options(t *testing.T, s *server) Options {
	return Options{Dir: filepath.Join(t.TempDir(), "new"), Mirrors: []string{s.URL}, Backoff: time.Microsecond, Idle: 300 * time.Millisecond}
}

func TestGet(t *testing.T) {
	for name, c := range map[string]struct {
		ways   []string
		ranges []string
	}{
		"at once":                    {nil, []string{""}},
		"cut twice":                  {[]string{"cut"}, []string{"", "bytes=100000-"}},
		"ends early":                 {[]string{"short"}, []string{"", "bytes=100000-"}},
		"stalls":                     {[]string{"stall"}, []string{"", "bytes=50000-"}},
		"never answers":              {[]string{"silent"}, []string{"", ""}},
		"wrong content":              {[]string{"wrong"}, []string{"", ""}},
		"too long":                   {[]string{"long"}, []string{"", ""}},
		"no ranges":                  {[]string{"cut", "whole"}, []string{"", "bytes=100000-"}},
		"another range":              {[]string{"cut", "other range"}, []string{"", "bytes=100000-", ""}},
		"range refused":              {[]string{"cut", "416"}, []string{"", "bytes=100000-", ""}},
		"errors in between":          {[]string{"cut", "500"}, []string{"", "bytes=100000-", "bytes=100000-"}},
		"errors":                     {[]string{"500", "404"}, []string{"", "", ""}},
		"wrong after what was right": {[]string{"cut", "wrong", "stall"}, []string{"", "bytes=100000-", "", "bytes=50000-"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, c.ways...)
			o := options(t, s)
			var last int64
			o.Progress = func(_ File, done int64) { last = done }
			there, err := Get(t.Context(), file(), o)
			require.NoError(t, err)
			assert.False(t, there)
			assert.Equal(t, c.ranges, s.ranges)
			assert.Equal(t, file().Size, last)
			got, err := os.ReadFile(filepath.Join(o.Dir, "a.gz"))
			require.NoError(t, err)
			assert.Equal(t, content, got)
			entries, err := os.ReadDir(o.Dir)
			require.NoError(t, err)
			assert.Len(t, entries, 1, "no part is left")

			there, err = Get(t.Context(), file(), o)
			require.NoError(t, err)
			assert.True(t, there)
			assert.Len(t, s.ranges, len(c.ranges), "no further request")
		})
	}
}

func TestGetFails(t *testing.T) {
	for way, want := range map[string]string{
		"404":    "the server answers 404 Not Found (after 3 attempts)",
		"wrong":  "wrong content: its SHA-256 is ",
		"silent": "nothing for too long",
	} {
		s := serve(t, way, way, way)
		o := options(t, s)
		o.Attempts = 3
		require.NoError(t, os.MkdirAll(o.Dir, 0o755))
		old := filepath.Join(o.Dir, "a.gz")
		require.NoError(t, os.WriteFile(old, []byte("of the user"), 0o644))
		logged := 0
		o.Log = func(string, ...any) { logged++ }
		_, err := Get(t.Context(), file(), o)
		require.ErrorContains(t, err, want)
		assert.ErrorContains(t, err, s.URL+"/a.gz: ")
		assert.Len(t, s.ranges, 3)
		assert.Equal(t, 2, logged)
		got, err := os.ReadFile(old)
		require.NoError(t, err)
		assert.Equal(t, "of the user", string(got), "nothing wrong takes its place")
	}
}

// An interrupted call leaves what has come in, and the next one asks for the rest, of a
// second mirror where the first is gone.
func TestGetGoesOn(t *testing.T) {
	s := serve(t, "stall")
	o := options(t, s)
	o.Idle = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	o.Progress = func(_ File, done int64) {
		if done == 50000 {
			cancel()
		}
	}
	_, err := Get(ctx, file(), o)
	require.ErrorIs(t, err, context.Canceled)
	gone := serve(t)
	gone.Close()
	o.Mirrors = []string{gone.URL, s.URL + "/"}
	_, err = Get(t.Context(), file(), o)
	require.NoError(t, err)
	assert.Equal(t, []string{"", "bytes=50000-"}, s.ranges)

	o.Dir = filepath.Join(o.Dir, "a.gz", "no folder")
	_, err = Get(t.Context(), file(), o)
	require.Error(t, err)
}
