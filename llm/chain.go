package llm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxFallbacks is how many endpoints may stand behind the first of a chain.
const maxFallbacks = 2

// A Link is one endpoint of a Chain.
type Link struct {
	// Name is the endpoint's name.
	Name   string
	Client Client
	// Region, where not nil, calls the same endpoint in another region: it is asked
	// once, for failures that another region may not have, before the next link.
	Region Client
}

// ChainConfig says how patient a Chain is.
type ChainConfig struct {
	// Deadline bounds a call over all links together; 0 leaves it to the caller's
	// context.
	Deadline time.Duration
	// FirstContent is how long a link that has another behind it may take to begin
	// its answer. An answer that does not stream has its share of what is left of
	// the deadline.
	FirstContent time.Duration
	Breaker      BreakerConfig
	// OnFallback, where not nil, is told of every activation. It must not block.
	OnFallback func(Activation)
}

// DefaultChainConfig suits an application that waits for a person.
func DefaultChainConfig() ChainConfig {
	return ChainConfig{Deadline: time.Minute, FirstContent: 10 * time.Second, Breaker: DefaultBreakerConfig()}
}

// An Activation is one step of a chain from an endpoint to what stands behind it.
type Activation struct {
	// From and To name endpoints; To is From for another region of the same.
	From, To string
	// Reason is the class of the failure, or ReasonOpen.
	Reason string
}

// ReasonOpen is the reason of an activation that made no call: the endpoint's circuit
// breaker was open.
const ReasonOpen = "breaker_open"

// A Chain is a Client over Clients: an ordered list of endpoints of which the first
// that can answers, within one deadline. It commits itself with the first content: what
// fails before it goes to the next link, what fails after it is the call's failure, so
// that an answer is never put together from two models. The last link that can express
// the request is asked whatever its circuit breaker says. A caller that goes away, or
// whose own deadline is over, is no failure. Safe for concurrent use.
type Chain struct {
	cfg   ChainConfig
	links []*link

	mu     sync.Mutex
	counts map[Activation]int64
}

type link struct {
	name string
	// routes are the link's own region and, where there is one, the other.
	routes []route
}

type route struct {
	client  Client
	breaker *breaker
}

var _ Client = (*Chain)(nil)

// NewChain makes a chain of one to three links, the first choice first.
func NewChain(links []Link, cfg ChainConfig) (*Chain, error) {
	if len(links) == 0 || len(links) > 1+maxFallbacks {
		return nil, fmt.Errorf("make chain: %d links; one and at most %d fallbacks are possible", len(links), maxFallbacks)
	}
	if cfg.FirstContent <= 0 {
		return nil, errors.New("make chain: first content must have a time above 0")
	}
	if err := cfg.Breaker.Validate(); err != nil {
		return nil, fmt.Errorf("make chain: circuit breaker: %w", err)
	}
	c := &Chain{cfg: cfg, counts: map[Activation]int64{}}
	for _, l := range links {
		k := &link{name: l.Name}
		for _, client := range []Client{l.Client, l.Region} {
			if client != nil {
				k.routes = append(k.routes, route{client, newBreaker(cfg.Breaker)})
			}
		}
		if len(k.routes) == 0 {
			return nil, fmt.Errorf("make chain: link %q has no client", l.Name)
		}
		c.links = append(c.links, k)
	}
	return c, nil
}

// Counts are the activations so far.
func (c *Chain) Counts() map[Activation]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[Activation]int64, len(c.counts))
	for k, n := range c.counts {
		out[k] = n
	}
	return out
}

// Open tells whether the breaker of an endpoint's own region is open: it is asked only
// where nobody stands behind it.
func (c *Chain) Open(name string) bool {
	for _, l := range c.links {
		if l.name == name {
			return l.routes[0].breaker.open()
		}
	}
	return false
}

// Do asks the links in order until one has answered. See Client. The error of a call
// that nobody could answer is that of the last link that was asked; the Response then
// holds at least what was asked before. A Ledger cannot book such a call with one
// endpoint's rates: what each link may have billed is in Response.Tries.
func (c *Chain) Do(caller context.Context, call *Call) (*Response, error) {
	ctx := caller
	if c.cfg.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(caller, c.cfg.Deadline)
		defer cancel()
	}
	p, ok := call.Detail.(*plan)
	if !ok {
		return nil, &Error{Op: "chain", Class: ClassUntranslatable, NotSent: true, Err: errors.New("the call was not prepared by this chain")}
	}
	for _, name := range p.passed {
		c.activated(Activation{From: name, To: p.steps[0].link.name, Reason: string(ClassUntranslatable)})
	}
	var tries []Try
	for i := 0; ; {
		s := &p.steps[i]
		o := c.ask(ctx, caller, call, s)
		if o.err == nil {
			o.resp.Endpoint, o.resp.Tries = s.link.name, tries
			return o.resp, nil
		}
		next := p.after(i, o)
		if o.committed || ctx.Err() != nil || !ClassOf(o.err).FallsOver() || next < 0 {
			return o.failed(tries)
		}
		tries = append(tries, o.try(s.link.name)...)
		c.activated(Activation{From: s.link.name, To: p.steps[next].link.name, Reason: o.reason()})
		i = next
	}
}

func (c *Chain) activated(a Activation) {
	c.mu.Lock()
	c.counts[a]++
	c.mu.Unlock()
	if c.cfg.OnFallback != nil {
		c.cfg.OnFallback(a)
	}
}

// errOpen is the cause of a call that was not made.
var errOpen = errors.New("the circuit breaker is open after many failures or slow answers")

// ask makes one call of one route. One that nobody stands behind is made whatever its
// breaker says.
func (c *Chain) ask(ctx, caller context.Context, call *Call, s *step) (o outcome) {
	done, ok := s.breaker.allow()
	if !ok && s.behind > 0 {
		return outcome{open: true, err: &Error{Op: "chain", Endpoint: s.link.name, Class: ClassOverloaded, NotSent: true, Err: errOpen}}
	}
	w := c.watch(ctx, call, s)
	class := ClassMalformed // should Do panic
	defer func() {
		w.end()
		if caller.Err() != nil { // whose patience is over: that is no failure
			class = ClassCancelled
		}
		if ok {
			done(class, w.first())
		}
	}()
	o.resp, o.err = s.route.client.Do(w.ctx, w.call(s.call))
	class = ClassOf(o.err)
	if o.err == nil {
		w.complete(o.resp)
	}
	o.committed = w.committed()
	return o
}
