// Package fetch downloads files whose size and digest are known: from several mirrors,
// going on where an earlier attempt ended, and never leaving a wrong file in place.
package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// File is what is known of a file before it is there.
type File struct {
	Name   string
	Size   int64
	SHA256 string // of its bytes, in hexadecimal
}

// Options of [Get]. The zero value of a field with a default means that.
type Options struct {
	Dir      string   // where files go; it is made
	Mirrors  []string // URLs of the folders that hold them, tried in turn
	Client   *http.Client
	Attempts int           // in all; 6
	Backoff  time.Duration // before the second attempt, and twice as long before each later one; 1 s
	Idle     time.Duration // how long a server may send nothing; 30 s

	Progress func(f File, done int64)         // called as bytes come in; may be nil
	Log      func(format string, args ...any) // told what went wrong with an attempt; may be nil
}

// Get puts a file into o.Dir, and reports whether it was there already. What has come in
// stays in .NAME.part beside it until the file is whole and its digest right; the next
// attempt, or the next call, asks for the rest. A file of another digest under its name
// is replaced at that moment.
func Get(ctx context.Context, f File, o Options) (there bool, err error) {
	o.defaults()
	path := filepath.Join(o.Dir, f.Name)
	if digest, err := digestOf(path); err == nil && digest == f.SHA256 {
		return true, nil
	}
	if err := os.MkdirAll(o.Dir, 0o777); err != nil {
		return false, err
	}
	part := filepath.Join(o.Dir, "."+f.Name+".part")
	for attempt, wait := 0, o.Backoff; ; attempt, wait = attempt+1, 2*wait {
		url := strings.TrimSuffix(o.Mirrors[attempt%len(o.Mirrors)], "/") + "/" + f.Name
		err := o.attempt(ctx, f, url, part)
		if err == nil {
			return false, finish(part, path)
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		var local *fs.PathError
		if errors.As(err, &local) || attempt+1 == o.Attempts {
			return false, fmt.Errorf("%s: %w (after %d attempts)", url, err, attempt+1)
		}
		o.Log("%s: %v; trying again in %v", url, err, wait)
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(wait):
		}
	}
}

func (o *Options) defaults() {
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	if o.Attempts == 0 {
		o.Attempts = 6
	}
	if o.Backoff == 0 {
		o.Backoff = time.Second
	}
	if o.Idle == 0 {
		o.Idle = 30 * time.Second
	}
	if o.Progress == nil {
		o.Progress = func(File, int64) {}
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
}

// attempt brings the part up to the file's size and checks its digest. A part that can't
// be the beginning of the file is removed.
func (o *Options) attempt(ctx context.Context, f File, url, part string) error {
	file, err := os.OpenFile(part, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return err
	}
	defer file.Close() // synced where it counts
	have, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if have > f.Size {
		have = 0
	}
	if have < f.Size {
		if have, err = o.download(ctx, f, url, file, have); err != nil {
			return err
		}
	}
	if have < f.Size {
		return fmt.Errorf("cut off after %d of %d bytes", have, f.Size)
	}
	digest, err := digestOf(part)
	if err == nil && (digest != f.SHA256 || have > f.Size) {
		err = fmt.Errorf("wrong content: its SHA-256 is %s, must be %s", digest, f.SHA256)
		return errors.Join(err, file.Truncate(0))
	}
	if err != nil {
		return err
	}
	return file.Sync()
}

var errIdle = errors.New("the server has sent nothing for too long")

// download appends to a part that has the first bytes, and returns how many it has then.
func (o *Options) download(ctx context.Context, f File, url string, part *os.File, have int64) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(o.Idle, func() { cancel(errIdle) })
	defer watchdog.Stop()
	why := func(err error) error {
		if cause := context.Cause(ctx); errors.Is(cause, errIdle) {
			return cause
		}
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return have, err
	}
	request.Header.Set("Accept-Encoding", "identity") // the bytes as they are stored
	if have > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	response, err := o.Client.Do(request)
	if err != nil {
		return have, why(err)
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusPartialContent && have > 0 &&
		strings.HasPrefix(response.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", have)):
	case response.StatusCode == http.StatusOK:
		have = 0 // all of it, whatever was asked for
	case response.StatusCode == http.StatusPartialContent, response.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		err := fmt.Errorf("the server answers %s, but not with the rest that was asked for", response.Status)
		return have, errors.Join(err, part.Truncate(0))
	default:
		return have, fmt.Errorf("the server answers %s", response.Status)
	}
	if err := part.Truncate(have); err != nil {
		return have, err
	}
	if _, err := part.Seek(have, io.SeekStart); err != nil {
		return have, err
	}
	buffer := make([]byte, 64<<10)
	for have <= f.Size { // one byte more than there should be is enough to know
		n, err := response.Body.Read(buffer)
		watchdog.Reset(o.Idle)
		if _, failed := part.Write(buffer[:n]); failed != nil {
			return have, failed
		}
		have += int64(n)
		o.Progress(f, have)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break // how much there is tells what it means
		}
		if err != nil {
			return have, why(err)
		}
	}
	return have, nil
}

// finish gives a whole part its name.
func finish(part, path string) error {
	if err := os.Rename(part, path); err != nil {
		return err
	}
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync() // not every system can
		_ = dir.Close()
	}
	return nil
}

func digestOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
