package replay

import (
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/metrics"
)

// count counts one of what the lane does. Controls have metrics of their own, so
// that sums over candidates stay sums over candidates.
func (l *lane) count(what string, pairs ...string) {
	name, label := "understudy_replay_"+what+"_total", "candidate"
	if l.control() {
		name, label = "understudy_control_"+what+"_total", "endpoint"
	}
	l.r.counter(name, append([]string{label, l.c.Endpoint.Name}, pairs...)...).Inc()
}

// counter gives the counter of a name and label pairs. Label values come from
// configuration and from fixed words only.
func (r *Replay) counter(name string, pairs ...string) *metrics.Counter {
	var b strings.Builder
	b.WriteString(name)
	for i := 0; i+1 < len(pairs); i += 2 {
		b.WriteString([]string{",", "{"}[btoi(i == 0)])
		b.WriteString(pairs[i] + "=" + strconv.Quote(pairs[i+1]))
	}
	b.WriteByte('}')
	return r.set.GetOrCreateCounter(b.String())
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
