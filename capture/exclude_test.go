package capture

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhoIsNotRecorded(t *testing.T) {
	const key = "sk-somebody-0123456789"
	sum := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(key)))
	body := func(fields string) string {
		return `{"model":"gpt-4-turbo",` + fields + `"messages":[{"role":"user","content":"a word that nobody may keep"}]}`
	}
	consent := Exclude{Consent: "required", ConsentPointers: []string{"/metadata/consent"}}
	for name, tc := range map[string]struct {
		exclude  Exclude
		header   []string
		body     string
		trust    []string
		recorded bool
	}{
		"nothing":                {recorded: true},
		"skip":                   {header: []string{"X-Understudy-Skip", "1"}},
		"skip of a stranger":     {header: []string{"X-Understudy-Skip", "yes"}, trust: []string{"10.0.0.0/8"}},
		"skip that says no":      {header: []string{"X-Understudy-Skip", "false"}, recorded: true},
		"key":                    {exclude: Exclude{Keys: []string{sum}}, header: []string{"Authorization", "Bearer " + key}},
		"key, Azure's header":    {exclude: Exclude{Keys: []string{sum[:7+17]}}, header: []string{"Api-Key", key}},
		"another key":            {exclude: Exclude{Keys: []string{sum}}, header: []string{"Authorization", "Bearer " + key + "x"}, recorded: true},
		"header":                 {exclude: Exclude{Headers: []string{"x-team"}}, header: []string{"X-Team", "any"}},
		"header by value":        {exclude: Exclude{Headers: []string{"X-Team: legal-*"}}, header: []string{"X-Team", "legal-7"}},
		"header, second value":   {exclude: Exclude{Headers: []string{"X-Team: legal"}}, header: []string{"X-Team", "hr", "X-Team", "legal"}},
		"header, another value":  {exclude: Exclude{Headers: []string{"X-Team: legal"}}, header: []string{"X-Team", "hr"}, recorded: true},
		"pointer":                {exclude: Exclude{Pointers: []string{"/metadata/private"}}, body: body(`"metadata":{"private":"x"},`)},
		"pointer to an object":   {exclude: Exclude{Pointers: []string{"/metadata/private"}}, body: body(`"metadata":{"private":{}},`)},
		"pointer to false":       {exclude: Exclude{Pointers: []string{"/metadata/private"}}, body: body(`"metadata":{"private":false},`), recorded: true},
		"pointer to null":        {exclude: Exclude{Pointers: []string{"/metadata/private"}}, body: body(`"metadata":{"private":null},`), recorded: true},
		"pointer by value":       {exclude: Exclude{Pointers: []string{"/metadata/team=a=b"}}, body: body(`"metadata":{"team":"a=b"},`)},
		"pointer, another value": {exclude: Exclude{Pointers: []string{"/metadata/team=legal"}}, body: body(`"metadata":{"team":"hr"},`), recorded: true},
		"no consent":             {exclude: consent},
		"consent refused":        {exclude: consent, body: body(`"metadata":{"consent":"no"},`)},
		"consent in the body":    {exclude: consent, body: body(`"metadata":{"consent":true},`), recorded: true},
		"consent in words":       {exclude: consent, body: body(`"metadata":{"consent":"Granted"},`), recorded: true},
		"consent in the header":  {exclude: consent, header: []string{"X-Understudy-Consent", "yes"}, recorded: true},
		"consent of a stranger":  {exclude: consent, header: []string{"X-Understudy-Consent", "yes"}, trust: []string{"10.0.0.0/8"}},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.body == "" {
				tc.body = body("")
			}
			seen := make(chan http.Header, 1)
			var log bytes.Buffer
			dir := t.TempDir()
			r := start(t, provider(t, func(w http.ResponseWriter, r *http.Request) {
				seen <- r.Header
				answering(w, r)
			}), rigConfig{dir: dir, log: &log, cfg: func(c *Config) {
				c.Exclude = tc.exclude
				if tc.trust != nil {
					c.TrustedClients = tc.trust
				}
			}})
			if _, got := ask(t, r.url+chatPath, tc.body, tc.header...); got != completion {
				t.Errorf("client got %q", got)
			}
			for k := range <-seen {
				if strings.HasPrefix(k, ownPrefix) {
					t.Errorf("%s went upstream", k)
				}
			}
			a := r.settled(1)
			if (a.Captured == 1) != tc.recorded || a.Captured+a.Excluded != 1 {
				t.Errorf("accounts %+v", a)
			}
			if tc.recorded {
				return
			}
			r.stop()
			if recs := r.shelf.records(); len(recs) > 0 {
				t.Errorf("it was published: %+v", recs[0])
			}
			for path, text := range filesIn(t, dir) {
				if strings.Contains(text, "nobody may keep") || strings.Contains(text, key) {
					t.Errorf("%s holds it", path)
				}
			}
			if strings.Contains(log.String(), "nobody may keep") || strings.Contains(log.String(), key) {
				t.Error("the log holds it")
			}
		})
	}
}

func filesIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			var data []byte
			data, err = os.ReadFile(path)
			found[path] = string(data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestExcludeSaysWhatIsWrong(t *testing.T) {
	for name, tc := range map[string]struct {
		exclude Exclude
		want    string
	}{
		"bare key":      {Exclude{Keys: []string{"sk-0123456789"}}, "is no fingerprint"},
		"short":         {Exclude{Keys: []string{"sha256:0123456789abcde"}}, "is no fingerprint"},
		"no digits":     {Exclude{Keys: []string{"sha256:0123456789abcdefg"}}, "is no fingerprint"},
		"header":        {Exclude{Headers: []string{": x"}}, "is neither Name"},
		"pointer":       {Exclude{Pointers: []string{"metadata"}}, "is not a JSON Pointer"},
		"consent":       {Exclude{Consent: "yes"}, `consent "yes" is unknown`},
		"consent where": {Exclude{ConsentPointers: []string{"x"}}, "exclude.consent_pointers"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.Redact.Mode, cfg.Exclude = "off", tc.exclude
			expect(t, cfg.Validate(), tc.want)
		})
	}
}
