package judge

import "errors"

// Config is the section [judge].
type Config struct {
	// Endpoints are the endpoints that judge answers. This build has the
	// deterministic checks alone, so the list must be empty.
	Endpoints []string `toml:"endpoints"`
}

// DefaultConfig has the value of every key that may be left out.
func DefaultConfig() Config { return Config{Endpoints: []string{}} }

// Validate reports what is wrong with the section.
func (c *Config) Validate() error {
	if len(c.Endpoints) > 0 {
		return errors.New("endpoints is not empty, but model judges are not part of this build; set endpoints = [] for the deterministic checks alone")
	}
	return nil
}
