package capture

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Size is a number of bytes. In a configuration it is a whole number of bytes
// or a text with a unit: "64MiB", "512 KiB", "16MB".
type Size int64

// units from the longest name to the shortest, so that "MiB" is not read as "B".
var units = []struct {
	name  string
	bytes float64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9},
	{"b", 1},
}

// UnmarshalText reads a size. A fraction is accepted where a unit makes it
// meaningful ("1.5MiB"); a negative size is an error.
func (s *Size) UnmarshalText(text []byte) error {
	word := strings.ToLower(strings.TrimSpace(string(text)))
	factor := 1.0
	for _, u := range units {
		if rest, ok := strings.CutSuffix(word, u.name); ok {
			word, factor = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(word, 64)
	if err != nil || !(n >= 0) || n*factor > math.MaxInt64/2 {
		return fmt.Errorf("read size: %q is not a size like \"64MiB\" or 67108864", text)
	}
	*s = Size(n * factor)
	return nil
}

// String is the size in the largest binary unit that divides it.
func (s Size) String() string {
	for _, u := range []struct {
		name  string
		bytes Size
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if s >= u.bytes && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
