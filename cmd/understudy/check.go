package main

import (
	"context"
	"fmt"
	"time"
)

var checkVerb = &verb{
	name: "check", short: "lint the configuration; --online also asks what it depends on",
	args:     "[--config FILE] [--set section.key=value] [--online [--yes]] [-o text|json]",
	examples: "understudy check\nunderstudy check --config /etc/understudy/config.toml\nunderstudy check --online",
	run: func(ctx context.Context, e *env, args []string) error {
		e.withConfig()
		e.withOutput("text", "json")
		online := e.flags.Bool("online", false, "ask NATS, upstreams, credentials, the models' regions and clocks, and call each model with a few tokens")
		yes := e.flags.Bool("yes", false, "--online: make the calls, which cost money, without asking")
		if _, err := e.parse(args, 0, 0); err != nil {
			return err
		}
		if *yes && !*online {
			return fmt.Errorf("%w: --yes belongs to --online", errUsage)
		}
		cfg, err := loadConfig(e.config, e.sets)
		if err != nil {
			return err
		}
		for _, note := range cfg.notes() {
			if *online || e.output == "text" {
				fmt.Fprintln(e.stderr, "note:", note)
			}
		}
		if *online {
			return newOnlineCheck(e, cfg, *yes).run(ctx)
		}
		if e.output == "json" {
			return printJSON(e.stdout, map[string]any{"valid": true, "upstreams": len(cfg.Upstreams), "submodules": len(cfg.Submodules), "endpoints": len(cfg.Endpoints), "notes": orEmpty(cfg.notes())})
		}
		fmt.Fprintf(e.stdout, "%s is valid; upstreams: %d, sub-modules: %d, endpoints: %d\n",
			e.config, len(cfg.Upstreams), len(cfg.Submodules), len(cfg.Endpoints))
		return nil
	},
}

// notes are what an operator should know of a valid configuration.
func (c *Config) notes() []string {
	var notes []string
	for _, name := range c.unused {
		notes = append(notes, "environment variable "+name+" fits no key and is not used (the form is UNDERSTUDY_SECTION_KEY; lists have none)")
	}
	if len(c.Upstreams) == 0 {
		notes = append(notes, "no [[upstream]]: the stage capture has nowhere to send requests")
	}
	if len(c.Submodules) == 0 {
		notes = append(notes, "no [[submodule]]: traffic is recorded, nothing is compared")
	}
	if c.Capture.Sample == 0 {
		notes = append(notes, "capture.sample is 0: nothing is recorded")
	}
	notes = append(notes, c.judgeNotes()...)
	notes = append(notes, c.regionNotes()...)
	if note := c.priceNote(time.Now()); note != "" {
		notes = append(notes, note)
	}
	if c.Capture.Redact.Mode == "off" {
		notes = append(notes, "texts are recorded as they are ([capture.redact] mode = \"off\"): restrict who may read the store")
	}
	return notes
}
