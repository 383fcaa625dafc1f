package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"understudy/canary"
	"understudy/canary/report"
	"understudy/internal/journal"
)

// trailerError carries what went wrong after an answer had begun.
const trailerError = "X-Error"

// trailerNote carries a sentence about the answer that is no part of it.
const trailerNote = "X-Note"

// readTimeout bounds every read of the store that an API call makes.
const readTimeout = 8 * time.Second

// openHandler is what the admin listener shows: health, metrics and figures.
func (p *process) openHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", p.readyz)
	mux.HandleFunc("GET /metrics", p.metrics)
	mux.HandleFunc("GET /api/v1/status", func(w http.ResponseWriter, r *http.Request) {
		p.waitWarm(r.Context())
		writeJSON(w, p.status())
	})
	mux.HandleFunc("GET /api/v1/spend", p.spend)
	mux.HandleFunc("GET /api/v1/report", p.report)
	mux.HandleFunc("GET /api/v1/bypass", p.bypassState)
	mux.HandleFunc("POST /api/v1/bypass", p.withToken(p.setBypass))
	return mux
}

// fullHandler is what the admin socket has besides: texts, and orders.
func (p *process) fullHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", p.openHandler())
	mux.HandleFunc("GET /api/v1/export", p.withBooks(p.export))
	mux.HandleFunc("GET /api/v1/diff/{exchange...}", p.withBooks(p.diff))
	mux.HandleFunc("GET /api/v1/find/{id...}", p.withBooks(p.find))
	mux.HandleFunc("GET /api/v1/tail", p.withBooks(p.tail))
	mux.HandleFunc("POST /api/v1/bypass", p.setBypass)
	p.backfillRoutes(mux)
	p.forgetRoutes(mux)
	return mux
}

// readyz of a proxy depends on the data port alone, never on NATS, a candidate
// or a judge; other processes are ready once the streams exist.
func (p *process) readyz(w http.ResponseWriter, _ *http.Request) {
	switch {
	case !p.ready.Load():
		http.Error(w, "starting or draining", http.StatusServiceUnavailable)
	case p.capture == nil && !p.j.Up():
		http.Error(w, "NATS is away", http.StatusServiceUnavailable)
	default:
		fmt.Fprintln(w, "ready")
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	e.Encode(v)
}

// A refusal is an answer that is no fault of the daemon: its sentence and status.
type refusal struct {
	code     int
	sentence string
}

func (r *refusal) Error() string { return r.sentence }

// fail answers with a sentence. 503 says that a dependency is away.
func fail(w http.ResponseWriter, err error) {
	code := http.StatusInternalServerError
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		code = refused.code
	case errors.Is(err, journal.ErrNotFound):
		code = http.StatusNotFound
	case errors.Is(err, journal.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded):
		code = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}

func (p *process) report(w http.ResponseWriter, r *http.Request) {
	c := p.currentWorkers().canary
	if c == nil {
		fail(w, &refusal{http.StatusConflict, "this process does not run the stage canary; ask the one that does (set --config or nats.dir to its own)"})
		return
	}
	p.waitWarm(r.Context())
	rep := p.makeReport(c, time.Now())
	if name := r.URL.Query().Get("submodule"); name != "" {
		if _, ok := p.config().submodule(name); !ok {
			fail(w, &refusal{http.StatusNotFound, fmt.Sprintf("sub-module %q is not configured", name)})
			return
		}
		rep = rep.Only(name)
	}
	switch r.URL.Query().Get("o") {
	case "text":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		rep.WriteText(w)
	case "md":
		w.Header().Set("Content-Type", "text/markdown; charset=utf-8")
		rep.WriteMarkdown(w)
	default:
		writeJSON(w, rep)
	}
}

func (p *process) makeReport(c *canary.Stage, now time.Time) *report.Report {
	cfg := p.config()
	rep := report.New(c.Analyzer(), cfg.wired(), cfg.reportSettings(), p.status().Accounts, now)
	for _, ep := range cfg.Endpoints {
		if len(ep.Capabilities) > 0 {
			rep.Notes = append(rep.Notes, fmt.Sprintf("%s (%s): %s taken from the configuration, against the family table; its gaps do not show what the table would refuse.",
				ep.Name, ep.Model, strings.Join(ep.Capabilities, ", ")))
		}
	}
	return rep
}

// reportSettings are what a report says of the configuration besides [canary]. The
// configuration is named by a hash of its JSON, which holds no secret: only where
// keys are.
func (c *Config) reportSettings() report.Settings {
	s := report.Settings{PriceTable: c.prices().String()}
	if b, err := json.Marshal(c); err == nil {
		s.Config = fmt.Sprintf("%x", sha256.Sum256(b))[:12]
	}
	_, submodules := c.parts()
	for _, m := range c.models() {
		if len(m.Roles) > 0 {
			s.Endpoints = append(s.Endpoints, report.Endpoint{Name: m.Endpoint, Provider: m.Provider, Model: m.Model, Submodules: submodules[m.Endpoint], Roles: m.Roles,
				Destinations: orEmpty(m.Destinations), DestinationsBy: m.DestinationsBy, Training: m.Training, RetentionDays: m.RetentionDays,
				Certifications: m.Certifications, SourceURL: m.SourceURL, CheckedOn: m.CheckedOn})
		}
	}
	for _, sub := range c.Submodules {
		if ep, _, ok := c.judgeOf(sub); ok && c.judged(sub) {
			s.Judges = append(s.Judges, report.Judge{Submodule: sub.Name, Endpoint: ep.Name, Model: ep.Model, Prompts: c.Judge.PromptsHash(c.metrics(sub))})
		}
	}
	return s
}

// export streams stored records as JSON lines.
func (p *process) export(w http.ResponseWriter, r *http.Request) {
	what := r.URL.Query().Get("what")
	if !slices.Contains(exportKinds, what) {
		fail(w, &refusal{http.StatusBadRequest, fmt.Sprintf("export: unknown kind %q", what)})
		return
	}
	w.Header().Set("Trailer", trailerError+", "+trailerNote)
	w.Header().Set("Content-Type", "application/jsonl")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	var err error
	var forgotten int
	switch what {
	case "exchanges":
		forgotten, err = p.exportExchanges(r.Context(), enc)
	case "trials":
		forgotten, err = p.exportTrials(r.Context(), enc)
	case "dead_letters":
		err = p.exportDeadLetters(r.Context(), enc)
	case "observations":
		err = p.exportObservations(r.Context(), enc)
	}
	if forgotten > 0 {
		w.Header().Set(trailerNote, fmt.Sprintf("the texts of %s are empty: they were forgotten", countOf(forgotten, strings.TrimSuffix(what, "s"))))
	}
	if err != nil {
		w.Header().Set(trailerError, "export ended early: "+err.Error())
	}
}
