package tokens

import (
	"bytes"
	"image"
	_ "image/gif"  // for the size of a picture
	_ "image/jpeg" // for the size of a picture
	_ "image/png"  // for the size of a picture
	"math"

	"understudy/llm"
)

// image counts a picture by OpenAI's guide to images and vision: low detail is the
// base alone; otherwise it is scaled into a square of 2048 pixels, then down to 768
// on its shorter side, and each tile of 512 pixels counts. Detail auto is taken
// for high, as the service did with every picture that the guide prices.
func (c *counter) image(img *llm.Image) int {
	rate := c.picture
	switch {
	case img == nil || rate.base == 0:
		return c.cannotSay()
	case img.Detail == "low":
		return rate.base
	}
	w, h, ok := size(img.Data)
	if !ok {
		return c.cannotSay()
	}
	return rate.base + rate.tile*tiles(float64(w), float64(h))
}

func tiles(w, h float64) int {
	if long := max(w, h); long > 2048 {
		w, h = w*2048/long, h*2048/long
	}
	if short := min(w, h); short > 768 {
		w, h = w*768/short, h*768/short
	}
	return int(math.Ceil(math.Floor(max(w, 1))/512) * math.Ceil(math.Floor(max(h, 1))/512))
}

// size reads a picture's size from its head.
func size(data []byte) (w, h int, ok bool) {
	if w, h, ok = webpSize(data); ok {
		return w, h, true
	}
	c, _, err := image.DecodeConfig(bytes.NewReader(data))
	return c.Width, c.Height, err == nil && c.Width > 0 && c.Height > 0
}

// webpSize reads the three forms of a WebP file's first chunk (RFC 9649, section 2).
func webpSize(b []byte) (w, h int, ok bool) {
	if len(b) < 30 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WEBP" {
		return 0, 0, false
	}
	at := func(i int) int { return int(b[i]) }
	switch string(b[12:16]) {
	case "VP8 ":
		w, h = at(26)|at(27)<<8&0x3fff, at(28)|at(29)<<8&0x3fff
	case "VP8L":
		bits := at(21) | at(22)<<8 | at(23)<<16 | at(24)<<24
		w, h = bits&0x3fff+1, bits>>14&0x3fff+1
	case "VP8X":
		w, h = 1+(at(24)|at(25)<<8|at(26)<<16), 1+(at(27)|at(28)<<8|at(29)<<16)
	}
	return w, h, w > 0 && h > 0
}
