package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"understudy/internal/journal"
)

// forgetRequest is whom to forget, by the one name that a person gave.
type forgetRequest struct {
	Unit         string `json:"unit,omitempty"`
	Conversation string `json:"conversation,omitempty"`
	// Tenant is the one for whom the name was redacted, if any.
	Tenant string `json:"tenant,omitempty"`
}

// forgetRoutes are on the admin socket alone.
func (p *process) forgetRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/v1/forget/plan", func(w http.ResponseWriter, r *http.Request) { p.forget(w, r, true) })
	mux.HandleFunc("POST /api/v1/forget", func(w http.ResponseWriter, r *http.Request) { p.forget(w, r, false) })
}

// forget counts or forgets. It reads all records, which takes its time.
func (p *process) forget(w http.ResponseWriter, r *http.Request, count bool) {
	var f forgetRequest
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&f); err != nil {
		fail(w, &refusal{http.StatusBadRequest, "the order cannot be read: " + err.Error()})
		return
	}
	if (f.Unit == "") == (f.Conversation == "") {
		fail(w, &refusal{http.StatusBadRequest, "give a unit or a conversation"})
		return
	}
	forms := p.storedForms(f.Unit+f.Conversation, f.Tenant) // one of them is empty
	if !p.config().NATS.Create {
		sentence := "this process may not erase records ([nats] create = false); ask the one that makes the streams (set --config or nats.dir to its own)"
		if len(forms) > 1 {
			sentence += fmt.Sprintf(", by the name that is stored: %q", forms[1])
		}
		fail(w, &refusal{http.StatusConflict, sentence})
		return
	}
	order := &journal.Forgetting{}
	if f.Unit != "" {
		order.Units = forms
	} else {
		order.Conversations = forms
	}
	ask := p.j.Forget
	if count {
		ask = p.j.CountForgotten
	}
	n, err := ask(r.Context(), order)
	if err != nil {
		fail(w, err)
		return
	}
	if !count {
		p.log.Info("records were forgotten", "exchanges", n.Exchanges, "trials", n.Trials, "verdicts", n.Verdicts, "judgements", n.Judgements, "kept", n.Kept)
	}
	writeJSON(w, n)
}

// storedForms are the forms in which the name of a unit or a conversation may be stored: as
// it is, and, where this process has a proxy, as its redaction writes it for a tenant.
func (p *process) storedForms(name, tenant string) []string {
	forms := []string{name}
	if p.capture != nil {
		if stored := p.capture.StoredName(name, tenant); stored != name {
			forms = append(forms, stored)
		}
	}
	return forms
}
