package journal

import (
	"context"
	"time"
)

// Left is what is left of a day's budgets, in USD.
type Left struct {
	All                   float64
	Endpoints, Submodules map[string]float64
}

// BudgetLeft reads what today's budgets of an account still hold, in USD. What hosts
// hold as allowances counts as spent.
func (j *Journal) BudgetLeft(ctx context.Context, account string, caps Caps) (day string, left Left, err error) {
	kv, err := j.Bucket(ctx, BucketLedger)
	if err != nil {
		return "", Left{}, err
	}
	l := &Ledger{kv: kv, name: account, now: time.Now}
	day = l.today()
	of := func(scope string, usd float64) float64 {
		acc, _, e := l.account(ctx, day+"."+scope)
		if e != nil {
			err = e
			return 0
		}
		if acc.Ended != nil && nano(usd) <= acc.CapNano { // what was refused one call is refused all
			return 0
		}
		return max(0, usd-float64(acc.ChargedNano)/1e9)
	}
	left = Left{All: of(account, caps.DailyUSD), Endpoints: map[string]float64{}, Submodules: map[string]float64{}}
	for name, usd := range caps.Endpoints {
		left.Endpoints[name] = of(l.endpoint(name), usd)
	}
	for name, usd := range caps.Submodules {
		left.Submodules[name] = of(l.submodule(name), usd)
	}
	return day, left, err
}
