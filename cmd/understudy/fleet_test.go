package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"understudy/internal/journal"
	"understudy/llm"
)

// A fleet is several processes with the stage replay at one NATS and one simulated
// Bedrock, and the exchanges that they share.
type fleet struct {
	t      *testing.T
	broker *broker
	sim    string // address of the simulator
	config string
	j      *journal.Journal // the test's own eyes
	procs  []*proc
	kills  int
	inHand int // calls that may have been on record at all kills together
}

const (
	fleetConcurrency = 8
	// fleetOnRecord is how many calls of a lane may stand on record without a stored
	// answer: those in flight, and those for which money is set aside. All of them have
	// been made where NATS was away before the kill.
	fleetOnRecord = fleetConcurrency + fleetConcurrency/4
	fleetInput    = 1.0 // USD per million tokens
	fleetOutput   = 2.0
)

var fleetModels = []string{"meta.llama3-70b-instruct-v1:0", "anthropic.claude-3-5-sonnet-20240620-v1:0"}

func newFleet(t *testing.T, dailyUSD float64, persona string) *fleet {
	t.Helper()
	f := &fleet{t: t, broker: plainBroker(t), sim: freePort(t)}
	args := []string{"sim", "bedrock", "--listen", f.sim}
	for _, m := range fleetModels {
		args = append(args, "--persona", m+": "+persona)
	}
	launch(t, args...).up("http://" + f.sim + "/__stats")
	f.config = writeFile(t, "config.toml", f.text(dailyUSD))
	cfg := journal.DefaultConfig()
	cfg.Mode, cfg.URL, cfg.Dir, cfg.MaxStore = "external", f.broker.url(), t.TempDir(), 1<<30
	var err error
	if f.j, err = journal.Open(cfg, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.j.Close() })
	ready, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := f.j.WaitReady(ready); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fleet) text(dailyUSD float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[nats]\nmode = \"external\"\nurl = %q\nmax_store = 1073741824\n[capture.redact]\nmode = \"off\"\n", f.broker.url())
	fmt.Fprintf(&b, "[replay]\ndaily_usd = %g\nack_wait = \"5s\"\n", dailyUSD)
	b.WriteString("[[endpoint]]\nname = \"live\"\nprovider = \"openai\"\nmodel = \"gpt-4-turbo\"\n")
	for i, m := range fleetModels {
		fmt.Fprintf(&b, "[[endpoint]]\nname = \"c%d\"\nprovider = \"bedrock\"\nmodel = %q\nregion = \"us-east-1\"\nbase_url = \"http://%s\"\nconcurrency = %d\nmax_output_tokens = 400\nprice = { input = %g, output = %g }\n",
			i, m, f.sim, fleetConcurrency, fleetInput, fleetOutput)
	}
	b.WriteString("[[submodule]]\nname = \"a/b\"\nbaseline = \"live\"\ncandidates = [\"c0\", \"c1\"]\n[submodule.criteria]\ncheck = { nonempty = 0.05 }\n")
	return b.String()
}

// publish stores n exchanges, several in a message.
func (f *fleet) publish(n int) {
	f.t.Helper()
	var list []*journal.Exchange
	for i := range n {
		list = append(list, &journal.Exchange{
			Schema: journal.SchemaVersion, ID: journal.NewID(time.Now()), At: time.Now().UTC(), Instance: "test",
			Submodule: "a/b", Conversation: fmt.Sprint("conversation ", i/2), Class: llm.ClassOK, Status: 200, LatencyMS: 50,
			Usage:    &llm.Usage{InputTokens: 100, OutputTokens: 50},
			Request:  fmt.Appendf(nil, `{"model":"gpt-4-turbo","max_tokens":400,"messages":[{"role":"user","content":"question number %d, please"}]}`, i),
			Response: []byte(`{"choices":[{"index":0,"message":{"role":"assistant","content":"yes"},"finish_reason":"stop"}]}`),
		})
	}
	for i := 0; i < n; i += 8 {
		if _, err := f.j.PublishExchanges(f.t.Context(), "a/b", list[i:min(i+8, n)]); err != nil {
			f.t.Fatal(err)
		}
	}
}

// start runs one more process and waits until it is ready.
func (f *fleet) start() *proc {
	f.t.Helper()
	admin := freePort(f.t)
	p := launch(f.t, "run", "--config", f.config, "--stages", "replay", "--set", "nats.dir="+filepath.Join(f.t.TempDir(), "state"), "--set", "admin.listen="+admin)
	p.up("http://" + admin + "/healthz")
	f.procs = append(f.procs, p)
	return p
}

// killOne ends one of the processes as SIGKILL does, and starts another.
func (f *fleet) killOne(rng *rand.Rand) {
	f.t.Helper()
	i := rng.IntN(len(f.procs))
	f.procs[i].kill()
	f.kills++
	f.inHand += fleetOnRecord * len(fleetModels)
	f.procs = append(f.procs[:i], f.procs[i+1:]...)
	f.start()
}

// trials counts what is stored, by disposition, and sees that nothing is there twice.
func (f *fleet) trials() (all int, by map[journal.Disposition]int, booked float64) {
	f.t.Helper()
	by = map[journal.Disposition]int{}
	seen := map[string]bool{}
	err := f.j.Read(f.t.Context(), journal.StreamTrials, nil, func(m *journal.Message) error {
		var t journal.Trial
		if err := m.Decode(&t); err != nil {
			return err
		}
		key := t.ExchangeID + " " + t.Candidate
		if seen[key] {
			f.t.Errorf("%s has two trials", key)
		}
		seen[key] = true
		all++
		by[t.Disposition]++
		booked += t.BookedUSD
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return all, by, booked
}

// settle waits until want trials are stored.
func (f *fleet) settle(want int, wait time.Duration) {
	f.t.Helper()
	eventually(f.t, wait, fmt.Sprintf("%d trials are stored", want), func() bool {
		n, err := f.j.LastSeq(f.t.Context(), journal.StreamTrials)
		if err == nil && int(n) < want {
			time.Sleep(100 * time.Millisecond) // between two looks
		}
		return err == nil && int(n) >= want
	})
}

// bill is what the simulator says that it answered: calls, and their price in USD.
func (f *fleet) bill() (calls int, usd float64) {
	f.t.Helper()
	resp, err := http.Get("http://" + f.sim + "/__stats")
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	var st struct {
		Models map[string]struct {
			Calls  int
			Input  int `json:"input_tokens"`
			Output int `json:"output_tokens"`
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&st); err != nil {
		f.t.Fatal(err)
	}
	for _, m := range st.Models {
		calls += m.Calls
		usd += (float64(m.Input)*fleetInput + float64(m.Output)*fleetOutput) / 1e6
	}
	return calls, usd
}

// ledger is what the day's account is charged, in USD. The whole test must not go over
// midnight, or it is of two days.
func (f *fleet) ledger() float64 {
	f.t.Helper()
	kv, err := f.j.Bucket(f.t.Context(), journal.BucketLedger)
	if err != nil {
		f.t.Fatal(err)
	}
	var acc struct {
		Charged int64 `json:"charged_nano_usd"`
	}
	e, err := kv.Get(f.t.Context(), time.Now().UTC().Format(time.DateOnly)+".all")
	if err != nil {
		f.t.Fatal(err)
	}
	if err := json.Unmarshal(e.Value(), &acc); err != nil {
		f.t.Fatal(err)
	}
	return float64(acc.Charged) / 1e9
}

// verify holds the fleet to its promises.
func (f *fleet) verify(exchanges int, dailyUSD float64) {
	f.t.Helper()
	all, by, booked := f.trials()
	calls, bill := f.bill()
	ledger := f.ledger()
	f.t.Logf("%d kills: %d trials (%v), %d calls, at most %d on record at the kills; bill $%.4f ≤ ledger $%.4f ≤ cap $%.2f; booked in trials $%.4f",
		f.kills, all, by, calls, f.inHand, bill, ledger, dailyUSD, booked)
	if want := exchanges * len(fleetModels); all != want {
		f.t.Errorf("%d trials stored, want %d", all, want)
	}
	if extra := calls - by[journal.Tried]; extra > f.inHand || extra < 0 {
		f.t.Errorf("%d calls for %d tried: more than the %d on record at the kills were paid twice", calls, by[journal.Tried], f.inHand)
	}
	if bill > ledger+1e-9 || ledger > dailyUSD+1e-9 {
		f.t.Errorf("bill $%v ≤ ledger $%v ≤ cap $%v does not hold", bill, ledger, dailyUSD)
	}
}

// storm kills processes at random moments, and NATS in between.
func (f *fleet) storm(kills, restarts int) {
	f.t.Helper()
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(7, seed))
	f.t.Logf("seed %d", seed)
	for i := range kills {
		time.Sleep(time.Duration(100+rng.IntN(900)) * time.Millisecond) // the random moment
		f.killOne(rng)
		if restarts > 0 && i%(kills/restarts) == kills/restarts/2 {
			f.broker.restart()
		}
	}
}

// Three processes share the work; one after the other is killed, and NATS is: nothing is
// lost, nothing stored twice, and no more paid twice than was in flight.
func TestFleetSurvivesKills(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes and kills them")
	}
	const exchanges = 240
	f := newFleet(t, 100, "latency=700ms, spread=0.5, output_tokens=50")
	f.publish(exchanges)
	for range 3 {
		f.start()
	}
	f.storm(3, 1)
	f.settle(exchanges*len(fleetModels), time.Minute)
	f.verify(exchanges, 100)
	for _, p := range f.procs {
		if code := p.term(20 * time.Second); code != 0 {
			t.Errorf("exit %d", code)
		}
	}
}
