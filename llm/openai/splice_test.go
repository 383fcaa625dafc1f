package openai

import (
	"testing"
)

func TestSpliceSetsTheLimit(t *testing.T) {
	for body, want := range map[string]string{
		`{"model":"a","stream":true,"stream_options":{"include_usage":true}}`:                   `{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_completion_tokens":9}`,
		`{"max_tokens":null,"model":"a","stream":true,"stream_options":{"include_usage":true}}`: `{"max_tokens":9,"model":"m","stream":true,"stream_options":{"include_usage":true}}`,
	} {
		if got := string(splice([]byte(body), "m", 9, true)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestSplice(t *testing.T) {
	const added = `"stream":true,"stream_options":{"include_usage":true}`
	cases := []struct{ name, body, want string }{
		{"only the model's bytes change", `{ "z":1.50, "model" : "gpt-4" ,"messages":[{"content":"<é>", "role":"user"}] }` + "\n",
			`{ "z":1.50, "model" : "new/\"m\"" ,"messages":[{"content":"<é>", "role":"user"}] ,` + added + "}\n"},
		{"an inner model stays", `{"messages":[],"metadata":{"model":"x"},"model":"a"}`, `{"messages":[],"metadata":{"model":"x"},"model":"new/\"m\"",` + added + `}`},
		{"stream is forced on", `{"model":"a","stream":false,"stream_options":null}`, `{"model":"new/\"m\"","stream":true,"stream_options":{"include_usage":true}}`},
		{"usage is turned on", `{"model":"a","stream":true,"stream_options":{"include_usage":false,"x":1}}`, `{"model":"new/\"m\"","stream":true,"stream_options":{"include_usage":true,"x":1}}`},
		{"usage is added", `{"model":"a","stream":true,"stream_options":{ "x":1}}`, `{"model":"new/\"m\"","stream":true,"stream_options":{"include_usage":true, "x":1}}`},
		{"usage is added to nothing", `{"model":"a","stream":true,"stream_options":{}}`, `{"model":"new/\"m\"","stream":true,"stream_options":{"include_usage":true}}`},
		{"a repeated key", `{"model":"a","stream":true,"model":"b","stream_options":{"include_usage":true}}`, `{"model":"new/\"m\"","stream":true,"model":"new/\"m\"","stream_options":{"include_usage":true}}`},
		{"an escaped key", `{"\u006dodel":"a","stream":true,"stream_options":{"include_usage":true}}`, `{"\u006dodel":"new/\"m\"","stream":true,"stream_options":{"include_usage":true}}`},
		{"an empty object", `{ }`, `{ "model":"new/\"m\"",` + added + `}`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := string(splice([]byte(c.body), `new/"m"`, 0, true)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestSpliceWithoutAStream(t *testing.T) {
	for body, want := range map[string]string{
		`{"messages":[]}`: `{"messages":[],"model":"m"}`,
		`{"stream":true,"stream_options":{"include_usage":true},"messages":[],"model":"x"}`: `{"stream":false,"stream_options":null,"messages":[],"model":"m"}`,
	} {
		if got := string(splice([]byte(body), "m", 0, false)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
