package sim_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/google/go-cmp/cmp"

	"understudy/internal/vendorspec"
	"understudy/llm/sim"
)

// A line of an answers file, as far as the test compares it.
type line struct {
	Model string `json:"model"`
	Match struct {
		LastUser string `json:"last_user"`
	} `json:"match"`
	Text  *string `json:"text"`
	Calls []struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"tool_calls"`
}

func (l line) want() (string, []string) {
	var calls []string
	for _, c := range l.Calls {
		calls = append(calls, c.Name+" "+c.Arguments)
	}
	if l.Text == nil {
		return "", calls
	}
	return *l.Text, calls
}

func readLines(t *testing.T, path string) []line {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var out []line
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<24)
	for sc.Scan() {
		var l line
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
	return out
}

// fast copies an answers file without its latencies.
func fast(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for l := range bytes.Lines(b) {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(l, &m); err != nil {
			t.Fatal(err)
		}
		delete(m, "latency_ms")
		c, _ := json.Marshal(m)
		out.Write(append(c, '\n'))
	}
	p := filepath.Join(t.TempDir(), filepath.Base(path))
	if err := os.WriteFile(p, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// each runs f for all lines on a few goroutines.
func each(lines []line, f func(line)) {
	var wg sync.WaitGroup
	next := make(chan line)
	for range 8 {
		wg.Go(func() {
			for l := range next {
				f(l)
			}
		})
	}
	for _, l := range lines {
		next <- l
	}
	close(next)
	wg.Wait()
}

// TestAllRecordedAnswers plays every recorded answer over both wires, streamed
// and whole, and holds text and argument bytes against the file.
func TestAllRecordedAnswers(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), python, vendorspec.Path(t, "tools", "answers.py"), dir).CombinedOutput(); err != nil {
		t.Fatalf("answers.py: %v\n%s", err, out)
	}
	t.Run("bedrock", func(t *testing.T) {
		path := filepath.Join(dir, "answers.bedrock.jsonl")
		lines := readLines(t, path)
		lift := map[string][]string{}
		for _, l := range lines {
			lift[l.Model] = []string{"tools"}
		}
		s := start(t, sim.Config{Kind: sim.Bedrock, AnswersFile: fast(t, path), AnswersOnly: true, Capabilities: lift})
		c, raw := bedrockClient(t, s), transport(t)
		each(lines, func(l line) {
			text, calls := l.want()
			got, err := collect(t, c, &bedrockruntime.ConverseStreamInput{ModelId: aws.String(l.Model), Messages: userSays(l.Match.LastUser)})
			if err != nil || got.Text != text || !cmp.Equal(got.Tools, calls) {
				t.Errorf("stream of %s to %.60q: %v %v", l.Model, l.Match.LastUser, err, cmp.Diff(calls, got.Tools))
			}
			a := send(t, raw, s, "POST", "/model/"+url.PathEscape(l.Model)+"/converse", converseBody(l.Match.LastUser, ""))
			for _, call := range l.Calls {
				if !contains(a.body, `{"toolUse":{"input":`+call.Arguments+`,"name":`+quoted(call.Name)) {
					t.Errorf("%s to %.60q: %s lacks %s", l.Model, l.Match.LastUser, a.body, call.Arguments)
				}
			}
			if text != "" && !bytes.Contains(a.body, []byte(`{"text":`)) {
				t.Errorf("%s to %.60q: %s", l.Model, l.Match.LastUser, a.body)
			}
		})
		t.Logf("%d answers", len(lines))
	})
	t.Run("openai", func(t *testing.T) {
		path := filepath.Join(dir, "answers.openai.jsonl")
		lines := readLines(t, path)
		s := start(t, sim.Config{Kind: sim.OpenAI, AnswersFile: fast(t, path), AnswersOnly: true})
		raw := transport(t)
		each(lines, func(l line) {
			text, calls := l.want()
			for _, stream := range []bool{false, true} {
				more := ""
				if stream {
					more = `"stream":true`
				}
				gotText, gotCalls := readChatAnswer(t, send(t, raw, s, "POST", chatPath, strings.Replace(chatBody(l.Match.LastUser, more), gpt, l.Model, 1)).body, stream)
				if gotText != text || !cmp.Equal(gotCalls, calls) {
					t.Errorf("stream %t of %.60q: %s", stream, l.Match.LastUser, cmp.Diff(text, gotText)+cmp.Diff(calls, gotCalls))
				}
			}
		})
		t.Logf("%d answers", len(lines))
	})
}

// readChatAnswer puts an answer's text and calls together.
func readChatAnswer(t *testing.T, body []byte, stream bool) (text string, calls []string) {
	t.Helper()
	type message struct {
		Content   string `json:"content"`
		ToolCalls []struct {
			Index    int `json:"index"`
			Function struct {
				Name      string `json:"name"`
				Arguments string `json:"arguments"`
			} `json:"function"`
		} `json:"tool_calls"`
	}
	var one struct {
		Choices []struct {
			Message message `json:"message"`
			Delta   message `json:"delta"`
		} `json:"choices"`
	}
	if !stream {
		if err := json.Unmarshal(body, &one); err != nil || len(one.Choices) != 1 {
			t.Errorf("%v: %s", err, body)
			return "", nil
		}
		for _, c := range one.Choices[0].Message.ToolCalls {
			calls = append(calls, c.Function.Name+" "+c.Function.Arguments)
		}
		return one.Choices[0].Message.Content, calls
	}
	for _, event := range strings.Split(string(body), "\n\n") {
		data := strings.TrimPrefix(event, "data: ")
		if data == "" || data == "[DONE]" {
			continue
		}
		one.Choices = nil
		if err := json.Unmarshal([]byte(data), &one); err != nil || len(one.Choices) != 1 {
			t.Errorf("%v: %s", err, data)
			return "", nil
		}
		text += one.Choices[0].Delta.Content
		for _, c := range one.Choices[0].Delta.ToolCalls {
			if c.Index == len(calls) {
				calls = append(calls, c.Function.Name+" ")
			}
			calls[c.Index] += c.Function.Arguments
		}
	}
	return text, calls
}
