package vendorspec

import (
	"regexp"
	"testing"
)

// Bedrock reads the definition of Bedrock's control plane, or skips the test.
func Bedrock(t testing.TB) *Service { return service(t, "bedrock.service-2.json.gz") }

// Pricing reads the definition of the price list, or skips the test.
func Pricing(t testing.TB) *Service { return service(t, "pricing.service-2.json.gz") }

// service reads a definition. A time of a REST-JSON answer that is declared in the
// form of ISO 8601 is checked as a string of that form.
func service(t testing.TB, name string) *Service {
	t.Helper()
	s := Service{patterns: map[string]*regexp.Regexp{}}
	read(t, name, &s)
	var forms struct {
		Shapes map[string]struct{ TimestampFormat string }
	}
	read(t, name, &forms)
	for name, shape := range s.Shapes {
		if shape.Type == "timestamp" && forms.Shapes[name].TimestampFormat == "iso8601" {
			shape.Type, shape.Pattern = "string", `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`
			s.Shapes[name] = shape
		}
	}
	return &s
}
