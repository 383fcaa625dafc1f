package llm

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds what a provider may ask for.
const maxRetryAfter = 24 * time.Hour

// RetryAfter is how long an answer asks to wait: by OpenAI's or Amazon's header in
// milliseconds, else by Retry-After in seconds or as a date; 0 where it does not
// ask.
func RetryAfter(h http.Header) time.Duration {
	for _, key := range []string{"Retry-After-Ms", "X-Amz-Retry-After"} {
		if ms, err := strconv.ParseFloat(h.Get(key), 64); err == nil && ms > 0 {
			return min(time.Duration(min(ms, 1e9)*float64(time.Millisecond)), maxRetryAfter)
		}
	}
	after := strings.TrimSpace(h.Get("Retry-After"))
	if s, err := strconv.ParseFloat(after, 64); err == nil && s > 0 {
		return min(time.Duration(min(s, 1e6)*float64(time.Second)), maxRetryAfter)
	}
	if at, err := http.ParseTime(after); err == nil {
		return min(max(0, time.Until(at)), maxRetryAfter)
	}
	return 0
}
