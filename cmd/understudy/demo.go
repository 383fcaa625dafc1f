package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"understudy/canary"
	"understudy/capture"
	"understudy/llm"
	"understudy/llm/bedrock"
	"understudy/llm/sim"
)

var demoVerb = &verb{
	name: "demo", short: "the whole arc on this machine with simulated providers: no key, no cloud, half a minute",
	args:     "[-o text|md|json] [--scenario NAME] [--serve] [--seed N]",
	examples: "understudy demo\nunderstudy demo -o json > demo.json\nunderstudy demo --scenario worse\nunderstudy demo --serve",
	run: func(ctx context.Context, e *env, args []string) error {
		start := time.Now()
		e.withOutput("text", "md", "json")
		scenario := demoGood
		e.flags.Func("scenario", "what the simulated models are like: `NAME` is good (default), worse or biased-judge", func(s string) error {
			var ok bool
			if scenario, ok = demoScenarios[s]; !ok {
				return fmt.Errorf("want good, worse or biased-judge")
			}
			return nil
		})
		serve := e.flags.Bool("serve", false, "keep the admin listener up until a signal")
		seed := e.flags.Uint64("seed", 1, "moves every draw of the simulated providers")
		if _, err := e.parse(args, 0, 0); err != nil {
			return err
		}
		ctx, stop := onSignals(ctx, slog.New(slog.DiscardHandler))
		defer stop()
		d := &demo{e: e, scenario: scenario, seed: *seed, serve: *serve, start: start, interviews: demoInterviews, span: demoSpan}
		return d.run(ctx)
	},
}

// The demo's own settings. They are limits for thirty seconds on two cores,
// not advice.
const (
	demoInterviews = 350
	demoSpan       = 15 * time.Second // over which the interviews begin
	demoWindow     = 5 * time.Second  // of a conversation
	demoEnd        = 40 * time.Second // after which it reports what there is

	// demoLlamaLatency is what the simulated model takes; measured over HTTP it is
	// some ten milliseconds more, the 450 ms of the case.
	demoLlamaLatency = 440 * time.Millisecond
	demoJudgeLatency = 15 * time.Millisecond
	demoOtherCost    = 0.375 // USD an interview, besides AI

	demoBusy      = 15 * time.Millisecond
	demoGCPercent = 400
)

// demoTies is how often the judge finds neither of two equally good answers better.
var demoTies = 0.95

// A demo is one run of the demonstration.
type demo struct {
	e *env
	// scenario says what the simulated models are like.
	scenario demoScenario
	seed     uint64
	serve    bool
	start    time.Time
	openai   *sim.Server
	bedrock  *sim.Server

	// judging is closed once the traffic has ended: providers, daemon and judge share
	// two cores here, and a judge at work would make the candidates look slow.
	judging chan struct{}
	// delay is how late the providers' sleeps ended until then, at p99.
	delay time.Duration

	interviews int
	span       time.Duration
}

func (d *demo) run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "understudy-demo-")
	if err != nil {
		return fmt.Errorf("make a temporary directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// Providers and daemon share this process here: collecting garbage less often
	// keeps the providers' sleeps honest.
	defer debug.SetGCPercent(debug.SetGCPercent(demoGCPercent))
	simCtx, stopSims := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSims()
	if err := d.startSims(simCtx); err != nil {
		return err
	}
	defer d.openai.Close()
	defer d.bedrock.Close()
	cfg, err := d.config(dir)
	if err != nil {
		return err
	}
	if err := cfg.validate(&source{path: "demo"}); err != nil {
		return err
	}
	p, err := newProcessWith(cfg, stageNames, nil, slog.New(slog.DiscardHandler), demoCredentials)
	if err != nil {
		return err
	}
	d.judging = make(chan struct{})
	p.judgeFrom = d.judging
	running, stopProcess := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- p.run(running, nil) }()
	err = d.play(ctx, p)
	stopProcess()
	return errors.Join(err, <-done)
}

func demoCredentials(context.Context, llm.Endpoint) (bedrock.Credentials, error) {
	return bedrock.Credentials{Provider: credentials.NewStaticCredentialsProvider("AKIADEMO000000000000", "demo", "")}, nil
}

func (d *demo) startSims(ctx context.Context) error {
	sc := d.scenario
	control := persona(850*time.Millisecond, sc.live)
	control.VerboseRate = sc.verbose
	control.OutputTokens += int(0.3 * sc.verbose * float64(control.OutputTokens))
	judge := sim.Persona{LatencyMean: demoJudgeLatency, LatencySpread: 0.2, JudgeLengthBias: sc.lengthBias, JudgeTies: &demoTies}
	var err error
	d.openai, err = sim.New(sim.Config{Kind: sim.OpenAI, Seed: d.seed, Personas: map[string]sim.Persona{
		demoLive: persona(850*time.Millisecond, sc.live), demoControl: control,
	}})
	if err != nil {
		return err
	}
	d.bedrock, err = sim.New(sim.Config{Kind: sim.Bedrock, Seed: d.seed + 1, Personas: map[string]sim.Persona{
		demoLlama: persona(demoLlamaLatency, sc.llama), demoClaude: persona(2*time.Second, sc.claude), demoJudge: judge,
	}})
	if err != nil {
		return err
	}
	return errors.Join(d.openai.Start(ctx, "127.0.0.1:0"), d.bedrock.Start(ctx, "127.0.0.1:0"))
}

// config is an ordinary configuration, written in Go.
func (d *demo) config(dir string) (*Config, error) {
	cfg := defaultConfig()
	cfg.NATS.Dir, cfg.NATS.Sync, cfg.NATS.MaxStore = dir, "interval", 512<<20
	cfg.Capture.Listen, cfg.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Capture.Redact.Mode = "off"
	cfg.Admin.DrainTimeout = 2 * time.Second
	cfg.Upstreams = []capture.Upstream{{Name: "openai", BaseURL: d.openai.URL(), Kind: "openai"}}
	cfg.Replay.DailyUSD, cfg.Replay.ControlDailyUSD, cfg.Replay.ControlShare = 200, 200, 1
	cfg.Judge.Endpoints, cfg.Judge.DailyUSD = []string{"nova-pro"}, 200
	cfg.Canary.ConversationWindow = demoWindow
	cfg.Canary.VerdictDeadline = time.Minute
	cfg.Canary.MinSpan = 0
	cfg.Canary.LookEvery = time.Second
	endpoint := func(name, provider, model, url string, concurrency int, price llm.Price) llm.Endpoint {
		e := llm.DefaultEndpoint()
		e.Name, e.Provider, e.Model, e.BaseURL, e.Concurrency, e.Price, e.Region = name, provider, model, url, concurrency, &price, "us-east-1"
		return e
	}
	key := filepath.Join(dir, "control.key") // the control has a key of its own
	if err := os.WriteFile(key, []byte("sk-demo-control-0123456789"), 0o600); err != nil {
		return nil, fmt.Errorf("write the control's key: %w", err)
	}
	baseline := demoLive
	if d.scenario.verbose > 0 { // another snapshot, that says more
		baseline = demoControl
	}
	cfg.Endpoints = []llm.Endpoint{
		endpoint("gpt-4-turbo", "openai", baseline, d.openai.URL()+"/v1", 160, llm.Price{Input: 10, Output: 30}),
		endpoint("llama-3.3-70b", "bedrock", demoLlama, d.bedrock.URL(), 128, llm.Price{Input: 0.72, Output: 0.72}),
		endpoint("claude-sonnet", "bedrock", demoClaude, d.bedrock.URL(), 320, llm.Price{Input: 3, Output: 15}),
		endpoint("nova-pro", "bedrock", demoJudge, d.bedrock.URL(), 96, llm.Price{Input: 0.8, Output: 3.2}),
	}
	cfg.Endpoints[0].APIKeyFile = key
	other := demoOtherCost
	cfg.Units = map[string]Unit{"interview": {OtherCostUSD: &other}}
	own := []string{"check.schema", "check.complete", "check.schema"} // follow-ups are prose
	for i, name := range demoSubmodules {
		cfg.Submodules = append(cfg.Submodules, canary.Submodule{
			Name: name, Baseline: "gpt-4-turbo", Candidates: []string{"llama-3.3-70b", "claude-sonnet"},
			Keep: true, // so that the report compares both candidates to the end
			Unit: "interview", Risk: i + 1, Priority: "cost, quality kept, speed", Criteria: canary.Criteria{Gates: []canary.Gate{
				{Name: "cost_ratio", Limit: 0.40}, {Name: "latency_mean_ms", Limit: 500}, {Name: "error_rate", Limit: 0.02},
				{Name: "score.correctness", Limit: 0.10}, {Name: "harmfulness", Limit: 0.02}, {Name: "win_rate", Limit: 0.40}, {Name: own[i], Limit: 0.02},
			}},
		})
	}
	return cfg, nil
}

// play sends the traffic, waits for the verdicts and prints the report.
func (d *demo) play(ctx context.Context, p *process) error {
	traffic := &demoTraffic{url: "http://" + p.data.Addr().String(), interviews: d.interviews, seed: d.seed, span: d.span}
	sending, stop := context.WithDeadline(ctx, d.start.Add(demoEnd))
	defer stop()
	sent := make(chan struct{})
	go func() { defer close(sent); traffic.run(sending); d.startJudge(sending, p) }()
	d.progress(sending, p, traffic, sent)
	<-sent
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return d.finish(ctx, p)
}

// startJudge lets the judge begin once the candidates have answered.
func (d *demo) startJudge(ctx context.Context, p *process) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	defer func() {
		// All latencies that count are measured by now; later only the judge is late.
		d.delay = max(d.openai.SchedulingDelay().P99, d.bedrock.SchedulingDelay().P99)
		close(d.judging)
	}()
	for {
		s := p.status()
		pending := s.Accounts.Received - s.Accounts.Captured
		for _, b := range s.Accounts.Candidates {
			pending += int64(b.Pending)
		}
		if pending == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// progress shows one line until every exchange is judged and every conversation
// closed, or until the time is over.
func (d *demo) progress(ctx context.Context, p *process, traffic *demoTraffic, sent <-chan struct{}) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	terminal := isTerminal(d.e.stderr)
	for looks := 0; ; looks++ {
		s := p.status()
		trials, pending := 0, 0
		for _, b := range s.Accounts.Candidates {
			trials, pending = trials+b.Trial, pending+b.Pending
		}
		line := fmt.Sprintf("%4.1f s  requests %d of %d  captured %d  trials %d  waiting %d",
			time.Since(d.start).Seconds(), traffic.sent.Load(), traffic.total(), s.Accounts.Captured, trials, pending)
		switch {
		case terminal:
			fmt.Fprintf(d.e.stderr, "\r%s   ", line)
		case looks%20 == 0: // a log wants a line every few seconds, not a redrawn one
			fmt.Fprintln(d.e.stderr, line)
		}
		select {
		case <-ctx.Done():
			fmt.Fprintln(d.e.stderr)
			return
		case <-tick.C:
		}
		select {
		case <-sent:
			if pending == 0 && int64(s.Accounts.Captured) == int64(s.Accounts.Received) && p.currentWorkers().canary.Analyzer().Open() == 0 {
				fmt.Fprintln(d.e.stderr)
				return
			}
		default:
		}
	}
}

// finish prints the report and says whether the machine was quick enough for
// its figures to mean something.
func (d *demo) finish(ctx context.Context, p *process) error {
	rep := p.makeReport(p.currentWorkers().canary, time.Now())
	rep.Notes = append(rep.Notes, d.notes()...)
	switch d.e.output {
	case "json":
		enc := json.NewEncoder(d.e.stdout)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(rep); err != nil {
			return err
		}
	case "md":
		rep.WriteMarkdown(d.e.stdout)
	default:
		rep.WriteText(d.e.stdout)
	}
	if d.serve {
		fmt.Fprintf(d.e.stderr, "serving http://%s/api/v1/report and /metrics until a signal\n", p.admin.Addr())
		<-ctx.Done()
	}
	if d.delay > demoBusy {
		return &codedError{code: exitInconclusive, err: fmt.Errorf(
			"this machine was too busy: the simulated providers woke up to %s late (p99), so their latencies mean little; run it again on a quiet machine", d.delay.Round(time.Millisecond))}
	}
	return nil
}

// notes say what the figures are worth.
func (d *demo) notes() []string {
	return []string{
		fmt.Sprintf("A demonstration with simulated providers, seed %d: %d interviews, three sub-modules, two turns each, in %.0f s.",
			d.seed, d.interviews, time.Since(d.start).Seconds()),
		fmt.Sprintf("Scenario %s: %s.", d.scenario.name, d.scenario.says),
		fmt.Sprintf("Settings of the simulation: mean latency 850 ms (baseline), 440 ms (Llama), 2 s (Claude); mean correctness %.2f, %.2f, %.2f; the judge cannot see whose answer it reads, and begins when the traffic has ended.",
			d.scenario.live, d.scenario.llama, d.scenario.claude),
		"Settings of the daemon: conversation_window 5s; min_span 0s; control_share 1; sync \"interval\"; everything else by default.",
		"Demo limits, not advice: margins of 2 points and 350 conversations fit into half a minute, not into your criteria.",
		fmt.Sprintf("The simulated providers' own sleeps ended %s late while traffic ran (p99); above %s their latencies mean little.", d.delay.Round(100*time.Microsecond), demoBusy),
	}
}
