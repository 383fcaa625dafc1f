package sim

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseFault reads "throttle" or "stall: count=3, for_ms=5000, model=ID" as a
// flag gives it. Keys are those of the JSON form of Fault.
func ParseFault(s string) (Fault, error) {
	kind, rest, more := strings.Cut(s, ":")
	f := Fault{Kind: strings.TrimSpace(kind)}
	if more {
		for _, field := range strings.Split(rest, ",") {
			key, value, ok := strings.Cut(strings.TrimSpace(field), "=")
			if !ok {
				return Fault{}, fmt.Errorf("read fault %q: %q is not key=value", s, field)
			}
			if err := f.set(key, value); err != nil {
				return Fault{}, fmt.Errorf("read fault %q: %w", s, err)
			}
		}
	}
	if err := f.validate(); err != nil {
		return Fault{}, fmt.Errorf("read fault %q: %w", s, err)
	}
	return f, nil
}

func (f *Fault) set(key, value string) error {
	var err error
	switch key {
	case "model":
		f.Model = value
	case "code":
		f.Code = value
	case "rate":
		f.Rate, err = strconv.ParseFloat(value, 64)
	case "count":
		f.Count, err = strconv.Atoi(value)
	case "skip":
		f.Skip, err = strconv.Atoi(value)
	case "for_ms":
		f.ForMS, err = strconv.Atoi(value)
	case "at_byte":
		f.AtByte, err = strconv.Atoi(value)
	case "retry_after_s":
		f.RetryAfterS, err = strconv.Atoi(value)
	default:
		return fmt.Errorf("key %q is unknown", key)
	}
	if err != nil {
		return fmt.Errorf("key %s: %w", key, err)
	}
	return nil
}
