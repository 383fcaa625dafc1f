package sim

import "testing"

// DrawnCorrectness is the label behind an arrival of a Chat Completions request.
func (s *Server) DrawnCorrectness(t *testing.T, body string, turn int) float64 {
	t.Helper()
	tree, err := decodeTree([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	m := tree.(map[string]any)
	a := readChat(m, m["model"].(string)).ask
	return s.tone(a, s.persona(a.model), turn).correct
}

// Split gives the shares of right and half right answers of a mean.
func Split(mean float64) (correct, half float64) { return split(mean) }
