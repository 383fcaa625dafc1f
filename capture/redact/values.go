package redact

import (
	"bytes"
	"strings"
)

// What a whole string can be besides a kind that is counted.
const (
	kindMedia = "media"
	kindSkip  = "skip" // bytes of media that are kept: nothing can be found in them
)

// dropped stands for the bytes of media: the word itself, in base64.
const dropped = "ZHJvcHBlZA=="

// wholeValue tells what a string is as a whole, by what it begins with and by the names
// before it, and what stands for it; kind is empty for a text to look into.
func (w *walk) wholeValue(raw []byte) (with []byte, kind string) {
	name, above := w.name(1), w.name(2)
	if media, with := mediaOf(raw, name, above); media {
		if w.r.dropMedia {
			return with, kindMedia
		}
		if bytes.HasPrefix(raw, []byte("data:")) || name == "data" || name == "file_data" {
			return nil, kindSkip
		}
		return nil, "" // an address is a text
	}
	if w.r.on[KindAPIKey] && len(raw) >= minSecret && secretNames[strings.ToLower(name)] {
		return []byte(w.secret(string(unescape(nil, raw)))), KindAPIKey
	}
	return nil, ""
}

// name is the last or last but one name of a member before the place; items have none.
func (w *walk) name(back int) string {
	if n := len(w.path); n >= back {
		return string(w.path[n-back].name)
	}
	return ""
}

// mediaOf tells whether a string holds an image, audio or a file, or the address of one.
func mediaOf(raw []byte, name, above string) (bool, []byte) {
	if bytes.HasPrefix(raw, []byte("data:")) {
		if head, _, ok := bytes.Cut(raw[:min(len(raw), 200)], []byte(";base64,")); ok {
			return true, []byte(string(head) + ";base64," + dropped)
		}
	}
	switch {
	case name == "data" && (above == "input_audio" || above == "audio"), name == "file_data", name == "b64_json":
		return true, []byte(dropped)
	case name == "url" && above == "image_url", name == "image_url", name == "file_url":
		return true, []byte("https://example.invalid/dropped")
	}
	return false, nil
}

// minSecret is the length from which a value under the name of a secret is one.
const minSecret = 6

// secretNames are members whose texts are secrets whatever they look like.
var secretNames = map[string]bool{
	"password": true, "passwd": true, "pwd": true, "passphrase": true, "secret": true, "client_secret": true, "secret_key": true,
	"api_key": true, "apikey": true, "api-key": true, "x-api-key": true, "access_key": true, "secret_access_key": true, "aws_secret_access_key": true,
	"access_token": true, "refresh_token": true, "auth_token": true, "bearer_token": true, "id_token": true, "private_key": true, "authorization": true,
}
