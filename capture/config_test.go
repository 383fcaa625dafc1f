package capture

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

func TestConfigSaysWhatIsWrong(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string // empty: valid
	}{
		"default with redaction off": {func(*Config) {}, ""},
		"redaction":                  {func(c *Config) { c.Redact.Media = "some" }, `redact.media "some" is unknown`},
		"redaction, other word":      {func(c *Config) { c.Redact.Mode = "no" }, `redact.mode "no" is unknown`},
		"listen":                     {func(c *Config) { c.Listen = "8080" }, "is not an address"},
		"memory":                     {func(c *Config) { c.Memory = 100 }, "at least 1MiB"},
		"body above memory":          {func(c *Config) { c.MaxBody = 65 << 20 }, "max_body (65MiB) is above memory (64MiB)"},
		"sample":                     {func(c *Config) { c.Sample = 1.5 }, "sample is 1.5; it is a share from 0 to 1"},
		"timeout":                    {func(c *Config) { c.AnswerTimeout = -1 }, "answer_timeout is negative"},
		"trusted network":            {func(c *Config) { c.TrustedClients = []string{"10.0.0.0/8", "::1", "fe80::1"} }, ""},
		"trusted token":              {func(c *Config) { c.TrustedClients = []string{"token:env:X"} }, "holds no token"},
		"trusted name":               {func(c *Config) { c.TrustedClients = []string{"app.internal"} }, "is no address"},
		"pointer":                    {func(c *Config) { c.UnitPointers = []string{"unit"} }, "unit_pointers: \"unit\" is not a JSON Pointer"},
		"empty rule":                 {func(c *Config) { c.Rules = []Rule{{Submodule: "a"}} }, "rule 1: it has no condition"},
		"rule without sub-module":    {func(c *Config) { c.Rules = []Rule{{Path: "/a"}} }, "rule 1: submodule \"\" is not"},
		"rule's expression":          {func(c *Config) { c.Rules = []Rule{{Submodule: "a", System: "("}} }, "system is not a regular expression"},
		"rule's equals":              {func(c *Config) { c.Rules = []Rule{{Submodule: "a", Model: "m", Equals: "x"}} }, "equals needs a pointer"},
	} {
		t.Run(name, func(t *testing.T) {
			c := DefaultConfig()
			c.Redact.Mode = "off"
			tc.change(&c)
			expect(t, c.Validate(), tc.want)
		})
	}
}

func TestUpstreamSaysWhatIsWrong(t *testing.T) {
	for name, tc := range map[string]struct {
		up   Upstream
		want string
	}{
		"OpenAI":        {Upstream{Name: "openai", BaseURL: "https://api.openai.com", Kind: "openai"}, ""},
		"with a path":   {Upstream{Name: "a", BaseURL: "https://h/gateway/"}, ""},
		"loopback":      {Upstream{Name: "a", BaseURL: "http://127.0.0.1:1"}, ""},
		"plain http":    {Upstream{Name: "a", BaseURL: "http://example.com"}, "plain http"},
		"no address":    {Upstream{Name: "a"}, "base_url is missing"},
		"with /v1":      {Upstream{Name: "a", BaseURL: "https://api.openai.com/v1/"}, "remove /v1"},
		"with query":    {Upstream{Name: "a", BaseURL: "https://h?x=1"}, "no user, query or fragment"},
		"unknown kind":  {Upstream{Name: "a", BaseURL: "https://h", Kind: "aws"}, `kind "aws" is unknown`},
		"no name":       {Upstream{BaseURL: "https://h"}, "name \"\" is not"},
		"match":         {Upstream{Name: "a", BaseURL: "https://h", Match: "openai"}, "begins with /"},
		"control chars": {Upstream{Name: "a", BaseURL: "https://h\n"}, "is not an address"},
	} {
		t.Run(name, func(t *testing.T) { expect(t, tc.up.Validate(), tc.want) })
	}
	none := func(*Upstream) (*http.Transport, error) { return nil, nil }
	_, err := compileUpstreams([]Upstream{{Name: "a", BaseURL: "https://h"}, {Name: "b", BaseURL: "https://i"}}, none)
	expect(t, err, `match "" is also that of "a"`)
}

func expect(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%v; want %q in it", err, want)
	}
}

func TestConfigFromTOML(t *testing.T) {
	c := struct {
		Capture Config `toml:"capture"`
	}{DefaultConfig()}
	md, err := toml.Decode(`
[capture]
memory = "32 MiB"
max_body = 1048576
sample = 0
trusted_clients = ["10.0.0.0/8"]
answer_timeout = "30s"
[capture.redact]
mode = "off"
[[capture.rule]]
submodule = "a/b"
pointer = "/metadata/x"
equals = "1"
`, &c)
	if err != nil || len(md.Undecoded()) > 0 {
		t.Fatal(err, md.Undecoded())
	}
	want := DefaultConfig()
	want.Memory, want.MaxBody, want.Sample, want.TrustedClients = 32<<20, 1<<20, 0, []string{"10.0.0.0/8"}
	want.AnswerTimeout, want.Redact.Mode = 30e9, "off"
	want.Rules = []Rule{{Submodule: "a/b", Pointer: "/metadata/x", Equals: "1"}}
	if d := cmp.Diff(want, c.Capture); d != "" {
		t.Error(d)
	}
	expect(t, want.Validate(), "")
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{"64MiB": 64 << 20, "1.5 KiB": 1536, "16mb": 16e6, "7": 7, "7B": 7, "2GiB": 2 << 30, "0": 0} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%q is %d, %v; want %d", text, s, err, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1e30", "NaN", "12 apples"} {
		var s Size
		if s.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is accepted as %d", text, s)
		}
	}
	for s, want := range map[Size]string{64 << 20: "64MiB", 1536: "1536", 0: "0", 3 << 30: "3GiB"} {
		if s.String() != want {
			t.Errorf("%d is written %q, want %q", s, s, want)
		}
	}
}

func TestReloadSwapsOrKeeps(t *testing.T) {
	r := start(t, provider(t, answering), rigConfig{})
	other := []Upstream{{Name: "other", BaseURL: provider(t, answering)}}
	cfg := DefaultConfig()
	cfg.Redact.Mode = "maybe"
	if err := r.Reload(cfg, other, nil); err == nil || !strings.Contains(err.Error(), "redact.mode") {
		t.Fatalf("reload of a bad configuration: %v", err)
	}
	ask(t, r.url+chatPath, question)
	r.settled(1)
	cfg.Redact.Mode, cfg.Memory, cfg.AnswerTimeout = "off", 32<<20, 1e9
	if err := r.Reload(cfg, other, nil); err != nil {
		t.Fatal(err)
	}
	ask(t, r.url+chatPath, question)
	r.settled(2)
	recs := r.shelf.records()
	if recs[0].Upstream != "openai" || recs[1].Upstream != "other" || r.budget.limit.Load() != 32<<20 {
		t.Errorf("upstreams %s, %s; memory %d", recs[0].Upstream, recs[1].Upstream, r.budget.limit.Load())
	}
}

func TestDamagedAccountsBeginAnew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, accountsFile)
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := openLedger(dir, slog.New(slog.DiscardHandler))
	if err != nil || !l.fresh || l.instance == "" {
		t.Fatalf("fresh %v, %v: a proxy must start all the same", l.fresh, err)
	}
	if kept, err := os.ReadFile(path + ".damaged"); err != nil || string(kept) != "{" {
		t.Errorf("the damaged file is not kept: %q, %v", kept, err)
	}
	again, err := openLedger(dir, slog.New(slog.DiscardHandler))
	if err != nil || again.instance != l.instance {
		t.Errorf("second start: %v", err)
	}
}

func TestKeyIsMadeOnceAndDamageIsSaid(t *testing.T) {
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, keyFile), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := openKey(broken)
	expect(t, err, "has 5 bytes instead of 32")
	dir := t.TempDir()
	first, err := openKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := openKey(dir)
	if err != nil || string(first) != string(second) {
		t.Errorf("the key changed: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, keyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("left behind: %v", list)
	}
}
