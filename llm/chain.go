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
// that an answer is never put together from two models. The last link has no circuit
// breaker: it is always asked. A caller that goes away is no failure. Safe for
// concurrent use.
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
	breaker *breaker // nil for the last link
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
	c := &Chain{cfg: cfg, counts: map[Activation]int64{}}
	for i, l := range links {
		k := &link{name: l.Name}
		for _, client := range []Client{l.Client, l.Region} {
			if client == nil {
				continue
			}
			r := route{client: client}
			if i < len(links)-1 {
				r.breaker = newBreaker(cfg.Breaker)
			}
			k.routes = append(k.routes, r)
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

// Open tells whether the breaker of an endpoint's first route is open: it is not asked.
func (c *Chain) Open(name string) bool {
	for _, l := range c.links {
		if l.name == name && l.routes[0].breaker != nil {
			return l.routes[0].breaker.open()
		}
	}
	return false
}

// A step is one route with the call that was prepared for it.
type step struct {
	link *link
	route
	call *Call
	// err says why the endpoint cannot be asked at all.
	err *Error
}

// Prepare prepares the call for every link. Body, gaps and tier are those of the first
// that can express the request; the bounds hold for all of them together. A link that
// cannot is passed over.
func (c *Chain) Prepare(req *Request) (*Call, error) {
	out := &Call{}
	var steps []step
	for _, l := range c.links {
		for _, r := range l.routes {
			s := step{link: l, route: r}
			s.call, s.err = prepare(r.client, req)
			steps = append(steps, s)
			if s.err != nil {
				break // another region cannot either
			}
			if out.Body == nil {
				*out = *s.call
				out.MaxInputTokens, out.MaxOutputTokens = 0, 0
			}
			out.MaxInputTokens += s.call.MaxInputTokens
			out.MaxOutputTokens += s.call.MaxOutputTokens
		}
	}
	if out.Body == nil {
		return nil, steps[len(steps)-1].err
	}
	out.Detail, out.Emit = steps, nil
	return out, nil
}

// prepare prepares the call for one client; one that would not be comparable is not
// made: the user asked for something that the endpoint cannot do.
func prepare(client Client, req *Request) (*Call, *Error) {
	call, err := client.Prepare(req)
	if err != nil {
		return nil, asError(err)
	}
	for _, g := range call.Gaps {
		if g.Severity == Blocking {
			return nil, &Error{Op: "prepare", Class: ClassUntranslatable, Path: g.Path, NotSent: true, Err: errors.New(g.Code())}
		}
	}
	return call, nil
}

func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Class: ClassMalformed, Err: err}
}

// Do asks the links in order until one has answered. See Client. The error of a call
// that nobody could answer is that of the last link that was asked.
func (c *Chain) Do(ctx context.Context, call *Call) (*Response, error) {
	if c.cfg.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.cfg.Deadline)
		defer cancel()
	}
	steps, _ := call.Detail.([]step)
	var resp *Response
	err := error(&Error{Op: "chain", Class: ClassUntranslatable, NotSent: true, Err: errors.New("the call was not prepared by this chain")})
	for i := 0; i < len(steps); i++ {
		s := &steps[i]
		var reason string
		var committed bool
		resp, committed, reason, err = c.ask(ctx, call, s, len(steps)-1-i)
		if err == nil {
			resp.Endpoint = s.link.name
			return resp, nil
		}
		class := ClassOf(err)
		if committed || ctx.Err() != nil || !class.FallsOver() {
			return resp, err
		}
		if i = next(steps, i, class, reason == ReasonOpen); i+1 == len(steps) {
			break
		}
		c.activated(Activation{From: s.link.name, To: steps[i+1].link.name, Reason: reason})
	}
	return resp, err
}

// next gives the step before the one to go on with: another region is passed over
// where it would fail alike.
func next(steps []step, i int, class Class, open bool) int {
	if i+1 < len(steps) && steps[i+1].link == steps[i].link && !open && !class.OtherRegion() {
		i++
	}
	return i
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

// ask makes one call of one route. behind is how many steps could still be asked.
// committed tells that the caller has seen content.
func (c *Chain) ask(ctx context.Context, call *Call, s *step, behind int) (resp *Response, committed bool, reason string, err error) {
	if s.err != nil {
		return nil, false, string(s.err.Class), s.err
	}
	done, ok := s.breaker.allow()
	if !ok {
		return nil, false, ReasonOpen, &Error{Op: "chain", Endpoint: s.link.name, Class: ClassOverloaded, NotSent: true, Err: errOpen}
	}
	w := c.watch(ctx, call, s, behind)
	class := ClassMalformed // should Do panic
	defer func() { w.end(); done(class, w.first()) }()
	resp, err = s.route.client.Do(w.ctx, w.call(s.call))
	class = ClassOf(err)
	return resp, w.committed(), string(class), err
}
