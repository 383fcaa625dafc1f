package openai

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"

	"understudy/llm"
)

// image reads the value of image_url: an object, or the bare address that some
// clients send.
func (d *decoder) image(img *llm.Image, path string, v json.RawMessage) error {
	address, at := "", path
	if kindOf(v) == isString {
		address = text(v)
	} else {
		at += "/url"
		err := d.object(path, v, func(key, path string, v json.RawMessage) (bool, error) {
			switch key {
			case "url":
				return true, setString(&address, path, v)
			case "detail":
				return true, setString(&img.Detail, path, v)
			}
			return false, nil
		})
		if err != nil {
			return err
		}
	}
	if !isDataURL(address) {
		img.URL = address
		return nil
	}
	var err error
	img.MediaType, img.Data, err = dataURL(at, address)
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
			var data string
			if err = setString(&data, path, v); err != nil {
				return true, err
			}
			if isDataURL(data) {
				f.MediaType, f.Data, err = dataURL(path, data)
			} else if f.Data, err = base64Of(data); err != nil {
				err = untranslatable(path, "read file: the data is neither a data URL nor base64")
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
			var data string
			if err := setString(&data, path, v); err != nil {
				return true, err
			}
			var err error
			if a.Data, err = base64Of(data); err != nil {
				return true, untranslatable(path, "read audio: the data is not base64")
			}
			return true, nil
		}
		return false, nil
	})
}

func isDataURL(s string) bool { return len(s) >= 5 && strings.EqualFold(s[:5], "data:") }

// dataURL reads what a data URL declares and holds.
func dataURL(path, address string) (mediaType string, data []byte, err error) {
	head, body, ok := strings.Cut(address[5:], ",")
	if !ok {
		return "", nil, untranslatable(path, "read data URL: it has no comma")
	}
	mediaType, encoding, _ := strings.Cut(head, ";")
	if strings.HasSuffix(strings.ToLower(encoding), "base64") {
		data, err = base64Of(body)
	} else {
		var s string
		s, err = url.PathUnescape(body)
		data = []byte(s)
	}
	if err != nil {
		return "", nil, untranslatable(path, "read data URL: its data cannot be decoded")
	}
	return strings.ToLower(mediaType), data, nil
}

// base64Of decodes with or without padding.
func base64Of(s string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
}
