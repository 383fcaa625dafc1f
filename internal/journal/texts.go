package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"understudy/llm"
)

// A texted record is a JSON record with texts: they are taken out and lie sealed in one
// field of it.
type texted interface {
	seals() (owners Owners, kind, id string, s *Texts)
	// take takes the texts out as JSON, nil where there are none; put puts them back.
	take() (any, bool)
	put(data []byte) error
	// unname takes the names of the owners out.
	unname()
}

// Texts are the sealed texts of a JSON record.
type Texts struct {
	// Sealed are the sequences of the secrets, SealedTexts what they seal.
	Sealed      []uint64 `json:"sealed,omitempty"`
	SealedTexts []byte   `json:"sealed_texts,omitempty"`
	// Forgotten tells that the texts are gone for good.
	Forgotten bool `json:"forgotten,omitempty"`
}

// sealTexts seals the texts of a record, which must be a copy. forgotten tells that they
// were left out.
func (j *Journal) sealTexts(ctx context.Context, r texted) (forgotten bool, err error) {
	o, kind, id, t := r.seals()
	texts, some := r.take()
	s, seqs, err := j.keys.sealerFor(ctx, o, kind, id)
	if errors.Is(err, ErrForgotten) {
		*t = Texts{Forgotten: true}
		return true, nil
	}
	if err != nil || !some {
		return false, err
	}
	data, err := json.Marshal(texts)
	if err != nil {
		return false, fmt.Errorf("encode texts of %s %s: %w", kind, id, err)
	}
	t.Sealed, t.SealedTexts = seqs, s.seal("texts", data)
	return false, nil
}

// unsealTexts puts the texts back. Where a secret was deleted the record is Forgotten,
// which is no error: its numbers are good.
func (j *Journal) unsealTexts(ctx context.Context, r texted) error {
	_, kind, id, t := r.seals()
	if t.Forgotten || len(t.Sealed) == 0 {
		return nil
	}
	s, err := j.keys.openerFor(ctx, t.Sealed, kind, id)
	if errors.Is(err, ErrForgotten) {
		*t = Texts{Forgotten: true}
		return nil
	}
	if err != nil {
		return err
	}
	data, err := s.open("texts", t.SealedTexts)
	if err == nil {
		err = r.put(data)
	}
	if err != nil {
		return fmt.Errorf("open %s %s: %w", kind, id, err)
	}
	*t = Texts{}
	return nil
}

// UnsealTrial opens the texts of a trial as a message holds it. Where a secret was deleted
// it is Forgotten, which is no error.
func (j *Journal) UnsealTrial(ctx context.Context, t *Trial) error { return j.unsealTexts(ctx, t) }

type trialTexts struct {
	Text      string         `json:"text,omitempty"`
	Refusal   string         `json:"refusal,omitempty"`
	ToolCalls []llm.ToolCall `json:"tool_calls,omitempty"`
}

func (t *Trial) seals() (Owners, string, string, *Texts) {
	return Owners{t.Unit, t.Conversation, t.Submodule, t.At}, "trial", t.ID, &t.Texts
}

func (t *Trial) take() (any, bool) {
	texts := trialTexts{t.Text, t.Refusal, t.ToolCalls}
	t.Text, t.Refusal, t.ToolCalls = "", "", nil
	return texts, texts.Text != "" || texts.Refusal != "" || len(texts.ToolCalls) > 0
}

func (t *Trial) put(data []byte) error {
	var texts trialTexts
	err := json.Unmarshal(data, &texts)
	t.Text, t.Refusal, t.ToolCalls = texts.Text, texts.Refusal, texts.ToolCalls
	return err
}

// unname takes the names out of a record whose owner was forgotten.
func (t *Trial) unname() { t.Unit, t.Conversation, t.ConversationSource = "", "", "none" }

func (v *Verdict) seals() (Owners, string, string, *Texts) {
	return Owners{v.Unit, v.Conversation, v.Submodule, v.At}, "verdict", v.TrialID, &v.Texts
}

func (v *Verdict) take() (any, bool) {
	diff := v.Diff
	v.Diff = nil
	return diff, len(diff) > 0
}

func (v *Verdict) put(data []byte) error { return json.Unmarshal(data, &v.Diff) }

func (v *Verdict) unname() { v.Unit, v.Conversation, v.ConversationSource = "", "", "none" }

// judgementTexts are a judge's reasons, by metric.
type judgementTexts struct {
	Live       map[string]string `json:"live,omitempty"`
	Trial      map[string]string `json:"trial,omitempty"`
	LiveFirst  string            `json:"live_first,omitempty"`
	TrialFirst string            `json:"trial_first,omitempty"`
}

func (v *Judgement) seals() (Owners, string, string, *Texts) {
	return Owners{v.Unit, v.Conversation, v.Submodule, v.At}, "judgement", v.TrialID, &v.Texts
}

func (v *Judgement) take() (any, bool) {
	texts := judgementTexts{}
	v.Live, texts.Live = withoutReasons(v.Live)
	v.Trial, texts.Trial = withoutReasons(v.Trial)
	if v.Pairwise != nil {
		p := *v.Pairwise
		texts.LiveFirst, p.LiveFirst.Reason = p.LiveFirst.Reason, ""
		texts.TrialFirst, p.TrialFirst.Reason = p.TrialFirst.Reason, ""
		v.Pairwise = &p
	}
	return texts, len(texts.Live) > 0 || len(texts.Trial) > 0 || texts.LiveFirst != "" || texts.TrialFirst != ""
}

func withoutReasons(ratings map[string]Rating) (bare map[string]Rating, reasons map[string]string) {
	bare = maps.Clone(ratings)
	for name, r := range ratings {
		if r.Reason == "" {
			continue
		}
		if reasons == nil {
			reasons = map[string]string{}
		}
		reasons[name], r.Reason = r.Reason, ""
		bare[name] = r
	}
	return bare, reasons
}

func (v *Judgement) put(data []byte) error {
	var texts judgementTexts
	if err := json.Unmarshal(data, &texts); err != nil {
		return err
	}
	withReasons(v.Live, texts.Live)
	withReasons(v.Trial, texts.Trial)
	if v.Pairwise != nil {
		v.Pairwise.LiveFirst.Reason, v.Pairwise.TrialFirst.Reason = texts.LiveFirst, texts.TrialFirst
	}
	return nil
}

func withReasons(ratings map[string]Rating, reasons map[string]string) {
	for name, reason := range reasons {
		if r, ok := ratings[name]; ok {
			r.Reason = reason
			ratings[name] = r
		}
	}
}

func (v *Judgement) unname() { v.Unit, v.Conversation = "", "" }
