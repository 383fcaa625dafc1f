package openai

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"

	"understudy/llm"
)

// image reads the value of image_url: an object, or the bare address that some
// clients send.
func (d *decoder) image(img *llm.Image, path string, v json.RawMessage) error {
	if kindOf(v) == isString {
		return imageAt(img, path, v)
	}
	return d.object(path, v, func(key, path string, v json.RawMessage) (bool, error) {
		switch key {
		case "url":
			return true, imageAt(img, path, v)
		case "detail":
			return true, setString(&img.Detail, path, v)
		}
		return false, nil
	})
}

// imageAt reads an address, or the picture that it holds.
func imageAt(img *llm.Image, path string, v json.RawMessage) (err error) {
	if kindOf(v) != isString {
		return wrongType(path, isString, v)
	}
	if img.MediaType, img.Data, err = dataURL(path, v); err == nil && img.Data == nil {
		img.URL = text(v)
	}
	return err
}

// file reads the value of a file part. Its data is a data URL, or base64 alone.
func (d *decoder) file(f *llm.File, path string, v json.RawMessage) error {
	return d.object(path, v, func(key, path string, v json.RawMessage) (bool, error) {
		var err error
		switch key {
		case "filename":
			err = setString(&f.Name, path, v)
		case "file_id":
			err = setString(&f.ID, path, v)
		case "file_data":
			if kindOf(v) != isString {
				return true, wrongType(path, isString, v)
			}
			if f.MediaType, f.Data, err = dataURL(path, v); err == nil && f.Data == nil {
				f.Data, err = base64At(path, v)
			}
		default:
			return false, nil
		}
		return true, err
	})
}

// audio reads the value of an input_audio part.
func (d *decoder) audio(a *llm.Audio, path string, v json.RawMessage) error {
	return d.object(path, v, func(key, path string, v json.RawMessage) (bool, error) {
		switch key {
		case "format":
			return true, setString(&a.Format, path, v)
		case "data":
			var err error
			if kindOf(v) != isString {
				return true, wrongType(path, isString, v)
			}
			a.Data, err = base64At(path, v)
			return true, err
		}
		return false, nil
	})
}

// dataURL reads what a data URL declares and holds; data is nil for a string that
// is none. The bytes are decoded from where they stand: they may be most of a
// request.
func dataURL(path string, v json.RawMessage) (mediaType string, data []byte, err error) {
	raw := unquoted(v)
	if len(raw) < 5 || !strings.EqualFold(string(raw[:5]), "data:") {
		return "", nil, nil
	}
	head, body, ok := bytes.Cut(raw[5:], []byte(","))
	if !ok {
		return "", nil, untranslatable(path, "read data URL: it has no comma")
	}
	mediaType, encoding, _ := strings.Cut(string(head), ";")
	if strings.HasSuffix(strings.ToLower(encoding), "base64") {
		data, err = base64Of(body)
	} else {
		var s string
		s, err = url.PathUnescape(string(body))
		data = []byte(s)
	}
	if err != nil {
		return "", nil, untranslatable(path, "read data URL: its data cannot be decoded")
	}
	return strings.ToLower(mediaType), data, nil
}

// unquoted is the text of the JSON string v, copied only where it has escapes.
func unquoted(v json.RawMessage) []byte {
	if bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1]
	}
	return []byte(text(v))
}

func base64At(path string, v json.RawMessage) ([]byte, error) {
	data, err := base64Of(unquoted(v))
	if err != nil {
		return nil, untranslatable(path, "read data: it is not base64")
	}
	return data, nil
}

// base64Of decodes with or without padding; the result is never nil without an
// error.
func base64Of(s []byte) ([]byte, error) {
	s = bytes.TrimRight(s, "=")
	data := make([]byte, base64.RawStdEncoding.DecodedLen(len(s)))
	n, err := base64.RawStdEncoding.Decode(data, s)
	return data[:n], err
}
