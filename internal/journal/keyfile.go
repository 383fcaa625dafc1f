package journal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// A master is what the file [nats] key_file says, or nothing: it encrypts the embedded
// store, and wraps the secrets that records are sealed with.
type master struct{ secret []byte }

// keyFileLeast is how many bytes a key file must hold, keyFileMost how many it may.
const (
	keyFileLeast = 32
	keyFileMost  = 4096
)

// readKeyFile reads a key file; without a path there is no master.
func readKeyFile(path string) (*master, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("key_file cannot be read: %w; restore it from its backup, nothing else opens the store", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("key_file cannot be read: %w", err)
	}
	if info.Mode().Perm()&others(path) != 0 {
		return nil, fmt.Errorf("key_file %s has mode %04o, so others may read it; run chmod 600 on it", path, info.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, keyFileMost+1))
	if err != nil {
		return nil, fmt.Errorf("key_file cannot be read: %w", err)
	}
	b = bytes.TrimRight(b, "\r\n")
	if len(b) < keyFileLeast || len(b) > keyFileMost {
		return nil, fmt.Errorf("key_file %s holds %d bytes, and %d to %d are needed; make one with: (umask 077; head -c 48 /dev/urandom | base64 > %s)", path, len(b), keyFileLeast, keyFileMost, path)
	}
	return &master{secret: b}, nil
}

// others are the permissions that a key file must not give. systemd hands credentials over
// in a directory of the service alone, where the group's bits are those of a list.
func others(path string) fs.FileMode {
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" && filepath.Dir(path) == filepath.Clean(dir) {
		return 0o007
	}
	return 0o077
}

// derive gives a key of 32 bytes for one purpose.
func (m *master) derive(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, m.secret, nil, "understudy "+purpose, 32)
	if err != nil {
		panic(err) // of the length alone
	}
	return key
}

// markFile tells, in the state directory, which key the embedded store is encrypted
// with, by a value that says nothing of the key.
const markFile = "nats.key-mark"

var (
	errWrongKey = errors.New("key_file is not the one that the store was encrypted with; restore the right file, nothing else opens the store")
	errNoKey    = errors.New("the store is encrypted, and no key_file is configured; set [nats] key_file to the file that it was made with")
)

// checkMark compares the store in dir with the key before a server opens it: a server
// with another key would take a part of the store for damaged. A store that was not
// encrypted before is marked, and then encrypted by the server as it starts.
func checkMark(dir string, m *master) error {
	path := filepath.Join(dir, markFile)
	have, err := os.ReadFile(path)
	switch {
	case err == nil && m == nil:
		return errNoKey
	case err == nil:
		if string(bytes.TrimSpace(have)) != m.mark() {
			return errWrongKey
		}
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read the mark of the store's key: %w", err)
	case m == nil:
		return nil
	}
	return writeMark(dir, path, m.mark())
}

func (m *master) mark() string { return hex.EncodeToString(m.derive("mark")[:16]) }

// writeMark puts the mark there as a whole, and on disk before the store is.
func writeMark(dir, path, mark string) error {
	f, err := os.CreateTemp(dir, markFile+"-*")
	if err != nil {
		return fmt.Errorf("mark the store's key: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(mark + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("mark the store's key: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("mark the store's key: %w", err)
	}
	defer d.Close()
	return d.Sync()
}
