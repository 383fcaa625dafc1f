package sim_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/smithy-go"
	"github.com/openai/openai-go/v3"

	"understudy/llm/sim"
)

// outcome is what a client of one wire saw of a streamed call.
type outcome struct {
	err    error
	text   bool // some text came
	finish bool // the event that makes it whole came
	tail   bool // usage or [DONE] came
	took   time.Duration
}

func streamBedrock(t *testing.T, s *sim.Server) outcome {
	t.Helper()
	begin := time.Now()
	got, err := collect(t, bedrockClient(t, s), &bedrockruntime.ConverseStreamInput{ModelId: aws.String(claude), Messages: userSays("Tell me of the sea")})
	return outcome{err: err, text: got.Text != "", finish: got.Stop != "", tail: slices.Contains(got.Events, "metadata"), took: time.Since(begin)}
}

func streamOpenAI(t *testing.T, s *sim.Server) outcome {
	t.Helper()
	begin := time.Now()
	a := post(t, s, chatPath, chatBody("Tell me of the sea", `"stream":true`))
	o := outcome{err: a.err, took: time.Since(begin), finish: contains(a.body, `"finish_reason":"stop"`), tail: contains(a.body, "[DONE]"), text: contains(a.body, `"delta":{"content":"`)}
	if o.err == nil {
		// What the SDK makes of the same.
		c := openaiClient(t, s)
		stream := c.Chat.Completions.NewStreaming(t.Context(), openai.ChatCompletionNewParams{Model: gpt, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Tell me of the sea")}})
		for stream.Next() {
		}
		o.err = stream.Err()
		_ = stream.Close()
	}
	return o
}

// TestFaultsOfStreams: what a client sees of each fault that breaks a stream.
func TestFaultsOfStreams(t *testing.T) {
	tests := map[string]struct {
		fault              sim.Fault
		err                bool
		text, finish, tail bool
		least              time.Duration
	}{
		"none":         {text: true, finish: true, tail: true},
		"reset":        {fault: sim.Fault{Kind: sim.FaultReset}, err: true},
		"stall":        {fault: sim.Fault{Kind: sim.FaultStall, ForMS: 120}, text: true, finish: true, tail: true, least: 120 * time.Millisecond},
		"stall_mid":    {fault: sim.Fault{Kind: sim.FaultStallMid, ForMS: 120}, text: true, finish: true, tail: true, least: 120 * time.Millisecond},
		"slow":         {fault: sim.Fault{Kind: sim.FaultSlow, ForMS: 5}, text: true, finish: true, tail: true, least: 50 * time.Millisecond},
		"cut":          {fault: sim.Fault{Kind: sim.FaultCut}, err: true, text: true},
		"cut_inside":   {fault: sim.Fault{Kind: sim.FaultCutInside}, err: true, text: true},
		"exception":    {fault: sim.Fault{Kind: sim.FaultException}, err: true, text: true},
		"missing_end":  {fault: sim.Fault{Kind: sim.FaultMissingEnd}, text: true},
		"no_finish":    {fault: sim.Fault{Kind: sim.FaultNoFinish}, text: true, tail: true},
		"missing_tail": {fault: sim.Fault{Kind: sim.FaultMissingTail}, text: true, finish: true},
	}
	wires := map[sim.Kind]func(*testing.T, *sim.Server) outcome{sim.OpenAI: streamOpenAI, sim.Bedrock: streamBedrock}
	for kind, stream := range wires {
		for name, tt := range tests {
			t.Run(string(kind)+" "+name, func(t *testing.T) {
				cfg := sim.Config{Kind: kind}
				if tt.fault.Kind != "" {
					cfg.Faults = []sim.Fault{tt.fault}
				}
				s := start(t, cfg)
				got := stream(t, s)
				if (got.err != nil) != tt.err || got.text != tt.text || got.finish != tt.finish || got.tail != tt.tail || got.took < tt.least {
					t.Errorf("got %+v, want %+v: %v", got, tt, got.err)
				}
				model := map[sim.Kind]string{sim.OpenAI: gpt, sim.Bedrock: claude}[kind]
				eventually(t, "all calls are settled", func() bool {
					st := s.Stats()[model]
					return st.Calls == st.OK+st.Error && (st.OK > 0) == (tt.finish && tt.tail && !tt.err)
				})
			})
		}
	}
}

func TestBadFrame(t *testing.T) {
	fault := []sim.Fault{{Kind: sim.FaultBadFrame}}
	t.Run("bedrock", func(t *testing.T) {
		s := start(t, sim.Config{Kind: sim.Bedrock, Faults: fault})
		if got := streamBedrock(t, s); got.err == nil || !strings.Contains(got.err.Error(), "checksum") {
			t.Errorf("error %v", got.err)
		}
	})
	t.Run("openai", func(t *testing.T) {
		s := start(t, sim.Config{Kind: sim.OpenAI, Faults: fault})
		if got := streamOpenAI(t, s); got.err == nil {
			t.Error("broken JSON was read")
		}
	})
}

func TestExceptionByName(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.Bedrock, Faults: []sim.Fault{{Kind: sim.FaultException, Code: "throttlingException"}}})
	got := streamBedrock(t, s)
	var api smithy.APIError
	if !errors.As(got.err, &api) || api.ErrorCode() != "ThrottlingException" {
		t.Errorf("error %v", got.err)
	}
}

// TestFaultsAsErrors: the faults that answer at once, on both wires.
func TestFaultsAsErrors(t *testing.T) {
	tests := map[string]struct {
		openai, bedrock int
		code, name      string
	}{
		sim.FaultThrottle:     {429, 429, "rate_limit_exceeded", "ThrottlingException"},
		sim.FaultQuota:        {429, 400, "insufficient_quota", "ServiceQuotaExceededException"},
		sim.FaultServerError:  {500, 500, "", "InternalServerException"},
		sim.FaultUnavailable:  {503, 503, "service_unavailable", "ServiceUnavailableException"},
		sim.FaultTimeout:      {504, 408, "timeout", "ModelTimeoutException"},
		sim.FaultNotReady:     {503, 429, "service_unavailable", "ModelNotReadyException"},
		sim.FaultModelError:   {500, 424, "", "ModelErrorException"},
		sim.FaultAccessDenied: {403, 403, "model_not_found", "AccessDeniedException"},
		sim.FaultNotFound:     {404, 404, "model_not_found", "ResourceNotFoundException"},
	}
	for kind, tt := range tests {
		t.Run(kind, func(t *testing.T) {
			fault := []sim.Fault{{Kind: kind, RetryAfterS: 7}}
			a := post(t, start(t, sim.Config{Kind: sim.OpenAI, Faults: fault}), chatPath, chatBody("Hi", ""))
			e, _ := a.object(t)["error"].(map[string]any)
			if code, _ := e["code"].(string); a.status != tt.openai || code != tt.code || a.header.Get("Retry-After") != "7" {
				t.Errorf("openai: %d %s %v", a.status, a.body, a.header)
			}
			s := start(t, sim.Config{Kind: sim.Bedrock, Faults: fault})
			_, err := bedrockClient(t, s).Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(claude), Messages: userSays("Hi")})
			var api smithy.APIError
			if !errors.As(err, &api) || api.ErrorCode() != tt.name {
				t.Errorf("bedrock: %v", err)
			}
			b := post(t, s, "/model/"+url.PathEscape(claude)+"/converse", converseBody("Hi", ""))
			if b.status != tt.bedrock || b.header.Get("Retry-After") != "7" {
				t.Errorf("bedrock: %d %s", b.status, b.body)
			}
		})
	}
}

// TestFaultsOfWholeAnswers: the faults of the middle where nothing is streamed.
func TestFaultsOfWholeAnswers(t *testing.T) {
	for kind, check := range map[string]func(a answer) bool{
		sim.FaultReset:      func(a answer) bool { return a.err != nil && a.status == 0 },
		sim.FaultCut:        func(a answer) bool { return a.err != nil && a.status == 200 },
		sim.FaultCutInside:  func(a answer) bool { return a.err != nil && a.status == 200 && len(a.body) > 0 },
		sim.FaultEndInside:  func(a answer) bool { return a.err == nil && len(a.body) > 0 && !json.Valid(a.body) },
		sim.FaultBadFrame:   func(a answer) bool { return a.err == nil && !json.Valid(a.body) },
		sim.FaultMissingEnd: func(a answer) bool { return a.err == nil && !contains(a.body, "assistant") },
		sim.FaultNoFinish:   func(a answer) bool { return a.err == nil && !contains(a.body, "assistant") },
	} {
		t.Run(kind, func(t *testing.T) {
			s := start(t, sim.Config{Kind: sim.OpenAI, Faults: []sim.Fault{{Kind: kind}}})
			if a := post(t, s, chatPath, chatBody("Hi", "")); !check(a) {
				t.Errorf("openai: %+v", a)
			}
			s = start(t, sim.Config{Kind: sim.Bedrock, Faults: []sim.Fault{{Kind: kind}}})
			if a := post(t, s, "/model/"+url.PathEscape(claude)+"/converse", converseBody("Hi", "")); !check(a) {
				t.Errorf("bedrock: %+v", a)
			}
		})
	}
}

// TestEndInside: the answer ends at the byte that was asked for, by a reset or
// cleanly, and one that is no longer stays whole.
func TestEndInside(t *testing.T) {
	models := map[sim.Kind]string{sim.OpenAI: gpt, sim.Bedrock: claude}
	calls := map[sim.Kind][2]string{
		sim.OpenAI:  {chatPath, chatBody("Tell me of the sea", `"stream":true`)},
		sim.Bedrock: {"/model/" + url.PathEscape(claude) + "/converse-stream", converseBody("Tell me of the sea", "")},
	}
	for kind, call := range calls {
		for _, how := range []string{sim.FaultCutInside, sim.FaultEndInside} {
			for _, at := range []int{1, 300, 1 << 20} {
				s := start(t, sim.Config{Kind: kind, Faults: []sim.Fault{{Kind: how, AtByte: at}}})
				a := post(t, s, call[0], call[1])
				broken, ok := at < 1<<20, 1
				if broken {
					ok = 0
				}
				if (a.err != nil) != (broken && how == sim.FaultCutInside) || (len(a.body) == at) != broken {
					t.Errorf("%s %s at %d: %d bytes, %v", kind, how, at, len(a.body), a.err)
				}
				eventually(t, "the call is settled", func() bool { st := s.Stats()[models[kind]]; return st.OK == ok && st.Error == 1-ok })
			}
		}
	}
}

// TestStallInsideWholeAnswer: the first half arrives before the silence.
func TestStallInsideWholeAnswer(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.OpenAI, Faults: []sim.Fault{{Kind: sim.FaultStallMid, ForMS: 60_000, Count: 1}, {Kind: sim.FaultStallMid, ForMS: 20}}})
	c := transport(t)
	c.Timeout = 200 * time.Millisecond
	if a := send(t, c, s, "POST", chatPath, chatBody("Hi", "")); a.err == nil || a.status != 200 || len(a.body) == 0 {
		t.Errorf("%d %q %v", a.status, a.body, a.err)
	}
	if a := post(t, s, chatPath, chatBody("Hi", "")); a.err != nil || !json.Valid(a.body) {
		t.Errorf("%q %v", a.body, a.err)
	}
}

// TestExceptionOfWholeAnswer: what a stream states as an event is the answer of a
// call that is not streamed.
func TestExceptionOfWholeAnswer(t *testing.T) {
	for _, tt := range []struct {
		kind             sim.Kind
		code, word, path string
		status           int
	}{
		{sim.OpenAI, "", `"type":"server_error"`, chatPath, 500},
		{sim.OpenAI, "rate_limit_exceeded", `"code":"rate_limit_exceeded"`, chatPath, 429},
		{sim.OpenAI, "invalid_request_error", `"type":"invalid_request_error"`, chatPath, 400},
		{sim.OpenAI, "something_new", `"type":"something_new"`, chatPath, 500},
		{sim.Bedrock, "", "ModelErrorException", "", 424},
		{sim.Bedrock, "modelStreamErrorException", "ModelErrorException", "", 424},
		{sim.Bedrock, "throttlingException", "ThrottlingException", "", 429},
		{sim.Bedrock, "validationException", "ValidationException", "", 400},
		{sim.Bedrock, "somethingNewException", "SomethingNewException", "", 500},
	} {
		s := start(t, sim.Config{Kind: tt.kind, Faults: []sim.Fault{{Kind: sim.FaultException, Code: tt.code}}})
		path, body := tt.path, chatBody("Hi", "")
		if tt.kind == sim.Bedrock {
			path, body = "/model/"+url.PathEscape(claude)+"/converse", converseBody("Hi", "")
		}
		a := post(t, s, path, body)
		if said := string(a.body) + a.header.Get("X-Amzn-Errortype"); a.status != tt.status || !strings.Contains(said, tt.word) {
			t.Errorf("%s %q: %d %s", tt.kind, tt.code, a.status, said)
		}
	}
}

func TestFinishFault(t *testing.T) {
	for _, reason := range []string{"guardrail_intervened", "model_context_window_exceeded", "a_reason_of_tomorrow"} {
		s := start(t, sim.Config{Kind: sim.Bedrock, Faults: []sim.Fault{{Kind: sim.FaultFinish, Code: reason}}})
		got, err := collect(t, bedrockClient(t, s), &bedrockruntime.ConverseStreamInput{ModelId: aws.String(claude), Messages: userSays("Hi")})
		if err != nil || got.Stop != reason {
			t.Errorf("%q %v", got.Stop, err)
		}
	}
}

// TestFaultAdmin drives skip, count and model through POST /__fault.
func TestFaultAdmin(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.OpenAI})
	c := transport(t)
	call := func(model string) int {
		return send(t, c, s, "POST", chatPath, strings.Replace(chatBody("Hi", ""), gpt, model, 1)).status
	}
	if a := send(t, c, s, "POST", "/__fault", `{"kind":"throttle","count":2,"skip":1,"model":"gpt-4-turbo"}`); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for i, want := range []struct {
		model  string
		status int
	}{{gpt, 200}, {"gpt-4o", 200}, {gpt, 429}, {"gpt-4o", 200}, {gpt, 429}, {gpt, 200}} {
		if got := call(want.model); got != want.status {
			t.Errorf("call %d: %d, want %d", i, got, want.status)
		}
	}
	if a := send(t, c, s, "POST", "/__fault", `{"kind":"unavailable"}`); a.status != 200 || call(gpt) != 503 || call(gpt) != 503 {
		t.Error("a fault without count ended")
	}
	if a := send(t, c, s, "DELETE", "/__fault", ""); a.status != 200 || call(gpt) != 200 {
		t.Error("the fault was not ended")
	}
	for _, bad := range []string{`{"kind":"earthquake"}`, `{"kind":"stall","rate":2}`, `{"knd":"stall"}`, `x`} {
		if a := send(t, c, s, "POST", "/__fault", bad); a.status != 400 {
			t.Errorf("%s: %d", bad, a.status)
		}
	}
	// A request that is refused does not use the fault up.
	send(t, c, s, "POST", "/__fault", `{"kind":"throttle","count":1}`)
	if a := send(t, c, s, "POST", chatPath, `{"model":"gpt-4-turbo"}`); a.status != 400 || call(gpt) != 429 {
		t.Error("a bad request took the fault")
	}
}

func TestFaultRate(t *testing.T) {
	count := func(seed uint64) (n int) {
		s := start(t, sim.Config{Kind: sim.OpenAI, Seed: seed, Faults: []sim.Fault{{Kind: sim.FaultThrottle, Rate: 0.3}}})
		c := transport(t)
		for range 200 {
			if send(t, c, s, "POST", chatPath, chatBody("Hi", "")).status == 429 {
				n++
			}
		}
		return n
	}
	a, b := count(1), count(1)
	if a != b || a < 35 || a > 90 {
		t.Errorf("of 200 calls at rate 0.3 %d failed, then %d with the same seed", a, b)
	}
}

// TestStallEndsWithCaller: a caller who leaves frees the simulator at once.
func TestStallEndsWithCaller(t *testing.T) {
	s := start(t, sim.Config{Kind: sim.Bedrock, Faults: []sim.Fault{{Kind: sim.FaultStall, ForMS: 60_000}}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := bedrockClient(t, s).Converse(ctx, &bedrockruntime.ConverseInput{ModelId: aws.String(claude), Messages: userSays("Hi")})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	eventually(t, "the call is settled", func() bool { return s.Stats()[claude].Error == 1 })
}

func TestParseFault(t *testing.T) {
	f, err := sim.ParseFault("stall: count=3, for_ms=5000, model=us.a:b, rate=0.5, skip=1, retry_after_s=2, code=x")
	want := sim.Fault{Kind: "stall", Count: 3, ForMS: 5000, Model: "us.a:b", Rate: 0.5, Skip: 1, RetryAfterS: 2, Code: "x"}
	if inside, err := sim.ParseFault("cut_inside: at_byte=7"); err != nil || inside != (sim.Fault{Kind: sim.FaultCutInside, AtByte: 7}) {
		t.Errorf("%+v %v", inside, err)
	}
	if err != nil || f != want {
		t.Errorf("%+v %v", f, err)
	}
	for _, bad := range []string{"", "nothing", "stall: count", "stall: count=x", "stall: colour=red", "finish", "stall: count=-1", "end_inside: at_byte=-1", "cut: at_byte=1"} {
		if _, err := sim.ParseFault(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
