package sim

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxBody bounds a request's body, above what the vendors take.
const maxBody = 32 << 20

// ServeHTTP answers the provider's API and the simulator's own
// GET /__stats, POST /__reset and /__fault.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	switch {
	case r.URL.Path == "/__stats" && r.Method == http.MethodGet:
		s.stats.serve(w)
	case r.URL.Path == "/__fault":
		s.serveFaults(w, r)
	case r.URL.Path == "/__reset" && r.Method == http.MethodPost:
		s.stats.reset()
		s.faults.clear()
		s.turns.reset()
		w.WriteHeader(http.StatusNoContent)
	case r.URL.Path == "/__delay" && r.Method == http.MethodGet:
		d := s.SchedulingDelay()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(encode(map[string]any{"count": d.Count, "mean_ms": ms(d.Mean), "p99_ms": ms(d.P99), "max_ms": ms(d.Max)}))
	case strings.HasPrefix(r.URL.Path, "/__"):
		http.NotFound(w, r)
	case s.kind == Bedrock:
		s.serveBedrock(w, r, start)
	default:
		s.serveOpenAI(w, r, start)
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

var errNoObject = errors.New("the body is not a JSON object")

// readObject reads a body that must be one JSON object. tooLarge tells that it
// was longer than anything the vendors take.
func readObject(w http.ResponseWriter, r *http.Request) (body map[string]any, tooLarge bool, err error) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var long *http.MaxBytesError
		return nil, errors.As(err, &long), err
	}
	v, err := decodeTree(b)
	if err != nil {
		return nil, false, err
	}
	body, ok := v.(map[string]any)
	if !ok {
		return nil, false, errNoObject
	}
	return body, false, nil
}
