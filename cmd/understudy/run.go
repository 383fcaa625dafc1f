package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"understudy/internal/daemon"
)

var runVerb = &verb{
	name: "run", short: "the daemon: all stages, or some of them",
	args:     "[--config FILE] [--set section.key=value] [--stages LIST]",
	examples: "understudy run\nunderstudy run --stages capture\nunderstudy run --stages replay,judge,canary --set nats.dir=/var/lib/understudy/workers",
	run: func(ctx context.Context, e *env, args []string) error {
		e.withConfig()
		list := e.flags.String("stages", "", "comma-separated `stages` to run: capture,replay,judge,canary (default all)")
		if _, err := e.parse(args, 0, 0); err != nil {
			return err
		}
		stages := stageNames
		var err error
		e.flags.Visit(func(f *flag.Flag) {
			if f.Name == "stages" {
				stages, err = parseStages(*list)
			}
		})
		if err != nil {
			return err
		}
		cfg, err := loadConfig(e.config, e.sets)
		if err != nil {
			return err
		}
		var level slog.LevelVar
		log := cfg.Log.NewLog(&level)
		for _, note := range cfg.notes() {
			log.Warn(note)
		}
		ctx, stop := onSignals(ctx, log)
		defer stop()
		given, err := daemon.Inherit()
		if err != nil {
			return err
		}
		defer given.Close()
		p, err := newProcess(cfg, stages, given, log)
		if err != nil {
			return err
		}
		p.level = &level
		return p.run(ctx, func() (*Config, error) { return loadConfig(e.config, e.sets) })
	},
}

// onSignals ends the context at the first SIGTERM or SIGINT; a second one ends
// the process at once.
func onSignals(ctx context.Context, log *slog.Logger) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		select {
		case s := <-ch:
			log.Info("draining; a second signal exits now", "signal", s.String())
			cancel()
		case <-ctx.Done():
		}
		if s, ok := <-ch; ok {
			log.Warn("exiting now", "signal", s.String())
			os.Exit(exitFailed)
		}
	}()
	return ctx, func() { signal.Stop(ch); cancel() }
}

// onReload calls reload at every SIGHUP until ctx ends. The signal is taken from the
// moment it returns: one that nobody takes would end the process.
func onReload(ctx context.Context, log *slog.Logger, reload func() error) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGHUP)
	go reloadAt(ctx, ch, log, reload)
}

func reloadAt(ctx context.Context, ch chan os.Signal, log *slog.Logger, reload func() error) {
	defer signal.Stop(ch)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ch:
		}
		if err := daemon.NotifyReloading(); err != nil {
			log.Debug("notify", "err", err)
		}
		if err := reload(); err != nil {
			log.Error("configuration not reloaded; the old one stays in force", "err", err)
		} else {
			log.Info("configuration reloaded")
		}
		notify(log, "READY=1")
	}
}

func notify(log *slog.Logger, state string) {
	if err := daemon.Notify(state); err != nil {
		log.Debug("notify", "err", fmt.Sprint(err))
	}
}
