package openai

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"understudy/llm"
)

// EncodeRequest writes a neutral request as a Chat Completions body for the
// model, asking for a stream with usage unless Request.Whole is set. It is for requests built in Go: one
// that was read from a body is better sent on as that body. The limit of the
// answer goes out as max_completion_tokens, the name that every current model
// takes. Of Request.Extra the fields of the request and of its messages follow;
// fields inside parts and tools are left out.
func EncodeRequest(req *llm.Request, model string) []byte {
	b := llm.AppendJSONString([]byte(`{"model":`), model)
	b = append(b, `,"messages":[`...)
	for i := range req.Messages {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendMessage(b, &req.Messages[i])
		b = appendFields(b, req.Extra, "/messages/"+strconv.Itoa(i)+"/")
		b = append(b, '}')
	}
	b = append(b, ']')
	b = appendTools(b, req)
	if f := req.ResponseFormat; f != nil {
		b = appendFormat(b, f)
	}
	b = appendSampling(b, req)
	if !req.Whole {
		b = append(b, `,"stream":true,"stream_options":{"include_usage":true`...)
		b = append(appendFields(b, req.Extra, "/stream_options/"), '}')
	}
	return append(appendFields(b, req.Extra, "/"), '}')
}

// appendFields writes the fields that stand directly under a path.
func appendFields(b []byte, extra []llm.Field, under string) []byte {
	for _, f := range extra {
		key, ok := strings.CutPrefix(f.Path, under)
		if !ok || strings.Contains(key, "/") {
			continue
		}
		switch key {
		case "functions", "function_call", "max_tokens": // sent in the newer form
			continue
		}
		b = append(llm.AppendJSONString(append(b, ','), llm.UnescapePointer(key)), ':')
		b = append(b, f.Raw...)
	}
	return b
}

func appendMessage(b []byte, m *llm.Message) []byte {
	b = append(b, `{"role":"`...)
	b = append(b, m.Role...)
	b = append(b, `","content":`...)
	var content []llm.Part
	refusal := ""
	for _, p := range m.Parts {
		switch {
		case inCalls(&p):
		case p.Kind == llm.PartRefusal && strings.HasSuffix(p.Path, "/refusal"): // a field of the message
			refusal = p.Text
		default:
			content = append(content, p)
		}
	}
	switch {
	case len(content) == 0 && m.Role == llm.RoleAssistant:
		b = append(b, "null"...)
	case len(content) == 1 && content[0].Kind == llm.PartText:
		b = llm.AppendJSONString(b, content[0].Text)
	default:
		b = append(b, '[')
		for i := range content {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendPart(b, &content[i])
		}
		b = append(b, ']')
	}
	if refusal != "" {
		b = llm.AppendJSONString(append(b, `,"refusal":`...), refusal)
	}
	if m.Name != "" {
		b = llm.AppendJSONString(append(b, `,"name":`...), m.Name)
	}
	if len(m.ToolCalls) > 0 {
		b = appendToolCalls(append(b, `,"tool_calls":`...), m.ToolCalls)
	}
	if m.Role == llm.RoleTool {
		b = llm.AppendJSONString(append(b, `,"tool_call_id":`...), m.ToolCallID)
	}
	return b
}

// inCalls tells whether a part is a call of a tool that is no function.
func inCalls(p *llm.Part) bool {
	return p.Kind == llm.PartOther && strings.Contains(p.Path, "/tool_calls/")
}

func appendPart(b []byte, p *llm.Part) []byte {
	switch p.Kind {
	case llm.PartText:
		b = llm.AppendJSONString(append(b, `{"type":"text","text":`...), p.Text)
		return append(b, '}')
	case llm.PartRefusal:
		b = llm.AppendJSONString(append(b, `{"type":"refusal","refusal":`...), p.Text)
		return append(b, '}')
	case llm.PartImage:
		b = append(b, `{"type":"image_url","image_url":{"url":`...)
		if p.Image.URL != "" {
			b = llm.AppendJSONString(b, p.Image.URL)
		} else {
			b = append(append(append(b, `"data:`...), p.Image.MediaType...), `;base64,`...)
			b = append(base64.StdEncoding.AppendEncode(b, p.Image.Data), '"')
		}
		if p.Image.Detail != "" {
			b = llm.AppendJSONString(append(b, `,"detail":`...), p.Image.Detail)
		}
		return append(b, `}}`...)
	case llm.PartFile:
		return appendFile(b, p.File)
	case llm.PartAudio:
		b = append(b, `{"type":"input_audio","input_audio":{"data":"`...)
		b = base64.StdEncoding.AppendEncode(b, p.Audio.Data)
		b = llm.AppendJSONString(append(b, `","format":`...), p.Audio.Format)
		return append(b, `}}`...)
	}
	return append(b, p.Raw...)
}

func appendFile(b []byte, f *llm.File) []byte {
	b = append(b, `{"type":"file","file":{`...)
	if f.ID != "" {
		b = llm.AppendJSONString(append(b, `"file_id":`...), f.ID)
	} else {
		b = append(append(append(b, `"file_data":"data:`...), f.MediaType...), `;base64,`...)
		b = append(base64.StdEncoding.AppendEncode(b, f.Data), '"')
	}
	if f.Name != "" {
		b = llm.AppendJSONString(append(b, `,"filename":`...), f.Name)
	}
	return append(b, `}}`...)
}

func appendTools(b []byte, req *llm.Request) []byte {
	if len(req.Tools) == 0 {
		return b
	}
	b = append(b, `,"tools":[`...)
	for i, t := range req.Tools {
		if i > 0 {
			b = append(b, ',')
		}
		if t.Other != nil {
			b = append(b, t.Other...)
			continue
		}
		b = llm.AppendJSONString(append(b, `{"type":"function","function":{"name":`...), t.Name)
		if t.Description != "" {
			b = llm.AppendJSONString(append(b, `,"description":`...), t.Description)
		}
		if t.Parameters != nil {
			b = append(append(b, `,"parameters":`...), t.Parameters...)
		}
		if t.Strict != nil {
			b = strconv.AppendBool(append(b, `,"strict":`...), *t.Strict)
		}
		b = append(b, `}}`...)
	}
	b = append(b, ']')
	switch c := req.ToolChoice; c.Mode {
	case "auto", "none", "required":
		b = append(append(append(b, `,"tool_choice":"`...), c.Mode...), '"')
	case "tool":
		b = llm.AppendJSONString(append(b, `,"tool_choice":{"type":"function","function":{"name":`...), c.Name)
		b = append(b, `}}`...)
	}
	if req.ParallelToolCalls != nil {
		b = strconv.AppendBool(append(b, `,"parallel_tool_calls":`...), *req.ParallelToolCalls)
	}
	return b
}

func appendFormat(b []byte, f *llm.ResponseFormat) []byte {
	b = llm.AppendJSONString(append(b, `,"response_format":{"type":`...), f.Type)
	if f.Type == "json_schema" {
		b = llm.AppendJSONString(append(b, `,"json_schema":{"name":`...), f.Name)
		if f.Description != "" {
			b = llm.AppendJSONString(append(b, `,"description":`...), f.Description)
		}
		if f.Schema != nil {
			b = append(append(b, `,"schema":`...), f.Schema...)
		}
		if f.Strict != nil {
			b = strconv.AppendBool(append(b, `,"strict":`...), *f.Strict)
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

func appendSampling(b []byte, req *llm.Request) []byte {
	if req.MaxTokens != nil {
		b = strconv.AppendInt(append(b, `,"max_completion_tokens":`...), int64(*req.MaxTokens), 10)
	}
	if req.Temperature != nil {
		b = appendNumber(append(b, `,"temperature":`...), *req.Temperature)
	}
	if req.TopP != nil {
		b = appendNumber(append(b, `,"top_p":`...), *req.TopP)
	}
	if len(req.Stop) > 0 {
		b = append(b, `,"stop":[`...)
		for i, s := range req.Stop {
			if i > 0 {
				b = append(b, ',')
			}
			b = llm.AppendJSONString(b, s)
		}
		b = append(b, ']')
	}
	for _, w := range []struct{ key, word string }{{"reasoning_effort", req.Effort}, {"user", req.User}, {"service_tier", req.ServiceTier}} {
		if w.word != "" {
			b = append(append(append(b, `,"`...), w.key...), `":`...)
			b = llm.AppendJSONString(b, w.word)
		}
	}
	if req.Metadata != nil {
		b = appendMetadata(append(b, `,"metadata":`...), req.Metadata)
	}
	return b
}

func appendMetadata(b []byte, m map[string]string) []byte {
	open := byte('{')
	for _, key := range slices.Sorted(maps.Keys(m)) {
		b = append(llm.AppendJSONString(append(b, open), key), ':')
		b = llm.AppendJSONString(b, m[key])
		open = ','
	}
	if open == '{' {
		b = append(b, open)
	}
	return append(b, '}')
}

// appendNumber writes f as encoding/json does; what JSON cannot hold becomes 0.
func appendNumber(b []byte, f float64) []byte {
	n, err := json.Marshal(f)
	if err != nil {
		return append(b, '0')
	}
	return append(b, n...)
}
