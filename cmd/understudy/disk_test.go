package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"understudy/internal/journal"
	"understudy/llm/sim"
)

// A smallDisk is a file system of 96 MiB for one test, with a file that fills it.
type smallDisk struct {
	t   *testing.T
	dir string
}

func newSmallDisk(t *testing.T) *smallDisk {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("a file system of the test's own cannot be mounted here (it takes root on Linux): %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", dir, err, out)
		}
	})
	return &smallDisk{t: t, dir: dir}
}

func (d *smallDisk) filler() string { return filepath.Join(d.dir, "filler") }

// fill leaves so many bytes free, or fewer where others write as well.
func (d *smallDisk) fill(leave int64) {
	d.t.Helper()
	f, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for {
		var s syscall.Statfs_t
		if err := syscall.Statfs(d.dir, &s); err != nil {
			d.t.Fatal(err)
		}
		n := min(int64(s.Bavail)*int64(s.Bsize)-leave, 1<<20)
		if n <= 0 {
			return
		}
		if _, err := f.Write(make([]byte, n)); err != nil && !errors.Is(err, syscall.ENOSPC) {
			d.t.Fatal(err)
		}
	}
}

func (d *smallDisk) empty() {
	d.t.Helper()
	if err := os.Remove(d.filler()); err != nil {
		d.t.Fatal(err)
	}
}

// diskPost is a proxy whose state lies on a small disk.
func diskPost(t *testing.T) (*post, *smallDisk) {
	disk := newSmallDisk(t)
	p := newPost(t, time.Millisecond)
	text := strings.NewReplacer(p.dir, filepath.Join(disk.dir, "state"), "268435456", "67108864").Replace(readFile(t, p.config))
	writeOver(t, p.config, text)
	p.dir = filepath.Join(disk.dir, "state")
	return p, disk
}

// statusSoon is status, which must not take longer than ten seconds.
func (p *post) statusSoon() Status {
	p.t.Helper()
	start := time.Now()
	st := p.status()
	if took := time.Since(start); took > 10*time.Second {
		p.t.Errorf("status took %s", took)
	}
	return st
}

func (p *post) askMany(what string, n int) {
	p.t.Helper()
	for i := range n {
		if _, err := p.ask(chat(fmt.Sprint(what, i))); err != nil {
			p.t.Fatalf("%s, request %d: the client does not get its answer: %v", what, i, err)
		}
	}
}

// notStored are the exchanges that neither the full store nor the spool beside it took.
func notStored(st Status) int64 {
	return st.Accounts.Dropped["journal_full"] + st.Accounts.Dropped["spool_full"]
}

func TestProxyOnAFullDisk(t *testing.T) {
	p, disk := diskPost(t)
	d := p.run()
	captured := func(n int64) {
		t.Helper()
		eventually(t, 15*time.Second, fmt.Sprint(n, " are captured"), func() bool { st := p.statusSoon(); return st.Accounts.Captured == n && closed(st) })
	}
	full := func(want bool) {
		t.Helper()
		eventually(t, 10*time.Second, fmt.Sprint("full is ", want), func() bool { return p.statusSoon().Stages.Store.Full == want })
	}
	p.askMany("room ", 20)
	captured(20)
	if st := p.statusSoon().Stages.Store; st == nil || st.FreeBytes < 80<<20 || st.ReserveBytes != 32<<20 || st.Full {
		t.Errorf("store with room: %+v", st)
	}

	for i, leave := range []int64{16 << 20, 0} {
		disk.fill(leave)
		full(true)
		what := fmt.Sprint(leave, " bytes free ")
		p.askMany(what, 20)
		dropped := int64(i+1) * 20
		eventually(t, 10*time.Second, "what could not be stored is counted", func() bool {
			st := p.statusSoon()
			return notStored(st) == dropped && st.Accounts.Captured == 20 && closed(st)
		})
	}
	if out, _, _ := cli(t, "status", "--config", p.config); !strings.Contains(out, "NOTHING IS STORED") {
		t.Errorf("status says nothing of the full disk:\n%s", out)
	}
	disk.empty()
	full(false)
	p.askMany("room again ", 20)
	captured(40)
	p.checkExported(40)
	if code := d.term(20 * time.Second); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// checkExported compares what is stored with what was counted.
func (p *post) checkExported(captured int64) {
	p.t.Helper()
	out, errs, code := cli(p.t, "export", "--config", p.config, "--what", "exchanges")
	if n := int64(strings.Count(out, "\n")); code != 0 || n != captured {
		p.t.Errorf("exported %d of %d captured, exit %d: %s", n, captured, code, errs)
	}
}

// TestProxyWhoseStoreBroke fills the disk to its last byte under traffic, before the
// daemon can see it coming.
func TestProxyWhoseStoreBroke(t *testing.T) {
	p, disk := diskPost(t)
	d := p.run()
	var asked, failed atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for w := range 4 {
		clients.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(2 * time.Millisecond):
				}
				if _, err := p.ask(chat(fmt.Sprint("worker ", w, " request ", i))); err != nil {
					failed.Add(1)
				}
				asked.Add(1)
			}
		})
	}
	t.Cleanup(clients.Wait)
	end := sync.OnceFunc(func() { close(stop) })
	t.Cleanup(end)
	eventually(t, 10*time.Second, "traffic is captured", func() bool { return p.status().Accounts.Captured > 100 })

	broke := func() bool { return strings.Contains(d.err.String(), "no space left on device") }
	for try := 0; !broke(); try++ {
		if try == 5 {
			t.Fatal("the store did not break")
		}
		disk.fill(0)
		eventually(t, 10*time.Second, "the disk is full", func() bool { return broke() || p.statusSoon().Stages.Store.Full })
		if !broke() { // a look came first
			disk.empty()
			eventually(t, 10*time.Second, "the disk has room", func() bool { return !p.statusSoon().Stages.Store.Full })
		}
	}
	eventually(t, 20*time.Second, "records are dropped and counted", func() bool { return notStored(p.statusSoon()) > 0 })
	before := p.statusSoon().Accounts.Captured
	disk.empty()
	eventually(t, 20*time.Second, "capturing goes on", func() bool { return p.statusSoon().Accounts.Captured > before+100 })
	end()
	clients.Wait()
	if n := failed.Load(); n != 0 {
		t.Errorf("%d of %d clients did not get their answer", n, asked.Load())
	}
	if !strings.Contains(d.err.String(), "starting it anew in place") {
		t.Error("the server was not started anew")
	}
	var st Status
	eventually(t, 10*time.Second, "the accounts close", func() bool {
		st = p.statusSoon()
		return closed(st) && st.Accounts.Pending == 0 && st.Accounts.Received == asked.Load()
	})
	t.Logf("%+v", st.Accounts.Accounts)
	p.checkExported(st.Accounts.Captured)
	if code := d.term(20 * time.Second); code != 0 {
		t.Errorf("exit %d", code)
	}
}

func TestProxyStartsOnAFullDisk(t *testing.T) {
	p, disk := diskPost(t)
	d := p.run()
	p.askMany("room ", 5)
	eventually(t, 10*time.Second, "captured", func() bool { return p.status().Accounts.Captured == 5 })
	d.kill()
	disk.fill(0)
	d = p.run()
	p.askMany("full ", 5)
	if st := p.statusSoon(); !st.Stages.Store.Full {
		t.Errorf("store: %+v", st.Stages.Store)
	}
	disk.empty()
	eventually(t, 20*time.Second, "the accounts close", func() bool {
		st := p.statusSoon()
		return closed(st) && st.Accounts.Pending == 0 && st.Accounts.Received == 10
	})
	p.askMany("room again ", 5)
	eventually(t, 10*time.Second, "capturing goes on", func() bool {
		st := p.statusSoon()
		return closed(st) && st.Accounts.Captured >= 10 && st.Accounts.Pending == 0 && st.Accounts.Received == 15
	})
	p.checkExported(p.statusSoon().Accounts.Captured)
	if code := d.term(20 * time.Second); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// TestPaidAnswersOutliveAFullDisk fills the disk while a candidate's calls are under
// way: their answers wait for room, and nobody pays for them again.
func TestPaidAnswersOutliveAFullDisk(t *testing.T) {
	disk := newSmallDisk(t)
	tn := newTown(t, townConfig{
		bedrock: sim.Config{Personas: quick(2 * time.Second)},
		sets:    []string{"nats.dir=" + filepath.Join(disk.dir, "state"), "nats.max_store=67108864"},
	})
	for i := range 4 {
		tn.mustPost(chat(fmt.Sprint("request ", i)))
	}
	lane := func() int { return tn.p.status().Stages.Replay["llama-3.3"].InFlight }
	eventually(t, 10*time.Second, "four calls are under way", func() bool { return lane() == 4 })
	disk.fill(16 << 20)
	eventually(t, 10*time.Second, "the disk is full", func() bool { return tn.p.status().Stages.Store.Full })
	eventually(t, 10*time.Second, "the calls are answered", func() bool { return lane() == 0 })
	if b := tn.p.status().Accounts.Candidates["llama-3.3"]; b != (journal.Buckets{Pending: 4}) {
		t.Fatalf("on a full disk: %+v", b)
	}
	disk.empty()
	eventually(t, 20*time.Second, "the trials are stored", func() bool {
		return tn.p.status().Accounts.Candidates["llama-3.3"] == journal.Buckets{Trial: 4}
	})
	if calls := tn.bedrock.Stats()[townModel].Calls; calls != 4 {
		t.Errorf("%d calls for 4 trials", calls)
	}
}
