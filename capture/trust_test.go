package capture

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// belongs is where an exchange was filed.
type belongs struct{ Submodule, Conversation, Source, Unit string }

func TestWhereAnExchangeBelongs(t *testing.T) {
	rules := []Rule{
		{Submodule: "by/path", Path: "/special/"},
		{Submodule: "by/deployment", Path: "/openai/deployments/eval-*"},
		{Submodule: "by/model-and-system", Model: "gpt-4*", System: `(?i)interviewer`},
		{Submodule: "by/pointer", Pointer: "/metadata/feature", Equals: "follow-up"},
		{Submodule: "by/presence", Pointer: "/messages/0/name"},
		{Submodule: "by/number", Pointer: "/seed", Equals: "7"},
	}
	all := []string{"X-Understudy-Submodule", "a/b", "X-Understudy-Conversation", "c1", "X-Understudy-Unit", "u1"}
	body := func(fields string) string {
		return `{"model":"gpt-4-turbo",` + fields + `"messages":[{"role":"user","content":"x"}]}`
	}
	for name, tc := range map[string]struct {
		path   string
		body   string
		header []string
		trust  []string
		want   belongs
	}{
		"header":                 {header: all, want: belongs{"a/b", "c1", "header", "u1"}},
		"header of a stranger":   {header: all, trust: []string{"10.0.0.0/8"}, want: belongs{"unclassified", "own", "history", ""}},
		"header from a network":  {header: all, trust: []string{"127.0.0.0/8"}, want: belongs{"a/b", "c1", "header", "u1"}},
		"unknown sub-module":     {header: []string{"X-Understudy-Submodule", "unheard"}, want: belongs{"unclassified", "own", "history", ""}},
		"impossible sub-module":  {header: []string{"X-Understudy-Submodule", "A B>"}, want: belongs{"unclassified", "own", "history", ""}},
		"impossible keys":        {header: []string{"X-Understudy-Conversation", "a b", "X-Understudy-Unit", strings.Repeat("u", 201)}, want: belongs{"unclassified", "own", "history", ""}},
		"nothing":                {want: belongs{"unclassified", "own", "history", ""}},
		"metadata":               {body: body(`"metadata":{"conversation":"c2","unit":"u2"},"user":"u3",`), want: belongs{"unclassified", "c2", "metadata", "u2"}},
		"metadata, second names": {body: body(`"metadata":{"conversation_id":"c2","unit_id":12},`), want: belongs{"unclassified", "c2", "metadata", "12"}},
		"user":                   {body: body(`"user":"u3",`), want: belongs{"unclassified", "own", "history", "u3"}},
		"header before metadata": {header: all, body: body(`"metadata":{"conversation":"c2","unit":"u2"},`), want: belongs{"a/b", "c1", "header", "u1"}},
		"odd metadata":           {body: body(`"metadata":{"conversation":["c"],"unit":null},"user":"ü",`), want: belongs{"unclassified", "own", "history", ""}},
		"rule on the path":       {path: "/special/v1/chat/completions", want: belongs{"by/path", "own", "history", ""}},
		"rule on a pattern":      {path: "/openai/deployments/eval-7/chat/completions", want: belongs{"by/deployment", "own", "history", ""}},
		"rule on two fields":     {body: `{"model":"gpt-4-turbo","messages":[{"role":"system","content":"You are an Interviewer."},{"role":"user","content":"x"}]}`, want: belongs{"by/model-and-system", "own", "history", ""}},
		"only one of two fields": {body: `{"model":"o3","messages":[{"role":"system","content":"You are an Interviewer."}]}`, want: belongs{"unclassified", "own", "history", ""}},
		"rule on a pointer":      {body: body(`"metadata":{"feature":"follow-up"},`), want: belongs{"by/pointer", "own", "history", ""}},
		"pointer, other value":   {body: body(`"metadata":{"feature":"other"},`), want: belongs{"unclassified", "own", "history", ""}},
		"pointer, any value":     {body: `{"model":"m","messages":[{"role":"user","name":"n","content":"x"}]}`, want: belongs{"by/presence", "own", "history", ""}},
		"pointer to a number":    {body: body(`"seed":7,`), want: belongs{"by/number", "own", "history", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			up := provider(t, func(w http.ResponseWriter, r *http.Request) {
				for k := range r.Header {
					if strings.HasPrefix(k, "X-Understudy") {
						t.Errorf("%s went upstream", k)
					}
				}
				answering(w, r)
			})
			r := start(t, up, rigConfig{
				cfg: func(c *Config) {
					c.Rules = rules
					if tc.trust != nil {
						c.TrustedClients = tc.trust
					}
				},
				known: func(name string) bool { return name == "a/b" },
			})
			if tc.path == "" {
				tc.path = chatPath
			}
			if tc.body == "" {
				tc.body = question
			}
			ask(t, r.url+tc.path, tc.body, tc.header...)
			e := r.one()
			if e.Conversation == e.ID {
				e.Conversation = "own"
			}
			if d := cmp.Diff(tc.want, belongs{e.Submodule, e.Conversation, e.ConversationSource, e.Unit}); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestDeploymentIsTheModel(t *testing.T) {
	r := start(t, provider(t, answering), rigConfig{})
	ask(t, r.url+"/openai/deployments/gpt4-prod/chat/completions?api-version=2024-02-01", `{"messages":[{"role":"user","content":"x"}]}`)
	if e := r.one(); e.Model != "gpt4-prod" || e.Path != "/openai/deployments/gpt4-prod/chat/completions" {
		t.Errorf("model %q, path %q", e.Model, e.Path)
	}
}

// Promise 8, as far as this part reaches: a credential is in no record.
func TestCredentialsAreNotRecorded(t *testing.T) {
	const secret = "sk-proj-0123456789"
	up := provider(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Request-Id", "of "+secret)
		w.Header().Set("Set-Cookie", "session="+secret)
		w.WriteHeader(401)
		_, _ = io.WriteString(w, `{"error":{"message":"Incorrect API key provided: `+secret+`","type":"invalid_request_error","code":"invalid_api_key"}}`)
	})
	for name, header := range map[string][]string{
		"OpenAI": {"Authorization", "Bearer " + secret},
		"Azure":  {"api-key", secret},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, up, rigConfig{})
			header = append(header, "User-Agent", strings.Repeat("x", 250)+secret, "X-Understudy-Unit", secret)
			_, got := ask(t, r.url+chatPath, strings.Replace(question, "How", "My key is "+secret+". How", 1), header...)
			if !strings.Contains(got, secret) {
				t.Error("the client's answer was changed")
			}
			e := r.one()
			var all strings.Builder
			all.WriteString(cmp.Diff(nil, e) + string(e.Request) + string(e.Response))
			if strings.Contains(all.String(), "sk-proj") {
				t.Errorf("the credential stands in the record: %s", all.String())
			}
			if !strings.Contains(string(e.Response), "provided: [credential]") || !strings.Contains(string(e.Request), "is [credential]. How") {
				t.Errorf("%s %s", e.Request, e.Response)
			}
			if e.RequestLength == len(e.Request) || e.Headers["x-request-id"] != "of [credential]" {
				t.Errorf("length of the original %d, recorded %d; headers %v", e.RequestLength, len(e.Request), e.Headers)
			}
		})
	}
}
