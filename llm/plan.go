package llm

import "errors"

// A plan is a call as its links were prepared for it.
type plan struct {
	steps []step
	// passed names the links before the first step, which cannot express the request.
	passed []string
}

// A step is one route that can be asked.
type step struct {
	link *link
	route
	call *Call
	// behind is how many other endpoints can be asked after it.
	behind int
}

// Prepare prepares the call for every link. Body, gaps and tier are those of the first
// that can express the request; a link that cannot is passed over. The bounds are the
// sum over all routes, of which several may be billed: at the dearest price among them
// they bound the bill.
func (c *Chain) Prepare(req *Request) (*Call, error) {
	var p plan
	var fault error
	for _, l := range c.links {
		for _, r := range l.routes {
			call, err := prepare(r.client, req)
			if err != nil { // another region cannot either
				fault = err
				if len(p.steps) == 0 {
					p.passed = append(p.passed, l.name)
				}
				break
			}
			p.steps = append(p.steps, step{link: l, route: r, call: call})
		}
	}
	if len(p.steps) == 0 {
		return nil, fault
	}
	out := *p.steps[0].call
	out.MaxInputTokens, out.MaxOutputTokens, out.Detail, out.Emit = 0, 0, &p, nil
	for i := len(p.steps) - 1; i >= 0; i-- {
		s := &p.steps[i]
		if i+1 < len(p.steps) {
			if s.behind = p.steps[i+1].behind; p.steps[i+1].link != s.link {
				s.behind++
			}
		}
		out.MaxInputTokens += s.call.MaxInputTokens
		out.MaxOutputTokens += s.call.MaxOutputTokens
	}
	return &out, nil
}

// prepare prepares the call for one client; one that would not be comparable is not
// made: the user asked for something that the endpoint cannot do.
func prepare(client Client, req *Request) (*Call, error) {
	call, err := client.Prepare(req)
	if err != nil {
		return nil, err
	}
	for _, g := range call.Gaps {
		if g.Severity == Blocking {
			return nil, &Error{Op: "prepare", Class: ClassUntranslatable, Path: g.Path, NotSent: true, Err: errors.New(g.Code())}
		}
	}
	return call, nil
}

// after gives the step to go on with, below 0 where there is none: another region is
// passed over where it would fail alike.
func (p *plan) after(i int, o outcome) int {
	link := p.steps[i].link
	for i++; i < len(p.steps); i++ {
		if p.steps[i].link != link || ClassOf(o.err).OtherRegion() {
			return i
		}
	}
	return -1
}
