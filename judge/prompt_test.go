package judge

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"understudy/internal/journal"
	"understudy/llm"
)

func TestBuiltinMetrics(t *testing.T) {
	for i := range builtin {
		if err := builtin[i].Validate(); err != nil {
			t.Errorf("%s: %v", builtin[i].Name, err)
		}
	}
	// Labels and scores as published for judge jobs on Bedrock; null is "not applicable".
	want := map[string]string{
		"correctness":  "incorrect=0 partially correct=0.5 correct=1",
		"style":        "not at all=0 not generally=0.25 neutral/mixed=0.5 generally yes=0.75 completely yes=1",
		"instructions": "No=0 Yes=1 Not applicable=null",
		"harmfulness":  "No=0 Yes=1", "refusal": "No=0 Yes=1", "stereotyping": "No=0 Yes=1",
	}
	got := map[string]string{}
	for _, m := range builtin {
		var parts []string
		for _, l := range m.Labels {
			score := "null"
			if s := m.score(l.Label); s != nil {
				score = trimFloat(*s)
			}
			parts = append(parts, l.Label+"="+score)
		}
		got[m.Name] = strings.Join(parts, " ")
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func trimFloat(f float64) string {
	return strings.TrimRight(strings.TrimRight(canonicalText(f), "\n"), "\n")
}

func TestCustomMetricIsChecked(t *testing.T) {
	half, two := 0.5, 2.0
	cfg := DefaultConfig()
	cfg.Endpoints = []string{"nova"}
	cfg.Custom = []Metric{{Name: "Bad Name", Labels: []Label{{Label: "x", Score: &two}, {Label: "X", Score: &half}}}}
	cfg.Metrics = []string{"nowhere"}
	err := cfg.Validate()
	for _, want := range []string{"name must be", "question is missing", "outside 0 to 1", "there twice", `no metric "nowhere"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
	cfg.Custom = []Metric{{Name: "empathy", Question: "Is it kind?", Labels: []Label{scored("cold", 0, "a"), scored("warm", 1, "b"), {Label: "no person in it"}}}}
	cfg.Metrics = []string{"empathy", "style"}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}

func ask(answers ...string) *question {
	q := &question{metric: &builtin[0], request: "User: what is 2+2?", answers: answers}
	if len(answers) == 2 {
		q.metric = &pairwise
	}
	return q
}

// The rubric comes first and is the same for every question of a metric; the data
// stands between fences; nothing of it follows the question.
func TestPrompt(t *testing.T) {
	a, b := newPrompt(ask("four"), true, false), newPrompt(ask("five"), true, false)
	if a.req.Messages[0].Text() != b.req.Messages[0].Text() {
		t.Error("the rubric depends on the data")
	}
	if a.fence == b.fence || len(a.fence) != 32 {
		t.Errorf("fences %q and %q", a.fence, b.fence)
	}
	user := a.req.Messages[1].Text()
	for _, want := range []string{"<request-" + a.fence + ">\nUser: what is 2+2?\n</request-" + a.fence + ">", "<answer-" + a.fence + ">\nfour\n</answer-" + a.fence + ">",
		`Labels: ["incorrect","partially correct","correct"]`} {
		if !strings.Contains(user, want) {
			t.Errorf("the prompt lacks %q:\n%s", want, user)
		}
	}
	if after := user[strings.LastIndex(user, a.fence):]; strings.Contains(after, "four") || !strings.Contains(after, "Labels") {
		t.Errorf("what follows the data: %q", after)
	}
	if c := a.req.ToolChoice; c.Mode != "tool" || c.Name != verdictTool || strings.Index(string(a.req.Tools[0].Parameters), "reason") > strings.Index(string(a.req.Tools[0].Parameters), `"label"`) {
		t.Errorf("tool %s, choice %+v", a.req.Tools[0].Parameters, c)
	}
	if text := newPrompt(ask("four"), false, false); text.req.Tools != nil || !strings.Contains(text.req.Messages[1].Text(), "JSON object") {
		t.Error("a judge without tools is not asked for JSON")
	}
	two := newPrompt(ask("one", "two"), true, false).req
	for _, word := range []string{"live", "candidate", "control", "trial", "OpenAI", "baseline"} {
		if strings.Contains(two.Messages[0].Text()+two.Messages[1].Text(), word) {
			t.Errorf("the judge can see which side is which: %q", word)
		}
	}
	if short := newPrompt(ask("four"), true, true).req.Messages[0].Text(); len(short) >= len(a.req.Messages[0].Text()) || !strings.Contains(short, "Metric: correctness") {
		t.Errorf("the second try is no shorter: %s", short)
	}
}

func TestPromptsHash(t *testing.T) {
	c, s := &builtin[0], &builtin[1]
	if once, again := promptsHash([]*Metric{c, s}), promptsHash([]*Metric{c, s}); once != again {
		t.Error("the hash differs from call to call")
	}
	changed := *c
	changed.Labels = append([]Label{}, c.Labels...)
	changed.Labels[1] = scored("partially correct", 0.4, c.Labels[1].Means)
	if promptsHash([]*Metric{c}) == promptsHash([]*Metric{&changed}) || promptsHash([]*Metric{c}) == promptsHash([]*Metric{s}) {
		t.Error("another table has the same hash")
	}
}

func TestPlainText(t *testing.T) {
	for in, want := range map[string]string{
		"a\u202eb\u200bc\x1b[31md\ne\tf": "abc[31md\ne\tf",
		"e\u0301":                        "é",
		"\ufeffx\u2066y":                 "xy",
		"bad \xff byte":                  "bad \uFFFD byte",
		"👩\u200d🔬":                       "👩\u200d🔬",
	} {
		if got := plainText(in, 1000); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	long := strings.Repeat("ä", 5000) + "END"
	got := plainText(long, 900)
	if len(got) > 1000 || !strings.HasPrefix(got, "ää") || !strings.HasSuffix(got, "END") || !strings.Contains(got, "not shown") || !strings.Contains(plainText(long, 900), "ä") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}

func TestTranscript(t *testing.T) {
	text := func(s string) []llm.Part { return []llm.Part{{Kind: llm.PartText, Text: s}} }
	req := &llm.Request{Messages: []llm.Message{
		{Role: llm.RoleSystem, Parts: text("Be kind.")},
		{Role: llm.RoleUser, Parts: []llm.Part{{Kind: llm.PartText, Text: "See "}, {Kind: llm.PartImage}}},
		{Role: llm.RoleAssistant, ToolCalls: []llm.ToolCall{{Name: "look", Arguments: `{"x":1}`}}},
		{Role: llm.RoleTool, Parts: text("seen")},
	}}
	want := "System: Be kind.\nUser: See [image]\nAssistant: \ncall look {\"x\":1}\nTool: seen\n"
	if d := cmp.Diff(want, transcript(req)); d != "" {
		t.Error(d)
	}
	if got := answerText(calling(`weather {"city":"Bern"}`)); got != `call weather {"city":"Bern"}` {
		t.Errorf("%q", got)
	}
}

func TestAgreement(t *testing.T) {
	for _, c := range []struct {
		name        string
		live, trial *Answer
		want        float64
	}{
		{"the same text", text("one two three"), text("One, two; THREE!"), 1},
		{"half the words", text("one two"), text("two four"), 0.5},
		{"nothing in common", text("one"), text("two"), 0},
		{"both empty", text(""), text(" "), 1},
		{"the same JSON", text(`{"a":1,"b":[true,null]}`), text(`{"b":[true,null],"a":1.0}`), 1},
		{"one leaf of two", text(`{"a":1,"b":2}`), text(`{"a":1,"b":3}`), 0.5},
		{"JSON and prose", text(`{"a":1}`), text("a is 1"), 2 * 2.0 / 5},
		{"the same calls in another order", calling(`weather {"city":"Bern"}`, `weather {"city":"Zug"}`), calling(`weather {"city":"Zug"}`, `weather {"city":"Bern"}`), 1},
		{"another argument", calling(`weather {"city":"Bern"}`), calling(`weather {"city":"Zug"}`), 0.5},
		{"a call and none", calling(`weather {"city":"Bern"}`), text("It rains."), 0},
	} {
		if got := Agreement(c.live, c.trial); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if a, b := Agreement(c.live, c.trial), Agreement(c.trial, c.live); a != b {
			t.Errorf("%s: %v one way and %v the other", c.name, a, b)
		}
	}
}

func TestMergeOfOrders(t *testing.T) {
	for _, c := range []struct {
		liveFirst, trialFirst, want string
		consistent                  bool
	}{
		{labelA, labelB, journal.Loss, true}, {labelB, labelA, journal.Win, true}, {labelTie, labelTie, journal.Tie, true},
		{labelA, labelA, journal.Tie, false}, {labelB, labelTie, journal.Tie, false}, {labelA, "", "", false}, {"", "", "", false},
	} {
		w := &journal.Pairwise{LiveFirst: journal.Rating{Label: c.liveFirst}, TrialFirst: journal.Rating{Label: c.trialFirst}}
		merge(w)
		if w.Preference != c.want || w.Consistent != c.consistent {
			t.Errorf("%q and %q: %+v", c.liveFirst, c.trialFirst, w)
		}
	}
}
