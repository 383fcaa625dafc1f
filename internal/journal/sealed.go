package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Owners are whom the texts of a record belong to: to forget any of them makes the
// texts unreadable.
type Owners struct {
	Unit, Conversation string
	// Submodule and At, the exchange's time, name the secret of texts that have neither.
	Submodule string
	At        time.Time
}

func unitName(name string) string         { return "unit\x00" + name }
func conversationName(name string) string { return "conversation\x00" + name }

// inferred tells whether a conversation was found by what was said: then it has an id of
// ours for a name. Nobody asks to forget it by that name, and where each request opens one
// a secret for each would cost more than the record.
func inferred(conversation string) bool {
	_, ours := IDTime(conversation)
	return ours
}

// names are the names of the secrets. Texts that belong to nobody share a secret with
// those of their sub-module and day: it goes by age alone.
func (o *Owners) names() (names []string) {
	if o.Unit != "" {
		names = append(names, unitName(o.Unit))
	}
	if o.Conversation != "" && !inferred(o.Conversation) {
		names = append(names, conversationName(o.Conversation))
	}
	if names == nil {
		names = []string{"day\x00" + o.Submodule + "\x00" + o.At.UTC().Format(time.DateOnly)}
	}
	return names
}

func (e *Exchange) owners() Owners { return Owners{e.Unit, e.Conversation, e.Submodule, e.At} }

// shell is what is stored of an exchange that was forgotten before it was stored: the
// numbers, so that the accounts close, and nothing that leads to anybody.
func (e *Exchange) shell() *Exchange {
	s := *e
	s.Forgotten, s.Sealed, s.Request, s.Response = true, nil, nil, nil
	s.Unit, s.Conversation, s.ConversationSource = "", "", "none"
	s.Headers, s.ProviderRequestID, s.AnswerID, s.Traceparent = nil, "", "", ""
	s.RequestHMAC, s.ResponseHMAC = "", ""
	return &s
}

// sealExchange gives a copy with sealed bodies, or a shell.
func (j *Journal) sealExchange(ctx context.Context, e *Exchange) (*Exchange, error) {
	s, seqs, err := j.keys.sealerFor(ctx, e.owners(), "exchange", e.ID)
	if errors.Is(err, ErrForgotten) {
		return e.shell(), nil
	}
	if err != nil {
		return nil, err
	}
	c := *e
	c.Sealed, c.Request, c.Response = seqs, s.seal("request", e.Request), s.seal("response", e.Response)
	return &c, nil
}

// Unseal opens the bodies of an exchange as ReadExchanges gives it. Where a secret was
// deleted, also since it was opened, the exchange has no bodies and is Forgotten, and the
// error is ErrForgotten; an exchange that another program published has plain bodies and
// stays as it is.
func (j *Journal) Unseal(ctx context.Context, e *Exchange) error {
	if e.Forgotten {
		return fmt.Errorf("exchange %s: %w", e.ID, ErrForgotten)
	}
	if len(e.Sealed)+len(e.Opened) == 0 {
		return nil
	}
	s, err := j.keys.openerFor(ctx, slices.Concat(e.Sealed, e.Opened), "exchange", e.ID)
	if errors.Is(err, ErrForgotten) {
		e.Forgotten, e.Sealed, e.Opened, e.Request, e.Response = true, nil, nil, nil, nil
	}
	if err != nil || len(e.Sealed) == 0 {
		return err
	}
	request, err := s.open("request", e.Request)
	if err == nil {
		e.Response, err = s.open("response", e.Response)
	}
	if err != nil {
		return fmt.Errorf("open exchange %s: %w", e.ID, err)
	}
	e.Request, e.Sealed, e.Opened = request, nil, e.Sealed
	return nil
}

// UnsealAll opens the bodies of exchanges that can be; those that were forgotten are
// marked so, which is no error.
func (j *Journal) UnsealAll(ctx context.Context, list []*Exchange) error {
	for _, e := range list {
		if err := j.Unseal(ctx, e); err != nil && !errors.Is(err, ErrForgotten) {
			return err
		}
	}
	return nil
}
