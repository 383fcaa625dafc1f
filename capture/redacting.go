package capture

import (
	"understudy/capture/redact"
	"understudy/internal/journal"
)

// redact takes out of a record what identifies people, and secrets. It is the last thing
// that is done to a record, and nothing of it is written before. Where a body cannot be
// read as JSON, nothing is known of what it holds, and it is not kept.
func (c *Capture) redact(e *journal.Exchange, r *redact.Redactor, of redact.Subject) {
	var n redact.Counts
	var err error
	// The request was decoded before: it is JSON.
	if e.Request, err = r.ValidJSON(e.Request, of, &n); err != nil {
		panic("a request that was decoded is not JSON") // drops the record
	}
	if len(e.Response) > 0 {
		if e.Response, err = r.JSON(e.Response, of, &n); err != nil {
			e.Response = nil
		}
	}
	for _, text := range []*string{&e.Path, &e.Model, &e.AnsweredModel, &e.SystemFingerprint, &e.ProviderRequestID, &e.AnswerID, &e.ServiceTier, &e.Unit} {
		*text = r.Text(*text, of, &n)
	}
	if e.Conversation != e.ID && e.ConversationSource != sourceHistory { // else it is a name of ours
		e.Conversation = r.Text(e.Conversation, of, &n)
	}
	for name, v := range e.Headers {
		e.Headers[name] = r.Text(v, of, &n)
	}
	e.Redactions, e.MediaDropped = n.Spans, n.Media
	c.meters.redacted(&n)
}

// StoredName is how the name of a unit or a conversation stands in records.
func (c *Capture) StoredName(name, tenant string) string {
	if r := c.settings.Load().redactor; r != nil {
		return r.Text(name, redact.Subject{Tenant: tenant}, &redact.Counts{})
	}
	return name
}
