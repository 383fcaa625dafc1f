package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// plainMessage stores what another program would: a text that is not sealed.
func plainMessage(t *testing.T, j *Journal) (text []byte, id string) {
	t.Helper()
	e := exchange("a", 1)
	e.Request = []byte(token())
	data, err := AppendExchange(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.js.Publish(t.Context(), IngestSubject("gateway", "a"), data); err != nil {
		t.Fatal(err)
	}
	return e.Request, e.ID
}

func found(t *testing.T, dir string, text []byte) (where string) {
	rawFiles(t, dir, func(path string, data []byte) {
		if bytes.Contains(data, text) {
			where = path
		}
	})
	return where
}

// TestKeyFileIsChecked: each fault is told for itself.
func TestKeyFileIsChecked(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	long := strings.Repeat("k", 32)
	for _, c := range []struct{ path, want string }{
		{file("good", long+"\n", 0o600), ""},
		{file("read-only", long, 0o400), ""},
		{filepath.Join(dir, "none"), "no such file"},
		{file("short", long[:31]+"\n", 0o600), "holds 31 bytes"},
		{file("endless", strings.Repeat(long, 200), 0o600), "4096 are needed"},
		{file("group", long, 0o640), "mode 0640"},
		{file("world", long, 0o604), "mode 0604"},
	} {
		cfg := testConfig(t)
		cfg.KeyFile = c.path
		err := cfg.Validate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v; want %q", filepath.Base(c.path), err, c.want)
		}
		if err == nil {
			continue
		}
		if j, err := Open(cfg, quiet()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("open with %s: %v", filepath.Base(c.path), err)
			j.Close()
		}
	}
}

// TestCredentialOfAService: systemd hands a file over with an access list, whose mask looks
// like a right of the group.
func TestCredentialOfAService(t *testing.T) {
	path := keyFile(t)
	if err := os.Chmod(path, 0o440); err != nil {
		t.Fatal(err)
	}
	if _, err := readKeyFile(path); err == nil {
		t.Error("a group may read the file")
	}
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Dir(path))
	if _, err := readKeyFile(path); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(path, 0o444); err != nil {
		t.Fatal(err)
	}
	if _, err := readKeyFile(path); err == nil {
		t.Error("the world may read the file")
	}
}

// TestStoreIsEncrypted: with a key file no file of the store shows a text that came
// unsealed, and no other key opens it.
func TestStoreIsEncrypted(t *testing.T) {
	cfg := testConfig(t)
	cfg.KeyFile = keyFile(t)
	j := openTest(t, cfg)
	text, id := plainMessage(t, j)
	j.Close()
	if where := found(t, cfg.Dir, text); where != "" {
		t.Errorf("found in %s", where)
	}
	for want, path := range map[error]string{errNoKey: "", errWrongKey: keyFile(t)} {
		other := cfg
		other.KeyFile = path
		if j, err := Open(other, quiet()); !errors.Is(err, want) {
			t.Errorf("opened: %v; want %v", err, want)
			if err == nil {
				j.Close()
			}
		}
	}
	j = openTest(t, cfg)
	if e, _, err := j.FindExchange(t.Context(), id); err != nil || !bytes.Equal(e.Request, text) {
		t.Errorf("read again: %v", err)
	}
}

// TestStoreOfBeforeIsEncrypted: a store that was made without a key file is encrypted when
// it is opened with one, and holds what it held.
func TestStoreOfBeforeIsEncrypted(t *testing.T) {
	cfg := testConfig(t)
	j := openTest(t, cfg)
	text, id := plainMessage(t, j)
	l := store(t, j, "u", "c", 700<<10)
	j.Close()
	if found(t, cfg.Dir, text) == "" {
		t.Fatal("a plain text is not found in a plain store: the test is blind")
	}
	cfg.KeyFile = keyFile(t)
	j = openTest(t, cfg)
	if e, _, err := j.FindExchange(t.Context(), id); err != nil || !bytes.Equal(e.Request, text) {
		t.Errorf("read after it: %v", err)
	}
	l.readable(t, j)
	j.Close()
	if where := found(t, cfg.Dir, text); where != "" {
		t.Errorf("found in %s", where)
	}
}

// TestSecretsAreWrappedOutside: a NATS of others holds no secret in clear where there is
// a key file, and a process without it, or with another one, is told.
func TestSecretsAreWrappedOutside(t *testing.T) {
	cfg := testConfig(t)
	cfg.Listen = freeAddr(t)
	broker := openTest(t, cfg)
	outside := testConfig(t)
	outside.Mode, outside.URL, outside.KeyFile = "external", broker.URL(), keyFile(t)
	j := openTest(t, outside)
	<-j.Ready()
	l := store(t, j, "u", "c", 10)
	everything(t, broker, func(where string, data []byte) {
		for _, s := range l.secrets {
			if bytes.Contains(data, base64Of(s)) || bytes.Contains(data, s) {
				t.Errorf("%s shows a secret", where)
			}
		}
	})
	for _, path := range []string{"", keyFile(t)} {
		other := testConfig(t)
		other.Mode, other.URL, other.KeyFile = "external", broker.URL(), path
		k := openTest(t, other)
		<-k.Ready()
		if _, err := k.Exchange(t.Context(), l.seq, l.ex.ID); !errors.Is(err, errMaster) {
			t.Errorf("read with key file %q: %v", path, err)
		}
		if _, err := k.PublishExchanges(t.Context(), "a/b", []*Exchange{l.ex}); !errors.Is(err, errMaster) {
			t.Errorf("write with key file %q: %v", path, err)
		}
	}
	// Forgetting needs no key: a secret that nobody can unwrap is deleted all the same.
	if _, err := broker.Forget(t.Context(), &Forgetting{Units: []string{"u"}}); err != nil {
		t.Error(err)
	}
	j.keys.clear()
	if _, err := j.keys.current(t.Context(), unitName("u"), l.ex.At); !errors.Is(err, ErrForgotten) {
		t.Errorf("secret: %v", err)
	}
}
