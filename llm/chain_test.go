package llm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"understudy/llm"
	"understudy/llm/openai"
	"understudy/llm/sim"
)

// chained is a chain of a candidate on Bedrock, with another region where region is
// set, and the baseline on OpenAI, all before simulators.
type chained struct {
	*llm.Chain
	candidate, region, baseline *stage
}

// A rig says how the simulators of a chained are broken.
type rig struct {
	candidate, region, baseline []sim.Fault
	otherRegion                 bool
	candidatePersona            sim.Persona
	cfg                         func(*llm.ChainConfig)
}

func newChained(t *testing.T, r rig) *chained {
	t.Helper()
	ep := patient()
	ep.StallTimeout = time.Second
	c := &chained{candidate: newStage(t, spokes[2], ep, r.candidatePersona, r.candidate...), baseline: newStage(t, spokes[0], ep, sim.Persona{}, r.baseline...)}
	first := llm.Link{Name: "candidate", Client: c.candidate.client}
	if r.otherRegion {
		c.region = newStage(t, spokes[2], ep, sim.Persona{}, r.region...)
		first.Region = c.region.client
	}
	cfg := llm.DefaultChainConfig()
	cfg.FirstContent = 5 * time.Second
	if r.cfg != nil {
		r.cfg(&cfg)
	}
	c.Chain = must(llm.NewChain([]llm.Link{first, {Name: "baseline", Client: c.baseline.client}}, cfg))(t)
	return c
}

// calls are the calls that the simulators of candidate, region and baseline saw.
func (c *chained) calls() [3]int {
	n := [3]int{c.candidate.sim.Stats()[c.candidate.model].Calls, 0, c.baseline.sim.Stats()[c.baseline.model].Calls}
	if c.region != nil {
		n[1] = c.region.sim.Stats()[c.region.model].Calls
	}
	return n
}

// An outcome is what a caller sees.
type outcome struct {
	resp   *llm.Response
	err    error
	events []llm.Event
}

func (o *outcome) text() string {
	var b strings.Builder
	for _, e := range o.events {
		if e.Kind == llm.EventText {
			b.WriteString(e.Text)
		}
	}
	return b.String()
}

func (o *outcome) finished() bool {
	for _, e := range o.events {
		if e.Kind == llm.EventFinish {
			return true
		}
	}
	return false
}

// stream asks as an application that streams does.
func (c *chained) stream(ctx context.Context, t *testing.T, req *llm.Request) *outcome {
	t.Helper()
	call := must(c.Prepare(req))(t)
	o := &outcome{}
	call.Emit = func(e llm.Event) { o.events = append(o.events, e) }
	o.resp, o.err = c.Do(ctx, call)
	return o
}

func activations(pairs ...any) map[llm.Activation]int64 {
	out := map[llm.Activation]int64{}
	for i := 0; i < len(pairs); i += 2 {
		to := "baseline"
		if strings.HasPrefix(pairs[i].(string), "region:") {
			to = "candidate"
		}
		out[llm.Activation{From: "candidate", To: to, Reason: strings.TrimPrefix(pairs[i].(string), "region:")}] = int64(pairs[i+1].(int))
	}
	return out
}

// TestChainFallsBack: whatever keeps the candidate from beginning its answer, the
// baseline answers, once, and the reason is counted.
func TestChainFallsBack(t *testing.T) {
	leakless(t)
	for name, c := range map[string]struct {
		fault  sim.Fault
		cfg    func(*llm.ChainConfig)
		whole  bool
		reason llm.Class
	}{
		"throttled":          {fault: sim.Fault{Kind: sim.FaultThrottle}, reason: llm.ClassThrottled},
		"quota":              {fault: sim.Fault{Kind: sim.FaultQuota}, reason: llm.ClassQuota},
		"no access":          {fault: sim.Fault{Kind: sim.FaultAccessDenied}, reason: llm.ClassAccess},
		"no model":           {fault: sim.Fault{Kind: sim.FaultNotFound}, reason: llm.ClassNotFound},
		"server error":       {fault: sim.Fault{Kind: sim.FaultServerError}, reason: llm.ClassOverloaded},
		"reset":              {fault: sim.Fault{Kind: sim.FaultReset}, reason: llm.ClassNetwork},
		"refused as invalid": {fault: sim.Fault{Kind: sim.FaultException, Code: "validationException"}, whole: true, reason: llm.ClassInvalid},
		"silence": {fault: sim.Fault{Kind: sim.FaultStall, ForMS: forever}, reason: llm.ClassTimeout,
			cfg: func(c *llm.ChainConfig) { c.FirstContent = 200 * time.Millisecond }},
		"a whole answer that does not come": {fault: sim.Fault{Kind: sim.FaultStall, ForMS: forever}, whole: true, reason: llm.ClassTimeout,
			cfg: func(c *llm.ChainConfig) { c.FirstContent, c.Deadline = 200*time.Millisecond, 4*time.Second }},
		"a whole answer that is cut": {fault: sim.Fault{Kind: sim.FaultCut}, whole: true, reason: llm.ClassTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ch := newChained(t, rig{candidate: []sim.Fault{c.fault}, cfg: c.cfg})
			req := question(askText)
			req.Whole = c.whole
			o := ch.stream(t.Context(), t, req)
			if o.err != nil || o.resp.Text != speech || o.resp.Endpoint != "baseline" || o.text() != speech || !o.finished() {
				t.Errorf("got %+v, %v; events %v", o.resp, o.err, o.events)
			}
			if d := cmp.Diff(activations(string(c.reason), 1), ch.Counts()); d != "" {
				t.Error(d)
			}
			if n := ch.calls(); n != [3]int{1, 0, 1} {
				t.Errorf("calls %v", n)
			}
		})
	}
}

// TestChainNeverSplices: after the first content the answer is the candidate's, whole
// or broken: no byte of another model, no finish that was not there.
func TestChainNeverSplices(t *testing.T) {
	leakless(t)
	for name, c := range map[string]struct {
		fault sim.Fault
		want  llm.Class
	}{
		"cut":             {sim.Fault{Kind: sim.FaultCut}, llm.ClassTruncated},
		"cut in an event": {sim.Fault{Kind: sim.FaultCutInside}, llm.ClassTruncated},
		"stall":           {sim.Fault{Kind: sim.FaultStallMid, ForMS: forever}, llm.ClassTimeout},
		"exception":       {sim.Fault{Kind: sim.FaultException, Code: "throttlingException"}, llm.ClassThrottled},
		"no end":          {sim.Fault{Kind: sim.FaultMissingEnd}, llm.ClassTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ch := newChained(t, rig{candidate: []sim.Fault{c.fault}, otherRegion: true})
			req := question(askText)
			o := ch.stream(t.Context(), t, req)
			if llm.ClassOf(o.err) != c.want || o.finished() || o.text() == "" || !strings.HasPrefix(speech, o.text()) {
				t.Errorf("class %s, text %q, events %v", llm.ClassOf(o.err), o.text(), o.events)
			}
			if n := ch.calls(); n != [3]int{1, 0, 0} || len(ch.Counts()) > 0 {
				t.Errorf("calls %v, activations %v", n, ch.Counts())
			}
			// Who waits for the whole answer has seen nothing, and gets the baseline's.
			call := must(ch.Prepare(req))(t)
			if resp, err := ch.Do(t.Context(), call); err != nil || resp.Text != speech || ch.region == nil {
				t.Errorf("without a stream: %+v, %v", resp, err)
			}
		})
	}
}

// TestChainAsksAnotherRegionOnce: for what another region may not have, before the next
// endpoint, and once.
func TestChainAsksAnotherRegionOnce(t *testing.T) {
	leakless(t)
	down := sim.Fault{Kind: sim.FaultUnavailable}
	for name, c := range map[string]struct {
		first, other []sim.Fault
		whole        bool
		answers      string
		calls        [3]int
		counts       map[llm.Activation]int64
	}{
		"a region is down":        {first: []sim.Fault{down}, answers: "candidate", calls: [3]int{1, 1, 0}, counts: activations("region:overloaded", 1)},
		"both are down":           {first: []sim.Fault{down}, other: []sim.Fault{down}, answers: "baseline", calls: [3]int{1, 1, 1}, counts: activations("region:overloaded", 1, "overloaded", 1)},
		"a fault that both share": {first: []sim.Fault{{Kind: sim.FaultException, Code: "validationException"}}, whole: true, answers: "baseline", calls: [3]int{1, 0, 1}, counts: activations("invalid", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			ch := newChained(t, rig{candidate: c.first, region: c.other, otherRegion: true})
			req := question(askText)
			req.Whole = c.whole
			o := ch.stream(t.Context(), t, req)
			if o.err != nil || o.resp.Endpoint != c.answers || o.text() != speech {
				t.Errorf("got %+v, %v", o.resp, o.err)
			}
			if d := cmp.Diff(c.counts, ch.Counts()); d != "" || ch.calls() != c.calls {
				t.Errorf("calls %v\n%s", ch.calls(), d)
			}
		})
	}
}

// TestChainPassesOverWhatCannotBeAsked: a request that the candidate's wire cannot
// express is not sent there.
func TestChainPassesOverWhatCannotBeAsked(t *testing.T) {
	leakless(t)
	ch := newChained(t, rig{otherRegion: true})
	req := question(askText)
	req.Extra = []llm.Field{{Path: "/logprobs", Raw: []byte("true")}}
	o := ch.stream(t.Context(), t, req)
	if o.err != nil || o.resp.Endpoint != "baseline" || ch.calls() != [3]int{0, 0, 1} {
		t.Errorf("got %+v, %v, calls %v", o.resp, o.err, ch.calls())
	}
	if d := cmp.Diff(activations("untranslatable", 1), ch.Counts()); d != "" {
		t.Error(d)
	}
}

// TestChainCancelled: a caller who goes away is no failure of anybody.
func TestChainCancelled(t *testing.T) {
	leakless(t)
	ch := newChained(t, rig{candidate: []sim.Fault{{Kind: sim.FaultStall, ForMS: forever}}, cfg: func(c *llm.ChainConfig) { c.Breaker.MinCalls = 1 }})
	for range 3 {
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, leave)
		o := ch.stream(ctx, t, question(askText))
		if llm.ClassOf(o.err) != llm.ClassCancelled {
			t.Errorf("class %s: %v", llm.ClassOf(o.err), o.err)
		}
	}
	if len(ch.Counts()) > 0 || ch.Open("candidate") || ch.calls()[2] > 0 {
		t.Errorf("activations %v, open %t, calls %v", ch.Counts(), ch.Open("candidate"), ch.calls())
	}
}

// TestChainDeadline: one deadline holds over all links together.
func TestChainDeadline(t *testing.T) {
	leakless(t)
	stall := []sim.Fault{{Kind: sim.FaultStall, ForMS: forever}}
	ch := newChained(t, rig{candidate: stall, baseline: stall, cfg: func(c *llm.ChainConfig) {
		c.Deadline, c.FirstContent = 600*time.Millisecond, 200*time.Millisecond
	}})
	start := time.Now()
	o := ch.stream(t.Context(), t, question(askText))
	if took := time.Since(start); llm.ClassOf(o.err) != llm.ClassTimeout || took < 600*time.Millisecond || took > 10*time.Second {
		t.Errorf("%s after %s: %v", llm.ClassOf(o.err), took, o.err)
	}
	if n := ch.calls(); n[0] != 1 || n[2] != 1 {
		t.Errorf("calls %v", n)
	}
}

// TestChainGivesTheLastWord: when nobody can answer, the caller hears the last link.
func TestChainGivesTheLastWord(t *testing.T) {
	leakless(t)
	ch := newChained(t, rig{candidate: []sim.Fault{{Kind: sim.FaultAccessDenied}}, baseline: []sim.Fault{{Kind: sim.FaultThrottle, RetryAfterS: 7}}})
	o := ch.stream(t.Context(), t, question(askText))
	var e *llm.Error
	if !errors.As(o.err, &e) || e.Class != llm.ClassThrottled || e.RetryAfter != 7*time.Second || len(o.events) > 0 {
		t.Errorf("got %v, events %v", o.err, o.events)
	}
}

// TestBreaker: many failures, or many slow answers, leave the candidate alone; after a
// while a few probes try it, and close the breaker when it is well.
func TestBreaker(t *testing.T) {
	leakless(t)
	quick := func(c *llm.ChainConfig) {
		c.Breaker = llm.BreakerConfig{Window: time.Minute, MinCalls: 4, FailureRate: 0.5, SlowRate: 0.5, SlowAfter: 250 * time.Millisecond, OpenFor: 500 * time.Millisecond, Probes: 2}
	}
	for name, r := range map[string]rig{
		"failures": {candidate: []sim.Fault{{Kind: sim.FaultServerError, Count: 4}}, cfg: quick},
		"slowness": {candidate: []sim.Fault{{Kind: sim.FaultStall, ForMS: 400, Count: 4}}, cfg: quick},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ch := newChained(t, r)
			ask := func() string {
				o := ch.stream(t.Context(), t, question(askText))
				if o.err != nil || o.text() != speech {
					t.Fatalf("got %+v, %v", o.resp, o.err)
				}
				return o.resp.Endpoint
			}
			for range 4 {
				ask()
			}
			if !ch.Open("candidate") {
				t.Fatalf("the breaker is closed; activations %v", ch.Counts())
			}
			for range 3 {
				if who := ask(); who != "baseline" {
					t.Errorf("%s answered", who)
				}
			}
			if n := ch.calls()[0]; n != 4 || ch.Counts()[llm.Activation{From: "candidate", To: "baseline", Reason: llm.ReasonOpen}] != 3 {
				t.Errorf("the candidate was asked %d times, activations %v", n, ch.Counts())
			}
			time.Sleep(600 * time.Millisecond) // OpenFor has passed
			for range 3 {
				if who := ask(); who != "candidate" {
					t.Errorf("%s answered a probe, or after them", who)
				}
			}
			if ch.Open("candidate") {
				t.Error("the breaker is open")
			}
		})
	}
}

// TestBreakerIgnoresTheCallersFaults: requests that are refused as invalid say nothing
// about the endpoint.
func TestBreakerIgnoresTheCallersFaults(t *testing.T) {
	leakless(t)
	ch := newChained(t, rig{candidate: []sim.Fault{{Kind: sim.FaultException, Code: "validationException"}}, cfg: func(c *llm.ChainConfig) { c.Breaker.MinCalls = 2 }})
	req := question(askText)
	req.Whole = true
	for range 6 {
		ch.stream(t.Context(), t, req)
	}
	if ch.Open("candidate") || ch.calls()[0] != 6 {
		t.Errorf("open %t, calls %v", ch.Open("candidate"), ch.calls())
	}
}

// TestNewChain: at most two fallbacks, each with a client.
func TestNewChain(t *testing.T) {
	client := must(spokes[0].client(patient(), "http://127.0.0.1:1", &http.Client{}))(t)
	cfg := llm.DefaultChainConfig()
	for n := range 5 {
		links := make([]llm.Link, n)
		for i := range links {
			links[i] = llm.Link{Name: fmt.Sprint(i), Client: client}
		}
		if _, err := llm.NewChain(links, cfg); (err == nil) != (n >= 1 && n <= 3) {
			t.Errorf("%d links: %v", n, err)
		}
	}
	if _, err := llm.NewChain([]llm.Link{{Name: "a", Client: client}}, llm.ChainConfig{FirstContent: time.Second}); err == nil {
		t.Error("a circuit breaker without settings is taken")
	}
	if _, err := llm.NewChain([]llm.Link{{Name: "a"}}, cfg); err == nil {
		t.Error("a link without a client is taken")
	}
}

// TestChainIsSafeForManyCallers also holds the hook to the counts.
func TestChainIsSafeForManyCallers(t *testing.T) {
	leakless(t)
	var told atomic.Int64
	ch := newChained(t, rig{candidate: []sim.Fault{{Kind: sim.FaultServerError, Rate: 0.5}}, cfg: func(c *llm.ChainConfig) {
		c.OnFallback = func(llm.Activation) { told.Add(1) }
	}})
	done := make(chan error)
	for range 16 {
		go func() {
			for range 10 {
				call, err := ch.Prepare(question(askText))
				if err == nil {
					_, err = ch.Do(t.Context(), call)
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 16 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	var n int64
	for _, k := range ch.Counts() {
		n += k
	}
	if n == 0 || n != told.Load() {
		t.Errorf("%d activations, the hook was told of %d", n, told.Load())
	}
}

// TestChainSharesItsDeadline: a link waits for no more than its share of the time, so
// that those behind it have theirs; an answer that streams as much as one that does not.
func TestChainSharesItsDeadline(t *testing.T) {
	leakless(t)
	for _, whole := range []bool{false, true} {
		ch := newChained(t, rig{candidate: []sim.Fault{{Kind: sim.FaultStall, ForMS: forever}}, cfg: func(c *llm.ChainConfig) { c.Deadline, c.FirstContent = 4*time.Second, time.Minute }})
		req := question(askText)
		req.Whole = whole
		o := ch.stream(t.Context(), t, req)
		if o.err != nil || o.resp.Endpoint != "baseline" || o.text() != speech {
			t.Errorf("whole %t: %+v, %v, activations %v", whole, o.resp, o.err, ch.Counts())
		}
	}
}

// slow is a candidate whose answers take so long, with a region, and FirstContent well
// below it.
func slowRig(others bool) rig {
	return rig{candidate: []sim.Fault{{Kind: sim.FaultStall, ForMS: 400}}, otherRegion: others, cfg: func(c *llm.ChainConfig) { c.FirstContent, c.Deadline = 50*time.Millisecond, time.Minute }}
}

// TestChainDoesNotHurryTheLast: an endpoint that nobody can stand in for has its time, be
// it the only one, or the only one that can express the request, and another region of it
// is nobody else. Its breaker does not keep it from being asked either.
func TestChainDoesNotHurryTheLast(t *testing.T) {
	leakless(t)
	t.Run("one link with a region", func(t *testing.T) {
		ch := newChained(t, slowRig(true))
		alone := must(llm.NewChain([]llm.Link{{Name: "candidate", Client: ch.candidate.client, Region: ch.region.client}}, llm.ChainConfig{FirstContent: 50 * time.Millisecond, Breaker: llm.DefaultBreakerConfig()}))(t)
		call := must(alone.Prepare(question(askText)))(t)
		if resp, err := alone.Do(t.Context(), call); err != nil || resp.Text != speech || len(alone.Counts()) > 0 {
			t.Errorf("%+v, %v, activations %v", resp, err, alone.Counts())
		}
	})
	t.Run("behind it is one that cannot", func(t *testing.T) {
		ch := newChained(t, slowRig(false))
		cfg := llm.ChainConfig{FirstContent: 50 * time.Millisecond, Breaker: llm.DefaultBreakerConfig()}
		cfg.Breaker.MinCalls = 1
		turned := must(llm.NewChain([]llm.Link{{Name: "baseline", Client: ch.baseline.client}, {Name: "candidate", Client: ch.candidate.client}}, cfg))(t)
		req := question(askText)
		req.Extra = []llm.Field{{Path: "/logprobs", Raw: []byte("true")}} // which Bedrock does not have
		for _, f := range []sim.Fault{{Kind: sim.FaultThrottle, RetryAfterS: 7, Count: 1}, {Kind: sim.FaultStall, ForMS: 400, Count: 1}} {
			if err := postFault(t, ch.baseline.sim.URL(), f); err != nil {
				t.Fatal(err)
			}
			call := must(turned.Prepare(req))(t)
			resp, err := turned.Do(t.Context(), call)
			var e *llm.Error
			if f.Kind == sim.FaultThrottle && (!errors.As(err, &e) || e.Class != llm.ClassThrottled || e.RetryAfter != 7*time.Second) ||
				f.Kind == sim.FaultStall && (err != nil || resp.Text != speech) {
				t.Errorf("%s: %+v, %v", f.Kind, resp, err)
			}
		}
		if !turned.Open("baseline") || ch.calls() != [3]int{0, 0, 2} {
			t.Errorf("open %t, calls %v", turned.Open("baseline"), ch.calls())
		}
	})
}

// postFault adds a fault to a running simulator.
func postFault(t *testing.T, url string, f sim.Fault) error {
	t.Helper()
	body, err := json.Marshal(f)
	if err != nil {
		return err
	}
	res, err := http.Post(url+"/__fault", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("add fault: %s", res.Status)
	}
	return nil
}

// TestBreakerCountsWhatHangs: calls that hang for longer than the window count all the
// same.
func TestBreakerCountsWhatHangs(t *testing.T) {
	leakless(t)
	ch := newChained(t, rig{candidate: []sim.Fault{{Kind: sim.FaultStall, ForMS: forever}}, cfg: func(c *llm.ChainConfig) {
		c.FirstContent = 200 * time.Millisecond
		c.Breaker.Window, c.Breaker.MinCalls = 100*time.Millisecond, 1
	}})
	ch.stream(t.Context(), t, question(askText))
	if !ch.Open("candidate") {
		t.Error("the breaker is closed after a call that hung")
	}
}

// TestChainImpatientCaller: a deadline of the caller's own is no failure of an endpoint's.
func TestChainImpatientCaller(t *testing.T) {
	leakless(t)
	ch := newChained(t, rig{candidate: []sim.Fault{{Kind: sim.FaultStall, ForMS: forever}}, cfg: func(c *llm.ChainConfig) {
		c.Breaker.MinCalls, c.Breaker.SlowAfter = 1, time.Millisecond
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
	defer cancel()
	alone := must(llm.NewChain([]llm.Link{{Name: "candidate", Client: ch.candidate.client}}, llm.ChainConfig{FirstContent: time.Minute, Breaker: llm.DefaultBreakerConfig()}))(t)
	call := must(alone.Prepare(question(askText)))(t)
	if _, err := alone.Do(ctx, call); llm.ClassOf(err) != llm.ClassTimeout || alone.Open("candidate") {
		t.Errorf("%v, open %t", err, alone.Open("candidate"))
	}
	short, stop := context.WithTimeout(t.Context(), time.Nanosecond)
	defer stop()
	ch.stream(short, t, question(askText))
	if ch.Open("candidate") || len(ch.Counts()) > 0 {
		t.Errorf("open %t, activations %v", ch.Open("candidate"), ch.Counts())
	}
}

// TestChainTellsWhatItAsked: every link that got the call may bill it, whoever answered.
func TestChainTellsWhatItAsked(t *testing.T) {
	leakless(t)
	ch := newChained(t, rig{candidate: []sim.Fault{{Kind: sim.FaultCut}}})
	call := must(ch.Prepare(question(askText)))(t)
	resp, err := ch.Do(t.Context(), call)
	if err != nil || len(resp.Tries) != 1 || resp.Tries[0].Endpoint != "candidate" || llm.ClassOf(resp.Tries[0].Err) != llm.ClassTruncated {
		t.Errorf("%+v, %v", resp, err)
	}
	// What was never sent has no bill.
	unreached := must(spokes[0].client(patient(), "http://127.0.0.1:1", &http.Client{}))(t)
	skipped := must(llm.NewChain([]llm.Link{{Name: "gone", Client: unreached}, {Name: "baseline", Client: ch.baseline.client}}, llm.DefaultChainConfig()))(t)
	if resp, err := skipped.Do(t.Context(), must(skipped.Prepare(question(askText)))(t)); err != nil || len(resp.Tries) > 0 {
		t.Errorf("%+v, %v", resp, err)
	}
	// Nobody answers, and the last was not even reached: the call was sent all the same.
	ch.Chain = must(llm.NewChain([]llm.Link{{Name: "candidate", Client: ch.candidate.client}, {Name: "gone", Client: unreached}}, llm.DefaultChainConfig()))(t)
	call = must(ch.Prepare(question(askText)))(t)
	resp, err = ch.Do(t.Context(), call)
	var e *llm.Error
	if !errors.As(err, &e) || e.Class != llm.ClassNetwork || e.NotSent || resp == nil || len(resp.Tries) != 1 {
		t.Errorf("%+v, %v", resp, err)
	}
}

// TestChainHidesNothingFromAFilter: what a content filter stopped is not shown to
// another model.
func TestChainHidesNothingFromAFilter(t *testing.T) {
	leakless(t)
	filter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write(openai.EncodeError("stopped", "invalid_request_error", "prompt", "content_filter"))
	}))
	t.Cleanup(filter.Close)
	ep := patient()
	ep.Model = "gpt-4o"
	first := must(spokes[1].client(ep, filter.URL, filter.Client()))(t)
	baseline := newStage(t, spokes[0], ep, sim.Persona{})
	ch := must(llm.NewChain([]llm.Link{{Name: "first", Client: first}, {Name: "baseline", Client: baseline.client}}, llm.DefaultChainConfig()))(t)
	call := must(ch.Prepare(question(askText)))(t)
	if _, err := ch.Do(t.Context(), call); llm.ClassOf(err) != llm.ClassFiltered || len(ch.Counts()) > 0 || baseline.sim.Stats()[baseline.model].Calls > 0 {
		t.Errorf("%v, activations %v", err, ch.Counts())
	}
}

// TestChainBoundsAllItsLinks: each of them may be billed.
func TestChainBoundsAllItsLinks(t *testing.T) {
	ch := newChained(t, rig{otherRegion: true})
	req := question(askText)
	all := must(ch.Prepare(req))(t)
	in, out := 0, 0
	for _, s := range []*stage{ch.candidate, ch.region, ch.baseline} {
		call := must(s.client.Prepare(req))(t)
		in, out = in+call.MaxInputTokens, out+call.MaxOutputTokens
	}
	if all.MaxInputTokens != in || all.MaxOutputTokens != out || in == 0 || out == 0 {
		t.Errorf("bounds %d and %d, want %d and %d", all.MaxInputTokens, all.MaxOutputTokens, in, out)
	}
}

// TestBreakerKnowsNoSlowWholeAnswers: how long an answer takes that does not stream says
// how long it is.
func TestBreakerKnowsNoSlowWholeAnswers(t *testing.T) {
	leakless(t)
	ch := newChained(t, rig{candidate: []sim.Fault{{Kind: sim.FaultStall, ForMS: 60}}, cfg: func(c *llm.ChainConfig) {
		c.Breaker.MinCalls, c.Breaker.SlowAfter = 2, 20*time.Millisecond
	}})
	req := question(askText)
	req.Whole = true
	for range 4 {
		if o := ch.stream(t.Context(), t, req); o.err != nil || o.resp.Endpoint != "candidate" {
			t.Errorf("got %+v, %v", o.resp, o.err)
		}
	}
	if ch.Open("candidate") {
		t.Error("the breaker is open")
	}
	// Nor do they hide that the answers that stream are slow to begin.
	for range 2 {
		ch.stream(t.Context(), t, question(askText))
	}
	if !ch.Open("candidate") {
		t.Error("the breaker is closed, though all streams were slow")
	}
}

// TestEmitSpeaksTheRequestsTerms: a tool has the request's name, and what must be whole
// before it can be put right comes in one go.
func TestEmitSpeaksTheRequestsTerms(t *testing.T) {
	leakless(t)
	ask := func(s script, req *llm.Request) (*llm.Response, []llm.Event) {
		server := httptest.NewServer(bedrockHandler(t, s))
		defer server.Close()
		ep := patient()
		client := wires[1].client(t, server.URL, ep)
		call := must(client.Prepare(req))(t)
		var events []llm.Event
		call.Emit = func(e llm.Event) { events = append(events, e) }
		resp, err := client.Do(t.Context(), call)
		if err != nil {
			t.Fatal(err)
		}
		checkEvents(t, resp, err, events)
		return resp, events
	}
	req := question("Weather?")
	req.Tools[0].Name = "get.weather"
	wire := must(wires[1].client(t, "http://127.0.0.1:1", patient()).Prepare(req))(t)
	_, after, _ := strings.Cut(string(wire.Body), `"toolSpec":{"name":"`)
	name, _, _ := strings.Cut(after, `"`)
	resp, _ := ask(script{calls: []llm.ToolCall{{ID: "t1", Name: name, Arguments: oslo}}, finish: llm.FinishToolCalls, usage: usage}, req)
	if name == "get.weather" || len(resp.ToolCalls) != 1 || resp.ToolCalls[0].Name != "get.weather" {
		t.Errorf("%q came back as %+v", name, resp.ToolCalls)
	}

	req = question("Weather?")
	req.Tools = nil
	req.ResponseFormat = &llm.ResponseFormat{Type: "json_schema", Name: "answer", Schema: []byte(`{"type":"object","properties":{"city":{"type":"string"}}}`)}
	wire = must(wires[1].client(t, "http://127.0.0.1:1", patient()).Prepare(req))(t)
	if wire.Tier != llm.TierTool || !wire.Buffered {
		t.Fatalf("tier %s, buffered %t", wire.Tier, wire.Buffered)
	}
	_, after, _ = strings.Cut(string(wire.Body), `"toolSpec":{"name":"`)
	name, _, _ = strings.Cut(after, `"`)
	resp, events := ask(script{calls: []llm.ToolCall{{ID: "t1", Name: name, Arguments: `{"city":"Oslo"}`}}, finish: llm.FinishToolCalls, usage: usage}, req)
	if resp.Text != `{"city":"Oslo"}` || events[0].Kind != llm.EventText {
		t.Errorf("%+v, events %+v", resp, events)
	}
}
