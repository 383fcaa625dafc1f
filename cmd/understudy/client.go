package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/BurntSushi/toml"

	"understudy/internal/daemon"
	"understudy/internal/journal"
)

// An admin talks to the running daemon over its socket, or, where none runs, to
// a reader that holds the store's lock meanwhile.
type admin struct {
	http  *http.Client
	close func()
	// words is where the daemon's notes go; nil drops them.
	words io.Writer
}

func newAdmin(cfg *Config) *admin {
	return &admin{http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return daemon.DialAdmin(ctx, cfg.NATS.Dir)
		},
	}}, close: func() {}}
}

// offline opens the store of a daemon that does not run.
func offline(ctx context.Context, cfg *Config) (*admin, error) {
	if _, err := os.Stat(cfg.NATS.Dir); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no daemon runs, and its state directory %s is not there; check --config and [nats] dir", cfg.NATS.Dir)
	}
	a := newAdmin(cfg)
	quiet := slog.New(slog.DiscardHandler)
	p, err := newReader(cfg, quiet)
	if errors.Is(err, journal.ErrLocked) {
		return nil, fmt.Errorf("the daemon that uses %s does not answer on its admin socket: %w", cfg.NATS.Dir, err)
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- p.run(ctx, nil) }()
	a.close = func() { cancel(); <-done }
	wait := 30 * time.Second // an own store may be large; a NATS that is away stays away
	if cfg.NATS.Mode == "external" {
		wait = 8 * time.Second
	}
	reading, stop := context.WithTimeout(ctx, wait)
	defer stop()
	err = p.settled(reading)
	if err != nil {
		err = fmt.Errorf("%w: the store was not read within %s", journal.ErrUnavailable, wait)
	} else {
		err = p.readPast(ctx)
	}
	if err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// get asks for path and hands the body to read. An error answer of the daemon
// becomes an error with its sentence.
func (a *admin) get(ctx context.Context, path string, read func(io.Reader) error) error {
	return a.do(ctx, http.MethodGet, path, nil, read)
}

// do is get for any method, with a body that is sent as JSON; nil sends none.
func (a *admin) do(ctx context.Context, method, path string, send any, read func(io.Reader) error) error {
	var body bytes.Buffer
	if send != nil {
		if err := json.NewEncoder(&body).Encode(send); err != nil {
			return fmt.Errorf("ask the daemon: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://admin"+path, &body)
	if err != nil {
		return err
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return &codedError{code: exitUnreachable, err: fmt.Errorf("ask the daemon: %w", err)}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var e struct{ Error string }
		if json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&e) != nil || e.Error == "" {
			e.Error = "the daemon answered " + resp.Status
		}
		err := errors.New(e.Error)
		switch resp.StatusCode {
		case http.StatusServiceUnavailable:
			err = &codedError{code: exitUnreachable, err: err}
		case http.StatusBadRequest:
			err = fmt.Errorf("%w: %w", errUsage, err)
		}
		return err
	}
	if err := read(resp.Body); err != nil {
		return err
	}
	if note := resp.Trailer.Get(trailerNote); note != "" && a.words != nil {
		fmt.Fprintln(a.words, note)
	}
	if late := resp.Trailer.Get(trailerError); late != "" {
		return &codedError{code: exitUnreachable, err: errors.New(late)}
	}
	return nil
}

// ask asks for path and hands the body to read. A running daemon answers also
// while its configuration file is being edited: to find it only the state
// directory must be readable there. Without one the whole must be valid.
func (e *env) ask(ctx context.Context, path string, read func(io.Reader) error) error {
	a := e.running(ctx)
	if a == nil {
		cfg, err := loadConfig(e.config, e.sets)
		if err != nil {
			return err
		}
		if a, err = offline(ctx, cfg); err != nil {
			return err
		}
		fmt.Fprintf(e.stderr, "no daemon runs on %s: this is what its store holds\n", cfg.NATS.Dir)
	}
	defer a.close()
	a.words = e.stderr
	return a.get(ctx, path, read)
}

// running is the daemon of the configured state directory, nil when none answers.
func (e *env) running(ctx context.Context) *admin {
	cfg, _, err := readConfig(e.config, e.sets)
	if err != nil {
		var dir struct {
			NATS struct{ Dir string }
		}
		if _, err := toml.DecodeFile(e.config, &dir); err != nil || dir.NATS.Dir == "" {
			return nil
		}
		cfg = &Config{NATS: journal.Config{Dir: dir.NATS.Dir}}
	}
	c, err := daemon.DialAdmin(ctx, cfg.NATS.Dir)
	if err != nil {
		return nil
	}
	c.Close()
	return newAdmin(cfg)
}

// decodeTo reads a JSON answer into v.
func decodeTo(v any) func(io.Reader) error {
	return func(r io.Reader) error {
		if err := json.NewDecoder(r).Decode(v); err != nil {
			return fmt.Errorf("read the daemon's answer: %w", err)
		}
		return nil
	}
}

// copyTo writes a body to w as it comes.
func copyTo(w io.Writer) func(io.Reader) error {
	return func(r io.Reader) error {
		_, err := io.Copy(w, r)
		return err
	}
}
