package capture

import (
	"errors"
	"fmt"
	"net"
	"time"

	"understudy/capture/redact"
)

// Config is the section [capture].
type Config struct {
	// Listen is the address of the data port.
	Listen string `toml:"listen"`
	// Memory bounds what all exchanges in hand may hold together, in bytes.
	// Where it is used up, exchanges are dropped and counted; the live answer
	// does not notice.
	Memory Size `toml:"memory"`
	// Spool is the directory in which recorded exchanges wait on disk while NATS does not
	// take them; empty is one inside the state directory.
	Spool string `toml:"spool"`
	// SpoolMax bounds what it holds, in bytes; 0 is no spool.
	SpoolMax Size `toml:"spool_max"`
	// MaxBody is the size of the longest request or answer that is recorded,
	// in bytes. Longer ones pass, and are counted as dropped.
	MaxBody Size `toml:"max_body"`
	// Sample is the share of traffic that is recorded, 0 to 1, drawn by unit
	// or conversation: whole ones or nothing. 0 turns recording off.
	Sample float64 `toml:"sample"`
	// TrustedClients are the clients whose X-Understudy-* headers count: addresses,
	// CIDRs, "token:env:NAME" and "token:file:PATH" for what a client sends as
	// X-Understudy-Token, "mtls" and "mtls:NAME" for client certificates. From
	// everybody else the headers are ignored.
	TrustedClients []string `toml:"trusted_clients"`
	// TLSCert and TLSKey are the files, in PEM form, with which the data port
	// speaks TLS; both empty: plain HTTP. They are read again at a reload.
	TLSCert string `toml:"tls_cert"`
	TLSKey  string `toml:"tls_key"`
	// ClientCA is a file of authorities whose client certificates are accepted:
	// who shows one may be a trusted client ("mtls").
	ClientCA string `toml:"client_ca"`
	// AnswerTimeout is how long an upstream may take to begin its answer; 0
	// waits as long as the client does. A stream that has begun has no limit.
	AnswerTimeout time.Duration `toml:"answer_timeout"`
	// DrainAbandoned is how long a recorded answer is read on after its client has
	// left, so that its usage is known; 0 releases the upstream at once.
	DrainAbandoned time.Duration `toml:"drain_abandoned"`
	// AskUsage asks upstreams for the usage of recorded streams whose clients
	// did not say whether they want it, and takes what that adds out of the
	// client's stream again.
	AskUsage bool `toml:"ask_usage"`
	// ConversationPointers and UnitPointers are the JSON Pointers into the
	// request where the keys are looked for, in this order, when no header
	// names them.
	ConversationPointers []string `toml:"conversation_pointers"`
	UnitPointers         []string `toml:"unit_pointers"`
	// TenantHeader is the header in which a trusted client names whose data a request
	// holds, TenantPointers where in the request that stands: pseudonyms are stable
	// within a tenant. Neither: all are one.
	TenantHeader   string   `toml:"tenant_header"`
	TenantPointers []string `toml:"tenant_pointers"`
	// Redact is the section [capture.redact].
	Redact redact.Config `toml:"redact"`
	// Exclude is the section [capture.exclude].
	Exclude Exclude `toml:"exclude"`
	// Rules find the sub-module of a request without the header. The first
	// that matches wins.
	Rules []Rule `toml:"rule"`
}

// maxDrain bounds how long an upstream works on for a client that has left.
const maxDrain = 9 * time.Second

// DefaultConfig has the value of every key that may be left out.
func DefaultConfig() Config {
	return Config{
		Listen:               "127.0.0.1:8080",
		Memory:               64 << 20,
		SpoolMax:             1 << 30,
		MaxBody:              16 << 20,
		Sample:               1,
		TrustedClients:       []string{"127.0.0.1", "::1"},
		AnswerTimeout:        10 * time.Minute,
		DrainAbandoned:       5 * time.Second,
		ConversationPointers: []string{"/metadata/conversation", "/metadata/conversation_id"},
		UnitPointers:         []string{"/metadata/unit", "/metadata/unit_id", "/user"},
		TenantPointers:       []string{},
		Redact:               redact.DefaultConfig(),
		Exclude:              Exclude{Keys: []string{}, Headers: []string{}, Pointers: []string{}, Tenants: []string{}, ConsentPointers: []string{"/metadata/consent"}},
	}
}

// Validate reports what is wrong with the section, all faults joined.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		bad("listen %q is not an address like 127.0.0.1:8080", c.Listen)
	}
	if c.Memory < 1<<20 {
		bad("memory is %s; at least 1MiB is needed", c.Memory)
	}
	if c.SpoolMax != 0 && c.SpoolMax < 1<<20 {
		bad("spool_max is %s; at least 1MiB is needed, or 0 for none", c.SpoolMax)
	}
	if c.MaxBody < 1 {
		bad("max_body is %s; at least 1 byte is needed", c.MaxBody)
	}
	if c.MaxBody > c.Memory {
		bad("max_body (%s) is above memory (%s): no exchange of that size could be recorded", c.MaxBody, c.Memory)
	}
	if !(c.Sample >= 0 && c.Sample <= 1) {
		bad("sample is %v; it is a share from 0 to 1", c.Sample)
	}
	if _, err := certificates(c); err != nil {
		errs = append(errs, err)
	}
	if c.AnswerTimeout < 0 {
		bad("answer_timeout is negative; 0 waits as long as the client does")
	}
	if t, err := parseTrusted(c.TrustedClients); err != nil {
		errs = append(errs, err)
	} else if len(t.names) > 0 && c.ClientCA == "" {
		bad("trusted_clients: \"mtls\" needs client_ca, which says whose certificates are believed")
	}
	if c.DrainAbandoned < 0 || c.DrainAbandoned > maxDrain {
		bad("drain_abandoned is %s; from 0s to %s is possible", c.DrainAbandoned, maxDrain)
	}
	if _, err := compilePointers("conversation_pointers", c.ConversationPointers); err != nil {
		errs = append(errs, err)
	}
	if _, err := compilePointers("unit_pointers", c.UnitPointers); err != nil {
		errs = append(errs, err)
	}
	if _, err := compilePointers("tenant_pointers", c.TenantPointers); err != nil {
		errs = append(errs, err)
	}
	if err := c.Redact.Validate(); err != nil {
		errs = append(errs, err)
	}
	if _, err := compileExclude(&c.Exclude); err != nil {
		errs = append(errs, err)
	}
	if _, err := compileRules(c.Rules); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
