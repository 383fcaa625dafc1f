package canary

import (
	"encoding/json"
	"fmt"
	"math"
)

// A Number is a float64 that JSON can carry: infinities are "inf" and "-inf",
// NaN means unknown and is null.
type Number float64

// Unknown is the number that is not known; JSON writes null.
func Unknown() Number { return Number(math.NaN()) }

// Known tells whether the number is known; infinities are.
func (n Number) Known() bool { return !math.IsNaN(float64(n)) }

// MarshalJSON writes the shortest text that reads back exactly.
func (n Number) MarshalJSON() ([]byte, error) {
	switch f := float64(n); {
	case math.IsNaN(f):
		return []byte("null"), nil
	case math.IsInf(f, 1):
		return []byte(`"inf"`), nil
	case math.IsInf(f, -1):
		return []byte(`"-inf"`), nil
	default:
		return json.Marshal(f)
	}
}

// UnmarshalJSON reads what MarshalJSON writes.
func (n *Number) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "null":
		*n = Unknown()
	case `"inf"`:
		*n = Number(math.Inf(1))
	case `"-inf"`:
		*n = Number(math.Inf(-1))
	default:
		var f float64
		if err := json.Unmarshal(b, &f); err != nil {
			return fmt.Errorf("read number: %w", err)
		}
		*n = Number(f)
	}
	return nil
}
