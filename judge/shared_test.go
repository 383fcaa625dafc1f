package judge

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// jsonLines reads a file of JSON lines, gzipped or not.
func jsonLines[T any](t testing.TB, path string) []T {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	d := json.NewDecoder(r)
	if filepath.Ext(path) == ".gz" {
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		d = json.NewDecoder(z)
	}
	var list []T
	for d.More() {
		var v T
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
	return list
}

// freeAddress is a loopback address that was free a moment ago.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
