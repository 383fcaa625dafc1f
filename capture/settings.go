package capture

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"sync"
	"time"

	"understudy/capture/redact"
)

// settings are a configuration ready to be used. A reload swaps them whole;
// each request keeps those that it began with.
type settings struct {
	sample  float64
	maxBody int64
	memory  int64
	// drainAbandoned is as of Config.
	drainAbandoned time.Duration
	trusted        trusted
	rules          []compiledRule
	exclude        *excluder
	tenantHeader   string
	tenant         []pointer
	redactor       *redact.Redactor // nil: texts are recorded as they are
	conversation   []pointer
	unit           []pointer
	targets        []target
	known          func(submodule string) bool
	transports     transports
	tls            *tls.Config // of the data port, nil for plain HTTP
	askUsage       bool
	usageRefused   sync.Map // the *target that do not take include_usage
}

// compile makes settings; key is that of all keyed hashes, before is what they replace, or nil.
func compile(cfg Config, upstreams []Upstream, known func(string) bool, key []byte, before *settings) (*settings, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("[capture]: %w", err)
	}
	s := &settings{sample: cfg.Sample, maxBody: int64(cfg.MaxBody), memory: int64(cfg.Memory), drainAbandoned: cfg.DrainAbandoned, known: known, askUsage: cfg.AskUsage}
	var errs [9]error
	s.trusted, errs[0] = parseTrusted(cfg.TrustedClients)
	s.rules, errs[1] = compileRules(cfg.Rules)
	s.conversation, errs[2] = compilePointers("conversation_pointers", cfg.ConversationPointers)
	s.unit, errs[3] = compilePointers("unit_pointers", cfg.UnitPointers)
	s.transports = transports{}
	old := transports(nil)
	if before != nil {
		old = before.transports
	}
	s.targets, errs[4] = compileUpstreams(upstreams, func(u *Upstream) (*http.Transport, error) {
		return s.transports.connect(u, cfg.AnswerTimeout, old)
	})
	if s.tls, errs[5] = certificates(&cfg); before != nil && (s.tls == nil) != (before.tls == nil) {
		errs[5] = errors.New("[capture] tls_cert: TLS is switched on or off by a restart, not by a reload")
	}
	s.exclude, errs[6] = compileExclude(&cfg.Exclude)
	s.tenant, errs[7] = compilePointers("tenant_pointers", cfg.TenantPointers)
	s.tenantHeader = textproto.CanonicalMIMEHeaderKey(cfg.TenantHeader)
	if cfg.Redact.Mode == "on" {
		s.redactor, errs[8] = redact.New(cfg.Redact, keyed(key, "pseudonyms"))
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	if len(upstreams) == 0 {
		return nil, errors.New("no [[upstream]]: the proxy has nowhere to send requests")
	}
	if s.known == nil {
		s.known = func(string) bool { return true }
	}
	return s, nil
}
