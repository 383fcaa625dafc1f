package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"understudy/internal/journal"
	"understudy/llm"
	"understudy/llm/bedrock"
)

// How long one question may take, and one call of a model.
const (
	questionTimeout = 15 * time.Second
	probeTimeout    = time.Minute
)

// Skews of the clock. AWS refuses signatures that are five minutes off.
const (
	skewWarn = 30 * time.Second
	skewFail = 5 * time.Minute
)

// The states of what check --online has found.
const (
	stateOK      = "ok"
	stateWarn    = "warn"
	stateFail    = "fail"
	stateSkipped = "skipped"
)

// A finding of check --online.
type onlineFinding struct {
	State   string `json:"state"`
	Subject string `json:"subject"`
	Check   string `json:"check"`
	Text    string `json:"text"`
	away    bool   // it failed because nobody answered
}

// An onlineCheck asks everything that the configuration depends on.
type onlineCheck struct {
	cfg    *Config
	who    identify
	policy *bedrock.RegionPolicy
	e      *env
	yes    bool
	in     io.Reader
	asks   bool // somebody can be asked
	found  []onlineFinding
}

func (o *onlineCheck) add(state, subject, check, format string, a ...any) {
	o.found = append(o.found, onlineFinding{State: state, Subject: subject, Check: check, Text: fmt.Sprintf(format, a...)})
}

// fault adds what went wrong, without what a provider may have quoted.
func (o *onlineCheck) fault(subject, check string, err error) {
	class := llm.ClassOf(err)
	away := errors.Is(err, journal.ErrUnavailable) || class == llm.ClassNetwork || class == llm.ClassTimeout || class == llm.ClassOverloaded
	o.found = append(o.found, onlineFinding{State: stateFail, Subject: subject, Check: check, Text: summary(err), away: away})
}

// run asks everything, the calls that cost money last.
func (o *onlineCheck) run(ctx context.Context) error {
	o.nats(ctx)
	o.addresses(ctx)
	o.named()
	var probes []probe
	for _, ep := range o.cfg.called() {
		for _, route := range routes(ep) {
			if o.credentials(ctx, route) && o.control(ctx, route) {
				probes = append(probes, o.prepare(ctx, route)...)
			}
		}
	}
	o.call(ctx, probes)
	if err := o.print(); err != nil {
		return err
	}
	return o.verdict()
}

func (o *onlineCheck) nats(ctx context.Context) {
	if o.cfg.NATS.Mode == "embedded" {
		o.add(stateOK, "nats", "reach", "embedded")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	if err := journal.Ping(ctx, o.cfg.NATS); err != nil {
		o.fault("nats", "reach", err)
		return
	}
	o.add(stateOK, "nats", "reach", "%s lets us in and has JetStream", o.cfg.NATS.URL)
}

// addresses asks every address once, without a key, whether somebody is there, and what
// time it is there.
func (o *onlineCheck) addresses(ctx context.Context) {
	client := &http.Client{Timeout: questionTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	seen := map[string]bool{}
	for _, u := range o.cfg.Upstreams {
		o.address(ctx, client, seen, "upstream "+u.Name, u.BaseURL)
	}
	for _, ep := range o.cfg.called() {
		for _, route := range routes(ep) {
			o.address(ctx, client, seen, "endpoint "+ep.Name, addressOf(route))
		}
	}
}

// addressOf is where calls of an endpoint go.
func addressOf(ep llm.Endpoint) string {
	if ep.BaseURL != "" {
		return ep.BaseURL
	}
	if onAWS(ep) {
		if base, _, err := bedrock.OpenAIAddress(ep); err == nil { // the same host serves both wires
			return base
		}
	}
	return "https://api.openai.com"
}

func (o *onlineCheck) address(ctx context.Context, client *http.Client, seen map[string]bool, subject, address string) {
	if seen[address] {
		return
	}
	seen[address] = true
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		o.add(stateFail, subject, "reach", "%v", err)
		return
	}
	before := time.Now()
	res, err := client.Do(req)
	if err != nil {
		o.fault(subject, "reach", &llm.Error{Op: "ask " + address, Class: llm.ClassNetwork, NotSent: true, Err: err})
		return
	}
	res.Body.Close()
	took := time.Since(before)
	o.add(stateOK, subject, "reach", "%s answers in %s", address, took.Round(time.Millisecond))
	there, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		return
	}
	skew := there.Sub(before.Add(took / 2)).Round(time.Second)
	state, hint := stateOK, ""
	switch {
	case skew.Abs() > skewFail:
		state, hint = stateFail, "; signatures are refused at five minutes: set the clock of this machine"
	case skew.Abs() > skewWarn:
		state, hint = stateWarn, "; set the clock of this machine"
	}
	o.add(state, subject, "clock", "there it is %s off from here%s", skew, hint)
}

// named says which baselines are only named, so that nobody waits for a call of them.
func (o *onlineCheck) named() {
	for name, roles := range o.cfg.rolesOf() {
		if len(roles) == 1 && roles[0] == "baseline" {
			o.add(stateOK, "endpoint "+name, "role", "a baseline, which only the application calls: it is not called here")
		}
	}
}

// credentials looks for what says who calls; false where there is nothing.
func (o *onlineCheck) credentials(ctx context.Context, ep llm.Endpoint) bool {
	subject := "endpoint " + ep.Name
	if !onAWS(ep) {
		switch key, err := ep.Key(); {
		case err != nil:
			o.add(stateFail, subject, "credentials", "%v", err)
			return false
		case key != "":
			o.add(stateOK, subject, "credentials", "there is a key at %s", ep.APIKeyEnv+ep.APIKeyFile)
		}
		return true // else the call tells
	}
	subject += " in " + ep.Region
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	who, err := o.who(ctx, ep)
	switch {
	case err != nil:
		o.add(stateFail, subject, "credentials", "%v", err)
		return false
	case who.APIKey != "":
		o.add(stateOK, subject, "credentials", "there is a key at %s", ep.APIKeyEnv+ep.APIKeyFile)
		return true
	}
	found, err := who.Provider.Retrieve(ctx)
	if err != nil {
		o.add(stateFail, subject, "credentials", "the AWS chain has none (environment, shared files, role): %v", err)
		return false
	}
	o.add(stateOK, subject, "credentials", "from %s", found.Source)
	return true
}

// control asks Bedrock's control plane about the model and its regions; false where the
// policy does not let the endpoint be called.
func (o *onlineCheck) control(ctx context.Context, ep llm.Endpoint) bool {
	if !onAWS(ep) {
		return true
	}
	subject := "endpoint " + ep.Name
	if ep.Provider == "bedrock" {
		subject += " in " + ep.Region
		if err := learn(ctx, ep, o.who, o.policy); err != nil {
			o.add(stateWarn, subject, "regions", "the control plane does not say where requests go: %s", summary(err))
		}
		o.life(ctx, subject, ep)
	}
	if err := o.policy.Check(ep); err != nil {
		o.fault(subject, "regions", err)
		return false
	}
	if to, by, ok := o.policy.Destinations(ep); ok {
		o.add(stateOK, subject, "regions", "requests are processed in %s (by %s)", strings.Join(to, ", "), by)
	}
	return true
}

// life tells whether the vendor ends the model soon.
func (o *onlineCheck) life(ctx context.Context, subject string, ep llm.Endpoint) {
	credentials, err := o.who(ctx, ep)
	if err != nil {
		return // said by the call
	}
	control, err := bedrock.NewControl(ep, credentials, nil)
	if err != nil {
		return
	}
	models, err := control.Models(ctx)
	if err != nil {
		o.add(stateWarn, subject, "model", "the list of models cannot be read: %s", summary(err))
		return
	}
	for _, m := range models {
		if m.ID != llm.TrimRegion(ep.Model) {
			continue
		}
		text := "listed as " + m.Status
		if !m.EndOfLife.IsZero() {
			text += ", ends on " + m.EndOfLife.Format(time.DateOnly)
		}
		state := stateOK
		if m.Status == "LEGACY" {
			state = stateWarn
		}
		o.add(state, subject, "model", "%s", text)
		return
	}
}

// A probe is a call of a few tokens that shows whether the model may be called.
type probe struct {
	subject string
	client  llm.Client
	call    *llm.Call
	bound   float64
	counted int // tokens of input by the service's own count, 0 where it has none
}

// probeTokens bounds the probe's answer.
const probeTokens = 16

func (o *onlineCheck) prepare(ctx context.Context, ep llm.Endpoint) []probe {
	subject := "endpoint " + ep.Name
	if onAWS(ep) {
		subject += " in " + ep.Region
	}
	ep.Timeout = probeTimeout
	client, err := newClient(ep, o.who)
	if err != nil {
		o.add(stateFail, subject, "credentials", "%v", err)
		return nil
	}
	restrict(client, ep, o.policy)
	limit := probeTokens
	call, err := client.Prepare(&llm.Request{Whole: true, MaxTokens: &limit,
		Messages: []llm.Message{{Role: llm.RoleUser, Parts: []llm.Part{{Kind: llm.PartText, Text: "Answer with the word OK."}}}}})
	if err != nil {
		o.fault(subject, "call", err)
		return nil
	}
	rates, _ := o.cfg.rates(ep)
	bound, priced := rates.Bound(call.ServiceTier, call.MaxInputTokens, call.MaxOutputTokens)
	if !priced {
		o.add(stateFail, subject, "price", "no price is known, and what has none is not called: %s", howToPrice(ep))
		return nil
	}
	p := probe{subject: subject, client: client, call: call, bound: bound}
	if c, ok := client.(*bedrock.Client); ok {
		ctx, cancel := context.WithTimeout(ctx, questionTimeout)
		defer cancel()
		p.counted, _ = c.CountTokens(ctx, call) // not every model has it
	}
	return []probe{p}
}

// call makes the probes once their price is accepted.
func (o *onlineCheck) call(ctx context.Context, probes []probe) {
	if len(probes) == 0 {
		return
	}
	total := 0.0
	for _, p := range probes {
		total += p.bound
	}
	if !o.accepted(len(probes), total) {
		for _, p := range probes {
			o.add(stateSkipped, p.subject, "call", "not called: it may cost $%.6f; --yes makes the calls", p.bound)
		}
		return
	}
	for _, p := range probes {
		resp, err := p.client.Do(ctx, p.call)
		if err != nil {
			o.fault(p.subject, "call", err)
			continue
		}
		text := fmt.Sprintf("answered in %s, at most $%.6f", resp.Timing.Total.Round(time.Millisecond), p.bound)
		if p.counted > 0 {
			text += fmt.Sprintf("; %d tokens of input by the service's own count", p.counted)
		}
		o.add(stateOK, p.subject, "call", "%s", text)
	}
}

// accepted asks whether the calls may be paid.
func (o *onlineCheck) accepted(calls int, usd float64) bool {
	if o.yes {
		return true
	}
	if !o.asks {
		return false
	}
	fmt.Fprintf(o.e.stderr, "%d calls of a few tokens show whether the models may be called; together they cost at most $%.6f. Make them? [y/N] ", calls, usd)
	return agreed(o.in)
}

func (o *onlineCheck) print() error {
	if o.e.output == "json" {
		return printJSON(o.e.stdout, map[string]any{"findings": orEmpty(o.found)})
	}
	w := tabwriter.NewWriter(o.e.stdout, 0, 0, 2, ' ', 0)
	for _, f := range o.found {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", f.State, f.Subject, f.Check, f.Text)
	}
	return w.Flush()
}

// verdict is the exit code: what failed, whether only because nobody answered, or what
// was not asked.
func (o *onlineCheck) verdict() error {
	failed, away, skipped := 0, 0, 0
	for _, f := range o.found {
		switch {
		case f.State == stateFail && f.away:
			failed, away = failed+1, away+1
		case f.State == stateFail:
			failed++
		case f.State == stateSkipped:
			skipped++
		}
	}
	switch {
	case failed > 0 && failed == away:
		return &codedError{exitUnreachable, fmt.Errorf("%d of %d checks found nobody there", failed, len(o.found))}
	case failed > 0:
		return fmt.Errorf("%d of %d checks failed", failed, len(o.found))
	case skipped > 0:
		return &codedError{exitInconclusive, fmt.Errorf("%d models were not called", skipped)}
	}
	return nil
}

func newOnlineCheck(e *env, cfg *Config, yes bool) *onlineCheck {
	return &onlineCheck{cfg: cfg, who: bedrock.LoadCredentials, policy: bedrock.NewRegionPolicy(cfg.Replay.AllowedRegions), e: e, yes: yes,
		in: os.Stdin, asks: isTerminal(os.Stdin) && isTerminal(e.stderr)}
}
