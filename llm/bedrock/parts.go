package bedrock

import (
	"bytes"
	"encoding/json"
	"strings"

	"understudy/llm"
)

const (
	// maxImages and maxImageBytes are Converse's limits for one request and
	// one image (3.75 MB), by the SDK's documentation.
	maxImages     = 20
	maxImageBytes = 3_932_160
)

// blocks gives a message's parts as blocks; blank text is left out, as the
// service refuses it and it says nothing.
func (t *translator) blocks(m *llm.Message, path string) []block {
	var blocks []block
	for i := range m.Parts {
		p := &m.Parts[i]
		at := p.Path
		if at == "" {
			at = path + "/content"
		}
		switch p.Kind {
		case llm.PartText:
			if !blank(p.Text) {
				blocks = append(blocks, block{text: p.Text})
			}
		case llm.PartImage:
			blocks = append(blocks, t.image(p.Image, m.Role, at))
		default:
			if t.other(p.Raw, at) {
				blocks = append(blocks, block{text: notSent})
			}
		}
	}
	return blocks
}

// image gives an image block, or a placeholder and a blocking gap.
func (t *translator) image(img *llm.Image, role llm.Role, path string) block {
	refuse := func(reason string) block {
		t.gap(path, llm.Blocking, llm.Refused, reason)
		return block{text: notSent}
	}
	format := imageFormat(img.Data)
	switch {
	case !t.family.Images:
		return refuse("images: the model takes no images")
	case role == llm.RoleSystem || role == llm.RoleAssistant:
		return refuse("image_role: only a user or a tool may show an image")
	case img.URL != "":
		return refuse("image_url: an address is not fetched; the image must be in the request")
	case format == "":
		return refuse("image_format: the bytes are none of PNG, JPEG, GIF and WebP")
	case len(img.Data) > maxImageBytes:
		return refuse("image_size: the image is larger than 3.75 MB")
	case t.images == maxImages:
		return refuse("image_count: a request takes at most 20 images")
	}
	if img.Detail != "" && img.Detail != "auto" {
		t.gap(path, llm.Cosmetic, llm.Dropped, "image_detail: Converse always takes the image as it is")
	}
	t.images++
	return block{image: &wireImage{format: format, data: img.Data}}
}

// imageFormat is Converse's name for the format that the bytes have, whatever
// was declared; "" for any other.
func imageFormat(data []byte) string {
	switch {
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		return "png"
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		return "jpeg"
	case bytes.HasPrefix(data, []byte("GIF87a")), bytes.HasPrefix(data, []byte("GIF89a")):
		return "gif"
	case len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP":
		return "webp"
	}
	return ""
}

// other reports a part or a field of a message that has no neutral form, and
// tells whether content is missing where it stood.
func (t *translator) other(raw json.RawMessage, path string) bool {
	field := messageField(path)
	if field != "" && (string(raw) == "[]" || string(raw) == "{}") {
		return false // clients write out fields that hold nothing
	}
	switch field {
	case "":
		t.gap(path, llm.Blocking, llm.Refused, partReason(raw))
		return true
	case "audio":
		t.gap(path, llm.Blocking, llm.Refused, "audio: an answer that was spoken earlier lies at OpenAI")
		return true
	case "cache_control", "annotations":
		t.gap(path, llm.Cosmetic, llm.Dropped, field+": not sent; it does not change what the model reads")
	default:
		t.gap(path, llm.Semantic, llm.Dropped, "unknown_field: no counterpart on Converse is known")
	}
	return false
}

// messageField is the name of the field of a message or of a part that path
// points at, "" where it points at a part, or at a tool call, itself.
func messageField(path string) string {
	at := strings.Split(path, "/") // "", messages, N, content, M, FIELD
	if len(at) == 4 && at[3] != "content" || len(at) > 5 {
		return at[len(at)-1]
	}
	return ""
}

// partReason says what kind of part it is that cannot be sent.
func partReason(raw json.RawMessage) string {
	var part struct {
		Type string `json:"type"`
	}
	_ = json.Unmarshal(raw, &part) // a part without a type has the general reason
	switch part.Type {
	case "input_audio":
		return "input_audio: spoken input is not sent"
	case "file":
		return "file: a file is not sent"
	case "video_url":
		return "video: a video is not sent"
	case "custom":
		return "custom_tool_call: a call of a tool that is no function is not sent"
	}
	return "content_part: a part of unknown type is not sent"
}
