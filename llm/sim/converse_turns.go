package sim

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

func blank(s string) bool { return strings.TrimFunc(s, unicode.IsSpace) == "" }

// checkSystem looks at the system texts.
func (c *cvCall) checkSystem() *awsError {
	for i, s := range c.body.System {
		if s.Text != nil && blank(*s.Text) {
			return invalid("The text field in the SystemContentBlock object at system.%d is blank. Add text to the text field, and try again.", i)
		}
		if i == 0 && s.CachePoint != nil {
			return invalid("A cachePoint block needs content before it at system.0.")
		}
	}
	return nil
}

// checkTurns demands turns of user and assistant in alternation, from a user to
// a user.
func (c *cvCall) checkTurns() *awsError {
	messages := c.body.Messages
	if len(messages) == 0 {
		return invalid("A conversation must start with a user message. Try again with a conversation that starts with a user message.")
	}
	for i, m := range messages {
		switch {
		case m.Role == "system":
			return invalid("Value at 'messages.%d.role' failed to satisfy constraint: Member must satisfy enum value set: [user, assistant]", i)
		case i == 0 && m.Role != "user":
			return invalid("A conversation must start with a user message. Try again with a conversation that starts with a user message.")
		case i > 0 && m.Role == messages[i-1].Role:
			return invalid("A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.")
		case len(m.Content) == 0:
			return invalid("The content field in the Message object at messages.%d is empty. Add a ContentBlock object to the content field and try again.", i)
		}
	}
	if last := messages[len(messages)-1]; last.Role != "user" {
		return c.checkPrefill(last.Content)
	}
	return nil
}

// checkPrefill looks at a last turn of the assistant's, which few models take.
func (c *cvCall) checkPrefill(content []cvBlock) *awsError {
	switch text := content[len(content)-1].Text; {
	case !c.family.Prefill && c.family.Name == "claude":
		return invalid("The model returned the following errors: This model does not support assistant message prefill. The conversation must end with a user message.")
	case !c.family.Prefill:
		return invalid("A conversation must end with a user message. Try again with a conversation that ends with a user message.")
	case c.body.ToolConfig != nil:
		return invalid("The model returned the following errors: Your API request included an `assistant` message in the final position, which would pre-fill the `assistant` response. When using tools, pre-filling the `assistant` response is not supported.")
	case c.body.OutputConfig != nil && c.body.OutputConfig.TextFormat != nil:
		return invalid("The model returned the following errors: output_config.format is not supported with a prefilled response.")
	case text == nil:
		return invalid("The model returned the following errors: `tool_use` ids were found without `tool_result` blocks immediately after.")
	case strings.TrimRightFunc(*text, unicode.IsSpace) != *text:
		return invalid("The model returned the following errors: messages: final assistant content cannot end with trailing whitespace")
	}
	return nil
}

// The limits of one request, by the SDK's documentation.
const (
	imagesMost      = 20
	documentsMost   = 5
	cachePointsMost = 4
	documentBytes   = 4_500_000
)

// checkBlocks looks at each content block by itself and counts them.
func (c *cvCall) checkBlocks() *awsError {
	images, documents, points := 0, 0, 0
	for i, m := range c.body.Messages {
		hasText, hasDocument := false, false
		for j, b := range m.Content {
			at := fmt.Sprintf("messages.%d.content.%d", i, j)
			switch {
			case b.Text != nil:
				hasText = true
			case b.Image != nil:
				images++
			case b.Document != nil:
				hasDocument = true
				documents++
			case b.CachePoint != nil:
				points++
				if j == 0 {
					return invalid("A cachePoint block needs content before it at %s.", at)
				}
			}
			if e := c.checkBlock(at, m.Role, b); e != nil {
				return e
			}
			if b.ToolResult != nil {
				for _, r := range b.ToolResult.Content {
					if r.Image != nil {
						images++
					}
				}
			}
		}
		if hasDocument && !hasText {
			return invalid("A text block must be provided with a document in messages.%d.content. Add a text block and try again.", i)
		}
	}
	switch {
	case images > imagesMost:
		return invalid("The number of images is %d, which is greater than the limit of %d.", images, imagesMost)
	case documents > documentsMost:
		return invalid("The number of documents is %d, which is greater than the limit of %d.", documents, documentsMost)
	case points > cachePointsMost:
		return invalid("The number of cachePoint blocks is %d, which is greater than the limit of %d.", points, cachePointsMost)
	}
	return nil
}

func (c *cvCall) checkBlock(at, role string, b cvBlock) *awsError {
	switch {
	case b.Text != nil:
		if blank(*b.Text) {
			return invalid("The text field in the ContentBlock object at %s is blank. Add text to the text field, and try again.", at)
		}
	case b.Image != nil:
		if role != "user" {
			return invalid("The image block at %s is not allowed in a turn of the assistant.", at)
		}
		return checkImage(at+".image", b.Image)
	case b.Document != nil:
		return checkDocument(at+".document", role, b.Document)
	case b.Audio != nil:
		if role != "user" {
			return invalid("The audio block at %s is not allowed in a turn of the assistant.", at)
		}
	case b.ToolUse != nil:
		if role != "assistant" {
			return invalid("The toolUse block at %s is not allowed in a turn of the user.", at)
		}
		if !isObject(b.ToolUse.Input) {
			return invalid("The format of the value at %s.toolUse.input is invalid. Provide a json object for the field and try again.", at)
		}
	case b.ToolResult != nil:
		if role != "user" {
			return invalid("The toolResult block at %s is not allowed in a turn of the assistant.", at)
		}
		return checkResult(at+".toolResult", b.ToolResult)
	case b.Reasoning != nil:
		if role != "assistant" {
			return invalid("The reasoningContent block at %s is not allowed in a turn of the user.", at)
		}
	case b.CachePoint != nil:
	case b.Video != nil:
		return invalid("This model doesn't support the video content block that you provided. Remove the block at %s and try again.", at)
	default:
		return invalid("This model doesn't support the content block that you provided at %s. Remove it and try again.", at)
	}
	return nil
}

func isObject(raw json.RawMessage) bool {
	return strings.HasPrefix(strings.TrimSpace(string(raw)), "{")
}

func checkResult(at string, r *cvToolResult) *awsError {
	for i, b := range r.Content {
		here := fmt.Sprintf("%s.content.%d", at, i)
		switch {
		case b.Text != nil && blank(*b.Text):
			return invalid("The text field in the ToolResultContentBlock object at %s is blank. Add text to the text field, and try again.", here)
		case b.JSON != nil && !isObject(b.JSON):
			return invalid("The format of the value at %s.json is invalid. Provide a json object for the field and try again.", here)
		case b.Image != nil:
			if e := checkImage(here+".image", b.Image); e != nil {
				return e
			}
		}
	}
	return nil
}

func checkDocument(at, role string, d *cvDocument) *awsError {
	name := strings.Map(func(r rune) rune {
		if r < 128 && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" -()[]", r)) {
			return -1
		}
		return r
	}, d.Name)
	switch {
	case role != "user":
		return invalid("The document block at %s is not allowed in a turn of the assistant.", at)
	case name != "" || strings.Contains(d.Name, "  "):
		return invalid("The document file name at %s.name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, and square brackets. The name can't contain more than one consecutive whitespace character.", at)
	case len(d.Source.Bytes) > documentBytes:
		return invalid("The document at %s is larger than 4.5 MB.", at)
	}
	return nil
}

// checkPairs demands that the turn after toolUse answers exactly these calls,
// results first, and that no result stands alone.
func (c *cvCall) checkPairs() *awsError {
	var open []string
	for i, m := range c.body.Messages {
		answered, other := map[string]bool{}, false
		due := map[string]bool{}
		for _, id := range open {
			due[id] = true
		}
		open = nil
		results := 0
		for j, b := range m.Content {
			switch {
			case b.ToolResult != nil:
				results++
				id := b.ToolResult.ID
				switch {
				case results > len(due):
					return invalid("The number of toolResult blocks at messages.%d.content exceeds the number of toolUse blocks of previous turn.", i)
				case !due[id] || answered[id]:
					return invalid("The toolResult block at messages.%d.content.%d has the Id %s, which no toolUse block of the previous turn has.", i, j, id)
				case other:
					return invalid("`tool_use` ids were found without `tool_result` blocks immediately after: %s. Tool results must come first in the turn at messages.%d.", id, i)
				}
				answered[id] = true
			case b.ToolUse != nil:
				for _, id := range open {
					if id == b.ToolUse.ID {
						return invalid("The toolUse blocks at messages.%d.content contain duplicate Ids: %s", i, id)
					}
				}
				open = append(open, b.ToolUse.ID)
			case b.CachePoint == nil:
				other = true
			}
		}
		if missing := absent(c.previous(i), answered); len(missing) > 0 {
			return invalid("Expected toolResult blocks at messages.%d.content for the following Ids: %s", i, strings.Join(missing, ", "))
		}
	}
	return nil
}

// previous lists the calls of the turn before message i.
func (c *cvCall) previous(i int) []string {
	if i == 0 {
		return nil
	}
	var ids []string
	for _, b := range c.body.Messages[i-1].Content {
		if b.ToolUse != nil {
			ids = append(ids, b.ToolUse.ID)
		}
	}
	return ids
}

func absent(ids []string, in map[string]bool) []string {
	var out []string
	for _, id := range ids {
		if !in[id] {
			out = append(out, id)
		}
	}
	return out
}
