package report

import (
	"fmt"
	"strconv"
	"time"

	"understudy/canary"
)

// Settings are what the caller knows of the configuration, and an analyzer does not.
type Settings struct {
	// PriceTable is the date of the built-in price table.
	PriceTable string `json:"price_table"`
	// Config names the configuration: the first digits of its hash.
	Config string `json:"config"`
	// Judges by sub-module.
	Judges []Judge `json:"judges"`
	// Endpoints that have a role somewhere.
	Endpoints []Endpoint `json:"endpoints"`
}

// A Judge is the endpoint that judges a sub-module.
type Judge struct {
	Submodule string `json:"submodule"`
	Endpoint  string `json:"endpoint"`
	Model     string `json:"model"`
	// Prompts is a hash of what the judge is asked, "" where it is not known.
	Prompts string `json:"prompts"`
}

// A Control is the endpoint that is asked as the control of a sub-module.
type Control struct {
	Submodule string `json:"submodule"`
	Endpoint  string `json:"endpoint"`
}

// Terms are all settings that a decision depends on.
type Terms struct {
	Settings
	Controls []Control `json:"controls"`

	AlphaPromote float64 `json:"alpha_promote"`
	AlphaReject  float64 `json:"alpha_reject"`
	// Durations are as a configuration writes them.
	ConversationWindow string `json:"conversation_window"`
	MinConversations   int    `json:"min_conversations"`
	MinSpan            string `json:"min_span"`
	VerdictDeadline    string `json:"verdict_deadline"`
	MaxConversations   int    `json:"max_conversations"`
	// Epochs that the evidence has: one, with the whole alpha.
	Epochs int `json:"epochs"`
	// From and To are the first exchange and the last, nil without any.
	From *time.Time `json:"observed_from"`
	To   *time.Time `json:"observed_to"`
}

func terms(s Settings, c *canary.Config, rows []Row, submodules canary.Submodules, volumes map[string]canary.Volume) Terms {
	t := Terms{
		Settings: s, Controls: []Control{}, AlphaPromote: c.AlphaPromote, AlphaReject: c.AlphaReject,
		ConversationWindow: c.ConversationWindow.String(), MinConversations: c.MinConversations, MinSpan: c.MinSpan.String(),
		VerdictDeadline: c.VerdictDeadline.String(), MaxConversations: c.MaxConversations, Epochs: 1,
	}
	if t.Judges == nil {
		t.Judges = []Judge{}
	}
	if t.Endpoints == nil {
		t.Endpoints = []Endpoint{}
	}
	for i := range rows {
		if e := submodules.Find(rows[i].Submodule); e != nil && e.Control != "" {
			t.Controls = append(t.Controls, Control{rows[i].Submodule, e.Control})
		}
	}
	for _, v := range volumes {
		if v.Exchanges == 0 {
			continue
		}
		if first := v.FirstAt.UTC(); t.From == nil || first.Before(*t.From) {
			t.From = &first
		}
		if last := v.LastAt.UTC(); t.To == nil || last.After(*t.To) {
			t.To = &last
		}
	}
	return t
}

func (t *Terms) describe(d *document) {
	d.heading(2, "Settings")
	rows := [][]string{
		{"alpha_promote", strconv.FormatFloat(t.AlphaPromote, 'g', -1, 64), "chance of ever promoting a candidate that violates a gate"},
		{"alpha_reject", strconv.FormatFloat(t.AlphaReject, 'g', -1, 64), "chance of ever rejecting one that violates none"},
		{"conversation_window", t.ConversationWindow, "after its first exchange a conversation is analysed"},
		{"min_conversations", strconv.Itoa(t.MinConversations), "that a promotion or a hold needs"},
		{"min_span", t.MinSpan, "from the first conversation to the last that a promotion needs"},
		{"verdict_deadline", t.VerdictDeadline, "after which what has no verdict counts as missing"},
	}
	if t.MaxConversations > 0 {
		rows = append(rows, []string{"max_conversations", strconv.Itoa(t.MaxConversations), "after which open gates hold"})
	}
	observed := "no exchange yet"
	if t.From != nil && t.To != nil {
		observed = fmt.Sprintf("%s to %s", stamp(*t.From), stamp(*t.To))
	}
	rows = append(rows,
		[]string{"observed", observed, "first exchange to last"},
		[]string{"epochs", strconv.Itoa(t.Epochs), "all evidence answers one question, with the whole alpha"},
		[]string{"price table", orDash(t.PriceTable), "date of the built-in prices; a price in the configuration goes before"},
		[]string{"configuration", orDash(t.Config), "first digits of the hash of all settings"},
	)
	for _, j := range t.Judges {
		prompts := "prompts of this build"
		if j.Prompts != "" {
			prompts = "prompts " + j.Prompts
		}
		rows = append(rows, []string{"judge", j.Endpoint, fmt.Sprintf("%s, asked as %s, %s", j.Submodule, j.Model, prompts)})
	}
	for _, c := range t.Controls {
		rows = append(rows, []string{"control", c.Endpoint, c.Submodule + ", the baseline asked again"})
	}
	d.table(rows, word("setting"), word("value"), word("meaning"))
}
