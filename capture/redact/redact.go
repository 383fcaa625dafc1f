// Package redact replaces what identifies people, and secrets, in recorded texts, before
// anything of them is written.
//
// Detectors look at the text of JSON strings after unescaping, also where a string holds
// JSON itself, as the arguments of tool calls do. What they find is replaced by a
// pseudonym of the same form; every other byte stays as it is. A pseudonym is a keyed hash
// of what it stands for: the same person has the same one within a tenant, another one in
// another tenant, and nobody who lacks the key can tell whose it is.
//
// It does not find names, addresses or whatever else has no form of its own.
package redact

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Config is the section [capture.redact].
type Config struct {
	// Mode is "on" or "off". Off records texts as they are.
	Mode string `toml:"mode"`
	// Detectors are those that are used: email, phone, card, iban, api_key, ip.
	Detectors []string `toml:"detectors"`
	// NationalIDs are numbers of persons that are looked for besides, by country (see
	// NationalIDs).
	NationalIDs []string `toml:"national_ids"`
	// Pointers are JSON Pointers into requests and answers, with * for any one member or
	// item, whose values are replaced whole.
	Pointers []string `toml:"pointers"`
	// Patterns are regular expressions of one's own.
	Patterns []Pattern `toml:"pattern"`
	// Media is "drop" or "allow": whether images, audio and files are recorded.
	Media string `toml:"media"`
}

// A Pattern is a section [[capture.redact.pattern]]: what it matches is replaced.
type Pattern struct {
	// Name stands in counts and in the replacement.
	Name string `toml:"name"`
	// Match is a regular expression (RE2).
	Match string `toml:"match"`
}

// The built-in detectors.
const (
	KindEmail  = "email"
	KindPhone  = "phone"
	KindCard   = "card"
	KindIBAN   = "iban"
	KindAPIKey = "api_key"
	KindIP     = "ip"
	// KindPointer counts values that Pointers name, KindCredential the caller's own keys.
	KindPointer    = "pointer"
	KindCredential = "credential"
)

// Kinds are the names of the built-in detectors.
var Kinds = []string{KindEmail, KindPhone, KindCard, KindIBAN, KindAPIKey, KindIP}

// DefaultConfig is redaction by all built-in detectors.
func DefaultConfig() Config {
	return Config{Mode: "on", Detectors: slices.Clone(Kinds), NationalIDs: []string{}, Pointers: []string{}, Media: "drop"}
}

var patternName = regexp.MustCompile(`\A[a-z][a-z0-9_]{0,30}\z`)

// Validate reports what is wrong with the section, all faults joined.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf("redact."+format, a...)) }
	if c.Mode != "on" && c.Mode != "off" {
		bad("mode %q is unknown: \"on\" or \"off\"", c.Mode)
	}
	for _, d := range c.Detectors {
		if !slices.Contains(Kinds, d) {
			bad("detectors: %q is unknown: %s", d, strings.Join(Kinds, ", "))
		}
	}
	for _, id := range c.NationalIDs {
		if _, ok := nationalIDs[id]; !ok {
			bad("national_ids: %q is unknown: %s", id, strings.Join(NationalIDs(), ", "))
		}
	}
	for _, p := range c.Pointers {
		if !strings.HasPrefix(p, "/") {
			bad("pointers: %q is not a JSON Pointer: it begins with /", p)
		}
	}
	for i, p := range c.Patterns {
		if !patternName.MatchString(p.Name) || slices.Contains(Kinds, p.Name) {
			bad("pattern %d: name %q is not a word of its own, such as \"badge\"", i+1, p.Name)
		}
		if re, err := regexp.Compile(p.Match); err != nil {
			bad("pattern %d: match: %w", i+1, err)
		} else if re.MatchString("") {
			bad("pattern %d: match %q matches the empty text", i+1, p.Match)
		}
	}
	if c.Media != "drop" && c.Media != "allow" {
		bad("media %q is unknown: \"drop\" or \"allow\"", c.Media)
	}
	return errors.Join(errs...)
}

// Kinds are the kinds that a configuration can count, with those that need none.
func (c *Config) Kinds() []string {
	kinds := append(slices.Clone(c.Detectors), c.NationalIDs...)
	for _, p := range c.Patterns {
		kinds = append(kinds, p.Name)
	}
	return append(kinds, KindPointer, KindCredential)
}

// A Redactor redacts by one configuration. It may be used by several goroutines.
type Redactor struct {
	key       []byte
	on        map[string]bool
	national  []nationalID
	patterns  []pattern
	pointers  [][]string
	dropMedia bool
	scratch   sync.Pool // of *walk
}

type pattern struct {
	name string
	re   *regexp.Regexp
}

// New makes a redactor from a valid configuration. key makes the pseudonyms: with another
// one all are others.
func New(cfg Config, key []byte) (*Redactor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &Redactor{key: slices.Clone(key), on: map[string]bool{}, dropMedia: cfg.Media == "drop"}
	for _, d := range cfg.Detectors {
		r.on[d] = true
	}
	for _, id := range cfg.NationalIDs {
		r.national = append(r.national, nationalID{id, nationalIDs[id]})
	}
	for _, p := range cfg.Patterns {
		r.patterns = append(r.patterns, pattern{p.Name, regexp.MustCompile(p.Match)})
	}
	for _, p := range cfg.Pointers {
		r.pointers = append(r.pointers, pointerTokens(p))
	}
	r.scratch.New = func() any { return &walk{r: r} }
	return r, nil
}

// pointerTokens splits a JSON Pointer (RFC 6901).
func pointerTokens(p string) []string {
	tokens := strings.Split(p[1:], "/")
	for i, t := range tokens {
		tokens[i] = strings.ReplaceAll(strings.ReplaceAll(t, "~1", "/"), "~0", "~")
	}
	return tokens
}

// A Subject is whose texts are redacted.
type Subject struct {
	// Tenant is within what pseudonyms are stable.
	Tenant string
	// Secrets are the caller's own credentials, which are replaced wherever they stand.
	Secrets []string
}

// Counts say what was done.
type Counts struct {
	// Spans counts replacements by kind.
	Spans map[string]int
	// Media counts images, pieces of audio and files that were dropped.
	Media int
	// Strings and Bytes are how many texts were looked at, and how long they were.
	Strings, Bytes int
}

func (c *Counts) add(kind string) {
	if c.Spans == nil {
		c.Spans = map[string]int{}
	}
	c.Spans[kind]++
}

// ErrNotJSON tells that a body is none: it must not be kept.
var ErrNotJSON = errors.New("redact: not JSON")

// JSON redacts all strings of a JSON text, names of members among them, and adds up what
// it did. Where nothing is found it gives body itself; else a copy, in which only the
// spans that were found are others. ErrNotJSON where body is no JSON text.
func (r *Redactor) JSON(body []byte, of Subject, c *Counts) ([]byte, error) {
	if !json.Valid(body) {
		return nil, ErrNotJSON
	}
	return r.ValidJSON(body, of, c)
}

// ValidJSON is JSON for a body that is known to be JSON, as one is that was decoded. It
// does not look again; of a body that is none the result may be wrong, and is not to be
// kept.
func (r *Redactor) ValidJSON(body []byte, of Subject, c *Counts) ([]byte, error) {
	w := r.scratch.Get().(*walk)
	defer r.scratch.Put(w)
	w.begin(of, c)
	edits := w.json(body, 0)
	if w.failed {
		return nil, ErrNotJSON
	}
	return apply(body, edits), nil
}

// Text redacts a text that is no JSON, such as a name.
func (r *Redactor) Text(s string, of Subject, c *Counts) string {
	if s == "" {
		return s
	}
	w := r.scratch.Get().(*walk)
	defer r.scratch.Put(w)
	w.begin(of, c)
	edits := w.text([]byte(s), maxDepth)
	if len(edits) == 0 {
		return s
	}
	return string(apply([]byte(s), edits))
}

// An edit replaces the bytes from start to end.
type edit struct {
	start, end int
	with       []byte
}

// apply carries edits out, which are in order and do not overlap.
func apply(b []byte, edits []edit) []byte {
	if len(edits) == 0 {
		return b
	}
	n := len(b)
	for _, e := range edits {
		n += len(e.with) - (e.end - e.start)
	}
	out := make([]byte, 0, n)
	at := 0
	for _, e := range edits {
		out = append(append(out, b[at:e.start]...), e.with...)
		at = e.end
	}
	return append(out, b[at:]...)
}
