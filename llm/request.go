package llm

import (
	"encoding/json"
	"strings"
)

// A Role says who speaks in a Message.
type Role string

// The four roles. OpenAI's "developer" is RoleSystem.
const (
	RoleSystem    Role = "system"
	RoleUser      Role = "user"
	RoleAssistant Role = "assistant"
	RoleTool      Role = "tool"
)

// A Request is one chat request, free of any vendor's wire.
type Request struct {
	Model    string
	Messages []Message
	Tools    []Tool
	// ToolChoice is the zero value when the request does not name one.
	ToolChoice        ToolChoice
	ParallelToolCalls *bool
	ResponseFormat    *ResponseFormat
	// MaxTokens limits the answer; nil means the provider's default.
	// MaxTokensPath is where it stands in the request it was read from.
	MaxTokens     *int
	MaxTokensPath string
	// UsualTokens is what answers to such requests usually need at most. Where the
	// request sets no limit it is the one that goes out, if it is below the endpoint's;
	// 0 is not known.
	UsualTokens int
	Temperature *float64
	TopP        *float64
	Stop        []string
	// Effort is how long a model should reason: OpenAI's word, such as "low", or
	// "" where the request does not say.
	Effort string
	// User names the end user, ServiceTier the class of service, in OpenAI's
	// words; "" where the request does not say.
	User, ServiceTier string
	// Metadata are the caller's own labels.
	Metadata map[string]string
	// Stream tells that the caller asked for a stream, IncludeUsage that it
	// asked for the usage chunk as well.
	Stream       bool
	IncludeUsage bool
	// Whole tells that the caller has no use for a stream: an endpoint that can
	// answer at once is asked to, which costs both sides less.
	Whole bool

	// Extra holds what the wire said beside all this, of any depth, in a fixed
	// order. Each spoke declares what becomes of it.
	Extra []Field
	// Raw is the Chat Completions body that the request was read from, byte
	// for byte, or nil for a request built in Go. An endpoint that speaks the
	// same wire sends it on unchanged but for the model.
	Raw []byte
}

// A Field is a field of the wire that has no neutral form.
type Field struct {
	// Path is the field's JSON Pointer in the request.
	Path string
	// Raw is its value, byte for byte.
	Raw json.RawMessage
}

// Field gives the value of the field in Extra at path, nil where there is none.
func (r *Request) Field(path string) json.RawMessage {
	for _, f := range r.Extra {
		if f.Path == path {
			return f.Raw
		}
	}
	return nil
}

// A Message is one turn.
type Message struct {
	Role  Role
	Parts []Part
	// Name is OpenAI's optional name of the speaker.
	Name string
	// ToolCalls are the calls of an assistant turn.
	ToolCalls []ToolCall
	// ToolCallID names the call that a tool turn answers.
	ToolCallID string
}

// Text joins what the message says, refusals included, without a separator.
func (m *Message) Text() string {
	if len(m.Parts) == 1 {
		return m.Parts[0].Text
	}
	var b strings.Builder
	for _, p := range m.Parts {
		b.WriteString(p.Text)
	}
	return b.String()
}

// A PartKind tells what a Part holds.
type PartKind string

// The part kinds. PartOther is anything that has no neutral form; its wire form
// is in Part.Raw and each spoke reports it as a gap.
const (
	PartText    PartKind = "text"
	PartRefusal PartKind = "refusal" // what the assistant said in refusing
	PartImage   PartKind = "image"
	PartFile    PartKind = "file"
	PartAudio   PartKind = "audio"
	PartOther   PartKind = "other"
)

// A Part is a piece of a message.
type Part struct {
	Kind PartKind
	// Text is set for PartText and PartRefusal.
	Text string
	// Image, File and Audio are set for the kinds of their names.
	Image *Image
	File  *File
	Audio *Audio
	// Path is the JSON Pointer of the part in the request it was read from.
	Path string
	// Raw is the wire form of a PartOther.
	Raw json.RawMessage
}

// An Image is a picture inside a message: its bytes, or only an address.
type Image struct {
	// MediaType is the type that the data URL declared, for example
	// "image/png"; the bytes decide where the two differ.
	MediaType string
	Data      []byte
	// URL is set instead of Data when the request only names an address. It is
	// never fetched.
	URL string
	// Detail is OpenAI's "low", "high", "auto" or "".
	Detail string
}

// A File is a document inside a message: its bytes, or only an id.
type File struct {
	// Name is the file's name, "" where the request has none.
	Name string
	// MediaType is the declared type, for example "application/pdf", or "".
	MediaType string
	Data      []byte
	// ID is set instead of Data when the bytes lie at the provider.
	ID string
}

// An Audio is a piece of speech inside a message.
type Audio struct {
	// Format is the declared format, such as "wav".
	Format string
	Data   []byte
}

// A Tool is a function that the model may call.
type Tool struct {
	Name        string
	Description string
	// Parameters is the JSON Schema byte for byte, or nil.
	Parameters json.RawMessage
	Strict     *bool
	// Other is the wire form of a tool that is no function.
	Other json.RawMessage
	// Path is the JSON Pointer of the tool in the request it was read from.
	Path string
}

// A ToolCall is a call that a model proposes. It is never executed here.
type ToolCall struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name"`
	// Arguments is the JSON text as received, byte for byte. It may be invalid.
	Arguments string `json:"arguments"`
	// Path is the JSON Pointer of the call in the request it was read from.
	Path string `json:"-"`
}

// A ToolChoice says whether tools may or must be called.
type ToolChoice struct {
	// Mode is "" (not given), "auto", "none", "required" or "tool"; "other"
	// for a form without neutral meaning.
	Mode string
	// Name is the tool of mode "tool".
	Name string
}

// A ResponseFormat asks for JSON.
type ResponseFormat struct {
	// Type is "text", "json_object" or "json_schema".
	Type        string
	Name        string
	Description string
	Schema      json.RawMessage
	Strict      *bool
}
