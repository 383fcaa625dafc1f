package replay

import (
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/metrics"

	"understudy/llm"
)

// count counts one of what the lane does. Controls have metrics of their own, so
// that sums over candidates stay sums over candidates.
func (l *lane) count(what string, pairs ...string) { l.counter(what, pairs...).Inc() }

func (l *lane) counter(what string, pairs ...string) *metrics.Counter {
	name, label := "understudy_replay_"+what+"_total", "candidate"
	if l.control() {
		name, label = "understudy_control_"+what+"_total", "endpoint"
	}
	return l.r.counter(name, append([]string{label, l.c.Endpoint.Name}, pairs...)...)
}

// declare shows the lane's rare counters from the start, at 0: a rate needs both ends.
func (l *lane) declare() {
	for _, class := range []llm.Class{llm.ClassThrottled, llm.ClassAccess, llm.ClassQuota, llm.ClassNotFound, llm.ClassNetwork} {
		l.counter("pauses", "class", string(class))
	}
	l.counter("lost_attempts")
	l.counter("yields")
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
