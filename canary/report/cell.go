package report

import (
	"time"

	"understudy/canary"
	"understudy/llm"
)

// A Cell is one sub-module × candidate: its verdict with findings, and all sides
// in numbers.
type Cell struct {
	canary.CellLook
	// Sentence is the decision with its evidence, for people; its words may change.
	Sentence string `json:"sentence"`
	// Trust answers what could make the evidence worthless.
	Trust []Check `json:"trust"`
	// Forecast is what a cell that is COLLECTING still needs, else nil.
	Forecast *Forecast          `json:"forecast"`
	Live     canary.SideFigures `json:"live"`
	Trial    canary.SideFigures `json:"trial"`
	// Again is the baseline asked again, over the ControlPairs of the sub-module.
	Again        canary.SideFigures `json:"control_figures"`
	ControlPairs int                `json:"control_pairs"`
	Gaps         []canary.GapCount  `json:"gaps"`
	// Compared pairs so far, with those of open conversations; Costs of them with
	// a cost on both sides, Units the distinct units among these.
	Compared int `json:"compared"`
	Costs    int `json:"costs"`
	Units    int `json:"units"`
	// Failures counts failed trials by class, LiveFailures those of the Exchanges
	// captured of the sub-module; the others ended without one.
	Failures      map[llm.Class]int `json:"failures"`
	LiveFailures  map[llm.Class]int `json:"live_failures"`
	Exchanges     int               `json:"exchanges"`
	NotComparable int               `json:"not_comparable"`
	OverBudget    int               `json:"over_budget"`
	DeadLetter    int               `json:"dead_letter"`
	// LagMS is the mean time from an exchange to its trial.
	LagMS canary.Number `json:"lag_ms"`
	// Attempts, Divergence and Lag are of the trials and decide nothing.
	Attempts   canary.AttemptFigures    `json:"attempts"`
	Divergence canary.DivergenceFigures `json:"divergence"`
	Lag        canary.LagFigures        `json:"lag"`
	// Judged is what judge models said, nil where none is asked.
	Judged *canary.JudgedFigures `json:"judged"`
	// Expense is AI's share in the cost of a unit, for this sub-module alone; nil
	// where nobody said what a unit costs besides.
	Expense *Expense       `json:"expense_ratio"`
	Worst   []canary.Worst `json:"worst"`

	unit  string
	saves saved
}

// An Expense is AI's cost of a unit ÷ (that cost + what the unit costs besides).
type Expense struct {
	OtherCostUSD float64 `json:"other_cost_usd"`
	// Target is the gate's limit, unknown without such a gate.
	Target  canary.Number `json:"target"`
	Live    canary.Number `json:"live"`
	Trial   canary.Number `json:"trial"`
	Control canary.Number `json:"control"`
}

func newCell(look *canary.CellLook, f *canary.Figures, v canary.Volume, s *canary.Submodule, config *canary.Config, now time.Time) Cell {
	c := Cell{
		CellLook: *look, Live: f.Live, Trial: f.Trial, Again: f.Control, ControlPairs: f.ControlPairs, Gaps: f.Gaps,
		Compared: f.Compared, Costs: f.Costs, Units: f.Units, Failures: f.Failures, LiveFailures: f.LiveFailures, Exchanges: v.Exchanges,
		NotComparable: f.NotComparable, OverBudget: f.OverBudget, DeadLetter: f.DeadLetter, LagMS: f.LagMS, Worst: f.Worst,
		Attempts: f.Attempts, Divergence: f.Divergence, Lag: f.Lag,
	}
	if c.Gaps == nil {
		c.Gaps = []canary.GapCount{}
	}
	if c.Worst == nil {
		c.Worst = []canary.Worst{}
	}
	if s != nil {
		c.unit = s.Unit
		c.Expense = expense(&c, s)
	}
	if s != nil && s.Judged || f.Judged.Pairs > 0 {
		judged := f.Judged
		c.Judged = &judged
	}
	c.saves = saving(&c, v)
	c.Forecast = forecast(&c, config)
	c.Trust = trust(&c, config, now)
	c.Sentence = decision(&c, config)
	return c
}

func expense(c *Cell, s *canary.Submodule) *Expense {
	if s.OtherCostUSD == nil || s.Unit == "" {
		return nil
	}
	e := &Expense{OtherCostUSD: *s.OtherCostUSD, Target: canary.Unknown()}
	for i := range c.Gates {
		if c.Gates[i].Name == "expense_ratio" {
			e.Target = canary.Number(c.Gates[i].Limit)
		}
	}
	e.Live = share(c.Live.CostUSDPerUnit, *s.OtherCostUSD)
	e.Trial = share(c.Trial.CostUSDPerUnit, *s.OtherCostUSD)
	e.Control = share(c.Again.CostUSDPerUnit, *s.OtherCostUSD)
	return e
}

// share is the expense ratio of a cost, unknown where all costs nothing.
func share(cost canary.Number, other float64) canary.Number {
	if !cost.Known() || float64(cost)+other <= 0 {
		return canary.Unknown()
	}
	return cost / (cost + canary.Number(other))
}

// finding is the cell's gate of that name, nil where it has none.
func (c *Cell) finding(name string) *canary.Finding {
	for i := range c.Gates {
		if c.Gates[i].Name == name {
			return &c.Gates[i]
		}
	}
	return nil
}

// observed is the time from the first conversation to the last.
func (c *Cell) observed() time.Duration { return c.LastAt.Sub(c.FirstAt) }
