package canary

import (
	"fmt"
	"sync"

	"github.com/VictoriaMetrics/metrics"
)

// gauges show the last look in the process's metrics:
//
//	understudy_canary_verdict{submodule,candidate,verdict}  1 for the verdict that stands, else 0
//	understudy_canary_clusters{submodule,candidate}         conversations analysed
//	understudy_canary_pairs{submodule,candidate}            pairs analysed
type gauges struct {
	mu  sync.Mutex
	out *metrics.Set
}

func newGauges(set *metrics.Set) *gauges { return &gauges{out: set} }

func (g *gauges) set(l Look) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range l.Cells {
		c := &l.Cells[i]
		labels := fmt.Sprintf("submodule=%q,candidate=%q", c.Submodule, c.Candidate)
		for _, v := range []string{Promote, Hold, Reject, Collecting} {
			g.out.GetOrCreateGauge(fmt.Sprintf("understudy_canary_verdict{%s,verdict=%q}", labels, v), nil).Set(rate(c.Verdict == v))
		}
		g.out.GetOrCreateGauge("understudy_canary_clusters{"+labels+"}", nil).Set(float64(c.Clusters))
		g.out.GetOrCreateGauge("understudy_canary_pairs{"+labels+"}", nil).Set(float64(c.Pairs))
	}
}
