package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"understudy/canary"
	"understudy/llm"
	"understudy/llm/bedrock"
)

// validate checks every section and what only all of them together show, and
// names file and line where it can.
func (c *Config) validate(src *source) error {
	v := &validation{src: src}
	v.section([]string{"nats"}, c.NATS.Validate())
	v.section([]string{"capture"}, c.Capture.Validate())
	v.section([]string{"prices"}, c.loadPrices())
	v.section([]string{"replay"}, errors.Join(c.Replay.Validate(), c.regionFaults()))
	v.section([]string{"judge"}, c.Judge.Validate())
	v.section([]string{"judge"}, errors.Join(c.judgeEndpoints()...))
	for name, u := range c.Units {
		err := u.Validate()
		if !llm.ValidName(name) {
			err = errors.Join(err, fmt.Errorf("the name must be %s", llm.NameRule))
		}
		v.section([]string{"unit", name}, err)
	}
	v.section([]string{"canary"}, c.Canary.Validate())
	v.section([]string{"admin"}, c.Admin.Validate())
	v.section([]string{"log"}, c.Log.Validate())
	names := map[string]bool{}
	for i, u := range c.Upstreams {
		v.section([]string{"upstream"}, named("upstream", i, u.Name, u.Validate()))
		v.once(names, "upstream", u.Name)
	}
	for i, e := range c.Endpoints {
		v.section([]string{"endpoint"}, named("endpoint", i, e.Name, errors.Join(e.Validate(), bedrock.CheckCapabilities(e.Capabilities))))
		v.once(names, "endpoint", e.Name)
		v.section([]string{"endpoint"}, named("endpoint", i, e.Name, c.sameQuota(i)))
	}
	for i, s := range c.Submodules {
		v.section([]string{"submodule"}, named("submodule", i, s.Name, s.Validate()))
		v.once(names, "submodule", s.Name)
		v.section([]string{"submodule"}, named("submodule", i, s.Name, errors.Join(append(c.roles(s), c.judgeRoles(s)...)...)))
	}
	if len(v.errs) > 0 {
		return fmt.Errorf("%w: %w", errConfig, errors.Join(v.errs...))
	}
	return nil
}

// sameQuota checks that endpoints of one model in one account agree on its quota.
func (c *Config) sameQuota(i int) error {
	e := &c.Endpoints[i]
	for k := range c.Endpoints[:i] {
		o := &c.Endpoints[k]
		if o.QuotaKey() == e.QuotaKey() && (o.RPM != e.RPM || o.TPM != e.TPM) {
			return fmt.Errorf("rpm and tpm differ from those of %q, which calls the same model in the same account: they are one quota", o.Name)
		}
	}
	return nil
}

// roles checks the endpoints that a sub-module gives roles to.
func (c *Config) roles(s canary.Submodule) []error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	var known []string
	for _, e := range c.Endpoints {
		known = append(known, e.Name)
	}
	for _, name := range append([]string{s.Baseline}, s.Candidates...) {
		ep, ok := c.endpoint(name)
		if name == "" {
			continue // said by the section itself
		}
		if !ok {
			msg := fmt.Sprintf("endpoint %q has no [[endpoint]] section", name)
			if best := nearest(name, known); best != "" {
				msg += fmt.Sprintf("; did you mean %q?", best)
			}
			bad("%s", msg)
			continue
		}
		if name == s.Baseline {
			continue
		}
		if err := c.callable("candidate", ep); err != nil {
			errs = append(errs, err)
		}
	}
	if s.NeedsPrice() {
		errs = append(errs, c.costs(s)...)
	}
	return errs
}

// costs checks what a gate on cost needs to know of both sides.
func (c *Config) costs(s canary.Submodule) []error {
	var errs []error
	for _, name := range append([]string{s.Baseline}, s.Candidates...) {
		ep, ok := c.endpoint(name)
		if !ok {
			continue // said elsewhere
		}
		if ep.FixedUSDMonth > 0 && ep.CostBasis == "" {
			errs = append(errs, fmt.Errorf("a gate on cost compares %q, which is paid by the month: say what a call costs with cost_basis = \"share\" (fixed_usd_month ÷ calls_month) or \"tokens\" (as if on demand)", name))
		}
		if _, priced := c.rates(ep); !priced && name == s.Baseline {
			errs = append(errs, fmt.Errorf("a gate on cost needs the price of the baseline %q: %s", name, howToPrice(ep)))
		}
	}
	return errs
}

// loadPrices reads the price table.
func (c *Config) loadPrices() error {
	if err := c.Prices.Validate(); err != nil {
		return err
	}
	table, err := c.Prices.Table()
	c.table = table
	return err
}

// howToPrice says what to do about an endpoint without a price.
func howToPrice(ep llm.Endpoint) string {
	how := "set price = { input = …, output = … } (USD per million tokens), or add a row to the file of [prices]"
	if ep.Provider == "azure" && ep.Family == "" {
		how += "; where the deployment's name is not the model's, family = \"gpt-4-turbo\" names it"
	}
	return how
}

// callable tells what keeps an endpoint from being asked in a role.
func (c *Config) callable(role string, ep llm.Endpoint) error {
	if _, ok := c.rates(ep); !ok {
		return fmt.Errorf("%s %q has no known price, and what has no price is not called: %s", role, ep.Name, howToPrice(ep))
	}
	if ep.Provider != "bedrock" {
		return nil
	}
	if _, ok := bedrock.FamilyOf(ep.Family, ep.Model); !ok {
		return fmt.Errorf("%s %q: %w", role, ep.Name, bedrock.NoFamily(ep.Family, ep.Model))
	}
	return nil
}

func named(kind string, i int, name string, err error) error {
	if err == nil {
		return nil
	}
	if name == "" {
		name = fmt.Sprintf("number %d", i+1)
	}
	var errs []error
	for _, e := range flatten(err) {
		prefix := fmt.Sprintf("%s %q: ", kind, name)
		if strings.HasPrefix(e.Error(), prefix) {
			prefix = ""
		}
		errs = append(errs, &keyed{prefix: prefix, name: name, err: e})
	}
	return errors.Join(errs...)
}

// keyed is an error about a member of a list.
type keyed struct {
	prefix, name string
	err          error
}

func (k *keyed) Error() string { return k.prefix + k.err.Error() }
func (k *keyed) Unwrap() error { return k.err }

// A validation collects errors with their places.
type validation struct {
	src  *source
	errs []error
}

func (v *validation) section(path []string, err error) {
	for _, e := range flatten(err) {
		var k *keyed
		text, line := e.Error(), 0
		if errors.As(e, &k) {
			line = v.src.member(path[0], k.name)
		} else {
			first, _, _ := strings.Cut(text, " ")
			line = v.src.line(append(slices.Clone(path), splitKey(first)...))
			if line == 0 {
				line = v.src.line(path)
			}
			text = "[" + strings.Join(path, ".") + "] " + text
		}
		if line > 0 {
			v.errs = append(v.errs, fmt.Errorf("%s:%d: %s", v.src.path, line, text))
		} else {
			v.errs = append(v.errs, fmt.Errorf("%s: %s", v.src.path, text))
		}
	}
}

// member finds the line of name = "…" in the list's section.
func (s *source) member(list, name string) int {
	in := false
	for i, line := range strings.Split(s.text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			in = strings.HasPrefix(line, "[["+list+"]]")
		}
		if key, value, ok := strings.Cut(line, "="); ok && in && strings.TrimSpace(key) == "name" &&
			strings.HasPrefix(strings.TrimSpace(value), `"`+name+`"`) {
			return i + 1
		}
	}
	return 0
}

func (v *validation) once(seen map[string]bool, kind, name string) {
	key := kind + " " + name
	if seen[key] && name != "" {
		v.errs = append(v.errs, fmt.Errorf("%s: %s %q is there twice", v.src.path, kind, name))
	}
	seen[key] = true
}

// flatten lists the errors that were joined.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, flatten(e)...)
		}
		return all
	}
	return []error{err}
}
