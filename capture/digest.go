package capture

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"understudy/capture/redact"
	"understudy/internal/journal"
	"understudy/llm"
	"understudy/llm/openai"
)

// digest turns a take into a record and hands it to the publisher, or counts
// why not. A fault on the way costs this exchange alone.
func (c *Capture) digest(t *take) {
	rec, reason := c.read(t)
	if reason == reasonSampledOut {
		t.release()
		c.ledger.sampledOut()
		return
	}
	if by, ok := strings.CutPrefix(reason, reasonExcluded); ok {
		t.release()
		c.exclude(by)
		return
	}
	if reason == "" && !t.recharge(rec) {
		reason = reasonMemory
	}
	if reason != "" {
		c.drop(t, reason)
		return
	}
	c.meters.live(rec)
	if !c.publisher.put(&item{rec: rec, charge: t.charged, queued: t.queued}) {
		c.drop(t, reasonShutdown)
	}
}

// reasonSampledOut is no drop: the exchange is outside the sample.
const reasonSampledOut = "sampled_out"

// reasonExcluded is no drop either: what excludes it follows.
const reasonExcluded = "excluded:"

// read makes the record of a take; reason says why there is none.
func (c *Capture) read(t *take) (rec *journal.Exchange, reason string) {
	defer func() {
		if p := recover(); p != nil {
			// The value may quote a text: only its type is told.
			c.log.Error("recording an exchange panicked; it is dropped and counted", "panic", fmt.Sprintf("%T", p))
			rec, reason = nil, reasonPanic
		}
	}()
	if !t.whole {
		return nil, reasonIncomplete
	}
	body, err := plain(t.header, t.request, t.maxBody)
	if err != nil {
		return nil, bodyReason(err)
	}
	req, err := openai.Decode(body)
	if err != nil {
		return nil, reasonMalformed
	}
	d := &document{body: body, req: req, model: req.Model}
	if d.model == "" {
		d.model = deployment(t.path)
	}
	if by := t.settings.exclude.body(t, d); by != "" {
		return nil, reasonExcluded + by
	}
	l := t.label(d)
	if !sampled(c.key, t.settings.sample, t, d, &l) {
		return nil, reasonSampledOut
	}
	secrets := credentials(t.header)
	rec = c.record(t, d, &l, secrets)
	answer, err := readAnswer(t, rec)
	if err != nil {
		return nil, bodyReason(err)
	}
	if rec.ConversationSource == sourceNone {
		c.placeByHistory(rec, t, req, answer)
	}
	if time.Since(t.queued) < maxQueued {
		c.estimates.fill(rec, req, answer)
	}
	if t.settings.redactor == nil {
		scrubRecord(rec, secrets)
		return rec, ""
	}
	c.redact(rec, t.settings.redactor, redact.Subject{Tenant: t.tenantOf(d), Secrets: secrets})
	return rec, ""
}

// placeByHistory gives a record that names no conversation the one that it goes on with.
func (c *Capture) placeByHistory(rec *journal.Exchange, t *take, req *llm.Request, answer *llm.Response) {
	who := caller(c.key, t.header, t.remote)
	conversation, ok := c.history.find(who, req.Messages, rec.ID)
	if !ok {
		return
	}
	rec.Conversation, rec.ConversationSource = conversation, sourceHistory
	if answer != nil && rec.Class == llm.ClassOK && !rec.Aborted {
		c.history.remember(conversation, who, req.Messages, answer)
	}
}

// bodyReason says why a body cannot be recorded.
func bodyReason(err error) string {
	switch {
	case errors.Is(err, errEncoding):
		return reasonEncoding
	case errors.Is(err, errExpanded):
		return reasonTooLarge
	}
	return reasonMalformed
}

// record fills in everything but the answer.
func (c *Capture) record(t *take, d *document, l *labels, secrets []string) *journal.Exchange {
	return &journal.Exchange{
		Schema: journal.SchemaVersion, ID: journal.NewID(t.at), At: t.at.UTC(),
		Source: journal.SourceCapture, Instance: c.ledger.instance,
		Submodule: l.submodule, Conversation: l.conversation, ConversationSource: l.conversationSource, Unit: l.unit,
		Upstream: t.upstream, Method: t.method, Path: t.path, Model: d.model,
		Status: t.status, Aborted: t.left, ClientSlow: t.waited.slow(t.total), LatencyMS: milliseconds(t.total),
		Headers:           keptHeaders(t.header, t.answer, secrets),
		ProviderRequestID: providerRequestID(t.answer, secrets),
		Traceparent:       traceparent(t.header.Get("Traceparent")),
		SampleShare:       t.settings.sample,
		RequestLength:     len(t.request), RequestHMAC: keyedHex(c.key, "body", t.request),
		ResponseLength: len(t.response), ResponseHMAC: keyedHex(c.key, "body", t.response),
		Request: d.body,
	}
}

// scrubRecord removes the caller's own credentials wherever they came back.
func scrubRecord(e *journal.Exchange, secrets []string) {
	e.Request, e.Response = scrub(e.Request, secrets), scrub(e.Response, secrets)
	for _, s := range []*string{&e.Path, &e.Model, &e.AnsweredModel, &e.AnswerID, &e.SystemFingerprint, &e.Conversation, &e.Unit} {
		*s = scrubText(*s, secrets)
	}
}

// traceForm is a W3C traceparent; anything else is not recorded.
var traceForm = regexp.MustCompile(`\A[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\z`)

func traceparent(s string) string {
	if !traceForm.MatchString(s) {
		return ""
	}
	return s
}
