package llm

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"
)

// An Endpoint is one model behind one provider, as a section [[endpoint]] of
// the configuration states it. Baseline and candidate are roles that it plays.
type Endpoint struct {
	// Name is how the rest of the configuration refers to the endpoint.
	Name string `toml:"name"`
	// Provider is "bedrock", "openai" (any compatible base_url) or "azure".
	Provider string `toml:"provider"`
	// Model is a model id, an inference profile or an ARN; on Azure the name of
	// the deployment.
	Model string `toml:"model"`
	// Family names the row of the family table, or the id of the base model
	// (bedrock only). It is declared, never guessed from an ARN; empty takes it
	// from a plain model id.
	Family string `toml:"family"`
	// Region is the AWS region (bedrock only).
	Region string `toml:"region"`
	// BaseURL overrides the provider's address. For openai it ends in /v1; for
	// azure it is the resource's, https://NAME.openai.azure.com.
	BaseURL string `toml:"base_url"`
	// APIVersion is Azure's api-version; empty is a version that is generally
	// available and reports usage in streams.
	APIVersion string `toml:"api_version"`
	// APIKeyEnv and APIKeyFile say where the key of an openai or azure endpoint
	// is.
	APIKeyEnv  string `toml:"api_key_env"`
	APIKeyFile string `toml:"api_key_file"`
	// Price overrides the built-in price table.
	Price *Price `toml:"price"`
	// Concurrency is how many calls may be in flight at once.
	Concurrency int `toml:"concurrency"`
	// DailyUSD stops the endpoint's calls for the UTC day; 0 leaves it to the
	// common budget.
	DailyUSD float64 `toml:"daily_usd"`
	// MaxOutputTokens bounds the answer of a request that names no limit, for
	// the reservation of budget.
	MaxOutputTokens int `toml:"max_output_tokens"`
	// Timeout is the deadline of one attempt.
	Timeout time.Duration `toml:"timeout"`
	// StallTimeout ends a stream in which nothing arrives for that long.
	StallTimeout time.Duration `toml:"stall_timeout"`
	// Capabilities lift entries of the family table for this endpoint, such as
	// "tools", or deny them, such as "!stop_sequences" (bedrock only; its package
	// knows the names).
	Capabilities []string `toml:"capabilities"`
}

// DefaultEndpoint has the values of every key that a section may leave out.
func DefaultEndpoint() Endpoint {
	return Endpoint{
		Concurrency:     8,
		MaxOutputTokens: 4096,
		Timeout:         2 * time.Minute,
		StallTimeout:    30 * time.Second,
	}
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._/-]{0,62}$`)

// ValidName tells whether s may name an endpoint, a sub-module or a unit.
func ValidName(s string) bool { return nameForm.MatchString(s) }

// NameRule says in words what ValidName accepts.
const NameRule = "1 to 63 of a-z 0-9 . _ / -, beginning with a letter or digit"

// EffectivePrice is the configured price, else the built-in table's; false when
// neither knows the model.
func (e *Endpoint) EffectivePrice() (Price, bool) {
	if e.Price != nil {
		return *e.Price, true
	}
	return LookupPrice(e.Model)
}

// Validate reports what is wrong with the section, all faults joined.
func (e *Endpoint) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if !ValidName(e.Name) {
		bad("name %q is not %s", e.Name, NameRule)
	}
	switch e.Provider {
	case "bedrock":
		if e.Region == "" && e.BaseURL == "" {
			bad("region is missing (for example \"us-east-1\")")
		}
	case "openai":
	case "azure":
		if e.BaseURL == "" {
			bad("base_url is missing (for example \"https://NAME.openai.azure.com\")")
		}
	case "":
		bad("provider is missing: \"bedrock\", \"openai\" or \"azure\"")
	default:
		bad("provider %q is unknown: \"bedrock\", \"openai\" or \"azure\"", e.Provider)
	}
	if e.APIVersion != "" && e.Provider != "azure" {
		bad("api_version is Azure's alone")
	}
	if e.Model == "" {
		bad("model is missing")
	}
	if e.BaseURL != "" {
		if err := ValidBaseURL(e.BaseURL); err != nil {
			bad("base_url %w", err)
		}
	}
	if e.Concurrency < 1 || e.Concurrency > 10_000 {
		bad("concurrency is %d: 1 to 10000", e.Concurrency)
	}
	if e.MaxOutputTokens < 1 || e.MaxOutputTokens > 10_000_000 {
		bad("max_output_tokens is %d: 1 to 10000000", e.MaxOutputTokens)
	}
	if !(e.DailyUSD >= 0 && e.DailyUSD <= 1e8) {
		bad("daily_usd is %v: 0 to 100 million", e.DailyUSD)
	}
	if e.Timeout <= 0 || e.StallTimeout <= 0 {
		bad("timeout and stall_timeout must be above 0")
	}
	if p := e.Price; p != nil && !(p.Input >= 0 && p.Output >= 0 && p.Input <= 1e6 && p.Output <= 1e6) {
		bad("price is %v and %v: USD per million tokens, 0 to a million", p.Input, p.Output)
	}
	if len(e.Capabilities) > 0 && e.Provider != "bedrock" {
		bad("capabilities are those of a bedrock endpoint")
	}
	return errors.Join(errs...)
}

// Key reads the endpoint's API key from where the configuration says it is. An
// endpoint without either reference has no key, which is no error.
func (e *Endpoint) Key() (string, error) {
	switch {
	case e.APIKeyEnv != "":
		k := os.Getenv(e.APIKeyEnv)
		if k == "" {
			return "", fmt.Errorf("endpoint %s: environment variable %s (api_key_env) is empty", e.Name, e.APIKeyEnv)
		}
		return k, nil
	case e.APIKeyFile != "":
		b, err := os.ReadFile(e.APIKeyFile)
		if err != nil {
			return "", fmt.Errorf("endpoint %s: read api_key_file: %w", e.Name, err)
		}
		return strings.TrimSpace(string(b)), nil
	}
	return "", nil
}

// ValidBaseURL accepts https anywhere and plain http on loopback only.
func ValidBaseURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%q is not an address like https://host", s)
	}
	switch u.Scheme {
	case "https":
		return nil
	case "http":
		if u.Hostname() == "localhost" {
			return nil
		}
		if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsLoopback() {
			return nil
		}
		return fmt.Errorf("%q uses plain http, which is accepted on loopback only", s)
	}
	return fmt.Errorf("%q has neither https nor http", s)
}
