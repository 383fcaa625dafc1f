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
func image(path string, v json.RawMessage) (*llm.Image, error) {
	var img llm.Image
	address := ""
	switch kindOf(v) {
	case isString:
		address = text(v)
	case isObject:
		for key, v := range members(v) {
			var err error
			switch key {
			case "url":
				address, err = stringAt(path+"/url", v)
			case "detail":
				img.Detail, err = optionalStringAt(path+"/detail", v)
			}
			if err != nil {
				return nil, err
			}
		}
	default:
		return nil, wrongType(path, isObject, v)
	}
	if len(address) < 5 || !strings.EqualFold(address[:5], "data:") {
		img.URL = address
		return &img, nil
	}
	head, data, ok := strings.Cut(address[5:], ",")
	if !ok {
		return nil, untranslatable(path, "read image: the data URL has no comma")
	}
	mediaType, encoding, _ := strings.Cut(head, ";")
	img.MediaType = strings.ToLower(mediaType)
	var err error
	if strings.HasSuffix(strings.ToLower(encoding), "base64") {
		img.Data, err = base64Of(data)
	} else {
		var s string
		s, err = url.PathUnescape(data)
		img.Data = []byte(s)
	}
	if err != nil {
		return nil, untranslatable(path, "read image: the data URL's data cannot be decoded")
	}
	return &img, nil
}

// base64Of decodes with or without padding.
func base64Of(s string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
}
