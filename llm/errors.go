package llm

import (
	"errors"
	"fmt"
	"time"
)

// A Class is one kind of failure, one for each decision that a caller takes.
type Class string

// The classes. ClassOK stands in records for "no failure".
const (
	ClassOK Class = "ok"
	// Model or provider failed: a trial with this class counts as an error.
	ClassOverloaded Class = "overloaded" // 5xx, model not ready, unavailable
	ClassTimeout    Class = "timeout"    // deadline, stalled stream, model timeout
	ClassTruncated  Class = "truncated"  // the answer ended without its terminal event
	ClassStream     Class = "stream"     // exception or broken frame inside a stream
	ClassMalformed  Class = "malformed"  // the answer does not have the wire's form
	ClassNetwork    Class = "network"    // connection refused, reset before an answer
	ClassInvalid    Class = "invalid"    // the provider refused the request as invalid
	ClassContext    Class = "context"    // the request is longer than the model's context
	ClassFiltered   Class = "filtered"   // the provider's own filter stopped the call
	// Our own faults and quotas: no trial; the endpoint pauses.
	ClassThrottled Class = "throttled" // 429: too many at once, soon it may work
	ClassQuota     Class = "quota"     // what was bought is used up: soon it will not
	ClassAccess    Class = "access"    // 401, 403, no access to the model
	ClassNotFound  Class = "not_found" // unknown model or deployment
	// Neither: nothing was sent, or the caller went away.
	ClassUntranslatable Class = "untranslatable"
	ClassCancelled      Class = "cancelled"
)

// An Error is a failed call.
type Error struct {
	// Op is what was being done, such as "converse".
	Op string
	// Endpoint is the endpoint's configured name, where known.
	Endpoint string
	Class    Class
	// Status is the HTTP status, 0 where there was none. Code is the
	// provider's own name of the error, such as "ThrottlingException".
	Status    int
	Code      string
	RequestID string
	// RetryAfter is how long the provider asked to wait, 0 where it did not.
	RetryAfter time.Duration
	// NotSent tells that no byte of the request reached the provider (nothing
	// answered at its address, no credentials): the call cost nothing.
	NotSent bool
	// Path is the JSON Pointer of what could not be translated.
	Path string
	// Proposal is a change of the endpoint's capabilities that the refusal
	// suggests, such as "!stop_sequences"; an operator decides about it.
	Proposal string
	// Err is the cause. Its text may quote a prompt, unless NotSent: it is for
	// the caller of a command, never for logs, metrics or records.
	Err error
}

// Error gives operation, endpoint, class, status and code, and the cause.
func (e *Error) Error() string {
	s := e.Summary()
	if e.Err != nil && !e.NotSent {
		s += ": " + e.Err.Error()
	}
	return s
}

// Summary is the error without what a provider may have quoted from a prompt,
// safe for logs and records. The cause stands in it only where nothing was sent.
func (e *Error) Summary() string {
	s := string(e.Class)
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	if e.Endpoint != "" {
		s = "endpoint " + e.Endpoint + ": " + s
	}
	if e.Status != 0 {
		s += fmt.Sprintf(" (HTTP %d", e.Status)
		if e.Code != "" {
			s += " " + e.Code
		}
		s += ")"
	} else if e.Code != "" {
		s += " (" + e.Code + ")"
	}
	if e.Path != "" {
		s += " at " + e.Path
	}
	if e.NotSent && e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// ClassOf is the class of err: that of the *Error in its chain, ClassOK for
// nil, ClassMalformed for an error that no client classified.
func ClassOf(err error) Class {
	if err == nil {
		return ClassOK
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return ClassMalformed
}
