package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/BurntSushi/toml"

	"understudy/capture"
	"understudy/internal/daemon"
	"understudy/internal/journal"
)

// bypassTimeout bounds what one proxy may take to answer.
const bypassTimeout = 2 * time.Second

// bypassOrder is what a proxy is told.
type bypassOrder struct {
	On     bool   `json:"on"`
	Reason string `json:"reason,omitempty"`
}

// BypassLine is one proxy in the output of `bypass -o json`.
type BypassLine struct {
	// Proxy is "here" or an address of [admin] peers.
	Proxy string `json:"proxy"`
	// On is null where the proxy did not answer.
	On    *bool      `json:"on"`
	Since *time.Time `json:"since,omitempty"`
	// Running is false where no proxy runs and the order waits for the next start.
	Running bool   `json:"running"`
	Error   string `json:"error,omitempty"`
}

var bypassVerb = &verb{
	name: "bypass", short: "makes every proxy a plain relay at once, or has it record again",
	args:     "on|off|show [--reason TEXT] [--config FILE] [-o text|json]",
	examples: "understudy bypass on --reason 'incident 4711'\nunderstudy bypass show\nunderstudy bypass off",
	run: func(ctx context.Context, e *env, args []string) error {
		e.withConfig()
		e.withOutput("text", "json")
		reason := e.flags.String("reason", "", "why, for status and the logs")
		words, err := e.parse(args, 1, 1)
		if err != nil {
			return err
		}
		var order *bypassOrder
		switch words[0] {
		case "on", "off":
			order = &bypassOrder{On: words[0] == "on", Reason: *reason}
		case "show":
		default:
			return fmt.Errorf("%w: bypass %q: on, off or show", errUsage, words[0])
		}
		where, err := e.bypassConfig()
		if err != nil {
			return err
		}
		return e.printBypass(where.all(ctx, order))
	},
}

// A bypassReach is the little of a configuration that a bypass needs, so that one that
// is being edited is no obstacle.
type bypassReach struct {
	NATS  struct{ Dir string }
	Admin struct {
		Peers     []string
		TokenEnv  string `toml:"token_env"`
		TokenFile string `toml:"token_file"`
	}
}

func (e *env) bypassConfig() (*bypassReach, error) {
	var r bypassReach
	cfg, _, err := readConfig(e.config, e.sets)
	if err == nil {
		r.NATS.Dir, r.Admin.Peers, r.Admin.TokenEnv, r.Admin.TokenFile = cfg.NATS.Dir, cfg.Admin.Peers, cfg.Admin.TokenEnv, cfg.Admin.TokenFile
		return &r, nil
	}
	if _, broken := toml.DecodeFile(e.config, &r); broken != nil || r.NATS.Dir == "" {
		return nil, err
	}
	fmt.Fprintln(e.stderr, "the configuration is not valid; taken of it: [nats] dir and [admin]")
	return &r, nil
}

// all tells every proxy, or asks it where order is nil: that of the state directory
// first in the list, then the peers.
func (r *bypassReach) all(ctx context.Context, order *bypassOrder) []BypassLine {
	lines := make([]BypassLine, 1+len(r.Admin.Peers))
	token, err := (&daemon.Config{TokenEnv: r.Admin.TokenEnv, TokenFile: r.Admin.TokenFile}).Token()
	var wg sync.WaitGroup
	wg.Go(func() { lines[0] = r.here(ctx, order) })
	for i, url := range r.Admin.Peers {
		wg.Go(func() {
			line := BypassLine{Proxy: url, Error: fmt.Sprint(err)}
			if err == nil {
				line = tellBypass(ctx, http.DefaultClient, url, token, order)
			}
			lines[1+i] = line
		})
	}
	wg.Wait()
	return lines
}

// here is the proxy of the state directory. One that does not answer follows the file.
func (r *bypassReach) here(ctx context.Context, order *bypassOrder) BypassLine {
	a := newAdmin(&Config{NATS: journal.Config{Dir: r.NATS.Dir}})
	line := tellBypass(ctx, a.http, "http://admin", "", order)
	line.Proxy = "here"
	if line.On != nil || line.Running {
		return line
	}
	if _, err := os.Stat(r.NATS.Dir); errors.Is(err, fs.ErrNotExist) {
		line.Error = "no proxy runs here, and the state directory " + r.NATS.Dir + " is not there"
		return line
	}
	line.Error = ""
	var err error
	if order != nil {
		err = capture.WriteBypass(r.NATS.Dir, order.bypass())
	}
	now, failed := capture.ReadBypass(r.NATS.Dir)
	if err = errors.Join(err, failed); err != nil {
		line.Error = err.Error()
	}
	on := now != nil
	line.On = &on
	if on {
		line.Since = &now.Since
	}
	return line
}

func (o *bypassOrder) bypass() *capture.Bypass {
	if !o.On {
		return nil
	}
	return &capture.Bypass{Since: time.Now().UTC(), Reason: o.Reason}
}

// tellBypass tells one proxy.
func tellBypass(ctx context.Context, client *http.Client, url, token string, order *bypassOrder) BypassLine {
	line := BypassLine{Proxy: url}
	ctx, cancel := context.WithTimeout(ctx, bypassTimeout)
	defer cancel()
	method, body := http.MethodGet, []byte(nil)
	if order != nil {
		method = http.MethodPost
		body, _ = json.Marshal(order) // a struct of a bool and a text
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(url, "/")+"/api/v1/bypass", bytes.NewReader(body))
	if err != nil {
		line.Error = err.Error()
		return line
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		line.Error = err.Error()
		return line
	}
	defer resp.Body.Close()
	line.Running = true
	var answer struct {
		On    *bool
		Since *time.Time
		Error string
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&answer); err != nil {
		answer.Error = "the answer (" + resp.Status + ") cannot be read: " + err.Error()
	}
	line.On, line.Since, line.Error = answer.On, answer.Since, answer.Error
	return line
}

// printBypass prints what the proxies said; one that could not be told is an error.
func (e *env) printBypass(lines []BypassLine) error {
	if e.output == "json" {
		enc := json.NewEncoder(e.stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(lines); err != nil {
			return err
		}
	}
	failed := 0
	for _, l := range lines {
		if l.Error != "" {
			failed++
		}
		if e.output == "text" {
			fmt.Fprintf(e.stdout, "%-30s %s\n", l.Proxy, l.words())
		}
	}
	if failed > 0 {
		return &codedError{code: exitUnreachable, err: fmt.Errorf("%d of %d proxies could not be reached; see their lines", failed, len(lines))}
	}
	return nil
}

func (l *BypassLine) words() string {
	switch {
	case l.Error != "":
		return l.Error
	case *l.On && l.Running:
		return "plain relay since " + l.Since.Format(time.RFC3339)
	case *l.On:
		return "no proxy runs; the next one that starts is a plain relay"
	case l.Running:
		return "records"
	}
	return "no proxy runs; the next one that starts records"
}

// bypassState is what a proxy says of itself.
func (p *process) bypassState(w http.ResponseWriter, _ *http.Request) {
	if p.capture == nil {
		fail(w, &refusal{http.StatusConflict, "this process runs no proxy; the order belongs to the state directory of the one that does"})
		return
	}
	b := p.capture.Bypassed()
	answer := map[string]any{"on": b != nil}
	if b != nil {
		answer["since"], answer["reason"] = b.Since, b.Reason
	}
	writeJSON(w, answer)
}

// setBypass carries out an order.
func (p *process) setBypass(w http.ResponseWriter, r *http.Request) {
	var order bypassOrder
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&order); err != nil {
		fail(w, &refusal{http.StatusBadRequest, "bypass: the order cannot be read: " + err.Error()})
		return
	}
	if p.capture != nil {
		if err := p.capture.SetBypass(order.bypass()); err != nil {
			fail(w, err)
			return
		}
	}
	p.bypassState(w, r)
}

// withToken lets only callers through that show the token of [admin].
func (p *process) withToken(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		admin := p.config().Admin
		token, err := admin.Token()
		switch {
		case err != nil:
			fail(w, err)
		case token == "":
			fail(w, &refusal{http.StatusForbidden, "orders are taken on the admin socket alone: [admin] token_env or token_file is not set"})
		case !daemon.HasToken(r, token):
			fail(w, &refusal{http.StatusUnauthorized, "the token is missing or is another"})
		default:
			next(w, r)
		}
	}
}
