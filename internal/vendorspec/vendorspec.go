// Package vendorspec holds what the project writes against the vendors' own
// definitions of their wires. It is for tests alone; the definitions, and recorded
// data, stand beside the repository and are not a part of it, so that a test without
// them skips.
package vendorspec

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Path gives the place of a file of ../shared, or skips the test where it is not.
func Path(t testing.TB, elements ...string) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	path := filepath.Join(append([]string{filepath.Dir(here), "..", "..", "..", "shared"}, elements...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not beside the repository", filepath.Join(append([]string{"../shared"}, elements...)...))
	}
	return path
}

// Lines reads a compressed file of ../shared, line by line, or skips the test.
func Lines(t testing.TB, elements ...string) [][]byte {
	t.Helper()
	f, err := os.Open(Path(t, elements...))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(z)
	in.Buffer(nil, 16<<20)
	var lines [][]byte
	for in.Scan() {
		lines = append(lines, bytes.Clone(in.Bytes()))
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// read decodes a definition, or skips the test.
func read(t testing.TB, name string, into any) {
	t.Helper()
	f, err := os.Open(Path(t, "specs", name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(z).Decode(into); err != nil {
		t.Fatal(err)
	}
}
