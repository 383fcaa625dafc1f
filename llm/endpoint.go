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
	// Family names the row of the family table, or the id of the base model. It is
	// declared, never guessed from an ARN; empty takes it from a plain model id. For
	// azure and openai it is the model's name where Model does not say it, for the
	// price and the tokenizer.
	Family string `toml:"family"`
	// Region is the AWS region (bedrock, and openai with auth = "sigv4").
	Region string `toml:"region"`
	// FailoverRegion is another AWS region where the same model may be asked once
	// before a call falls back to another endpoint (bedrock only).
	FailoverRegion string `toml:"failover_region"`
	// BaseURL overrides the provider's address. For openai it ends in /v1; for
	// azure it is the resource's, https://NAME.openai.azure.com.
	BaseURL string `toml:"base_url"`
	// ControlURL overrides the address of Bedrock's control plane, which is asked
	// for models, profiles and their regions.
	ControlURL string `toml:"control_url"`
	// APIVersion is Azure's api-version; empty is a version that is generally
	// available and reports usage in streams.
	APIVersion string `toml:"api_version"`
	// Auth is how an openai or azure endpoint is told who calls: AuthKey, AuthSigV4
	// (openai: Bedrock's own OpenAI-shaped addresses) or AuthEntra (azure).
	Auth string `toml:"auth"`
	// APIKeyEnv and APIKeyFile say where the key is. With AuthEntra APIKeyFile holds
	// a bearer token that another program renews; it is read again when it changes.
	APIKeyEnv  string `toml:"api_key_env"`
	APIKeyFile string `toml:"api_key_file"`
	// Entra is the application that AuthEntra signs in as, where APIKeyFile has no
	// token.
	Entra *Entra `toml:"entra"`
	// Price overrides the price table's standard tier.
	Price *Price `toml:"price"`
	// FixedUSDMonth is what the endpoint costs a month whatever it does
	// (provisioned throughput); CostBasis then says how a call is priced, BasisTokens
	// or BasisShare, and CallsMonth by how many calls the month is shared.
	FixedUSDMonth float64 `toml:"fixed_usd_month"`
	CostBasis     string  `toml:"cost_basis"`
	CallsMonth    int     `toml:"calls_month"`
	// Concurrency is how many calls may be in flight at once.
	Concurrency int `toml:"concurrency"`
	// RPM and TPM are how many requests and tokens a minute may be asked of the model
	// in the region, by all hosts together; 0 is no limit of ours.
	RPM int `toml:"rpm"`
	TPM int `toml:"tpm"`
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

	// What an operator has found out about the endpoint for whoever must approve it.
	// It is shown, never inferred and never acted upon.

	// Training says whether the provider trains on what it is sent.
	Training string `toml:"training"`
	// RetentionDays is how long the provider keeps it; nil is not known.
	RetentionDays *int `toml:"retention_days"`
	// Certifications of the service, such as "ISO 27001".
	Certifications []string `toml:"certifications"`
	// SourceURL is where this is written, CheckedOn (2026-11-26) when it was read.
	SourceURL string `toml:"source_url"`
	CheckedOn string `toml:"checked_on"`
}

// The ways to say who calls.
const (
	AuthKey   = "key"
	AuthSigV4 = "sigv4"
	AuthEntra = "entra"
)

// The bases of the price of an endpoint that is paid by the month.
const (
	// BasisTokens prices calls by their tokens, as if they were made on demand.
	BasisTokens = "tokens"
	// BasisShare prices each call at an equal share of the month.
	BasisShare = "share"
)

// Entra is an application registered with Microsoft Entra ID.
type Entra struct {
	Tenant   string `toml:"tenant"`
	ClientID string `toml:"client_id"`
	// ClientSecretEnv and ClientSecretFile say where its secret is.
	ClientSecretEnv  string `toml:"client_secret_env"`
	ClientSecretFile string `toml:"client_secret_file"`
	// Authority overrides https://login.microsoftonline.com, Scope the one of
	// Azure's cognitive services: other clouds have their own.
	Authority string `toml:"authority"`
	Scope     string `toml:"scope"`
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

// Validate reports what is wrong with the section, all faults joined.
func (e *Endpoint) Validate() error {
	var errs faults
	if !ValidName(e.Name) {
		errs.add("name %q is not %s", e.Name, NameRule)
	}
	if e.Model == "" {
		errs.add("model is missing")
	}
	e.validateProvider(&errs)
	e.validateAuth(&errs)
	e.validatePrice(&errs)
	if e.Concurrency < 1 || e.Concurrency > 10_000 {
		errs.add("concurrency is %d: 1 to 10000", e.Concurrency)
	}
	if e.RPM < 0 || e.RPM > 10_000_000 {
		errs.add("rpm is %d: 0 (no limit of ours) to 10 million", e.RPM)
	}
	if e.TPM < 0 || e.TPM > 2_000_000_000 {
		errs.add("tpm is %d: 0 (no limit of ours) to 2 billion", e.TPM)
	}
	if e.MaxOutputTokens < 1 || e.MaxOutputTokens > 10_000_000 {
		errs.add("max_output_tokens is %d: 1 to 10000000", e.MaxOutputTokens)
	}
	if e.Timeout <= 0 || e.StallTimeout <= 0 {
		errs.add("timeout and stall_timeout must be above 0")
	}
	e.validateFacts(&errs)
	return errors.Join(errs...)
}

// faults collects what is wrong.
type faults []error

func (f *faults) add(format string, a ...any) { *f = append(*f, fmt.Errorf(format, a...)) }

// validateProvider checks what belongs to one provider alone.
func (e *Endpoint) validateProvider(errs *faults) {
	switch e.Provider {
	case "bedrock":
		if e.Region == "" && e.BaseURL == "" {
			errs.add("region is missing (for example \"us-east-1\")")
		}
	case "openai":
	case "azure":
		if e.BaseURL == "" {
			errs.add("base_url is missing (for example \"https://NAME.openai.azure.com\")")
		}
	case "":
		errs.add("provider is missing: \"bedrock\", \"openai\" or \"azure\"")
	default:
		errs.add("provider %q is unknown: \"bedrock\", \"openai\" or \"azure\"", e.Provider)
	}
	if e.APIVersion != "" && e.Provider != "azure" {
		errs.add("api_version is Azure's alone")
	}
	if e.Provider != "bedrock" {
		if len(e.Capabilities) > 0 {
			errs.add("capabilities are those of a bedrock endpoint")
		}
		if e.FailoverRegion != "" || e.ControlURL != "" {
			errs.add("failover_region and control_url are those of a bedrock endpoint")
		}
	}
	if e.FailoverRegion != "" && (e.FailoverRegion == e.Region || e.BaseURL != "") {
		errs.add("failover_region is another region than region, and base_url would lead to the same address")
	}
	for key, address := range map[string]string{"base_url": e.BaseURL, "control_url": e.ControlURL} {
		if address == "" {
			continue
		}
		if err := ValidBaseURL(address); err != nil {
			errs.add("%s %w", key, err)
		}
	}
}

// validateAuth checks how the provider is told who calls.
func (e *Endpoint) validateAuth(errs *faults) {
	switch e.Auth {
	case "", AuthKey:
	case AuthSigV4:
		if e.Provider != "openai" || e.Region == "" {
			errs.add("auth \"sigv4\" is for provider \"openai\" at one of Bedrock's own addresses, and needs region")
		}
		if e.APIKeyEnv != "" || e.APIKeyFile != "" {
			errs.add("auth \"sigv4\" signs with AWS credentials; an API key of Bedrock goes without auth")
		}
	case AuthEntra:
		if e.Provider != "azure" {
			errs.add("auth \"entra\" is for provider \"azure\"")
		}
		if (e.Entra == nil) == (e.APIKeyFile == "") {
			errs.add("auth \"entra\" needs either entra = { tenant = …, client_id = …, client_secret_env = … }, or api_key_file with a bearer token that is renewed there")
		}
	default:
		errs.add("auth %q is unknown: \"key\", \"sigv4\" or \"entra\"", e.Auth)
	}
	if e.Entra == nil {
		return
	}
	if e.Auth != AuthEntra {
		errs.add("entra needs auth = \"entra\"")
	}
	if e.Entra.Tenant == "" || e.Entra.ClientID == "" || (e.Entra.ClientSecretEnv == "") == (e.Entra.ClientSecretFile == "") {
		errs.add("entra needs tenant, client_id, and one of client_secret_env and client_secret_file")
	}
	if e.Entra.Authority != "" {
		if err := ValidBaseURL(e.Entra.Authority); err != nil {
			errs.add("entra.authority %w", err)
		}
	}
}

// validatePrice checks what the endpoint costs.
func (e *Endpoint) validatePrice(errs *faults) {
	if e.Price != nil {
		if err := e.Price.Validate(); err != nil {
			*errs = append(*errs, err)
		}
	}
	if !(e.DailyUSD >= 0 && e.DailyUSD <= 1e8) {
		errs.add("daily_usd is %v: 0 to 100 million", e.DailyUSD)
	}
	if !(e.FixedUSDMonth >= 0 && e.FixedUSDMonth <= 1e9) {
		errs.add("fixed_usd_month is %v: 0 (paid by use) to a billion", e.FixedUSDMonth)
	}
	switch e.CostBasis {
	case "":
	case BasisTokens, BasisShare:
		if e.FixedUSDMonth == 0 {
			errs.add("cost_basis is for an endpoint with fixed_usd_month")
		}
	default:
		errs.add("cost_basis %q is unknown: \"tokens\" (as if on demand) or \"share\" (fixed_usd_month ÷ calls_month for each call)", e.CostBasis)
	}
	if e.CostBasis == BasisShare && (e.CallsMonth < 1 || e.CallsMonth > 1e12) {
		errs.add("cost_basis \"share\" needs calls_month, the number of calls by which fixed_usd_month is shared")
	}
}

// validateFacts checks the form of what is shown.
func (e *Endpoint) validateFacts(errs *faults) {
	if d := e.RetentionDays; d != nil && (*d < 0 || *d > 36_500) {
		errs.add("retention_days is %d: 0 to 36500", *d)
	}
	if e.CheckedOn != "" {
		if _, err := time.Parse(time.DateOnly, e.CheckedOn); err != nil {
			errs.add("checked_on %q is not a day like 2026-11-26", e.CheckedOn)
		}
	}
	if e.SourceURL != "" {
		if u, err := url.Parse(e.SourceURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			errs.add("source_url %q is not an address like https://host/page", e.SourceURL)
		}
	}
}

// hostOfBedrock is the form of Bedrock's own OpenAI-shaped addresses, of which VPC
// endpoints have a longer name.
var hostOfBedrock = regexp.MustCompile(`(^|\.)bedrock-(runtime|runtime-fips|mantle)\.([a-z0-9-]+)\.(vpce\.)?(amazonaws\.com|amazonaws\.com\.cn|api\.aws)$`)

// AWSRegion is the region of AWS in which calls of the endpoint arrive, by its provider,
// its signature or the host of its address; ok is false where it is not on AWS. The
// region is "" where only the endpoint's own section could say it, and does not.
func (e *Endpoint) AWSRegion() (region string, ok bool) {
	if u, err := url.Parse(e.BaseURL); err == nil {
		if m := hostOfBedrock.FindStringSubmatch(strings.ToLower(u.Hostname())); m != nil {
			return m[3], true
		}
	}
	return e.Region, e.Provider == "bedrock" || e.Auth == AuthSigV4
}

// Account names the account whose quota a call of the endpoint uses, as far as the
// configuration tells: the region on AWS, else the host of its address.
func (e *Endpoint) Account() string {
	if region, ok := e.AWSRegion(); ok {
		return "aws-" + region
	}
	return AccountOf(e.BaseURL)
}

// AccountOf names the account behind an address that is not on AWS.
func AccountOf(baseURL string) string {
	if u, err := url.Parse(baseURL); err == nil && u.Host != "" {
		return accountName(u.Host)
	}
	return "api=openai=com" // where an endpoint without an address is called
}

// accountName writes a host with the characters of a name.
func accountName(host string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '='
	}, strings.ToLower(host))
}

// QuotaKey names the quota that calls of the endpoint count against: the model, in its
// account. Endpoints with the same key share their rpm and tpm.
func (e *Endpoint) QuotaKey() string { return e.Account() + "-" + accountName(e.Model) }

// Limit is the most tokens that an answer may have to a request without a limit of its
// own; usual is what such answers usually need, 0 where that is not known.
func (e *Endpoint) Limit(usual int) int {
	if usual > 0 && usual < e.MaxOutputTokens {
		return usual
	}
	return e.MaxOutputTokens
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
