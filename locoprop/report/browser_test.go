package report

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// browser is a Chromium without a window; of other processes it resolves no host.
type browser struct{ path string }

func findBrowser(t *testing.T) browser {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser; run without -short")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return browser{path}
		}
	}
	t.Skip("no chromium, chromium-browser or google-chrome is installed; third_party/setup.sh --test installs one on Debian")
	return browser{}
}

// visit is what a browser tells of a page.
type visit struct {
	stdout   string
	console  []string // messages, the browser's own about the page included
	requests []string // that the page made, itself not counted
}

// open opens a page with flags that say what to do with it.
func (b browser) open(t *testing.T, html string, flags ...string) visit {
	t.Helper()
	dir := t.TempDir()
	path, log := filepath.Join(dir, "page.html"), filepath.Join(dir, "net.json")
	require.NoError(t, os.WriteFile(path, []byte(html), 0o666))
	cmd := exec.CommandContext(t.Context(), b.path, append(append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-dev-shm-usage",
		"--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND",
		"--virtual-time-budget=3000", "--enable-logging=stderr", "--v=0",
		"--user-data-dir=" + filepath.Join(dir, "profile"), "--log-net-log=" + log,
	}, flags...), "file://"+path)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run(), stderr.String())
	v := visit{stdout: stdout.String()}
	for text := range strings.Lines(stderr.String()) {
		if _, message, found := strings.Cut(text, "CONSOLE:"); found {
			v.console = append(v.console, message)
		}
	}
	content, err := os.ReadFile(log)
	require.NoError(t, err)
	var net struct {
		Events []struct {
			Params struct{ URL, Initiator string }
		}
	}
	require.NoError(t, json.Unmarshal(content, &net))
	for _, e := range net.Events {
		// What the browser asks for by itself has no origin that it begins from.
		if p := e.Params; p.Initiator != "" && p.Initiator != "not an origin" {
			v.requests = append(v.requests, p.URL)
		}
	}
	return v
}

// A page that does ask for something and complains: what the next tests don't find is
// found where it is.
func TestBrowserSees(t *testing.T) {
	t.Parallel()
	v := findBrowser(t).open(t, `<!DOCTYPE html><img src="https://example.invalid/x.png"><script>console.log("hi")</script>`, "--dump-dom")
	assert.Equal(t, []string{"https://example.invalid/x.png"}, v.requests)
	require.Len(t, v.console, 1)
	assert.Contains(t, v.console[0], `"hi"`)
}

func TestPageInBrowser(t *testing.T) {
	t.Parallel()
	v := findBrowser(t).open(t, pageOf(t, samplePage(t)), "--dump-dom")
	assert.Empty(t, v.console)
	assert.Empty(t, v.requests)
	assert.Equal(t, 1, strings.Count(v.stdout, "<canvas"), "a plot of something; two have nothing to draw")
	assert.True(t, strings.Contains(v.stdout, "There is nothing to draw yet."))
	assert.Equal(t, 1, strings.Count(v.stdout, `role="img" aria-label="test loss over epoch"`))
	assert.Equal(t, 2, strings.Count(v.stdout, "logarithmic</label>"))
	assert.Equal(t, 1, strings.Count(v.stdout, "<select"))
	for name, last := range map[string]string{"locoprop-m": "60", "back prop &lt; &gt;": "80", "beyond": "–"} {
		row := regexp.MustCompile(`>` + name + `</div></th><td class="u-value">([^<]*)<`).FindStringSubmatch(v.stdout)
		require.NotNil(t, row, "legend of %s", name)
		assert.Equal(t, last, row[1], "last value of %s", name)
	}
}

// A chart whose horizontal axis is logarithmic leaves out what has no logarithm.
func TestPageLogLog(t *testing.T) {
	t.Parallel()
	c := Chart{X: "batch", Y: "seconds", LogX: true, Series: []Series{{Name: "step", X: []float64{0, 32, 8192}, Y: []float64{1, 2, 512}}}}
	v := findBrowser(t).open(t, pageOf(t, Page{Sections: []Section{{Plots: []Plot{{Log: true, Charts: []Chart{c}}}}}}), "--dump-dom")
	assert.Empty(t, v.console)
	assert.Equal(t, 1, strings.Count(v.stdout, "<canvas"))
	row := regexp.MustCompile(`>step</div></th><td class="u-value">([^<]*)<`).FindStringSubmatch(v.stdout)
	require.NotNil(t, row)
	assert.Equal(t, "512", row[1])
}

// try is a script that uses each control of a page and notes what it leads to.
const try = `
const notes = [];
const legend = () => [...document.querySelectorAll('.u-legend .u-label')].filter(e => e.offsetParent).map(e => e.textContent).join('|');
for (const select of document.querySelectorAll('select')) for (const option of select.options) {
  select.value = option.value;
  select.dispatchEvent(new Event('change'));
  notes.push(option.value + ': ' + legend());
}
const box = document.querySelector('input');
box.click();
notes.push('linear ' + document.querySelectorAll('canvas').length);
const name = document.querySelectorAll('.u-legend .u-label')[1];
name.click();
notes.push('hidden ' + document.querySelectorAll('.u-legend .u-off').length);
notes.push('overflow ' + (document.documentElement.scrollWidth - innerWidth));
document.body.append(Object.assign(document.createElement('pre'), { id: 'notes', textContent: JSON.stringify(notes) }));
`

// The controls of a chart switch what it shows.
func TestPageAnswers(t *testing.T) {
	t.Parallel()
	bySeconds := sample(true)
	bySeconds.X = "seconds"
	bySeconds.Series = bySeconds.Series[:1]
	html := pageOf(t, Page{Sections: []Section{{Plots: []Plot{{Log: true, Charts: []Chart{sample(true), bySeconds}}}}}})
	html = regexp.MustCompile(`<meta http-equiv="Content-Security-Policy"[^>]*>`).ReplaceAllString(html, "") // it would keep the script below out
	v := findBrowser(t).open(t, html+"<script>"+try+"</script>", "--dump-dom", "--window-size=390,800")
	assert.Empty(t, v.console)
	found := regexp.MustCompile(`<pre id="notes">(.*)</pre>`).FindStringSubmatch(v.stdout)
	require.NotNil(t, found)
	var notes []string
	require.NoError(t, json.Unmarshal([]byte(strings.NewReplacer("&lt;", "<", "&gt;", ">").Replace(found[1])), &notes))
	assert.Equal(t, []string{
		"epoch: epoch|locoprop-m|back prop < >|beyond", "seconds: seconds|locoprop-m",
		"linear 1", "hidden 3", "overflow 0",
	}, notes, "three are hidden: a line and the bounds of its band")
}

// What a script brings along in a name doesn't run.
func TestPageRunsOnlyItsOwn(t *testing.T) {
	t.Parallel()
	html := strings.Replace(pageOf(t, samplePage(t)), "</body>", `<script>document.title = "taken"</script></body>`, 1)
	v := findBrowser(t).open(t, html, "--dump-dom")
	assert.False(t, strings.Contains(v.stdout, "<title>taken"))
	require.NotEmpty(t, v.console)
	assert.Contains(t, v.console[0], "Content Security Policy")
}

// Pages can be read on light, dark and narrow screens.
func TestPageLooks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		flags []string
		paper color.RGBA
		width int
	}{
		"light": {[]string{"--window-size=1200,1500"}, color.RGBA{0xff, 0xff, 0xff, 0xff}, 1200},
		"dark":  {[]string{"--window-size=1200,1500", "--blink-settings=preferredColorScheme=0"}, color.RGBA{0x15, 0x18, 0x1c, 0xff}, 1200},
		"phone": {[]string{"--window-size=390,1500"}, color.RGBA{0xff, 0xff, 0xff, 0xff}, 390},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "page.png")
			page := samplePage(t)
			page.Sections[2].Pictures = nil // it is white
			findBrowser(t).open(t, pageOf(t, page), append(c.flags, "--screenshot="+file)...)
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			shot, err := png.Decode(bytes.NewReader(content))
			require.NoError(t, err)
			assert.Equal(t, c.width, shot.Bounds().Dx())
			all := shot.Bounds().Dx() * shot.Bounds().Dy()
			paper := count(shot, c.paper)
			assert.Greater(t, paper, all/2, "most of it is paper")
			assert.Less(t, paper, all*99/100, "and some isn't")
			for i := range 2 {
				curve, _ := styleOf(i)
				assert.Greater(t, count(shot, curve), 100, "line %d", i)
			}
			if name == "phone" {
				assert.Equal(t, 0, count(rightEdge(shot), colours[0]), "nothing is cut off at the right")
			}
		})
	}
}

// rightEdge is the last columns of a picture, which are margin.
func rightEdge(p image.Image) image.Image {
	b := p.Bounds()
	edge := image.NewRGBA(image.Rect(0, 0, 8, b.Dy()))
	for y := range b.Dy() {
		for x := range 8 {
			edge.Set(x, y, p.At(b.Max.X-8+x, y))
		}
	}
	return edge
}

// WCAG 2: text needs a contrast of 4.5, for both schemes of the style sheet.
func TestTextStandsOut(t *testing.T) {
	t.Parallel()
	schemes := regexp.MustCompile(`--page: (\S+); --ink: (\S+); --quiet: (\S+); --rule: \S+; --mark: (\S+); --fill: (\S+);`).FindAllStringSubmatch(pageStyle, -1)
	require.Len(t, schemes, 2)
	for _, s := range schemes {
		for _, ground := range []string{s[1], s[4], s[5]} {
			for _, text := range []string{s[2], s[3]} {
				a, b := luminance(hex(t, ground)), luminance(hex(t, text))
				assert.GreaterOrEqual(t, (max(a, b)+0.05)/(min(a, b)+0.05), 4.5, "%s on %s", text, ground)
			}
		}
	}
}

// hex reads #rgb or #rrggbb.
func hex(t *testing.T, text string) color.RGBA {
	t.Helper()
	digits := strings.TrimPrefix(text, "#")
	if len(digits) == 3 {
		digits = strings.Join([]string{digits[:1], digits[:1], digits[1:2], digits[1:2], digits[2:], digits[2:]}, "")
	}
	var v [3]uint8
	for i := range v {
		n, err := strconv.ParseUint(digits[2*i:2*i+2], 16, 8)
		require.NoError(t, err)
		v[i] = uint8(n)
	}
	return color.RGBA{v[0], v[1], v[2], 0xff}
}
