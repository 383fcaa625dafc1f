package openai

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// fileAge is how old what was read of a token's file may be, though the file looks as
// it did.
const fileAge = time.Minute

// A tokenFile holds a bearer token that another program renews. It is safe for
// concurrent use.
type tokenFile struct {
	path string
	now  func() time.Time

	mu       sync.Mutex
	value    string
	read     time.Time // when, zero for never
	modified time.Time
	size     int64
}

// fromFile gives the token that stands in a file when it is asked for.
func fromFile(path string) func(context.Context) (string, error) {
	f := &tokenFile{path: path, now: time.Now}
	return func(context.Context) (string, error) { return f.token() }
}

// token gives what stands in the file now. Whoever renews it may replace the file by
// moments without one, or an empty one: for a minute the token that was read last
// bridges them.
func (f *tokenFile) token() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	fresh := !f.read.IsZero() && now.Sub(f.read) < fileAge
	info, err := os.Stat(f.path)
	if err == nil && fresh && info.ModTime().Equal(f.modified) && info.Size() == f.size {
		return f.value, nil
	}
	value := ""
	if err == nil {
		value, err = readToken(f.path)
	}
	if err != nil {
		if fresh {
			return f.value, nil
		}
		return "", fmt.Errorf("read api_key_file: %w", err)
	}
	f.value, f.read, f.modified, f.size = value, now, info.ModTime(), info.Size()
	return value, nil
}

func readToken(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(b))
	switch {
	case token == "":
		return "", errors.New(path + " is empty")
	case !sendable(token):
		return "", errors.New(path + " holds more than a token: blanks, or characters that no header may have")
	}
	return token, nil
}

// sendable tells whether a token may stand in a header: printable, and without blanks.
func sendable(token string) bool {
	return token != "" && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
