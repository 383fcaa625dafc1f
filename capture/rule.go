package capture

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"understudy/llm"
)

// A Rule is a section [[capture.rule]]: which sub-module a request belongs to.
// It matches when all of its fields that are given match.
type Rule struct {
	// Submodule is what a matching request belongs to.
	Submodule string `toml:"submodule"`
	// Path is a prefix of the request's path, or a pattern of the whole path
	// when it has * (any characters) or ? (one).
	Path string `toml:"path"`
	// Model is a pattern of the model's name, with * and ? as above.
	Model string `toml:"model"`
	// Pointer is a JSON Pointer into the request. The value there must be
	// Equals (a string, or a number, true or false as written); an empty Equals
	// accepts any value that is there.
	Pointer string `toml:"pointer"`
	Equals  string `toml:"equals"`
	// System is a regular expression (RE2) on the text of the system prompt.
	System string `toml:"system"`
}

// A compiledRule is a Rule ready to be used; a nil part matches everything.
type compiledRule struct {
	submodule  string
	prefix     string
	path       *regexp.Regexp
	model      *regexp.Regexp
	pointer    pointer
	hasPointer bool
	equals     string
	system     *regexp.Regexp
}

func compileRules(rules []Rule) ([]compiledRule, error) {
	var out []compiledRule
	var errs []error
	for i := range rules {
		r, err := rules[i].compile()
		if err != nil {
			errs = append(errs, fmt.Errorf("rule %d: %w", i+1, err))
		}
		out = append(out, r)
	}
	return out, errors.Join(errs...)
}

func (r *Rule) compile() (compiledRule, error) {
	c := compiledRule{submodule: r.Submodule, equals: r.Equals}
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if !llm.ValidName(r.Submodule) {
		bad("submodule %q is not %s", r.Submodule, llm.NameRule)
	}
	if r.Path == "" && r.Model == "" && r.Pointer == "" && r.System == "" {
		bad("it has no condition: give path, model, pointer or system")
	}
	switch {
	case strings.ContainsAny(r.Path, "*?"):
		c.path = pattern(r.Path)
	case r.Path != "" && !strings.HasPrefix(r.Path, "/"):
		bad("path %q is neither a prefix that begins with / nor a pattern with *", r.Path)
	default:
		c.prefix = r.Path
	}
	if r.Model != "" {
		c.model = pattern(r.Model)
	}
	if r.Pointer != "" {
		var err error
		if c.pointer, err = parsePointer(r.Pointer); err != nil {
			errs = append(errs, err)
		}
		c.hasPointer = true
	} else if r.Equals != "" {
		bad("equals needs a pointer that says where")
	}
	if r.System != "" {
		var err error
		if c.system, err = regexp.Compile(r.System); err != nil {
			bad("system is not a regular expression: %w", err)
		}
	}
	return c, errors.Join(errs...)
}

// pattern turns * and ? into a regular expression of the whole text.
func pattern(s string) *regexp.Regexp {
	q := regexp.QuoteMeta(s)
	q = strings.ReplaceAll(strings.ReplaceAll(q, `\*`, `.*`), `\?`, `.`)
	return regexp.MustCompile(`(?s)\A` + q + `\z`)
}

// matches tells whether all conditions hold for a request.
func (c *compiledRule) matches(d *document, path string) bool {
	switch {
	case !strings.HasPrefix(path, c.prefix),
		c.path != nil && !c.path.MatchString(path),
		c.model != nil && !c.model.MatchString(d.model),
		c.system != nil && !c.system.MatchString(d.systemPrompt()):
		return false
	}
	if !c.hasPointer {
		return true
	}
	v, ok := d.scalar(c.pointer)
	return ok && (c.equals == "" || v == c.equals)
}
