package capture

import (
	"bytes"
	"errors"
	"strings"

	"understudy/internal/journal"
	"understudy/llm"
	"understudy/llm/openai"
)

// readAnswer fills in what the answer says, and gives it where it could be read. An
// answer that cannot be understood is recorded with its class; only an unknown
// encoding, or one too large when it is decompressed, is an error.
func readAnswer(t *take, e *journal.Exchange) (*llm.Response, error) {
	if t.answer == nil { // the upstream gave none and the client did not wait for ours
		e.Class = failureClass(t)
		return nil, nil
	}
	if t.status >= 200 && t.status < 300 && isStream(t) {
		return readStream(t, e)
	}
	body, err := plain(t.answer, t.response, t.maxBody)
	if errors.Is(err, errEncoding) || errors.Is(err, errExpanded) {
		return nil, err
	}
	e.Response = body
	switch {
	case t.ours, t.failure != nil:
		e.Class = failureClass(t)
	case t.status < 200 || t.status >= 300:
		e.Class = openai.DecodeError(t.status, t.answer, body).Class
	case err != nil:
		e.Class = llm.ClassMalformed
	default:
		answer, err := openai.DecodeResponse(body)
		if e.Class = llm.ClassOf(err); err == nil {
			fillAnswer(e, answer)
			return answer, nil
		}
	}
	return nil, nil
}

func readStream(t *take, e *journal.Exchange) (*llm.Response, error) {
	s, err := replayStream(t.answer, t.response, t.frames, t.maxBody)
	if err != nil {
		return nil, err
	}
	e.Stream, e.Frames, e.TTFTMS, e.Response = true, t.frames, s.ttftMS, s.body
	fillAnswer(e, s.answer)
	if e.Class = llm.ClassOf(s.err); t.left {
		e.Class = llm.ClassOK // the end is missing because the client left
	}
	return s.answer, nil
}

func fillAnswer(e *journal.Exchange, a *llm.Response) {
	e.AnswerID, e.AnsweredModel, e.SystemFingerprint = a.ID, a.Model, a.SystemFingerprint
	e.ServiceTier, e.Finish = a.ServiceTier, a.Finish
	if a.Usage != nil {
		u := *a.Usage
		u.Raw = nil // the body has it
		e.Usage = &u
	}
}

// isStream tells whether the answer is an event stream: by its type, or by its
// first bytes where a compatible server states none.
func isStream(t *take) bool {
	kind := t.answer.Get("Content-Type")
	if kind == "" {
		return !isEncoded(t.answer) && (bytes.HasPrefix(t.response, []byte("data:")) || bytes.HasPrefix(t.response, []byte("event:")) || bytes.HasPrefix(t.response, []byte(":")))
	}
	kind, _, _ = strings.Cut(kind, ";")
	return strings.EqualFold(strings.TrimSpace(kind), "text/event-stream")
}

// failureClass is how a call failed that has no whole answer.
func failureClass(t *take) llm.Class {
	switch {
	case t.left:
		return llm.ClassOK // nothing is known against the provider
	case t.failure == nil:
		return llm.ClassOK
	case t.answer != nil && !t.ours:
		return llm.ClassTruncated
	case timedOut(t.failure):
		return llm.ClassTimeout
	}
	return llm.ClassNetwork
}
