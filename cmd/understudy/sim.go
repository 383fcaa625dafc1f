package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"understudy/llm/sim"
)

var simVerb = &verb{
	name: "sim", short: "one simulated provider: openai or bedrock",
	args: "openai|bedrock --listen ADDRESS [--answers FILE [--answers-only]] [dials]\n" +
		"  An [[upstream]] and an endpoint of provider bedrock (base_url, control_url) take the address as it is printed, one of provider openai with /v1 behind it.\n" +
		"  Any key of the right form is taken: sk-… or eight characters; for signatures an access key id of two characters and more, and any secret.",
	examples: "understudy sim openai --listen 127.0.0.1:9101\n" +
		"understudy sim bedrock --listen 127.0.0.1:9102 --answers answers.jsonl --answers-only --capability meta.llama3-70b-instruct-v1:0=tools\n" +
		"understudy sim bedrock --persona 'meta.llama3-3-70b-instruct-v1:0: latency=450ms, spread=0.2' --fault 'throttle: count=3'",
	run: runSim,
}

func runSim(ctx context.Context, e *env, args []string) error {
	f, cfg := e.flags, sim.Config{Capabilities: map[string][]string{}, Personas: map[string]sim.Persona{}}
	listen := f.String("listen", "127.0.0.1:0", "listening `address`; port 0 takes a free one")
	f.StringVar(&cfg.AnswersFile, "answers", "", "recorded answers, one JSON object a line")
	f.BoolVar(&cfg.AnswersOnly, "answers-only", false, "a request without a recorded answer gets a 404-style error")
	f.Uint64Var(&cfg.Seed, "seed", 1, "moves every draw")
	f.Func("capability", "lift a limit of the family table: `MODEL=tools` (repeatable)", func(s string) error {
		model, abilities, err := sim.ParseCapability(s)
		if err == nil {
			cfg.Capabilities[model] = append(cfg.Capabilities[model], abilities...)
		}
		return err
	})
	f.Func("no-access", "answer for this `MODEL` as for one without access (repeatable)", func(s string) error {
		cfg.NoAccess = append(cfg.NoAccess, s)
		return nil
	})
	base := sim.DefaultPersona()
	f.DurationVar(&base.LatencyMean, "latency", base.LatencyMean, "mean time of a whole answer, for models without --persona")
	f.Float64Var(&base.LatencySpread, "spread", base.LatencySpread, "standard deviation ÷ mean of the latency")
	f.Float64Var(&base.ErrorRate, "errors", 0, "share of calls that end as a 5xx")
	var personas []string
	f.Func("persona", "how one model behaves: `'MODEL: latency=450ms, errors=0.01, …'` (repeatable)", func(s string) error {
		personas = append(personas, s)
		return nil
	})
	f.Func("fault", "break on demand: `'throttle: count=3'`, 'stall: for_ms=5000', 'cut', … (repeatable)", func(s string) error {
		fault, err := sim.ParseFault(s)
		cfg.Faults = append(cfg.Faults, fault)
		return err
	})
	rest, err := e.parse(args, 1, 1)
	if err != nil {
		return err
	}
	cfg.Kind = sim.Kind(rest[0])
	if cfg.Kind != sim.OpenAI && cfg.Kind != sim.Bedrock {
		return fmt.Errorf("%w: %q is no simulated provider: openai or bedrock", errUsage, rest[0])
	}
	cfg.Personas["*"] = base
	for _, s := range personas {
		model, p, err := sim.ParsePersona(s, base)
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		cfg.Personas[model] = p
	}
	return serveSim(ctx, e, cfg, *listen)
}

func serveSim(ctx context.Context, e *env, cfg sim.Config, listen string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	cfg.Log = log
	s, err := sim.New(cfg)
	if err != nil {
		return err
	}
	ctx, stop := onSignals(ctx, log)
	defer stop()
	if err := s.Start(ctx, listen); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "simulated %s on %s\n", cfg.Kind, s.URL())
	<-ctx.Done()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return s.Shutdown(closing)
}
