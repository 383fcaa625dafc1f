package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"understudy/internal/journal"
)

const shippedNATS = "../../deploy/nats"

var natsUsers = []string{"owner", "capture", "replay", "judge", "canary"}

// Seeds are the files by which users of the shipped account prove who they are.
type seeds map[string]string

// newSeeds makes a pair of keys for every user, and the text of keys.conf.
func newSeeds(t testing.TB) (s seeds, keys string) {
	t.Helper()
	s = seeds{}
	for _, user := range natsUsers {
		pair, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		public, err := pair.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		seed, err := pair.Seed()
		if err != nil {
			t.Fatal(err)
		}
		s[user] = writeFile(t, user+".seed", string(seed)+"\n")
		keys += fmt.Sprintf("%s_KEY: %s\n", strings.ToUpper(user), public)
	}
	return s, keys
}

// keysOf are the lines of [nats] by which a process is a user.
func (s seeds) keysOf(user string) string {
	return fmt.Sprintf("credentials = %q\ninbox_prefix = %q\n", s[user], "_INBOX_"+user)
}

// dial connects as a user.
func (s seeds) dial(t testing.TB, url, user string, opts ...nats.Option) jetstream.JetStream {
	t.Helper()
	key, err := nats.NkeyOptionFromSeed(s[user])
	if err != nil {
		t.Fatal(err)
	}
	return dialNATS(t, url, append(opts, key, nats.CustomInboxPrefix("_INBOX_"+user))...)
}

// shippedBroker runs nats-server with a file of deploy/nats, beside it the others as they
// are shipped and this site's own two.
func shippedBroker(t testing.TB, file, name, addr, host, keys string) *broker {
	t.Helper()
	dir := t.TempDir()
	shipped, err := filepath.Glob(shippedNATS + "/*.conf")
	if err != nil || len(shipped) == 0 {
		t.Fatalf("no files in %s: %v", shippedNATS, err)
	}
	for _, path := range shipped {
		writeOver(t, filepath.Join(dir, filepath.Base(path)), readFile(t, path))
	}
	writeOver(t, filepath.Join(dir, "host.conf"), fmt.Sprintf("NAME: %s\nLISTEN: %q\nSTORE: %q\n%s", name, addr, t.TempDir(), host))
	writeOver(t, filepath.Join(dir, "keys.conf"), keys)
	return newBroker(t, name, filepath.Join(dir, file), addr)
}

// violations are what a server says of users who tried what they may not do.
func (b *broker) violations() []string {
	seen := map[string]bool{}
	for line := range strings.Lines(b.log()) {
		if _, what, ok := strings.Cut(line, "Violation"); ok {
			seen[strings.TrimSpace(random.ReplaceAllString(what, "…"))] = true
		}
	}
	var all []string
	for what := range seen {
		all = append(all, what)
	}
	slices.Sort(all)
	return all
}

// random are the parts of subjects that differ from one to the next.
var random = regexp.MustCompile(`[A-Za-z0-9]{20,}`)

// splitJudged has a candidate's answers judged by a model, the baseline asked again, and
// all that needs a bucket or a store.
const splitJudged = `
[judge]
endpoints = ["nova"]
[[endpoint]]
name = "nova"
provider = "bedrock"
model = %q
base_url = %q
region = "us-east-1"
[[submodule]]
name = "a/b"
baseline = "gpt"
candidates = ["llama-3.3", "haiku"]
criteria = { error_rate = 0.1, score = { correctness = 0.2 }, win_rate = 0.2 }
`

// A crew is the whole daemon in four processes, each as a user of its own.
type crew struct {
	*split
	seeds                          seeds
	canary, replay, judge, capture *part
}

func newCrew(t testing.TB, urls string, keys seeds, more string) *crew {
	c := &crew{split: newSplit(t, fmt.Sprintf("url = %q\n%s", urls, more), 5*time.Millisecond, 5*time.Millisecond), seeds: keys}
	c.extra = fmt.Sprintf(splitJudged, demoJudge, c.bedrock.URL())
	c.canary = c.start("canary", keys.keysOf("owner")+"proxies = [\"edge-1\"]\n")
	c.replay = c.start("replay", keys.keysOf("replay")+"create = false\n")
	c.judge = c.start("judge", keys.keysOf("judge")+"create = false\n")
	c.capture = c.start("capture", keys.keysOf("capture")+"create = false\nproxy = \"edge-1\"\n")
	return c
}

// send sends n conversations of one request each and gives their texts; the last one's is
// longer by a number of bytes.
func (c *crew) send(name string, n, longer int) (texts []string) {
	c.t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range n {
		wg.Go(func() {
			text := fmt.Sprintf("Interview %s: which question about bridges and tunnels comes as number %d?", name, i)
			if i == n-1 {
				text += strings.Repeat(" And why?", longer/9)
			}
			if err := c.ask("a/b", fmt.Sprint(name, i), text); err != nil {
				c.t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			texts = append(texts, text)
		})
	}
	wg.Wait()
	return texts
}

// counted waits until a stream holds that many messages of a subject.
func counted(t testing.TB, js jetstream.JetStream, stream, subject string, want int) {
	t.Helper()
	n := uint64(0)
	deadline := time.Now().Add(60 * time.Second)
	for {
		if s, err := js.Stream(t.Context(), stream); err == nil {
			if info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(subject)); err == nil {
				n = 0
				for _, k := range info.State.Subjects {
					n += k
				}
			}
		}
		if n == uint64(want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d messages of %s, want %d", n, subject, want)
		}
		time.Sleep(50 * time.Millisecond) // between two looks
	}
}

// TestSplitOverUsersOfTheShippedAccount runs every stage as a process with a user of its
// own, over the shipped configuration of one nats-server, and through kills of the proxy
// and of the server: nobody ever tries what he may not do.
func TestSplitOverUsersOfTheShippedAccount(t *testing.T) {
	keys, conf := newSeeds(t)
	b := shippedBroker(t, "single.conf", "nats-1", steadyPort(t), "", conf)
	defer func() {
		for _, v := range b.violations() {
			t.Error("violation", v)
		}
	}()
	c := newCrew(t, b.url(), keys, "")
	js := keys.dial(t, b.url(), "owner")
	whole := func(sent []string) {
		t.Helper()
		n := len(sent)
		c.settled(c.canary, n, 60*time.Second)
		c.verifyStored(c.canary, sent)
		counted(t, js, journal.StreamVerdicts, "understudy.verdict.>", 3*n)   // two candidates and the control
		counted(t, js, journal.StreamVerdicts, "understudy.judgement.>", 3*n) // every conversation has one pair
	}
	const n = 12
	// The last body goes to the object store, and is read with flow control.
	sent := c.send("first", n, 3<<20)
	whole(sent)
	if id := lines[exchangeLine](t, c.export("exchanges"))[0].ID; !strings.Contains(c.diff(id), "candidate haiku") {
		t.Error("diff shows no candidate")
	}
	if s := c.capture.status(); s.Accounts.Captured != n || !s.Accounts.OwnOnly || len(s.Accounts.Candidates) != 0 {
		t.Errorf("the proxy's own accounts: %+v", s.Accounts)
	}
	if _, errs, code := cli(t, "export", "--what", "trials", "--config", c.capture.config); code == 0 || !strings.Contains(errs, "canary") {
		t.Errorf("a proxy that may not read exports trials: %d, %s", code, errs)
	}

	// The proxy's next life asks what its last one has stored.
	c.capture.kill()
	c.capture.proc = launch(t, "run", "--config", c.capture.config, "--stages", "capture")
	c.capture.up("http://" + c.capture.admin + "/readyz")
	eventually(t, 10*time.Second, "the proxy's accounts are complete again", func() bool {
		s := c.capture.status()
		return s.Accounts.Captured == n && s.Accounts.Pending == 0 && closed(s)
	})
	sent = append(sent, c.send("second", n, 0)...)
	whole(sent)

	// The server forgets what lies in memory, and keeps the rest.
	b.restart()
	sent = append(sent, c.send("third", n, 0)...)
	whole(sent)

	// A canary that may not make streams finds them.
	if code := c.canary.term(20 * time.Second); code != 0 {
		t.Errorf("canary: exit %d", code)
	}
	c.canary = c.start("canary", keys.keysOf("canary")+"create = false\n")
	sent = append(sent, c.send("fourth", n, 0)...)
	whole(sent)
	if _, errs, code := cli(t, "forget", "--conversation", "fourth0", "--yes", "--config", c.canary.config); code == 0 || !strings.Contains(errs, "create") {
		t.Errorf("a canary that may not erase forgets: %d, %s", code, errs)
	}

	// The owner forgets: the one with the long body, and one in the midst of others.
	c.canary.term(20 * time.Second)
	c.canary = c.start("canary", keys.keysOf("owner")+"proxies = [\"edge-1\"]\n")
	for _, name := range []string{fmt.Sprint("first", n-1), "fourth0"} {
		if out, errs, code := cli(t, "forget", "--conversation", name, "--yes", "--config", c.canary.config); code != 0 || !strings.Contains(out, "1 exchange, 3 trials, 3 verdicts, 3 judgements") {
			t.Errorf("forget: %d, %s%s", code, out, errs)
		}
	}
	shows := func(out, name string, i int) bool {
		return strings.Contains(out, fmt.Sprintf("Interview %s: which question about bridges and tunnels comes as number %d?", name, i))
	}
	if out := c.export("exchanges"); shows(out, "first", n-1) || shows(out, "fourth", 0) || !shows(out, "fourth", 1) || !shows(out, "first", 0) {
		t.Error("an export after forgetting shows the forgotten, or not the others")
	}
	for _, p := range []*part{c.capture, c.replay, c.judge, c.canary} {
		if code := p.term(20 * time.Second); code != 0 {
			t.Errorf("exit %d", code)
		}
	}
}

func (c *crew) export(what string) string {
	c.t.Helper()
	out, errs, code := cli(c.t, "export", "--what", what, "--config", c.canary.config)
	if code != 0 {
		c.t.Fatal(errs)
	}
	return out
}

func (c *crew) diff(id string) string {
	c.t.Helper()
	out, errs, code := cli(c.t, "diff", id, "--config", c.canary.config)
	if code != 0 {
		c.t.Fatal(errs)
	}
	return out
}

// TestUsersAreRefused tries what users must not do: nothing of it happens.
func TestUsersAreRefused(t *testing.T) {
	keys, conf := newSeeds(t)
	b := shippedBroker(t, "single.conf", "nats-1", steadyPort(t), "", conf)
	c := newSplit(t, fmt.Sprintf("url = %q", b.url()), 0, 0)
	c.extra = clusterSections
	canary := c.start("canary", keys.keysOf("owner")+"proxies = [\"edge-1\"]\n")
	capture := c.start("capture", keys.keysOf("capture")+"create = false\nproxy = \"edge-1\"\n")
	if err := c.ask("a/b", "c", "a secret question"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "the exchange is stored", func() bool { return canary.status().Accounts.Captured == 1 })
	capture.term(20 * time.Second)

	for _, user := range natsUsers {
		cfg := journal.DefaultConfig()
		cfg.URL, cfg.Credentials, cfg.InboxPrefix = b.url(), keys[user], "_INBOX_"+user
		if err := journal.Ping(t.Context(), cfg); err != nil {
			t.Errorf("check --online as %s: %v", user, err)
		}
	}
	for user, tries := range refused {
		errs := make(chan error, 100)
		js := keys.dial(t, b.url(), user, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { errs <- err }))
		for _, try := range append(strings.Fields(tries), "subscribe:understudy.>", "subscribe:_INBOX.>", "subscribe:$JS.>", "$JS.API.STREAM.DELETE.UNDERSTUDY_TRIALS") {
			subject, listens := strings.CutPrefix(try, "subscribe:")
			if listens {
				if _, err := js.Conn().SubscribeSync(subject); err != nil {
					t.Fatal(err)
				}
			} else if err := js.Conn().Publish(subject, []byte("x")); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-errs:
				if !strings.Contains(err.Error(), subject) {
					t.Errorf("%s: %s: %v", user, try, err)
				}
			case <-time.After(5 * time.Second):
				t.Errorf("%s may %s", user, try)
			}
		}
	}
	owner := keys.dial(t, b.url(), "owner")
	for stream, want := range map[string]uint64{journal.StreamExchanges: 1, journal.StreamTrials: 0, journal.StreamVerdicts: 0} {
		s, err := owner.Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		if n := s.CachedInfo().State.Msgs; n != want {
			t.Errorf("%s holds %d messages, want %d", stream, n, want)
		}
	}
	if _, err := nats.Connect(b.url()); err == nil {
		t.Error("the server lets somebody in who is nobody")
	}

	// What the proxy's own reader shows is headers.
	proxy := keys.dial(t, b.url(), "capture")
	cons, err := proxy.Consumer(t.Context(), journal.StreamExchanges, "proxy-edge-1")
	if err != nil {
		t.Fatal(err)
	}
	m, err := cons.Next(jetstream.FetchMaxWait(5 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Data()) > 0 || m.Headers().Get(journal.HeaderInstance) == "" {
		t.Errorf("the proxy reads %q with headers %v", m.Data(), m.Headers())
	}
}

// refused are subjects that users must not publish on (or subscribe to).
var refused = map[string]string{
	"capture": `understudy.trial.a.b.c understudy.verdict.a.b.c understudy.judgement.a.b.c understudy.decision.a.b understudy.ingest.a.b
		$JS.API.CONSUMER.CREATE.UNDERSTUDY_EXCHANGES.x $JS.API.CONSUMER.CREATE.UNDERSTUDY_EXCHANGES.proxy-edge-1 $JS.API.CONSUMER.CREATE.UNDERSTUDY_TRIALS.x
		$JS.API.CONSUMER.MSG.NEXT.UNDERSTUDY_EXCHANGES.replay-haiku $JS.API.CONSUMER.RESET.UNDERSTUDY_EXCHANGES.replay-haiku
		$JS.API.CONSUMER.DELETE.UNDERSTUDY_EXCHANGES.replay-haiku $JS.ACK.UNDERSTUDY_EXCHANGES.replay-haiku.1.1.1.1.1
		$JS.API.DIRECT.GET.UNDERSTUDY_EXCHANGES $JS.API.DIRECT.GET.UNDERSTUDY_EXCHANGES.understudy.exchange.a $JS.API.STREAM.MSG.GET.UNDERSTUDY_EXCHANGES
		$JS.API.DIRECT.GET.UNDERSTUDY_TRIALS $JS.API.STREAM.MSG.GET.UNDERSTUDY_TRIALS $JS.API.DIRECT.GET.KV_UNDERSTUDY_SHARED.$KV.UNDERSTUDY_SHARED.site-key
		$JS.API.CONSUMER.CREATE.OBJ_UNDERSTUDY_BODIES.x $JS.API.STREAM.PURGE.OBJ_UNDERSTUDY_BODIES $KV.UNDERSTUDY_LEDGER.x $KV.UNDERSTUDY_SHARED.x
		$JS.API.STREAM.DELETE.UNDERSTUDY_EXCHANGES $JS.API.STREAM.PURGE.UNDERSTUDY_EXCHANGES $JS.API.STREAM.MSG.DELETE.UNDERSTUDY_EXCHANGES
		$JS.API.STREAM.CREATE.X $JS.API.STREAM.UPDATE.UNDERSTUDY_EXCHANGES $JS.API.CONSUMER.CREATE.UNDERSTUDY_SECRETS.x $JS.API.STREAM.MSG.DELETE.UNDERSTUDY_SECRETS subscribe:_INBOX_replay.> subscribe:_INBOX_owner.>`,
	"replay": `understudy.exchange.a understudy.ingest.a.b understudy.verdict.a.b.c understudy.judgement.a.b.c understudy.decision.a.b
		$KV.UNDERSTUDY_SHARED.x $KV.UNDERSTUDY_ACCOUNTS.x $JS.API.CONSUMER.CREATE.UNDERSTUDY_VERDICTS.x
		$JS.API.STREAM.CREATE.X $JS.API.STREAM.UPDATE.UNDERSTUDY_TRIALS $JS.API.STREAM.PURGE.UNDERSTUDY_EXCHANGES subscribe:_INBOX_judge.>`,
	"judge": `understudy.trial.a.b.c understudy.exchange.a understudy.decision.a.b $KV.UNDERSTUDY_CLAIMS.x $KV.UNDERSTUDY_ACCOUNTS.x
		$JS.API.STREAM.CREATE.X $JS.API.STREAM.UPDATE.UNDERSTUDY_TRIALS $JS.API.STREAM.PURGE.UNDERSTUDY_TRIALS subscribe:_INBOX_canary.>`,
	"canary": `understudy.exchange.a understudy.trial.a.b.c understudy.verdict.a.b.c understudy.judgement.a.b.c $KV.UNDERSTUDY_LEDGER.x $KV.UNDERSTUDY_CLAIMS.x
		$JS.API.STREAM.CREATE.X $JS.API.STREAM.UPDATE.UNDERSTUDY_TRIALS $JS.API.STREAM.PURGE.UNDERSTUDY_DECISIONS subscribe:_INBOX_capture.>`,
	"owner": `understudy.exchange.a understudy.ingest.a.b $JS.API.STREAM.PURGE.UNDERSTUDY_DECISIONS $JS.API.STREAM.MSG.DELETE.KV_UNDERSTUDY_LEDGER $JS.API.STREAM.PURGE.UNDERSTUDY_SECRETS
		$JS.API.STREAM.SNAPSHOT.UNDERSTUDY_EXCHANGES subscribe:_INBOX_capture.>`,
}

// The examples of a site's own files are complete: with real keys in them nats-server
// takes the shipped files, and with the places of keys it refuses them.
func TestShippedExamplesAreComplete(t *testing.T) {
	for host, file := range map[string]string{"host-single.example": "single.conf", "host-cluster.example": "cluster.conf"} {
		dir := t.TempDir()
		for from, to := range map[string]string{file: file, "accounts.conf": "accounts.conf", host: "host.conf", "keys.example": "keys.conf"} {
			writeOver(t, filepath.Join(dir, to), readFile(t, filepath.Join(shippedNATS, from)))
		}
		try := func() (string, error) {
			out, err := exec.Command(natsServerPath(t), "-t", "-c", filepath.Join(dir, file)).CombinedOutput()
			return string(out), err
		}
		if out, err := try(); err == nil || !strings.Contains(out, "nkey") {
			t.Errorf("%s with the example's keys: %v, %s", file, err, out)
		}
		_, keys := newSeeds(t)
		writeOver(t, filepath.Join(dir, "keys.conf"), keys)
		if out, err := try(); err != nil {
			t.Errorf("%s: %v, %s", file, err, out)
		}
	}
}

// The shipped units are what systemd takes, and the variables in them are keys of ours.
func TestShippedUnitsAreValid(t *testing.T) {
	units, err := filepath.Glob("../../deploy/systemd/*.service")
	if err != nil || len(units) != 2 {
		t.Fatalf("%v: %v", units, err)
	}
	variable := regexp.MustCompile(`(UNDERSTUDY_\w+)=(\S+)`)
	var copies []string
	for _, unit := range units {
		text := readFile(t, unit)
		for _, v := range variable.FindAllStringSubmatch(text, -1) {
			if strings.HasPrefix(v[2], "%") {
				v[2] = writeFile(t, "seed", "")
			}
			t.Setenv(v[1], v[2])
		}
		t.Setenv("UNDERSTUDY_NATS_MODE", "external")
		t.Setenv("UNDERSTUDY_NATS_URL", "nats://nats-1:4222")
		cfg, err := loadConfig("../../config.toml", nil)
		if err != nil {
			t.Fatalf("%s: %v", unit, err)
		}
		if len(cfg.unused) > 0 || cfg.NATS.InboxPrefix == "_INBOX" || cfg.NATS.Credentials == "" || cfg.NATS.Dir == "state" {
			t.Errorf("%s: %+v, not used: %v", unit, cfg.NATS, cfg.unused)
		}
		path := filepath.Join(t.TempDir(), filepath.Base(unit))
		writeOver(t, path, strings.NewReplacer("/usr/local/bin/understudy", understudyPath(t), "Type=notify-reload", "Type=notify").Replace(text))
		copies = append(copies, path)
	}
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not here")
	}
	if out, err := exec.Command(tool, append([]string{"verify", "--man=no"}, copies...)...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}
