package journal

import (
	"fmt"
	"testing"
	"time"
)

// The days of the past do not fill the ledger's bucket: once full, it lets no call begin.
func TestOldDaysAreForgotten(t *testing.T) {
	j := openTest(t, testConfig(t))
	s := &site{t, j}
	now := time.Now()
	spend := func(day int) *Ledger {
		l := s.ledger(fmt.Sprintf("host%d", day), Caps{DailyUSD: 10})
		l.now = func() time.Time { return now.AddDate(0, 0, day) }
		s.reserve(l, "r", 1).SettleFull()
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		return l
	}
	for _, day := range []int{-40, -31, -29, 0} {
		spend(day)
	}
	l := spend(0)
	if err := l.forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	for day, there := range map[int]bool{-40: false, -31: false, -29: true, 0: true} {
		_, entry, err := l.account(t.Context(), now.AddDate(0, 0, day).UTC().Format(time.DateOnly)+"."+AccountReplay)
		if err != nil || (entry != nil) != there {
			t.Errorf("day %d is there: %v, want %v (%v)", day, entry != nil, there, err)
		}
	}
	if acc := s.account(l); usd(acc.ChargedNano) != 2 {
		t.Errorf("today stands at %v, want 2", usd(acc.ChargedNano))
	}
}
