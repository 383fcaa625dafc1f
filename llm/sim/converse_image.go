package sim

import (
	"bytes"
	"encoding/binary"
	"image"
	_ "image/gif" // headers of the accepted formats
	_ "image/jpeg"
	_ "image/png"
)

// The limits of one image, by the SDK's documentation: 3.75 MB, 8,000 pixels.
const (
	imageBytes  = 3_932_160
	imagePixels = 8000
)

// checkImage looks at the bytes of an image: the label must be theirs.
func checkImage(at string, img *cvImage) *awsError {
	data := img.Source.Bytes
	if img.Source.S3 != nil {
		return nil
	}
	if len(data) > imageBytes {
		return invalid("The image at %s is larger than the maximum of 3.75 MB.", at)
	}
	format, width, height := sniff(data)
	switch {
	case format == "":
		return invalid("The model returned the following errors: Could not process image")
	case format != img.Format:
		return invalid("The model returned the following errors: The image at %s was specified using the image/%s media type, but the image appears to be a image/%s image", at, img.Format, format)
	case width > imagePixels || height > imagePixels:
		return invalid("The model returned the following errors: At least one of the image dimensions at %s exceed max allowed size: 8000 pixels", at)
	}
	return nil
}

// sniff finds format and size in an image's own header; "" for no image that
// Converse takes. A header without readable size counts as 0 × 0: fixtures are
// often only a header.
func sniff(b []byte) (format string, width, height int) {
	if len(b) >= 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP" {
		if len(b) >= 30 && string(b[12:16]) == "VP8X" {
			at := func(i int) int { return int(binary.LittleEndian.Uint32(append(b[i:i+3:i+3], 0))) + 1 }
			return "webp", at(24), at(27)
		}
		return "webp", 0, 0
	}
	c, format, err := image.DecodeConfig(bytes.NewReader(b))
	if err == nil {
		return format, c.Width, c.Height
	}
	for name, magic := range map[string]string{"png": "\x89PNG\r\n\x1a\n", "jpeg": "\xff\xd8\xff", "gif": "GIF8"} {
		if bytes.HasPrefix(b, []byte(magic)) {
			return name, 0, 0
		}
	}
	return "", 0, 0
}
