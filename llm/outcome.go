package llm

import "errors"

// An outcome is what came of asking one route.
type outcome struct {
	resp *Response
	err  error
	// committed tells that the caller has seen content; open that no call was made.
	committed, open bool
}

// reason is why the chain goes on.
func (o outcome) reason() string {
	if o.open {
		return ReasonOpen
	}
	return string(ClassOf(o.err))
}

// try is what may have to be paid for a call that another link answers; none where
// nothing was sent.
func (o outcome) try(endpoint string) []Try {
	var e *Error
	if errors.As(o.err, &e) && e.NotSent {
		return nil
	}
	t := Try{Endpoint: endpoint, Err: o.err}
	if o.resp != nil {
		t.Usage, t.ServiceTier = o.resp.Usage, o.resp.ServiceTier
	}
	return []Try{t}
}

// failed is the end of a call that nobody could answer. It was sent if anybody got it.
func (o outcome) failed(tries []Try) (*Response, error) {
	if len(tries) == 0 {
		return o.resp, o.err
	}
	if o.resp == nil {
		o.resp = &Response{}
	}
	o.resp.Tries = tries
	var e *Error
	if errors.As(o.err, &e) && e.NotSent {
		sent := *e
		sent.NotSent = false
		o.err = &sent
	}
	return o.resp, o.err
}
