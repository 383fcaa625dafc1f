// Package sim is a simulated provider on a real listener: OpenAI (Chat
// Completions, a small Responses, Azure's paths) or Bedrock (Converse and
// ConverseStream). It speaks real bytes, sleeps real time, refuses what the
// vendor refuses and breaks on demand, so that everything above it can be tried
// without a key and without a bill.
//
// It judges our own translation, so it shares no code with the spokes: requests
// are read, checked and answered by this package alone. Only the facts of the
// family table come from llm/bedrock.
//
// Answers come from a file of recorded lines, else from a Persona: a function
// of the request with dials. Two personas without faults give the same
// structured answer (tool calls, JSON) to the same question and different
// wording, on both wires. The dial of quality makes answers drift from their
// question in their own words, so that whoever reads them can tell.
//
// A request that shows answers between fences asks for a verdict, and any model
// gives one, as a call of the tool "verdict" or as JSON text. The simulated judge
// knows nothing but what it is shown: it compares the words of an answer with
// those of the question, and knows refusals and bad manners by their phrases.
// Dials give it noise, biases and faults.
package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// A Kind says which provider is simulated.
type Kind string

// The kinds.
const (
	OpenAI  Kind = "openai"
	Bedrock Kind = "bedrock"
)

// Config says what a simulator does. Only Kind is needed.
type Config struct {
	Kind Kind
	// AnswersFile holds recorded answers, one JSON object a line. AnswersOnly
	// makes a request without a recorded answer an error of the 404 kind.
	AnswersFile string
	AnswersOnly bool
	// Capabilities lift limits of the family table, by model id
	// (bedrock only). ParseCapability reads one from a flag.
	Capabilities map[string][]string
	// Families declares the family of ids that do not name one, such as the
	// ARN of an application inference profile (bedrock only).
	Families map[string]string
	// NoAccess lists model ids that answer as a model without access does.
	NoAccess []string
	// Seed moves every draw of the personas; the same seed and the same
	// requests give the same answers, latencies and errors.
	Seed uint64
	// Personas by model id or "*". What is missing is DefaultPersona.
	Personas map[string]Persona
	// Faults are active from the start; more come by POST /__fault.
	Faults []Fault
	// Log receives warnings; nil discards them. No prompt or answer text.
	Log *slog.Logger
}

// A Server is one simulated provider. It is an http.Handler of its own; Start
// puts it on a listener. All methods are safe for concurrent use.
type Server struct {
	kind     Kind
	seed     uint64
	only     bool
	log      *slog.Logger
	models   catalogue
	personas map[string]Persona
	answers  *answers
	faults   *faults
	stats    *stats
	pace     *pacer
	turns    *turns

	mu     sync.Mutex
	http   *http.Server
	addr   net.Addr
	cancel context.CancelFunc
	served chan struct{}
	unhook func() bool
}

// New prepares a simulator and reads its answers file. A bad dial, fault or
// line is an error that names it.
func New(cfg Config) (*Server, error) {
	if cfg.Kind != OpenAI && cfg.Kind != Bedrock {
		return nil, fmt.Errorf("simulate %q: unknown provider; known: %q, %q", cfg.Kind, OpenAI, Bedrock)
	}
	if cfg.AnswersOnly && cfg.AnswersFile == "" {
		return nil, errors.New("simulate: answers only, but no answers file is given")
	}
	s := &Server{
		kind: cfg.Kind, seed: cfg.Seed, only: cfg.AnswersOnly, log: cfg.Log,
		stats: newStats(), pace: &pacer{}, turns: newTurns(), faults: &faults{},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for model, p := range cfg.Personas {
		if err := p.Validate(); err != nil {
			return nil, fmt.Errorf("simulate %s: persona of %s: %w", cfg.Kind, model, err)
		}
	}
	s.personas = byModel(cfg.Kind, cfg.Personas)
	s.models = newCatalogue(cfg)
	for _, f := range cfg.Faults {
		if err := s.faults.add(f); err != nil {
			return nil, fmt.Errorf("simulate %s: %w", cfg.Kind, err)
		}
	}
	var err error
	if s.answers, err = loadAnswers(cfg.Kind, cfg.AnswersFile); err != nil {
		return nil, fmt.Errorf("simulate %s: %w", cfg.Kind, err)
	}
	for _, w := range s.answers.warnings {
		s.log.Warn("answers file", "file", cfg.AnswersFile, "problem", w)
	}
	return s, nil
}

// persona is the one of a model, else that of "*", else the default.
func (s *Server) persona(model string) Persona {
	if p, ok := find(s.kind, s.personas, model); ok {
		return p
	}
	return DefaultPersona()
}

// SchedulingDelay tells how late the simulator's own sleeps ended since it was
// made: the machine's doing, not a dial. Above some 15 ms its latencies mean
// little.
func (s *Server) SchedulingDelay() Delay { return s.pace.delay() }

// Stats counts calls by model since the start or the last reset.
func (s *Server) Stats() map[string]ModelStats { return s.stats.snapshot() }

// shutdownGrace is how long Close lets running answers finish.
const shutdownGrace = 5 * time.Second
