package judge

import (
	"bytes"
	"encoding/json"
	"errors"

	"understudy/llm"
)

// errOtherTool tells that a call may be of a tool that is no function, whose
// arguments have no schema.
var errOtherTool = errors.New("call of a tool that is no function")

// callsValid tells whether each call names an offered function with arguments
// that are valid. One bad call decides, whatever else could not be checked.
func (c *Checker) callsValid(req *llm.Request, calls []llm.ToolCall) (bool, error) {
	var unknown error
	for _, call := range calls {
		good, err := c.callValid(req, call)
		switch {
		case err != nil:
			unknown = err
		case !good:
			return false, nil
		}
	}
	return unknown == nil, unknown
}

func (c *Checker) callValid(req *llm.Request, call llm.ToolCall) (bool, error) {
	other := false
	for i := range req.Tools {
		tool := &req.Tools[i]
		if tool.Other != nil {
			other = true
			continue
		}
		if tool.Name == call.Name {
			return c.argumentsValid(tool.Parameters, call.Arguments)
		}
	}
	if other {
		return false, errOtherTool
	}
	return false, nil
}

// argumentsValid validates the text of a call's arguments. Arguments are an
// object whatever the schema says, as no wire can carry others.
func (c *Checker) argumentsValid(parameters json.RawMessage, arguments string) (bool, error) {
	v, err := parseArguments(arguments)
	if errors.Is(err, errTooLarge) {
		return false, err
	}
	if err != nil {
		return false, nil
	}
	if _, ok := v.(map[string]any); !ok {
		return false, nil
	}
	if p := bytes.TrimSpace(parameters); len(p) == 0 || string(p) == "null" {
		return true, nil
	}
	return c.schemas.validate(parameters, v)
}
