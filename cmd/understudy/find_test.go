package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestFindAndTail(t *testing.T) {
	tn := newTown(t, townConfig{stages: []string{"capture"}})
	tailing := exec.CommandContext(t.Context(), understudyPath(t), "tail", "--text", "--config", tn.config)
	out, err := tailing.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tailing.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { tailing.Process.Kill(); tailing.Wait() }()
	lines := make(chan string, 100)
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()

	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	seen := ""
	eventually(t, 20*time.Second, "tail shows an exchange", func() bool { // it may begin after the first
		req, _ := http.NewRequest("POST", tn.url()+"/v1/chat/completions", strings.NewReader(chat("How long is the longest bridge?")))
		for k, v := range map[string]string{"Content-Type": "application/json", "Authorization": "Bearer sk-test-0123456789", "Traceparent": trace,
			"X-Understudy-Submodule": "a/b", "X-Understudy-Unit": "unit-7", "X-Understudy-Conversation": "conversation-7"} {
			req.Header.Set(k, v)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%d, %v", resp.StatusCode, err)
		}
		for {
			select {
			case l := <-lines:
				seen += l + "\n"
			case <-time.After(200 * time.Millisecond):
				return strings.Contains(seen, "  > How long is the longest bridge?") && strings.Contains(seen, "a/b") && strings.Contains(seen, "  < ")
			}
		}
	})

	for _, id := range []string{trace, strings.Split(trace, "-")[1], "unit-7", "conversation-7"} {
		text, errs, code := cli(t, "find", id, "--config", tn.config, "-o", "json")
		var l foundLine
		if err := json.Unmarshal([]byte(strings.SplitN(text, "\n", 2)[0]), &l); code != 0 || err != nil {
			t.Fatalf("find %s: exit %d, %v: %s%s", id, code, err, text, errs)
		}
		if l.Submodule != "a/b" || *l.Unit != "unit-7" || *l.Traceparent != trace || strings.Contains(text, "bridge") {
			t.Errorf("find %s: %s", id, text)
		}
		if again, _, code := cli(t, "find", *l.AnswerID, "--config", tn.config); code != 0 || !strings.Contains(again, l.ID) {
			t.Errorf("find by the answer's id: exit %d: %s", code, again)
		}
	}
	if _, errs, code := cli(t, "find", "nothing", "--config", tn.config); code != exitFailed || !strings.Contains(errs, "goes by") {
		t.Errorf("exit %d: %s", code, errs)
	}
}
