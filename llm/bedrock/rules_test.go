package bedrock

import (
	"strings"
	"testing"

	"understudy/llm"
)

// TestPreflight breaks each rule by hand: the translator itself keeps them all. Each
// broken request is refused by the rule's name.
func TestPreflight(t *testing.T) {
	say := func(s string) block { return block{text: s} }
	use := func(id string) block {
		return block{use: &toolUse{id: id, name: "f", input: []byte("{}")}}
	}
	answer := func(id string) block {
		return block{result: &toolResult{id: id, content: []block{say("ok")}}}
	}
	user := func(blocks ...block) wireTurn { return wireTurn{false, blocks, "/messages/0"} }
	model := func(blocks ...block) wireTurn { return wireTurn{true, blocks, "/messages/1"} }
	picture := block{image: &wireMedia{format: "png"}}
	paper := func(name string) block {
		return block{document: &wireMedia{format: "txt", name: name, data: []byte("x")}}
	}
	cache := block{cache: true}
	tool := wireTool{name: "f", schema: emptySchema}
	hi := user(say("Hi"))
	turns := func(turns ...wireTurn) wireRequest { return wireRequest{turns: turns, tools: []wireTool{tool}} }
	with := func(change func(*wireRequest)) wireRequest {
		r := turns(hi)
		change(&r)
		return r
	}
	cases := []struct {
		name, model string
		out         wireRequest
		want        string // "" for a request that keeps the rules
	}{
		{"sound", claude, turns(hi, model(say("So"), use("a"), use("b")), user(answer("a"), answer("b"), say("and?"))), ""},
		{"sound, prefilled", claude, wireRequest{turns: []wireTurn{hi, model(say("{"))}}, ""},
		{"prefilled beside tools", claude, turns(hi, model(say("{"))), "end"},
		{"the assistant opens", claude, turns(model(say("Hi")), hi), "turns"},
		{"twice the user", claude, turns(hi, hi), "turns"},
		{"the assistant ends", opus, turns(hi, model(say("Hi"))), "end"},
		{"a call ends", claude, turns(hi, model(use("a"))), "end"},
		{"an empty turn", claude, turns(user()), "empty_turn"},
		{"a blank text", claude, turns(user(say(" \n"))), "blank"},
		{"a blank result", claude, turns(hi, model(use("a")), user(block{result: &toolResult{id: "a", content: []block{say("")}}})), "blank"},
		{"a blank system text", claude, with(func(r *wireRequest) { r.system = []string{" "} }), "blank"},
		{"a picture of the assistant", claude, turns(hi, model(picture), hi), "role"},
		{"a picture that is not taken", llama, turns(user(picture)), "role"},
		{"a call of the user", claude, turns(user(use("a"))), "role"},
		{"a bad id", claude, turns(hi, model(use("a b")), user(answer("a b"))), "tool_id"},
		{"an id too long", claude, turns(hi, model(use(strings.Repeat("x", 65))), user(answer(strings.Repeat("x", 65)))), "tool_id"},
		{"an id of another length", large, turns(hi, model(use("abc")), user(answer("abc"))), "tool_id"},
		{"an id twice", claude, turns(hi, model(use("a"), use("a")), user(answer("a"), answer("a"))), "tool_id"},
		{"arguments that are no object", claude, turns(hi, model(block{use: &toolUse{id: "a", name: "f", input: []byte("[]")}}), user(answer("a"))), "tool_input"},
		{"a missing result", claude, turns(hi, model(use("a"), use("b")), user(answer("a"))), "pairs"},
		{"an orphan result", claude, turns(user(answer("a"))), "pairs"},
		{"results in another order", claude, turns(hi, model(use("a"), use("b")), user(answer("b"), answer("a"))), "pairs"},
		{"text before the result", claude, turns(hi, model(use("a")), user(say("wait"), answer("a"))), "pairs"},
		{"a result without content", claude, turns(hi, model(use("a")), user(block{result: &toolResult{id: "a"}})), "pairs"},
		{"a status that is not taken", llama, turns(hi, model(use("a")), user(block{result: &toolResult{id: "a", content: []block{say("no")}, failed: true}})), "status"},
		{"text beside a result", llama, turns(hi, model(use("a")), user(answer("a"), say("and?"))), "together"},
		{"text beside a call", llama, turns(hi, model(say("So"), use("a")), user(answer("a"))), "together"},
		{"calls without tools", claude, with(func(r *wireRequest) {
			r.tools, r.turns = nil, []wireTurn{hi, model(use("a")), user(answer("a"))}
		}), "tool_config"},
		{"tools that are not taken", llama3, turns(hi), "tool"},
		{"a name twice", claude, with(func(r *wireRequest) { r.tools = []wireTool{tool, tool} }), "tool"},
		{"a bad name", claude, with(func(r *wireRequest) { r.tools = []wireTool{{name: "a.b", schema: emptySchema}} }), "tool"},
		{"a schema of another type", claude, with(func(r *wireRequest) { r.tools = []wireTool{{name: "f", schema: []byte(`{"type":"array"}`)}} }), "tool"},
		{"a choice that is not taken", llama, with(func(r *wireRequest) { r.choice.mode = "any" }), "tool_choice"},
		{"a choice of nothing", claude, with(func(r *wireRequest) { r.choice = wireChoice{"tool", "g"} }), "tool_choice"},
		{"system text that is not taken", mixtral, with(func(r *wireRequest) { r.system, r.tools = []string{"A"}, nil }), "system"},
		{"too many pictures", claude, turns(user(make21(picture)...)), "images"},
		{"too large a picture", claude, turns(user(block{image: &wireMedia{data: make([]byte, maxImageBytes+1)}})), "images"},
		{"a document alone", claude, turns(user(paper("a"))), "documents"},
		{"a document's name twice", claude, turns(user(say("x"), paper("a"), paper("a"))), "documents"},
		{"too many documents", claude, turns(user(say("x"), paper("a"), paper("b"), paper("c"), paper("d"), paper("e"), paper("f"))), "documents"},
		{"sound, with cache points", claude, turns(user(say("a"), cache, say("b"), cache)), ""},
		{"sound, a cache point behind results", claude, turns(hi, model(use("a")), user(answer("a"), cache, say("b"))), ""},
		{"a cache point first", claude, turns(user(cache, say("a"))), "cache_points"},
		{"a cache point in a result", claude, turns(hi, model(use("a")), user(block{result: &toolResult{id: "a", content: []block{say("ok"), cache}}})), "cache_points"},
		{"too many cache points", claude, turns(user(say("a"), cache, cache, cache, cache, cache)), "cache_points"},
		{"a limit of nothing", claude, with(func(r *wireRequest) { r.inference.maxTokens = ptr(0) }), "inference"},
		{"a share above 1", claude, with(func(r *wireRequest) { r.inference.topP = ptr(1.1) }), "inference"},
		{"a blank stop sequence", claude, with(func(r *wireRequest) { r.inference.stop = []string{" "} }), "inference"},
		{"too many stop sequences", claude, with(func(r *wireRequest) { r.inference.stop = strings.Split(strings.Repeat("a", maxStop+1), "") }), "inference"},
		{"a bad label", claude, with(func(r *wireRequest) { r.metadata = []wireField{{"ü", []byte(`"x"`)}} }), "metadata"},
		{"too many labels", claude, with(func(r *wireRequest) { r.metadata = make([]wireField, 17) }), "metadata"},
	}
	broken := map[string]bool{}
	for _, c := range cases {
		tr := translator{req: &llm.Request{}, family: family(t, "", c.model), out: c.out}
		tr.preflight()
		broken[c.want] = true
		var got []string
		for _, g := range tr.gaps {
			got = append(got, strings.TrimPrefix(g.Code(), "preflight_"))
			if g.Severity != llm.Blocking || g.Action != llm.Refused {
				t.Errorf("%s: %+v", c.name, g)
			}
		}
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) == 0 || !strings.Contains(" "+strings.Join(got, " ")+" ", " "+c.want+" ")) {
			t.Errorf("%s: refused for %v, want %q", c.name, got, c.want)
		}
	}
	for _, k := range gapKinds {
		if name, ok := strings.CutPrefix(k.code, "preflight_"); ok && !broken[name] {
			t.Errorf("no case breaks the rule %s", name)
		}
	}
}

func make21(b block) (blocks []block) {
	for range 21 {
		blocks = append(blocks, b)
	}
	return blocks
}

// TestMaps: what was renamed for the service is found again.
func TestMaps(t *testing.T) {
	file := func(name string) llm.Part {
		return llm.Part{Kind: llm.PartFile, File: &llm.File{Name: name, MediaType: "text/plain", Data: []byte("x")}}
	}
	tr, err := Translate(&llm.Request{Tools: []llm.Tool{{Name: "a.b"}}, Messages: []llm.Message{
		{Role: llm.RoleUser, Parts: []llm.Part{{Kind: llm.PartText, Text: "see"}, file("one.txt"), file("")}},
		calling(llm.ToolCall{ID: "c 1", Name: "a.b"}), answering("c 1", "ok"),
	}}, family(t, "", claude))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(tr.Body), `"toolUseId":"`)
	id, _, _ := strings.Cut(rest, `"`)
	for _, c := range []struct{ got, want string }{
		{tr.ToolName("a_b"), "a.b"}, {tr.ToolName("new"), "new"}, {tr.CallID(id), "c 1"}, {tr.CallID("tooluse_new"), "tooluse_new"},
		{tr.DocumentName("document 1"), "one.txt"}, {tr.DocumentName("document 2"), ""}, {tr.DocumentName("other"), ""},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// TestBounds: what a call may be billed for is never below what it can be.
func TestBounds(t *testing.T) {
	part := func(p llm.Part) llm.Request {
		return llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Parts: []llm.Part{{Kind: llm.PartText, Text: "see"}, p}}}}
	}
	file := func(mediaType string) llm.Part {
		return llm.Part{Kind: llm.PartFile, File: &llm.File{MediaType: mediaType, Data: []byte("%PDF-1")}}
	}
	for name, c := range map[string]struct {
		req      llm.Request
		in, out  int // in beyond the bytes of the body
		sent     string
		model    string
		comments []string
	}{
		"text":             {part(llm.Part{Kind: llm.PartText, Text: "x"}), 0, 9000, `"maxTokens":9000`, claude, []string{"max_tokens_set"}},
		"an image":         {part(llm.Part{Kind: llm.PartImage, Image: &llm.Image{Data: pngOf(1, 1)}}), 2000, 9000, `"maxTokens":9000`, claude, []string{"max_tokens_set"}},
		"a text document":  {part(file("text/plain")), 0, 9000, `"maxTokens":9000`, claude, []string{"max_tokens_set"}},
		"a PDF":            {part(file("application/pdf")), 1_000_000, 9000, `"maxTokens":9000`, claude, []string{"max_tokens_set"}},
		"a limit":          {llm.Request{MaxTokens: ptr(7), Messages: []llm.Message{hi}}, 0, 7, `"maxTokens":7`, claude, nil},
		"a limit below 1":  {llm.Request{MaxTokens: ptr(0), Messages: []llm.Message{hi}}, 0, 9000, `"maxTokens":9000`, claude, []string{"max_tokens", "max_tokens_set"}},
		"the model's own":  {llm.Request{Messages: []llm.Message{hi}}, 0, 4096, `"maxTokens":4096`, "anthropic.claude-3-haiku-20240307-v1:0", []string{"max_tokens_set"}},
		"clamped":          {llm.Request{MaxTokens: ptr(5000), Messages: []llm.Message{hi}}, 0, 4096, `"maxTokens":4096`, "anthropic.claude-3-haiku-20240307-v1:0", []string{"max_tokens_clamped"}},
		"tools":            {llm.Request{MaxTokens: ptr(7), Messages: []llm.Message{hi}, Tools: []llm.Tool{fTool}}, 1000, 7, `"maxTokens":7`, claude, nil},
		"a hidden tool":    {llm.Request{MaxTokens: ptr(7), Messages: []llm.Message{hi}, ResponseFormat: &llm.ResponseFormat{Type: "json_schema", Strict: ptr(true), Schema: []byte(`{"type":"object"}`)}}, 1000, 7, `"maxTokens":7`, claude, []string{"json_schema_tool"}},
		"seventeen labels": {llm.Request{MaxTokens: ptr(7), Messages: []llm.Message{hi}, Metadata: labels(17)}, 0, 7, `"p":"x"}`, claude, []string{"metadata"}},
	} {
		ep := llm.DefaultEndpoint()
		ep.Name, ep.Provider, ep.Model, ep.Region, ep.MaxOutputTokens = "cand", "bedrock", c.model, "us-east-1", 9000
		client, err := NewClient(ep, Credentials{APIKey: "key"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		call, err := client.Prepare(&c.req)
		if err != nil {
			t.Fatal(err)
		}
		var codes []string
		for _, g := range call.Gaps {
			codes = append(codes, g.Code())
		}
		if call.MaxInputTokens != len(call.Body)+c.in || call.MaxOutputTokens != c.out || !strings.Contains(string(call.Body), c.sent) || strings.Join(codes, " ") != strings.Join(c.comments, " ") {
			t.Errorf("%s: %d beyond the body and %d out, gaps %v\n%.300s", name, call.MaxInputTokens-len(call.Body), call.MaxOutputTokens, codes, call.Body)
		}
	}
}

// labels are n labels, named a, b, c …
func labels(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[string(rune('a'+i))] = "x"
	}
	return m
}
