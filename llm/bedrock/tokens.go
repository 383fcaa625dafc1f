package bedrock

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"

	"understudy/llm"
)

const opCountTokens = "count tokens"

// countedMembers are the members of a Converse request that CountTokens takes, by
// the shape ConverseTokensRequest of the service definition.
var countedMembers = []string{"messages", "system", "toolConfig", "additionalModelRequestFields"}

// CountTokens asks the service how many input tokens a prepared call has, which is
// what it would bill. Asking costs nothing, but sends the prompt. The service
// counts for some models in some regions only, and for plain model ids: a profile
// is asked for as its base model in the endpoint's own region, and an ARN that
// does not name one as what the endpoint's family says. What cannot be counted is
// an *llm.Error, mostly of ClassInvalid or ClassNotFound.
func (c *Client) CountTokens(ctx context.Context, call *llm.Call) (int, error) {
	model, err := countedModel(c.endpoint)
	if err != nil {
		return 0, asked(c.endpoint, opCountTokens, err, nil)
	}
	where := c.endpoint
	where.Model = model
	if err := c.policy.Check(where); err != nil {
		return 0, err
	}
	body, err := countedBody(call.Body)
	if err != nil {
		return 0, asked(c.endpoint, opCountTokens, err, nil)
	}
	a := llm.StartAttempt(ctx, c.endpoint.Timeout, c.endpoint.StallTimeout)
	defer a.End()
	x := &exchange{attempt: a, send: body}
	_, err = c.runtime.CountTokens(x.context(), &bedrockruntime.CountTokensInput{
		ModelId: aws.String(model), Input: &types.CountTokensInputMemberConverse{},
	}, exactBody(body))
	defer x.close()
	if err != nil {
		return 0, asked(c.endpoint, opCountTokens, refusal(x, err), x.header)
	}
	n, err := readCount(x)
	if err != nil {
		return 0, asked(c.endpoint, opCountTokens, err, x.header)
	}
	a.Drain(x.body)
	return n, nil
}

func readCount(x *exchange) (int, error) {
	body, err := io.ReadAll(io.LimitReader(x.attempt.Reader(x.body), maxErrorBody))
	if err != nil {
		return 0, &llm.Error{Class: x.attempt.Class(err, true), Err: fmt.Errorf("read answer: %w", err)}
	}
	var said struct {
		InputTokens *int `json:"inputTokens"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return 0, malformed("read answer: %w", err)
	}
	if said.InputTokens == nil || *said.InputTokens < 0 {
		return 0, malformed("read answer: there is no count in it")
	}
	return *said.InputTokens, nil
}

// countedModel is the model id that CountTokens accepts for an endpoint.
func countedModel(ep llm.Endpoint) (string, error) {
	if a, ok := parseARN(ep.Model); ok {
		switch {
		case a.kind == "foundation-model":
			return ep.Model, nil
		case a.kind == "inference-profile":
			return llm.TrimRegion(a.id), nil
		}
	}
	switch {
	case !strings.HasPrefix(ep.Model, "arn:"):
		return llm.TrimRegion(ep.Model), nil
	case strings.Contains(ep.Family, "."):
		return llm.TrimRegion(ep.Family), nil
	}
	return "", &llm.Error{Class: llm.ClassInvalid, NotSent: true,
		Err: errors.New("the model is an ARN that names no base model; set family to the base model's id")}
}

// countedBody is the request of CountTokens for the body of a Converse call. The
// members go in with the bytes that they have there.
func countedBody(body []byte) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, &llm.Error{Class: llm.ClassUntranslatable, NotSent: true, Err: errors.New("the call's body is not a JSON object")}
	}
	var b bytes.Buffer
	b.WriteString(`{"input":{"converse":{`)
	comma := ""
	for _, name := range countedMembers {
		if value, ok := members[name]; ok {
			fmt.Fprintf(&b, `%s"%s":%s`, comma, name, value)
			comma = ","
		}
	}
	b.WriteString(`}}}`)
	return b.Bytes(), nil
}
