package bedrock

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"image"
	_ "image/gif" // headers of the accepted formats
	_ "image/jpeg"
	_ "image/png"
	"path/filepath"
	"strconv"
	"strings"

	"understudy/llm"
)

// Converse's limits for one request, and for one image or document, by the
// service definition's documentation of Message.
const (
	maxImages        = 20
	maxImageBytes    = 3_932_160 // 3.75 MB
	maxImagePixels   = 8000
	maxDocuments     = 5
	maxDocumentBytes = 4_500_000
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
		if p.Kind == llm.PartText || p.Kind == llm.PartRefusal {
			if !blank(p.Text) {
				blocks = append(blocks, block{text: p.Text})
				if p.Kind == llm.PartRefusal {
					t.gap(at, refusalText)
				}
			}
			continue
		}
		k, missing := t.medium(p, m.Role, at)
		if missing != nil {
			t.gap(at, missing)
			k = block{text: notSent}
		} else if k.document == nil {
			t.media++
		}
		blocks = append(blocks, k)
	}
	return blocks
}

// medium gives the block of a part that is no text, or why it cannot be sent.
func (t *translator) medium(p *llm.Part, role llm.Role, path string) (k block, missing *gapKind) {
	switch p.Kind {
	case llm.PartImage:
		k.image, missing = t.image(p.Image, role, path)
	case llm.PartFile:
		k.document, missing = t.document(p.File, role, path)
	case llm.PartAudio:
		k.audio, missing = t.audio(p.Audio, role)
	default:
		missing = partGap(p.Raw)
	}
	return k, missing
}

func shows(role llm.Role) bool { return role == llm.RoleUser || role == llm.RoleTool }

func (t *translator) image(img *llm.Image, role llm.Role, path string) (*wireMedia, *gapKind) {
	format, width, height := imageFormat(img.Data)
	switch {
	case !t.family.Images:
		return nil, imagesRefused
	case !shows(role):
		return nil, imageRole
	case role == llm.RoleTool && !t.family.ResultImages:
		return nil, imageInResult
	case img.URL != "":
		return nil, imageURL
	case format == "":
		return nil, imageFormatGap
	case len(img.Data) > maxImageBytes:
		return nil, imageSize
	case width > maxImagePixels || height > maxImagePixels:
		return nil, imagePixels
	case t.images == maxImages:
		return nil, imageCount
	}
	if img.Detail != "" && img.Detail != "auto" {
		t.gap(path, imageDetail)
	}
	t.images++
	return &wireMedia{format: format, data: img.Data}, nil
}

// imageFormat is Converse's name for the format that the bytes have, whatever
// was declared, with the size in pixels that their header tells, 0 where it
// tells none; "" for any other format.
func imageFormat(data []byte) (format string, width, height int) {
	switch {
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		format = "png"
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		format = "jpeg"
	case bytes.HasPrefix(data, []byte("GIF87a")), bytes.HasPrefix(data, []byte("GIF89a")):
		format = "gif"
	case len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP":
		width, height = webpSize(data)
		return "webp", width, height
	default:
		return "", 0, 0
	}
	c, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil { // the model will say what is wrong with it
		return format, 0, 0
	}
	return format, c.Width, c.Height
}

// webpSize reads the size of an extended WebP file; a simple one is at most
// 16383 pixels wide and tells in bits of its own, which are left to the service.
func webpSize(data []byte) (width, height int) {
	if len(data) < 30 || string(data[12:16]) != "VP8X" {
		return 0, 0
	}
	at := func(i int) int { return int(binary.LittleEndian.Uint32(append(data[i:i+3:i+3], 0))) + 1 }
	return at(24), at(27)
}

// documentFormats maps media types and file extensions to Converse's names.
var documentFormats = map[string]string{
	"application/pdf": "pdf", "text/csv": "csv", "text/plain": "txt", "text/markdown": "md", "text/html": "html",
	"application/msword": "doc", "application/vnd.ms-excel": "xls",
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":       "xlsx",
	".pdf": "pdf", ".csv": "csv", ".txt": "txt", ".md": "md", ".markdown": "md", ".html": "html", ".htm": "html",
	".doc": "doc", ".xls": "xls", ".docx": "docx", ".xlsx": "xlsx",
}

// documentFormat is Converse's name for a file's format, by the declared type, the
// name's extension, or the bytes; "" where none says, and for a PDF that is none.
func documentFormat(f *llm.File) string {
	isPDF := bytes.Contains(f.Data[:min(len(f.Data), 1024)], []byte("%PDF-"))
	format := documentFormats[f.MediaType]
	if format == "" {
		format = documentFormats[strings.ToLower(filepath.Ext(f.Name))]
	}
	switch {
	case isPDF && format == "":
		return "pdf"
	case format == "pdf" && !isPDF:
		return ""
	}
	return format
}

func (t *translator) document(f *llm.File, role llm.Role, path string) (*wireMedia, *gapKind) {
	format := documentFormat(f)
	switch {
	case !t.family.Documents:
		return nil, documentsRefused
	case !shows(role):
		return nil, documentRole
	case f.ID != "":
		return nil, documentID
	case format == "":
		return nil, documentFormatGap
	case len(f.Data) == 0 || len(f.Data) > maxDocumentBytes:
		return nil, documentSize
	case len(t.titles) == maxDocuments:
		return nil, documentCount
	}
	if f.Name != "" {
		t.gap(path+"/file/filename", documentName)
	}
	t.titles = append(t.titles, f.Name)
	switch format {
	case "txt", "md", "csv", "html":
	default:
		t.bound++
	}
	return &wireMedia{format: format, name: neutralTitle(len(t.titles) - 1), data: f.Data}, nil
}

// neutralTitle names the i-th document of a request. The service warns that a
// model may take a document's name for an instruction.
func neutralTitle(i int) string { return "document " + strconv.Itoa(i+1) }

func (t *translator) audio(a *llm.Audio, role llm.Role) (*wireMedia, *gapKind) {
	switch {
	case !t.family.Audio:
		return nil, audioRefused
	case role != llm.RoleUser:
		return nil, audioRole
	case a.Format != "wav" && a.Format != "mp3" || len(a.Data) == 0:
		return nil, audioFormat
	}
	return &wireMedia{format: a.Format, data: a.Data}, nil
}

// partGap says what kind of part it is that cannot be sent.
func partGap(raw json.RawMessage) *gapKind {
	var part struct {
		Type string `json:"type"`
	}
	_ = json.Unmarshal(raw, &part) // a part without a type has the general reason
	switch part.Type {
	case "video_url":
		return videoRefused
	case "custom":
		return customCall
	}
	return unknownPart
}
