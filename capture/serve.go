package capture

import (
	"net/http"
	"strings"
	"time"
)

// serve takes one request: it is counted, recorded or not, and passed on.
func (c *Capture) serve(w http.ResponseWriter, r *http.Request) {
	arrived := time.Now()
	s := c.settings.Load()
	c.ledger.received()
	c.inflight.Add(1)
	defer c.inflight.Add(-1)

	path, _, _ := strings.Cut(r.RequestURI, "?")
	var to *target
	if strings.HasPrefix(path, "/") { // origin-form; anything else is for other kinds of proxies
		to = choose(s.targets, path)
	}
	p := &passage{c: c, s: s, to: to, arrived: arrived}
	if p.take = c.begin(s, r, path, to, arrived); p.take != nil {
		defer c.finish(p.take)
	}
	switch {
	case !strings.HasPrefix(path, "/"):
		refuse(w, http.StatusBadRequest, "invalid_request_target", "this proxy takes requests for a path only, such as POST /v1/chat/completions")
	case to == nil:
		refuse(w, http.StatusNotFound, "no_upstream", "no [[upstream]] of the configuration takes this path")
	case wantsWebSocket(r):
		p.upgrade(w, r)
	default:
		p.pass(w, r)
	}
}

// begin decides whether a request is recorded. One that is not is counted at
// once, and nothing of it is copied.
func (c *Capture) begin(s *settings, r *http.Request, path string, to *target, arrived time.Time) *take {
	if s.sample == 0 {
		c.ledger.sampledOut()
		return nil
	}
	if by := c.excludedBy(s, r, path, to); by != "" {
		c.exclude(by)
		c.meters.passed(pathGroup(to, path))
		return nil
	}
	t := &take{
		budget: &c.budget, maxBody: s.maxBody, settings: s,
		at: arrived, method: r.Method, path: path, upstream: to.name, header: r.Header, remote: r.RemoteAddr, tls: r.TLS,
	}
	t.charge(takeOverhead) // drops the take where there is no room
	return t
}

// excludedBy says what excludes a request that nothing is known of but its head; empty
// where nothing does.
func (c *Capture) excludedBy(s *settings, r *http.Request, path string, to *target) string {
	switch {
	case c.bypass.Load() != nil:
		return excludedBypass
	case to == nil || !isChat(r.Method, path):
		return excludedPath
	}
	return s.exclude.head(r.Header)
}

// exclude counts a request of which nothing is recorded.
func (c *Capture) exclude(by string) {
	c.ledger.excluded()
	c.meters.excluded(by)
}

// finish hands a take over to the workers. It runs when the handler ends,
// however it ends.
func (c *Capture) finish(t *take) {
	if t.total == 0 && !t.sent.IsZero() {
		t.total = time.Since(t.sent)
	}
	reason := t.seal()
	if reason == "" {
		t.queued = time.Now()
		if c.queue.put(t) {
			return
		}
		reason = reasonShutdown
	}
	c.drop(t, reason)
}

// drop counts a take that is not recorded and lets go of its bytes.
func (c *Capture) drop(t *take, reason string) {
	t.mu.Lock()
	t.drop(reason)
	t.mu.Unlock()
	if reason == reasonMemory && c.publisher.stuck() {
		reason = reasonUnavailable // what fills the memory is waiting for NATS
	}
	c.ledger.dropped(reason, 1)
}

// isChat tells whether a request is a Chat Completions call, at OpenAI's path
// or one of Azure's.
func isChat(method, path string) bool {
	if method != http.MethodPost {
		return false
	}
	rest, ok := strings.CutSuffix(strings.TrimSuffix(path, "/"), "/chat/completions")
	return ok && (strings.HasSuffix(rest, "/v1") || deployment(path) != "")
}

// deployment is the name in …/openai/deployments/NAME/chat/completions, which
// Azure takes for the model; else empty.
func deployment(path string) string {
	_, rest, ok := strings.Cut(path, "/openai/deployments/")
	if !ok {
		return ""
	}
	name, rest, _ := strings.Cut(rest, "/")
	if strings.TrimSuffix(rest, "/") != "chat/completions" {
		return ""
	}
	return name
}
