package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/BurntSushi/toml"

	"understudy/canary"
	"understudy/capture"
	"understudy/internal/daemon"
	"understudy/internal/journal"
	"understudy/judge"
	"understudy/llm"
	"understudy/replay"
)

// Config is the whole configuration. Each section belongs to the package that
// lives by it; only here are they put together.
type Config struct {
	NATS       journal.Config     `toml:"nats"`
	Capture    capture.Config     `toml:"capture"`
	Upstreams  []capture.Upstream `toml:"upstream"`
	Units      map[string]Unit    `toml:"unit"`
	Submodules []canary.Submodule `toml:"submodule"`
	Endpoints  []llm.Endpoint     `toml:"endpoint"`
	Prices     llm.PriceConfig    `toml:"prices"`
	Replay     replay.Config      `toml:"replay"`
	Judge      judge.Config       `toml:"judge"`
	Canary     canary.Config      `toml:"canary"`
	Admin      daemon.Config      `toml:"admin"`
	Log        daemon.LogConfig   `toml:"log"`

	unused []string // environment variables that fit no key
	table  *llm.PriceTable
}

// document is Config as it is decoded: endpoints one by one, so that each
// starts from its defaults.
type document struct {
	*Config
	Endpoint []toml.Primitive `toml:"endpoint"`
}

func defaultConfig() *Config {
	return &Config{
		NATS:    journal.DefaultConfig(),
		Capture: capture.DefaultConfig(),
		Prices:  llm.DefaultPriceConfig(),
		Replay:  replay.DefaultConfig(),
		Judge:   judge.DefaultConfig(),
		Canary:  canary.DefaultConfig(),
		Admin:   daemon.DefaultConfig(),
		Log:     daemon.LogConfig{Level: "info"},
	}
}

// errConfig marks what makes a configuration invalid: exit code 3.
var errConfig = errors.New("configuration")

// loadConfig reads the file and lays environment and --set over it, in the
// order flag > environment > file > default, and validates the whole.
func loadConfig(path string, sets []string) (*Config, error) {
	cfg, src, err := readConfig(path, sets)
	if err != nil {
		return nil, err
	}
	if err := cfg.validate(src); err != nil {
		return nil, err
	}
	return cfg, nil
}

// readConfig is loadConfig without the validation of values.
func readConfig(path string, sets []string) (*Config, *source, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%w: %s does not exist; name a file with --config, or start from the config.toml of the repository", errConfig, path)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: read %s: %w", errConfig, path, err)
	}
	src := &source{path: path, text: string(text)}
	cfg := defaultConfig()
	if err := cfg.decode(src); err != nil {
		return nil, nil, err
	}
	if err := cfg.applyEnvironment(os.Environ()); err != nil {
		return nil, nil, err
	}
	for _, s := range sets {
		if err := cfg.set(s); err != nil {
			return nil, nil, fmt.Errorf("%w: --set %s: %w", errConfig, s, err)
		}
	}
	return cfg, src, nil
}

func (c *Config) decode(src *source) error {
	doc := document{Config: c}
	md, err := toml.Decode(src.text, &doc)
	if err != nil {
		var parse toml.ParseError
		if errors.As(err, &parse) {
			return fmt.Errorf("%w: %s:%d: %s", errConfig, src.path, parse.Position.Line, parse.Message)
		}
		return fmt.Errorf("%w: %s: %w", errConfig, src.path, err)
	}
	for i, p := range doc.Endpoint {
		ep := llm.DefaultEndpoint()
		if err := md.PrimitiveDecode(p, &ep); err != nil {
			return fmt.Errorf("%w: %s: endpoint %d: %w", errConfig, src.path, i+1, err)
		}
		c.Endpoints = append(c.Endpoints, ep)
	}
	var errs []error
	for _, key := range md.Undecoded() {
		errs = append(errs, src.unknown(key))
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", errConfig, errors.Join(errs...))
	}
	return nil
}

// endpoint finds an endpoint by name.
func (c *Config) endpoint(name string) (llm.Endpoint, bool) {
	for _, e := range c.Endpoints {
		if e.Name == name {
			return e, true
		}
	}
	return llm.Endpoint{}, false
}

// submodule finds the section for a sub-module: its own, else that of "*".
func (c *Config) submodule(name string) (canary.Submodule, bool) {
	var all canary.Submodule
	found := false
	for _, s := range c.Submodules {
		if s.Name == name {
			return s, true
		}
		if s.Name == "*" {
			all, found = s, true
		}
	}
	return all, found
}

// candidates names the candidates of a sub-module.
func (c *Config) candidates(submodule string) []string {
	s, _ := c.submodule(submodule)
	return s.Candidates
}

// knownSubmodule tells whether a caller may name the sub-module. Without any
// section, as in a process that only captures, every name is accepted.
func (c *Config) knownSubmodule(name string) bool {
	if len(c.Submodules) == 0 {
		return true
	}
	_, ok := c.submodule(name)
	return ok
}

// rates are what calls of an endpoint cost; false where no price is known.
func (c *Config) rates(ep llm.Endpoint) (llm.Rates, bool) { return c.prices().Rates(&ep) }

// prices is the price table in force.
func (c *Config) prices() *llm.PriceTable {
	if c.table == nil { // a configuration that was not read from a file
		return llm.BuiltinPrices()
	}
	return c.table
}

// baselineRates price the live side of a sub-module.
func (c *Config) baselineRates(submodule string) (llm.Rates, bool) {
	s, ok := c.submodule(submodule)
	if !ok {
		return llm.Rates{}, false
	}
	ep, ok := c.endpoint(s.Baseline)
	if !ok {
		return llm.Rates{}, false
	}
	return c.rates(ep)
}
