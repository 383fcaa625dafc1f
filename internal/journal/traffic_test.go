package journal

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"
)

// monday is the day that the tests look back from.
var monday = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// A stream feeds accounts with messages of chosen times, as the broker would have
// stamped them.
type stream struct {
	a   *Accounts
	seq uint64
}

func newStream() *stream {
	return &stream{a: NewAccounts(nil, func(string) []string { return nil })}
}

func (s *stream) message(subject string, at time.Time, header map[string]string) *Message {
	s.seq++
	m := &Message{Seq: s.seq, Subject: subject, At: at, Header: nats.Header{}}
	for k, v := range header {
		m.Header.Set(k, v)
	}
	return m
}

func (s *stream) exchanges(submodule string, at time.Time, n int) {
	if n > 0 {
		s.a.exchange(s.message(ExchangeSubject(submodule), at, map[string]string{HeaderCount: strconv.Itoa(n)}))
	}
}

func (s *stream) trial(c Cell, at time.Time, d Disposition, usd float64) {
	s.a.trial(s.message(TrialSubject(c.Submodule, c.Endpoint, "id"), at, map[string]string{
		HeaderDisposition: string(d), HeaderRole: string(c.Role), HeaderBooked: strconv.FormatInt(nano(usd), 10)}))
}

func (s *stream) judgement(submodule, judge string, at time.Time, usd float64) {
	s.a.judgement(s.message(JudgementSubject(submodule, "llama", "id"), at, map[string]string{
		HeaderJudge: judge, HeaderBooked: strconv.FormatInt(nano(usd), 10)}))
}

// week feeds the days before a moment with one number of exchanges for each hour.
func (s *stream) week(submodule string, now time.Time, days int, hours [24]int) {
	for d := days; d >= 1; d-- {
		day := now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -d)
		for h, n := range hours {
			at := day.Add(time.Duration(h)*time.Hour + time.Minute)
			s.exchanges(submodule, at.In(time.FixedZone("east", 5*3600+1800)), n)
		}
	}
}

func hoursOf(t *rapid.T) (hours [24]int) {
	for h := range hours {
		hours[h] = rapid.IntRange(0, 300).Draw(t, "exchanges")
	}
	return hours
}

// What is due grows from 0 to 1 over the day, is the same wherever the clock hangs, and
// what is to come falls as it grows.
func TestDueGrowsOverTheDay(t *testing.T) {
	zones := []*time.Location{time.UTC, time.FixedZone("west", -9*3600), time.FixedZone("half", 5*3600+1800)}
	if berlin, err := time.LoadLocation("Europe/Berlin"); err == nil {
		zones = append(zones, berlin)
	}
	rapid.Check(t, func(t *rapid.T) {
		day := monday.AddDate(0, 0, rapid.IntRange(0, 364).Draw(t, "day")) // also when clocks are changed
		s := newStream()
		total := 0
		for d := 8; d >= 1; d-- {
			hours := hoursOf(t)
			for h, n := range hours {
				s.exchanges("a/b", day.AddDate(0, 0, -d).Add(time.Duration(h)*time.Hour).In(zones[d%len(zones)]), n)
				if d <= usualDays {
					total += n
				}
			}
		}
		if total == 0 {
			return
		}
		dueBefore, comingBefore := 0.0, math.Inf(1)
		step := time.Duration(rapid.IntRange(1, 180).Draw(t, "minutes")) * time.Minute
		for at := day; at.Before(day.AddDate(0, 0, 1)); at = at.Add(step) {
			due, known := s.a.Due(at.In(rapid.SampledFrom(zones).Draw(t, "zone")))
			coming := s.a.Rest("", at)
			if !known || due < dueBefore || due > 1 || coming > comingBefore+1e-9 || coming < 0 {
				t.Fatalf("%s: due %v (before %v), coming %v (before %v), known %v", at, due, dueBefore, coming, comingBefore, known)
			}
			if utc, _ := s.a.Due(at); utc != due {
				t.Fatalf("%s: due %v, and %v where the clock shows another hour", at, utc, due)
			}
			dueBefore, comingBefore = due, coming
		}
		if due, _ := s.a.Due(day); due != 0 {
			t.Fatalf("at midnight %v is due", due)
		}
		if due, _ := s.a.Due(day.AddDate(0, 0, 1).Add(-time.Nanosecond)); due < 1-1e-6 {
			t.Fatalf("at the day's end %v is due", due)
		}
		if got := s.a.Rest("", day) * usualDays; math.Abs(got-float64(total)) > 1e-6*float64(total) && total < usualDays*growthFirst {
			t.Fatalf("a day brings %v, want %v", got/usualDays, float64(total)/usualDays)
		}
	})
}

// Whole days alone are usual: the first on record may be the half of one, and today is
// not over.
func TestUsualDaysAreWhole(t *testing.T) {
	noon := monday.Add(12 * time.Hour)
	s := newStream()
	known := func() bool { _, ok := s.a.Due(noon); return ok }
	if known() {
		t.Error("nothing was seen")
	}
	s.exchanges("a/b", monday.Add(time.Hour), 10)
	if known() {
		t.Error("today alone was seen")
	}
	s = newStream()
	s.exchanges("a/b", monday.Add(-13*time.Hour), 10)
	if s.exchanges("a/b", monday.Add(time.Hour), 10); known() {
		t.Error("the day before may have been seen in half")
	}
	s = newStream()
	s.exchanges("a/b", monday.Add(-47*time.Hour), 10)
	if s.exchanges("a/b", monday.Add(time.Hour), 10); known() {
		t.Error("a day without traffic says nothing of when it comes")
	}
	s.exchanges("a/b", monday.Add(-13*time.Hour), 10)
	if !known() || s.a.UsualDays(noon) != 1 {
		t.Error("yesterday was whole")
	}
	s = newStream()
	s.week("a/b", noon, 20, [24]int{8: 10, 20: 10})
	if due, _ := s.a.Due(noon); s.a.UsualDays(noon) != usualDays || len(s.a.traffic.days) > usualDays+2 || due != 0.5 {
		t.Errorf("%d usual days, %d remembered, due %v", s.a.UsualDays(noon), len(s.a.traffic.days), due)
	}
}

// A day with twice the usual traffic goes on so, within bounds, once it says something.
func TestRestFollowsTheDay(t *testing.T) {
	noon := monday.Add(12 * time.Hour)
	var hours [24]int
	for h := range hours {
		hours[h] = 10
	}
	for _, c := range []struct {
		today int
		want  float64
	}{{120, 120}, {240, 240}, {30, 30}, {0, 30}, {4000, 480}} {
		s := newStream()
		s.week("a/b", noon, 8, hours)
		s.week("c", noon, 8, hours) // another sub-module has a day of its own
		s.exchanges("a/b", monday.Add(time.Hour), c.today)
		if got := s.a.Rest("a/b", noon); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("after %d instead of 120 until noon: %v to come, want %v", c.today, got, c.want)
		}
		if got := s.a.Rest("d", noon); got != 0 {
			t.Errorf("a sub-module without traffic: %v to come", got)
		}
	}
	s := newStream()
	s.week("a/b", noon, 8, [24]int{3: 40, 20: 10}) // too few to say that the day is another
	if got := s.a.Rest("a/b", noon); got != 10 {
		t.Errorf("%v to come, want 10", got)
	}
	if got := s.a.Coming("a/b", monday.Add(20*time.Hour+15*time.Minute)); got[20] != 7.5 || got[3] != 0 {
		t.Errorf("coming %v", got)
	}
}

// What an exchange costs counts those that are not asked, but not that there was no
// money for some.
func TestCostOfAnExchange(t *testing.T) {
	s := newStream()
	full := Cell{"a/b", "llama", RoleCandidate}
	control := Cell{"a/b", "gpt", RoleControl}
	if _, ok := s.a.PerExchangeUSD(full); ok {
		t.Error("there was no trial yet")
	}
	for i := range 1000 {
		s.trial(full, monday, []Disposition{Tried, OverBudget, NotComparable, OverBudget}[i%4], 0.02)
		d := NotDrawn
		if i%20 == 0 {
			d = Tried
		}
		s.trial(control, monday, d, 0.1)
	}
	if usd, ok := s.a.PerExchangeUSD(full); !ok || math.Abs(usd-0.015) > 0.001 {
		t.Errorf("three of four would be asked at $0.02: an exchange costs $%v, %v", usd, ok)
	}
	if usd, ok := s.a.PerExchangeUSD(control); !ok || math.Abs(usd-0.005) > 0.003 {
		t.Errorf("one of twenty is asked at $0.10: an exchange costs $%v, %v", usd, ok)
	}
	if got := s.a.Spent("2026-11-23")[full]; got.Trials != 250 || math.Abs(got.USD-5) > 1e-6 {
		t.Errorf("spent %+v", got)
	}
}

// A few trials are all worth the same, many follow what is new.
func TestMeanOfWhatCameLately(t *testing.T) {
	s, c := newStream(), Cell{"a/b", "llama", RoleCandidate}
	for _, usd := range []float64{1, 0, 0, 0} {
		s.trial(c, monday, Tried, usd)
	}
	if mean, ok := s.a.MeanUSD(c); !ok || math.Abs(mean-0.25) > 1e-9 {
		t.Errorf("mean of four %v, %v", mean, ok)
	}
	for range 500 {
		s.trial(c, monday, Tried, 2)
	}
	if mean, _ := s.a.MeanUSD(c); math.Abs(mean-2) > 0.01 {
		t.Errorf("after 500 trials at $2: %v", mean)
	}
}

// Judgements are booked by judge; one that asked nobody is none.
func TestJudgementsAreBooked(t *testing.T) {
	s := newStream()
	for d := 7; d >= 0; d-- {
		day := monday.AddDate(0, 0, -d)
		s.exchanges("a/b", day, 100)
		for range 10 {
			s.judgement("a/b", "nova", day, 0.03)
		}
		s.judgement("a/b", "", day, 0)
	}
	c := Cell{"a/b", "nova", RoleJudge}
	if got := s.a.Spent("2026-11-23")[c]; got.Trials != 10 || math.Abs(got.USD-0.3) > 1e-9 {
		t.Errorf("spent %+v", got)
	}
	if usd, ok := s.a.PerExchangeUSD(c); !ok || math.Abs(usd-0.003) > 1e-9 {
		t.Errorf("one of ten is judged at $0.03: an exchange costs $%v, %v", usd, ok)
	}
	if n := len(s.a.Spent("2026-11-23")); n != 1 {
		t.Errorf("%d cells", n)
	}
}

// What was booked is known for the usual days, whatever the stream still holds.
func TestSpentForgetsOldDays(t *testing.T) {
	s, c := newStream(), Cell{"a/b", "llama", RoleCandidate}
	for d := 40; d >= 0; d-- {
		s.trial(c, monday.AddDate(0, 0, -d), Tried, 1)
	}
	if n := len(s.a.spent); n > usualDays+2 {
		t.Errorf("%d days are remembered", n)
	}
	if s.a.Spent("2026-11-15")[c].Trials != 1 || s.a.Spent("2026-11-13")[c].Trials != 0 {
		t.Error("eight days back are known, and no more")
	}
}
