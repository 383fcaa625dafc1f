package sim_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/png"
	"net/url"
	"strings"
	"testing"

	"understudy/llm/sim"
)

func contains(b []byte, s string) bool { return bytes.Contains(b, []byte(s)) }

const weatherConfig = `"toolConfig":{"tools":[{"toolSpec":{"name":"weather","inputSchema":{"json":{"type":"object","properties":{"city":{"type":"string"}}}}}}]}`

// converseBody asks one question; more are further members.
func converseBody(question, more string) string {
	if more != "" {
		more = "," + more
	}
	return `{"messages":[{"role":"user","content":[{"text":` + quoted(question) + `}]}]` + more + `}`
}

func turnsBody(turns string, more ...string) string {
	return `{"messages":[` + turns + `]` + strings.Join(append([]string{""}, more...), ",") + `}`
}

func picture(w, h int) string {
	var b bytes.Buffer
	_ = png.Encode(&b, image.NewGray(image.Rect(0, 0, w, h)))
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

const (
	hi     = `{"role":"user","content":[{"text":"Hi"}]}`
	hello  = `{"role":"assistant","content":[{"text":"Hello"}]}`
	use    = `{"role":"assistant","content":[{"toolUse":{"toolUseId":"t1","name":"weather","input":{"city":"Oslo"}}}]}`
	useTwo = `{"role":"assistant","content":[{"toolUse":{"toolUseId":"t1","name":"weather","input":{}}},{"toolUse":{"toolUseId":"t2","name":"weather","input":{}}}]}`
	result = `{"toolResult":{"toolUseId":"t1","content":[{"text":"rain"}]}}`
	second = `{"toolResult":{"toolUseId":"t2","content":[{"text":"sun"}]}}`
)

func user(blocks ...string) string {
	return `{"role":"user","content":[` + strings.Join(blocks, ",") + `]}`
}

func toolConfig(spec string) string { return `"toolConfig":{"tools":[{"toolSpec":` + spec + `}]}` }

// TestConverseRefuses: each body is refused with a ValidationException whose
// message holds the words.
func TestConverseRefuses(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.Bedrock})
	const mixtral, oldLlama, newLlama, nova = "mistral.mixtral-8x7b-instruct-v0:1", "meta.llama3-70b-instruct-v1:0", "us.meta.llama3-3-70b-instruct-v1:0", "amazon.nova-lite-v1:0"
	const large, sonnet45 = "mistral.mistral-large-2402-v1:0", "anthropic.claude-sonnet-4-5-20250929-v1:0"
	img := func(format, data string) string {
		return `{"image":{"format":"` + format + `","source":{"bytes":"` + data + `"}}}`
	}
	tests := map[string]struct {
		model, operation, body, want string
	}{
		"not JSON":                 {body: `{"messages":`, want: "not a JSON object"},
		"an array":                 {body: `[]`, want: "not a JSON object"},
		"unknown member":           {body: converseBody("Hi", `"temperature":1`), want: "extraneous key [temperature]"},
		"unknown member deep":      {body: turnsBody(`{"role":"user","name":"x","content":[{"text":"Hi"}]}`), want: "extraneous key [name]"},
		"model in the body":        {body: converseBody("Hi", `"modelId":"x"`), want: "extraneous key [modelId]"},
		"wrong type":               {body: converseBody("Hi", `"inferenceConfig":{"maxTokens":"5"}`), want: "integer"},
		"no messages":              {body: `{}`, want: "start with a user message"},
		"assistant first":          {body: turnsBody(hello + "," + hi), want: "start with a user message"},
		"assistant last":           {model: newLlama, body: turnsBody(hi + "," + hello), want: "end with a user message"},
		"a choice twice":           {body: converseBody("Hi", weatherConfig[:len(weatherConfig)-1]+`,"toolChoice":{"any":{}}},"additionalModelRequestFields":{"tool_choice":{"type":"any","disable_parallel_tool_use":true}}`), want: "conflicts"},
		"a choice without a type":  {body: converseBody("Hi", weatherConfig+`,"additionalModelRequestFields":{"tool_choice":{"disable_parallel_tool_use":true}}`), want: "type: Field required"},
		"a choice without tools":   {body: converseBody("Hi", `"additionalModelRequestFields":{"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}`), want: "while providing tools"},
		"prefill on Claude 4.6":    {model: "anthropic.claude-opus-4-6-v1", body: turnsBody(hi + "," + hello), want: "does not support assistant message prefill"},
		"prefill, white space":     {body: turnsBody(hi + `,{"role":"assistant","content":[{"text":"A "}]}`), want: "trailing whitespace"},
		"prefill with tools":       {body: turnsBody(hi+","+hello, weatherConfig), want: "When using tools"},
		"user twice":               {body: turnsBody(hi + "," + hi), want: "alternate"},
		"assistant twice":          {body: turnsBody(hi + "," + hello + "," + hello + "," + hi), want: "alternate"},
		"system turn":              {body: turnsBody(`{"role":"system","content":[{"text":"Hi"}]}`), want: "enum value set"},
		"unknown role":             {body: turnsBody(`{"role":"tool","content":[{"text":"Hi"}]}`), want: "enum value set"},
		"no content":               {body: turnsBody(`{"role":"user","content":[]}`), want: "is empty"},
		"content missing":          {body: turnsBody(`{"role":"user"}`), want: "must not be null"},
		"content is a string":      {body: turnsBody(`{"role":"user","content":"Hi"}`), want: "type list"},
		"blank text":               {body: converseBody(" \n\t", ""), want: "is blank"},
		"empty text":               {body: converseBody("", ""), want: "is blank"},
		"two in a union":           {body: turnsBody(user(`{"text":"a","cachePoint":{"type":"default"}}`)), want: "exactly one"},
		"none in a union":          {body: turnsBody(user(`{}`)), want: "exactly one"},
		"blank system":             {body: converseBody("Hi", `"system":[{"text":"  "}]`), want: "is blank"},
		"empty system":             {body: converseBody("Hi", `"system":[{"text":""}]`), want: "length"},
		"max tokens zero":          {body: converseBody("Hi", `"inferenceConfig":{"maxTokens":0}`), want: "greater than or equal to 1"},
		"temperature above 1":      {body: converseBody("Hi", `"inferenceConfig":{"temperature":1.2}`), want: "less than or equal to 1"},
		"temperature below 0":      {body: converseBody("Hi", `"inferenceConfig":{"temperature":-0.1}`), want: "greater than or equal to 0"},
		"topP above 1":             {body: converseBody("Hi", `"inferenceConfig":{"topP":1.01}`), want: "less than or equal to 1"},
		"blank stop":               {body: converseBody("Hi", `"inferenceConfig":{"stopSequences":[" "]}`), want: "non-whitespace"},
		"empty stop":               {body: converseBody("Hi", `"inferenceConfig":{"stopSequences":[""]}`), want: "length"},
		"stop as a string":         {body: converseBody("Hi", `"inferenceConfig":{"stopSequences":"x"}`), want: "type list"},
		"stops above limit":        {model: nova, body: converseBody("Hi", `"inferenceConfig":{"stopSequences":["a","b","c","d","e"]}`), want: "limit of 4"},
		"empty tools":              {body: converseBody("Hi", `"toolConfig":{"tools":[]}`), want: "length"},
		"tool name with a dot":     {body: converseBody("Hi", toolConfig(`{"name":"a.b","inputSchema":{"json":{"type":"object"}}}`)), want: "regular expression"},
		"tool name of 65":          {body: converseBody("Hi", toolConfig(`{"name":"`+strings.Repeat("a", 65)+`","inputSchema":{"json":{"type":"object"}}}`)), want: "length"},
		"tool twice":               {body: converseBody("Hi", `"toolConfig":{"tools":[{"toolSpec":{"name":"a","inputSchema":{"json":{"type":"object"}}}},{"toolSpec":{"name":"a","inputSchema":{"json":{"type":"object"}}}}]}`), want: "already defined"},
		"tool without schema":      {body: converseBody("Hi", toolConfig(`{"name":"a"}`)), want: "must not be null"},
		"empty schema union":       {body: converseBody("Hi", toolConfig(`{"name":"a","inputSchema":{}}`)), want: "exactly one"},
		"schema without type":      {body: converseBody("Hi", toolConfig(`{"name":"a","inputSchema":{"json":{}}}`)), want: "must be one of the following: object"},
		"schema of an array":       {body: converseBody("Hi", toolConfig(`{"name":"a","inputSchema":{"json":{"type":"array"}}}`)), want: "must be one of the following: object"},
		"schema as bytes":          {body: converseBody("Hi", toolConfig(`{"name":"a","inputSchema":{"json":[123,125]}}`)), want: "json object"},
		"blank description":        {body: converseBody("Hi", toolConfig(`{"name":"a","description":" ","inputSchema":{"json":{"type":"object"}}}`)), want: "is blank"},
		"choice none":              {body: converseBody("Hi", weatherConfig[:len(weatherConfig)-1]+`,"toolChoice":{"none":{}}}`), want: "extraneous key [none]"},
		"choice of no tool":        {body: converseBody("Hi", weatherConfig[:len(weatherConfig)-1]+`,"toolChoice":{"tool":{"name":"x"}}}`), want: "not one of"},
		"history without tools":    {body: turnsBody(hi + "," + use + "," + user(result)), want: "toolConfig field must be defined"},
		"call without result":      {body: turnsBody(hi+","+use+","+hi, weatherConfig), want: "Expected toolResult blocks at messages.2.content for the following Ids: t1"},
		"one result of two":        {body: turnsBody(hi+","+useTwo+","+user(result), weatherConfig), want: "following Ids: t2"},
		"result too many":          {body: turnsBody(hi+","+use+","+user(result, second), weatherConfig), want: "exceeds the number"},
		"result of no call":        {body: turnsBody(hi+","+use+","+user(second), weatherConfig), want: "no toolUse block"},
		"result without call":      {body: turnsBody(user(result), weatherConfig), want: "exceeds the number"},
		"same result twice":        {body: turnsBody(hi+","+useTwo+","+user(result, result), weatherConfig), want: "no toolUse block"},
		"text before result":       {body: turnsBody(hi+","+use+","+user(`{"text":"so"}`, result), weatherConfig), want: "must come first"},
		"call ids twice":           {body: turnsBody(hi+","+strings.ReplaceAll(useTwo, "t2", "t1")+","+user(result), weatherConfig), want: "duplicate Ids"},
		"call by a user":           {body: turnsBody(user(`{"toolUse":{"toolUseId":"t1","name":"weather","input":{}}}`), weatherConfig), want: "not allowed in a turn of the user"},
		"result by an assistant":   {body: turnsBody(hi+`,{"role":"assistant","content":[`+result+`]},`+hi, weatherConfig), want: "not allowed in a turn of the assistant"},
		"input is a string":        {body: turnsBody(hi+","+strings.Replace(use, `{"city":"Oslo"}`, `"{}"`, 1)+","+user(result), weatherConfig), want: "toolUse.input is invalid"},
		"input is null":            {body: turnsBody(hi+","+strings.Replace(use, `{"city":"Oslo"}`, `null`, 1)+","+user(result), weatherConfig), want: "toolUse.input is invalid"},
		"input is missing":         {body: turnsBody(hi+","+strings.Replace(use, `,"input":{"city":"Oslo"}`, ``, 1)+","+user(result), weatherConfig), want: "must not be null"},
		"call id with a space":     {body: turnsBody(hi+","+strings.Replace(use, `"t1"`, `"t 1"`, 1)+","+user(result), weatherConfig), want: "regular expression"},
		"call id of 65":            {body: turnsBody(hi+","+strings.Replace(use, `"t1"`, `"`+strings.Repeat("a", 65)+`"`, 1)+","+user(result), weatherConfig), want: "length"},
		"blank result":             {body: turnsBody(hi+","+use+","+user(strings.Replace(result, "rain", " ", 1)), weatherConfig), want: "is blank"},
		"result json is no object": {body: turnsBody(hi+","+use+","+user(`{"toolResult":{"toolUseId":"t1","content":[{"json":[1]}]}}`), weatherConfig), want: "json object"},
		"image format jpg":         {body: turnsBody(user(img("jpg", picture(1, 1)))), want: "enum value set"},
		"image mislabelled":        {body: turnsBody(user(img("jpeg", picture(1, 1)))), want: "appears to be a image/png"},
		"image of no bytes":        {body: turnsBody(user(img("png", ""))), want: "length"},
		"image of text":            {body: turnsBody(user(img("png", "aGVsbG8gd29ybGQh"))), want: "Could not process image"},
		"image not base64":         {body: turnsBody(user(img("png", "%%%"))), want: "base64"},
		"image too wide":           {body: turnsBody(user(img("png", picture(8001, 1)))), want: "8000 pixels"},
		"images above limit":       {body: turnsBody(user(strings.Split(strings.TrimSuffix(strings.Repeat(img("png", picture(1, 1))+"\n", 21), "\n"), "\n")...)), want: "limit of 20"},
		"image by the assistant":   {body: turnsBody(hi + `,{"role":"assistant","content":[` + img("png", picture(1, 1)) + `]},` + hi), want: "not allowed"},
		"image at a Llama":         {model: newLlama, body: turnsBody(user(img("png", picture(1, 1)), `{"text":"?"}`)), want: "image content block"},
		"document without text":    {body: turnsBody(user(`{"document":{"format":"txt","name":"a","source":{"bytes":"aGk="}}}`)), want: "text block must be provided"},
		"document name":            {body: turnsBody(user(`{"document":{"format":"txt","name":"a.txt","source":{"bytes":"aGk="}}}`, `{"text":"?"}`)), want: "document file name"},
		"video":                    {body: turnsBody(user(`{"video":{}}`)), want: "video"},
		"audio":                    {body: turnsBody(user(`{"audio":{"format":"wav","source":{"bytes":"AA=="}}}`)), want: "audio content block"},
		"document at Qwen":         {model: "qwen.qwen3-32b-v1:0", body: turnsBody(user(`{"document":{"format":"txt","name":"a","source":{"bytes":"AA=="}}}`, `{"text":"?"}`)), want: "document content block"},
		"strict on Claude 3.5":     {body: converseBody("Hi", strings.Replace(weatherConfig, `"name"`, `"strict":true,"name"`, 1)), want: "strict: Extra inputs"},
		"sampling on Opus 4.8":     {model: "anthropic.claude-opus-4-8", body: converseBody("Hi", `"inferenceConfig":{"temperature":0.5}`), want: "deprecated"},
		"above the model's limit":  {model: "anthropic.claude-3-haiku-20240307-v1:0", body: converseBody("Hi", `"inferenceConfig":{"maxTokens":4097}`), want: "exceeds the model limit of 4096"},
		"text beside a call":       {model: newLlama, body: turnsBody(hi+","+strings.Replace(use, `[{"toolUse"`, `[{"text":"So"},{"toolUse"`, 1)+","+user(result), weatherConfig), want: "tool use blocks cannot be provided in the same turn"},
		"cache point first":        {body: turnsBody(user(`{"cachePoint":{"type":"default"}}`, `{"text":"a"}`)), want: "content before it"},
		"five cache points":        {body: turnsBody(user(`{"text":"a"}`, strings.TrimSuffix(strings.Repeat(`{"cachePoint":{"type":"default"}},`, 5), ","))), want: "limit of 4"},
		"metadata above 16":        {body: converseBody("Hi", `"requestMetadata":{`+manyPairs(17)+`}`), want: "length"},
		"OpenAI field as extra":    {body: converseBody("Hi", `"additionalModelRequestFields":{"seed":1}`), want: "extraneous key [seed]"},
		"extra is no object":       {body: converseBody("Hi", `"additionalModelRequestFields":[1]`), want: "json object"},
		"structured on Claude 3.5": {body: converseBody("Hi", `"outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"schema":"{}"}}}}`), want: "output_config.format"},
		"both samplings on 4.5":    {model: sonnet45, body: converseBody("Hi", `"inferenceConfig":{"temperature":0.5,"topP":0.5}`), want: "cannot both be specified"},
		"system at Mixtral":        {model: mixtral, body: converseBody("Hi", `"system":[{"text":"Be kind"}]`), want: "system messages"},
		"tools at Mixtral":         {model: mixtral, body: converseBody("Hi", weatherConfig), want: "doesn't support tool use."},
		"tools at Llama 3":         {model: oldLlama, body: converseBody("Hi", weatherConfig), want: "doesn't support tool use."},
		"tools streamed at Llama":  {model: newLlama, operation: "converse-stream", body: converseBody("Hi", weatherConfig), want: "in streaming mode"},
		"choice any at Llama":      {model: newLlama, body: converseBody("Hi", weatherConfig[:len(weatherConfig)-1]+`,"toolChoice":{"any":{}}}`), want: "toolChoice.any"},
		"choice tool at Mistral":   {model: large, body: converseBody("Hi", weatherConfig[:len(weatherConfig)-1]+`,"toolChoice":{"tool":{"name":"weather"}}}`), want: "toolChoice.tool"},
		"stop at Llama":            {model: newLlama, body: converseBody("Hi", `"inferenceConfig":{"stopSequences":["x"]}`), want: "stopSequences"},
		"text beside result":       {model: newLlama, body: turnsBody(hi+","+use+","+user(result, `{"text":"and?"}`), weatherConfig), want: "same turn"},
		"id at Mistral":            {model: large, body: turnsBody(hi+","+use+","+user(result), weatherConfig), want: "length of 9"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			model, operation := claude, "converse"
			if tt.model != "" {
				model = tt.model
			}
			if tt.operation != "" {
				operation = tt.operation
			}
			a := post(t, s, "/model/"+url.PathEscape(model)+"/"+operation, tt.body)
			if a.status != 400 || !contains(a.body, tt.want) {
				t.Errorf("status %d, body %s; want 400 with %q", a.status, a.body, tt.want)
			}
		})
	}
}

func manyPairs(n int) string {
	var p []string
	for i := range n {
		p = append(p, fmt.Sprintf(`"k%d":"v"`, i))
	}
	return strings.Join(p, ",")
}

// TestConverseAccepts: what the real service takes must pass.
func TestConverseAccepts(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.Bedrock})
	nine := strings.NewReplacer("t1", "abcdefgh1", "t2", "abcdefgh2")
	tests := map[string]struct{ model, operation, body string }{
		"plain":                  {body: converseBody("Hi", "")},
		"all settings":           {body: converseBody("Hi", `"system":[{"text":"Be kind"},{"cachePoint":{"type":"default"}}],"inferenceConfig":{"maxTokens":1,"temperature":1,"topP":0,"stopSequences":["a"]},"requestMetadata":{"a":"b"},"performanceConfig":{"latency":"optimized"},"serviceTier":{"type":"flex"}`)},
		"prefill":                {body: turnsBody(hi + "," + hello)},
		"speech at Voxtral":      {model: "mistral.voxtral-mini-3b-2507", body: turnsBody(user(`{"audio":{"format":"wav","source":{"bytes":"AA=="}}}`, `{"text":"?"}`))},
		"null is absent":         {body: converseBody("Hi", `"system":null`)},
		"text and results":       {body: turnsBody(hi+","+useTwo+","+user(second, result, `{"text":"and?"}`), weatherConfig)},
		"empty result":           {body: turnsBody(hi+","+use+","+user(`{"toolResult":{"toolUseId":"t1","content":[],"status":"error"}}`), weatherConfig)},
		"choice of a tool":       {body: converseBody("Hi", weatherConfig[:len(weatherConfig)-1]+`,"toolChoice":{"tool":{"name":"weather"}}}`)},
		"image and text":         {body: turnsBody(user(`{"image":{"format":"png","source":{"bytes":"`+picture(2, 2)+`"}}}`, `{"text":"?"}`))},
		"tools streamed":         {operation: "converse-stream", body: converseBody("Hi", weatherConfig)},
		"disable parallel calls": {body: converseBody("Hi", weatherConfig+`,"additionalModelRequestFields":{"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}`)},
		"results at Mistral":     {model: "mistral.mistral-large-2402-v1:0", body: nine.Replace(turnsBody(hi+","+useTwo+","+user(result, second), weatherConfig))},
		"results at Llama":       {model: llama, body: turnsBody(hi+","+use+","+user(result), weatherConfig)},
		"structured on 4.5":      {model: "anthropic.claude-sonnet-4-5-20250929-v1:0", body: converseBody("Hi", `"outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"schema":"{\"type\":\"object\"}"}}}}`)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			model, operation := claude, "converse"
			if tt.model != "" {
				model = tt.model
			}
			if tt.operation != "" {
				operation = tt.operation
			}
			if a := post(t, s, "/model/"+url.PathEscape(model)+"/"+operation, tt.body); a.status != 200 {
				t.Errorf("status %d, body %s", a.status, a.body)
			}
		})
	}
}
