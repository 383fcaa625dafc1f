package sim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

// A recorded is one line of an answers file.
type recorded struct {
	Model string `json:"model"`
	Match struct {
		LastUser *string `json:"last_user"`
		SHA256   string  `json:"sha256"`
	} `json:"match"`
	// Text may be empty: models do answer nothing.
	Text      *string        `json:"text"`
	ToolCalls []recordedCall `json:"tool_calls"`
	// Refusal is OpenAI's own member (only there); Finish overrides the reason
	// that the wire reports, in the wire's words.
	Refusal   *string        `json:"refusal"`
	Finish    string         `json:"finish"`
	LatencyMS *float64       `json:"latency_ms"`
	TTFTMS    *float64       `json:"ttft_ms"`
	Usage     *recordedUsage `json:"usage"`
}

type recordedCall struct {
	Name string `json:"name"`
	// Arguments is JSON text and goes out byte for byte, valid or not.
	Arguments string `json:"arguments"`
}

type recordedUsage struct {
	InputTokens  *int `json:"input_tokens"`
	OutputTokens *int `json:"output_tokens"`
}

// answers is an answers file in memory, by model and question.
type answers struct {
	kind     Kind
	byUser   map[string]map[string]*recorded
	byDigest map[string]map[string]*recorded
	models   []string
	warnings []string
}

// maxAnswerLine bounds one line of an answers file.
const maxAnswerLine = 64 << 20

// loadAnswers reads a file; "" gives an empty set. All faulty lines are named in
// one error. Unknown members and second answers to the same question are warnings: the
// first line wins.
func loadAnswers(kind Kind, path string) (*answers, error) {
	a := &answers{kind: kind, byUser: map[string]map[string]*recorded{}, byDigest: map[string]map[string]*recorded{}}
	if path == "" {
		return a, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read answers: %w", err)
	}
	defer func() { _ = f.Close() }()
	sc := bufio.NewScanner(f)
	sc.Buffer(make([]byte, 64<<10), maxAnswerLine)
	var errs []error
	n := 0
	for sc.Scan() {
		n++
		line := bytes.TrimSpace(sc.Bytes())
		if len(line) == 0 {
			continue
		}
		if err := a.add(line, n); err != nil {
			errs = append(errs, fmt.Errorf("read answers: %s line %d: %w", path, n, err))
		}
	}
	if err := sc.Err(); err != nil {
		errs = append(errs, fmt.Errorf("read answers: %s line %d: %w", path, n+1, err))
	}
	a.byUser, a.byDigest = byModel(kind, a.byUser), byModel(kind, a.byDigest)
	return a, errors.Join(errs...)
}

func (a *answers) add(line []byte, n int) error {
	var r recorded
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	err := d.Decode(&r)
	if err != nil && strings.Contains(err.Error(), "unknown field") {
		a.warnings = append(a.warnings, fmt.Sprintf("line %d: %s is ignored", n, strings.TrimPrefix(err.Error(), "json: ")))
		r = recorded{}
		d = json.NewDecoder(bytes.NewReader(line))
		err = d.Decode(&r)
	}
	if err != nil {
		return fmt.Errorf("not an answer: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	if err := r.validate(); err != nil {
		return err
	}
	index, key := a.byUser, ""
	if r.Match.SHA256 != "" {
		index, key = a.byDigest, r.Match.SHA256
	} else {
		key = *r.Match.LastUser
	}
	if index[r.Model] == nil {
		index[r.Model] = map[string]*recorded{}
		if r.Model != "*" && !slices.Contains(a.models, r.Model) {
			a.models = append(a.models, r.Model)
		}
	}
	if index[r.Model][key] != nil {
		a.warnings = append(a.warnings, fmt.Sprintf("line %d: a second answer of %s to the same question is ignored", n, r.Model))
		return nil
	}
	index[r.Model][key] = &r
	return nil
}

var hexDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (r *recorded) validate() error {
	switch {
	case r.Model == "":
		return errors.New(`model is missing ("*" is any)`)
	case r.Match.LastUser == nil && r.Match.SHA256 == "":
		return errors.New("match needs last_user or sha256")
	case r.Match.LastUser != nil && r.Match.SHA256 != "":
		return errors.New("match has both last_user and sha256; one is wanted")
	case r.Match.SHA256 != "" && !hexDigest.MatchString(r.Match.SHA256):
		return errors.New("match.sha256 is not 64 lower-case hex digits")
	case r.Text == nil && len(r.ToolCalls) == 0 && r.Refusal == nil:
		return errors.New("neither text nor tool_calls (an empty text is written \"\")")
	}
	for i, c := range r.ToolCalls {
		if c.Name == "" {
			return fmt.Errorf("tool_calls[%d] has no name", i)
		}
	}
	if r.LatencyMS != nil && *r.LatencyMS < 0 || r.TTFTMS != nil && *r.TTFTMS < 0 {
		return errors.New("a latency is negative")
	}
	if r.LatencyMS != nil && r.TTFTMS != nil && *r.TTFTMS > *r.LatencyMS {
		return errors.New("ttft_ms is above latency_ms")
	}
	if u := r.Usage; u != nil && (u.InputTokens != nil && *u.InputTokens < 0 || u.OutputTokens != nil && *u.OutputTokens < 0) {
		return errors.New("usage is negative")
	}
	return nil
}

// names tells whether a line names the model itself.
func (a *answers) names(model string) bool {
	for _, index := range []map[string]map[string]*recorded{a.byUser, a.byDigest} {
		if index[model] != nil || a.kind == Bedrock && index[plainID(model)] != nil {
			return true
		}
	}
	return false
}

// match finds the recorded answer to a request, or nil. A digest beats a text, a
// line for the model beats one for "*". The text is all blocks of the last user
// turn that has text, joined without a separator; then, because a translation
// may merge turns, the same without the first block, and so on.
func (a *answers) match(q *ask) *recorded {
	if r := a.lookup(a.byDigest, q.model, q.digest); r != nil {
		return r
	}
	if len(q.user) == 0 {
		return a.lookup(a.byUser, q.model, "")
	}
	for i := range q.user {
		if r := a.lookup(a.byUser, q.model, strings.Join(q.user[i:], "")); r != nil {
			return r
		}
	}
	return nil
}

func (a *answers) lookup(index map[string]map[string]*recorded, model, key string) *recorded {
	for _, id := range []string{model, plainID(model), "*"} {
		if r := index[id][key]; r != nil {
			return r
		}
	}
	return nil
}
