package capture

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

const (
	keyFile = "hmac.key"
	keySize = 32
)

// openKey reads the key of all keyed hashes from dir; the first call makes it.
// It never leaves the file: who has it could test guesses against the hashes.
func openKey(dir string) ([]byte, error) {
	path := filepath.Join(dir, keyFile)
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, keySize)
		rand.Read(key) // never fails: crypto/rand ends the process instead
		err = writeKey(path, key)
	}
	if err != nil {
		return nil, fmt.Errorf("read hash key: %w", err)
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("read hash key: %s has %d bytes instead of %d; restore it, or move it away to begin a new one", path, len(key), keySize)
	}
	return key, nil
}

// writeKey makes the file whole or not at all, also when the process is killed.
func writeKey(path string, key []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), keyFile+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(key)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Link(f.Name(), path) // fails where another process was first
	}
	return errors.Join(err, os.Remove(f.Name()))
}

// keyed is the keyed hash of data for one purpose: hashes for different
// purposes cannot be matched with each other.
func keyed(key []byte, purpose string, data ...[]byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(purpose))
	for _, d := range data {
		m.Write([]byte{0})
		m.Write(d)
	}
	return m.Sum(nil)
}

func keyedHex(key []byte, purpose string, data []byte) string {
	return hex.EncodeToString(keyed(key, purpose, data))
}

// credentialHeaders carry what a caller proves itself with, the first four towards the
// provider.
var credentialHeaders = [...]string{"Authorization", "Api-Key", "X-Api-Key", "Ocp-Apim-Subscription-Key", "Proxy-Authorization", "Cookie", headerToken}

// minCredential is the length from which a credential is looked for in texts: a
// shorter one would be found in ordinary words.
const minCredential = 8

const credentialMark = "[credential]"

// credentials are the secrets that came in the request's own headers.
func credentials(h http.Header) []string { return secretsIn(h, credentialHeaders[:]) }

// providerKeys are what a caller proves itself with towards the provider.
func providerKeys(h http.Header) []string { return secretsIn(h, credentialHeaders[:4]) }

func secretsIn(h http.Header, names []string) []string {
	var list []string
	for _, name := range names {
		for _, v := range h[name] {
			if name == "Authorization" || name == "Proxy-Authorization" {
				if _, rest, ok := strings.Cut(v, " "); ok {
					v = rest
				}
			}
			if v = strings.TrimSpace(v); len(v) >= minCredential {
				list = append(list, v)
			}
		}
	}
	return list
}

// scrub replaces the credentials wherever they stand in b. Without a match it
// gives b itself.
func scrub(b []byte, secrets []string) []byte {
	for _, s := range secrets {
		if bytes.Contains(b, []byte(s)) {
			b = bytes.ReplaceAll(b, []byte(s), []byte(credentialMark))
		}
	}
	return b
}

func scrubText(s string, secrets []string) string {
	for _, c := range secrets {
		s = strings.ReplaceAll(s, c, credentialMark)
	}
	return s
}

// caller is the keyed fingerprint of who asks: his provider keys, else his address.
func caller(key []byte, h http.Header, remote string) []byte {
	if list := providerKeys(h); len(list) > 0 {
		return keyed(key, "caller", []byte(strings.Join(list, "\n")))
	}
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	return keyed(key, "address", []byte(host))
}
