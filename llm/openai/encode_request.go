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
// model, asking for a stream with usage. It is for requests built in Go: one
// that was read from a body is better sent on as that body. The limit of the
// answer goes out as max_completion_tokens, the name that every current model
// takes. Fields of Request.Extra follow, sorted by name.
func EncodeRequest(req *llm.Request, model string) []byte {
	b := llm.AppendJSONString([]byte(`{"model":`), model)
	b = append(b, `,"messages":[`...)
	for i := range req.Messages {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendMessage(b, &req.Messages[i])
	}
	b = append(b, ']')
	b = appendTools(b, req)
	if f := req.ResponseFormat; f != nil {
		b = appendFormat(b, f)
	}
	b = appendSampling(b, req)
	b = append(b, `,"stream":true,"stream_options":{"include_usage":true}`...)
	for _, key := range slices.Sorted(maps.Keys(req.Extra)) {
		switch key {
		case "functions", "function_call", "stream_options": // sent as tools above; set here
			continue
		}
		b = append(llm.AppendJSONString(append(b, ','), key), ':')
		b = append(b, req.Extra[key]...)
	}
	return append(b, '}')
}

func appendMessage(b []byte, m *llm.Message) []byte {
	b = append(b, `{"role":"`...)
	b = append(b, m.Role...)
	b = append(b, `","content":`...)
	var content, beside []llm.Part
	for _, p := range m.Parts {
		if p.Kind == llm.PartOther && partType(p.Raw) == "" {
			beside = append(beside, p) // a field of the message, not a part of its content
		} else {
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
	for _, p := range beside {
		if strings.Count(p.Path, "/") == 3 { // /messages/N/FIELD; deeper ones belonged to a part
			b = append(llm.AppendJSONString(append(b, ','), p.Path[strings.LastIndexByte(p.Path, '/')+1:]), ':')
			b = append(b, p.Raw...)
		}
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
	return append(b, '}')
}

func appendPart(b []byte, p *llm.Part) []byte {
	switch p.Kind {
	case llm.PartText:
		b = llm.AppendJSONString(append(b, `{"type":"text","text":`...), p.Text)
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
	}
	return append(b, p.Raw...)
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
	return b
}

// appendNumber writes f as encoding/json does; what JSON cannot hold becomes 0.
func appendNumber(b []byte, f float64) []byte {
	n, err := json.Marshal(f)
	if err != nil {
		return append(b, '0')
	}
	return append(b, n...)
}
