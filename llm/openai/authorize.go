package openai

import (
	"context"
	"fmt"
	"net/http"

	"understudy/llm"
)

// An Authorizer says who calls: it puts what the provider asks for onto req, whose
// body will be exactly body. It runs before every attempt and must be safe for
// concurrent use; ctx ends with the attempt. The text of its error goes to logs, so
// it holds no secret.
type Authorizer func(ctx context.Context, req *http.Request, body []byte) error

// keyAuthorizer sends a key as bearer token, to Azure as api-key; nil without one.
func keyAuthorizer(ep llm.Endpoint, key string) Authorizer {
	if key == "" {
		return nil
	}
	header, value := "Authorization", "Bearer "+key
	if ep.Provider == "azure" {
		header, value = "Api-Key", key
	}
	return func(_ context.Context, req *http.Request, _ []byte) error {
		req.Header.Set(header, value)
		return nil
	}
}

// bearerAuthorizer sends the token that is good now.
func bearerAuthorizer(token func(context.Context) (string, error)) Authorizer {
	return func(ctx context.Context, req *http.Request, _ []byte) error {
		t, err := token(ctx)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+t)
		return nil
	}
}

// authorize makes the client's Authorizer act on a request. What goes wrong there is
// no call: nothing was sent.
func (c *Client) authorize(a *llm.Attempt, req *http.Request, body []byte) error {
	if c.who == nil {
		return nil
	}
	err := c.who(alone{a.Context()}, req, body)
	if err == nil {
		return nil
	}
	e := &llm.Error{Class: llm.ClassAccess, NotSent: true, Err: fmt.Errorf("say who calls: %w", err)}
	if a.Context().Err() != nil {
		e.Class = a.Class(err, false)
	}
	return e
}

// alone is a context without its values. The attempt's trace is among them, and a
// connection to whoever gives out credentials is none of the request's.
type alone struct{ context.Context }

// Value has nothing to give.
func (alone) Value(any) any { return nil }
