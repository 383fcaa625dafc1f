package tokens

import "strings"

// A family is a row of models that read and bill alike.
type family struct {
	vocabulary *vocabulary
	// early models, of the time before parallel calls (June 2023), render nested
	// objects and past calls in another form.
	early bool
	// indents tells that the model writes parallel calls as indented JSON, whose
	// exact form is not known (measured: gpt-4-1106-preview, alone of eight models).
	indents bool
	picture pictureRate
}

// A pictureRate is the price of a picture in tokens: the base, and what each tile
// of 512 pixels adds. The zero value is unknown.
type pictureRate struct{ base, tile int }

// The rates of OpenAI's guide to images and vision, "calculating costs".
var (
	fullPicture = pictureRate{85, 170}
	miniPicture = pictureRate{2833, 5667}
)

// families are the prefixes of OpenAI's own table (openai/tiktoken,
// tiktoken/model.py), the first that fits counts. A prefix fits a whole name, or
// one that goes on with a hyphen. gpt-4.1-mini and gpt-4.1-nano bill pictures by
// patches, whose low detail is not documented: unknown.
var families = []struct {
	prefix string
	family family
}{
	{"gpt-4.1-mini", family{vocabulary: o200k}},
	{"gpt-4.1-nano", family{vocabulary: o200k}},
	{"gpt-4.1", family{vocabulary: o200k, picture: fullPicture}},
	{"gpt-4.5", family{vocabulary: o200k, picture: fullPicture}},
	{"gpt-4o-mini", family{vocabulary: o200k, picture: miniPicture}},
	{"gpt-4o", family{vocabulary: o200k, picture: fullPicture}},
	{"chatgpt-4o", family{vocabulary: o200k, picture: fullPicture}},
	{"gpt-4-turbo", family{vocabulary: cl100k, picture: fullPicture}},
	{"gpt-4-vision", family{vocabulary: cl100k, picture: fullPicture}},
	{"gpt-4-1106", family{vocabulary: cl100k, indents: true, picture: fullPicture}},
	{"gpt-4-0125", family{vocabulary: cl100k}},
	{"gpt-4", family{vocabulary: cl100k, early: true}},
	{"gpt-3.5-turbo-0613", family{vocabulary: cl100k, early: true}},
	{"gpt-3.5-turbo-16k", family{vocabulary: cl100k, early: true}},
	{"gpt-3.5-turbo", family{vocabulary: cl100k}},
	{"gpt-35-turbo-16k", family{vocabulary: cl100k, early: true}},
	{"gpt-35-turbo", family{vocabulary: cl100k}},
}

// otherKinds are the names' parts of models that read or write more than text and
// pictures, search on their own, or are no chat models; gpt-3.5-turbo-0301 framed
// messages in its own way.
var otherKinds = []string{"-audio", "-realtime", "-search", "-transcribe", "-tts", "-diarize", "-image", "-instruct", "-0301"}

// familyOf finds a model's family. A fine-tuned model, "ft:gpt-4o-2024-08-06:…",
// is of its base model's.
func familyOf(model string) (family, bool) {
	if base, ok := strings.CutPrefix(model, "ft:"); ok {
		model, _, _ = strings.Cut(base, ":")
	}
	for _, kind := range otherKinds {
		if strings.Contains(model, kind) {
			return family{}, false
		}
	}
	for _, f := range families {
		if rest, ok := strings.CutPrefix(model, f.prefix); ok && (rest == "" || rest[0] == '-') {
			return f.family, true
		}
	}
	return family{}, false
}
