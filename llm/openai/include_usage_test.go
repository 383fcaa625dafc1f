package openai

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestAskUsage(t *testing.T) {
	for name, tc := range map[string]struct{ body, want string }{ // want empty: nothing may change
		"added at the end":        {"{ \"stream\" : true,\"z\":1.50 ,\"m\":\"<é>}\" }\n", "{ \"stream\" : true,\"z\":1.50 ,\"m\":\"<é>}\" ,\"stream_options\":{\"include_usage\":true}}\n"},
		"only stream":             {`{"stream":true}`, `{"stream":true,"stream_options":{"include_usage":true}}`},
		"beside another option":   {`{"stream_options":{ "include_obfuscation":false},"stream":true}`, `{"stream_options":{"include_usage":true, "include_obfuscation":false},"stream":true}`},
		"into empty options":      {`{"stream_options":{ },"stream":true}`, `{"stream_options":{"include_usage":true },"stream":true}`},
		"in place of null":        {`{"stream_options": null ,"stream":true}`, `{"stream_options": {"include_usage":true} ,"stream":true}`},
		"an inner one is another": {`{"metadata":{"stream_options":"{\"include_usage\":true}"},"stream":true}`, `{"metadata":{"stream_options":"{\"include_usage\":true}"},"stream":true,"stream_options":{"include_usage":true}}`},
		"an escaped key":          {`{"stream":true,"stream_optio\u006es":{"x":1}}`, `{"stream":true,"stream_optio\u006es":{"include_usage":true,"x":1}}`},

		"asked":                   {`{"stream":true,"stream_options":{"include_usage":true}}`, ""},
		"asked, escaped":          {`{"stream":true,"stream_options":{"include_usag\u0065":true}}`, ""},
		"declined":                {`{"stream":true,"stream_options":{"x":1,"include_usage":false}}`, ""},
		"said null":               {`{"stream":true,"stream_options":{"include_usage":null}}`, ""},
		"options of another type": {`{"stream":true,"stream_options":"include_usage"}`, ""},
		"no stream":               {`{"model":"m"}`, ""},
		"stream off":              {`{"stream":false}`, ""},
		"stream null":             {`{"stream":null}`, ""},
		"stream is a text":        {`{"stream":"true"}`, ""},
		"stream is a number":      {`{"stream":1}`, ""},
		"an inner stream":         {`{"metadata":{"stream":true}}`, ""},
		"other case":              {`{"Stream":true,"x":"stream"}`, ""},
		"a key twice":             {`{"stream":true,"model":"a","model":"a"}`, ""},
		"stream twice":            {`{"stream":false,"stream":true}`, ""},
		"stream twice, escaped":   {`{"stream":true,"stre\u0061m":true}`, ""},
		"options twice":           {`{"stream":true,"stream_options":{},"stream_options":{}}`, ""},
		"an option twice":         {`{"stream":true,"stream_options":{"x":1,"x":1}}`, ""},
		"cut":                     {`{"stream":true`, ""},
		"two values":              {`{"stream":true}{"stream":true}`, ""},
		"an array":                {`[{"stream":true}]`, ""},
		"a string":                {`"{\"stream\":true}"`, ""},
		"not UTF-8":               {"{\"stream\":true,\"x\":\"\xff\"}", ""},
		"byte order mark":         {"\xef\xbb\xbf{\"stream\":true}", ""},
		"nothing":                 {``, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := AskUsage([]byte(tc.body))
			if string(got) != tc.want || ok != (tc.want != "") {
				t.Errorf("got  %q, %v\nwant %q", got, ok, tc.want)
			}
			if !ok {
				return
			}
			var asked struct {
				Options struct {
					Usage bool `json:"include_usage"`
				} `json:"stream_options"`
			}
			if err := json.Unmarshal(got, &asked); err != nil || !asked.Options.Usage {
				t.Errorf("%s does not ask: %v", got, err)
			}
		})
	}
}

func TestAddedUsage(t *testing.T) {
	for name, tc := range map[string]struct{ data, want string }{
		"the usage chunk":       {` {"id":"a","choices":[ ],"usage":{"prompt_tokens":1}}`, ""},
		"usage before choices":  {`{"usage":{},"choices":[]}`, ""},
		"null at the end":       {`{"choices":[{"usage":null}],"usage":null}`, `{"choices":[{"usage":null}]}`},
		"null in the middle":    {`{"id": 1, "usage": null , "choices": []}`, `{"id": 1 , "choices": []}`},
		"null at the beginning": {` { "usage" : null , "choices":[1]}`, ` { "choices":[1]}`},
		"an escaped key":        {`{"choices":[],"us\u0061ge":null}`, `{"choices":[]}`},
		"a choice in it":        {`{"choices":[{"index":0}],"usage":{"prompt_tokens":1}}`, "same"},
		"Azure's first":         {`{"choices":[],"prompt_filter_results":[{"usage":null}]}`, "same"},
		"no choices":            {`{"usage":null}`, "same"},
		"choices null":          {`{"choices":null,"usage":{}}`, "same"},
		"choices an object":     {`{"choices":{},"usage":null}`, "same"},
		"an error":              {`{"error":{"message":"usage"},"usage":null}`, "same"},
		"usage a number":        {`{"choices":[],"usage":0}`, "same"},
		"usage an array":        {`{"choices":[],"usage":[]}`, "same"},
		"usage twice":           {`{"choices":[],"usage":null,"usage":{}}`, "same"},
		"choices twice":         {`{"choices":[],"usage":{},"choices":[1]}`, "same"},
		"an array":              {`[{"choices":[],"usage":null}]`, "same"},
		"cut":                   {`{"choices":[],"usage":null`, "same"},
		"two values":            {`{"choices":[],"usage":null} 1`, "same"},
		"[DONE]":                {`[DONE]`, "same"},
		"nothing":               {``, "same"},
	} {
		t.Run(name, func(t *testing.T) {
			want := tc.want
			if want == "same" {
				want = tc.data
			}
			from, to := AddedUsage([]byte(tc.data))
			if got := tc.data[:from] + tc.data[to:]; got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// What is spliced in is found again by its own reader, and the rest is untouched.
func FuzzAskUsage(f *testing.F) {
	for _, s := range []string{`{"stream":true}`, `{"stream":true,"stream_options":{"x":[{}]}}`, ` {"stream":true,"a":"\\\"}","stream_options":null} `, `{"stream":true,"stream_options":{"include_usage":false}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		got, ok := AskUsage(body)
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed in place")
		}
		if !ok {
			return
		}
		if _, again := AskUsage(got); again || !json.Valid(got) {
			t.Fatalf("%q became %q", body, got)
		}
		var was, is map[string]any
		if json.Unmarshal(body, &was) != nil || json.Unmarshal(got, &is) != nil {
			t.Fatalf("%q became %q", body, got)
		}
		options, _ := is["stream_options"].(map[string]any)
		if options["include_usage"] != true {
			t.Fatalf("%q does not ask", got)
		}
		if delete(options, "include_usage"); len(options) == 0 {
			delete(is, "stream_options")
			if old, _ := was["stream_options"].(map[string]any); len(old) == 0 {
				delete(was, "stream_options")
			}
		}
		a, _ := json.Marshal(was)
		b, _ := json.Marshal(is)
		if !bytes.Equal(a, b) {
			t.Fatalf("%q became %q", body, got)
		}
	})
}

// A member that is cut out leaves the same object without it.
func FuzzAddedUsage(f *testing.F) {
	for _, s := range []string{`{"choices":[],"usage":{}}`, `{"usage":null,"choices":[1]}`, `{"a":"\\","usage" : null , "choices":[ ]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		from, to := AddedUsage(data)
		if from == to {
			return
		}
		var was, is map[string]json.RawMessage
		if err := json.Unmarshal(data, &was); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		if to-from == len(data) {
			if strings.Trim(string(was["choices"]), " \t\r\n[]") != "" || was["usage"][0] != '{' {
				t.Fatalf("%q was taken whole", data)
			}
			return
		}
		kept := append(bytes.Clone(data[:from]), data[to:]...)
		if json.Unmarshal(kept, &is) != nil {
			t.Fatalf("%q became %q", data, kept)
		}
		if string(was["usage"]) != "null" || len(is) != len(was)-1 {
			t.Fatalf("%q became %q", data, kept)
		}
	})
}
