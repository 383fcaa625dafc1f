package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"understudy/internal/journal"
)

// A metric is one line of docs/metrics.md.
type metric struct{ name, kind, labels, meaning string }

// metricTable is every metric of this build, in the order of an SRE's questions.
// A test compares it with what a running daemon shows.
var metricTable = []metric{
	{"understudy_build_info", "gauge", "version", "1; the version that runs"},
	{"understudy_start_time_seconds", "gauge", "", "when the process started, Unix time"},
	{"understudy_nats_up", "gauge", "", "1 while the streams can be reached"},

	{"understudy_capture_requests_total", "counter", "outcome", "requests by what became of them: the first sum of `status`"},
	{"understudy_capture_dropped_total", "counter", "reason", "exchanges not recorded, by reason; the live answer did not notice"},
	{"understudy_capture_passed_total", "counter", "path", "requests passed without being recorded, by group of paths"},
	{"understudy_capture_excluded_total", "counter", "by", "requests of which nothing is written: path = no Chat Completions call; bypass; skip = X-Understudy-Skip; key, header, pointer, tenant, consent = [capture.exclude]"},
	{"understudy_capture_redact_texts_total", "counter", "", "texts of recorded bodies that redaction looked at"},
	{"understudy_capture_redact_bytes_total", "counter", "", "their bytes"},
	{"understudy_capture_redacted_total", "counter", "kind", "pieces of them that were replaced, by detector"},
	{"understudy_capture_media_dropped_total", "counter", "", "images, pieces of audio and files that were not recorded ([capture.redact] media)"},
	{"understudy_capture_ask_usage_total", "counter", "outcome", "streams that were asked for their usage ([capture] ask_usage): asked = the answer stood; refused = the upstream took the request only as the client sent it; repeated = it did not take that either"},
	{"understudy_capture_spool_bytes", "gauge", "", "what the spool holds on disk"},
	{"understudy_capture_spool_records", "gauge", "", "recorded exchanges in it that wait for NATS"},
	{"understudy_capture_spool_oldest_seconds", "gauge", "", "how long the oldest of them has waited"},
	{"understudy_capture_spool_damaged_segments", "gauge", "", "segments of it that the disk damaged since the process began; what was in them is lost"},
	{"understudy_capture_inflight", "gauge", "", "live requests under way"},
	{"understudy_capture_overhead_seconds", "histogram", "", "time from a request's arrival to its being sent upstream"},
	{"understudy_capture_memory_bytes", "gauge", "", "what exchanges in hand hold"},
	{"understudy_capture_memory_limit_bytes", "gauge", "", "the budget for it ([capture] memory)"},
	{"understudy_capture_pending", "gauge", "", "exchanges in hand, not yet in the journal"},
	{"understudy_capture_queue_age_seconds", "gauge", "", "how long the oldest of them has waited"},

	{"understudy_live_response_seconds", "histogram", "submodule", "time to the last byte of the live answer"},
	{"understudy_live_time_to_first_token_seconds", "histogram", "submodule", "time to the first content of a live stream"},
	{"understudy_live_time_per_output_token_seconds", "histogram", "submodule", "time of a live stream for each output token behind the first"},
	{"understudy_live_errors_total", "counter", "submodule, class", "failed live calls by class"},

	{"understudy_replay_trials_total", "counter", "candidate, outcome, class", "stored dispositions; outcome is trial, not_comparable, over_budget or dead_letter"},
	{"understudy_replay_attempts_total", "counter", "candidate, class", "calls made, by how they ended"},
	{"understudy_replay_pauses_total", "counter", "candidate, class", "pauses of an endpoint after a fault that is no trial"},
	{"understudy_replay_lost_attempts_total", "counter", "candidate", "calls that were in flight when their process died, found when their exchange came again"},
	{"understudy_replay_yields_total", "counter", "candidate", "times that an endpoint left its account to live traffic"},
	{"understudy_replay_concurrency", "gauge", "candidate", "calls that may be under way now: fewer than configured while the provider throttles"},
	{"understudy_replay_paused", "gauge", "candidate", "1 while the endpoint is paused"},
	{"understudy_replay_in_flight", "gauge", "candidate", "calls under way"},
	{"understudy_replay_spent_today_usd", "gauge", "", "what this process spent on candidates since 00:00 UTC"},

	{"understudy_control_trials_total", "counter", "endpoint, outcome, class", "stored dispositions of the control; outcome is trial, not_comparable, over_budget, dead_letter or not_drawn"},
	{"understudy_control_attempts_total", "counter", "endpoint, class", "calls of the control made, by how they ended"},
	{"understudy_control_pauses_total", "counter", "endpoint, class", "pauses of a control after a fault that is no trial"},
	{"understudy_control_lost_attempts_total", "counter", "endpoint", "understudy_replay_lost_attempts_total for controls"},
	{"understudy_control_yields_total", "counter", "endpoint", "understudy_replay_yields_total for controls"},
	{"understudy_control_concurrency", "gauge", "endpoint", "understudy_replay_concurrency for controls"},
	{"understudy_control_paused", "gauge", "endpoint", "1 while the control is paused"},
	{"understudy_control_in_flight", "gauge", "endpoint", "calls of the control under way"},
	{"understudy_control_spent_today_usd", "gauge", "", "what this process spent on controls since 00:00 UTC"},

	{"understudy_budget_cap_usd", "gauge", "account, endpoint, submodule", "today's budgets by this process's configuration; account is all (candidates), control or judge; endpoint or submodule stands with those that have one of their own inside it, so sum over neither"},
	{"understudy_budget_charged_usd", "gauge", "account, endpoint, submodule", "what all processes have spent or hold of it, as this process saw it in the last 15 s"},
	{"understudy_budget_lost_usd", "gauge", "account, endpoint, submodule", "of that, what calls may have cost that were in flight when their process died"},
	{"understudy_budget_lost_calls", "gauge", "account, endpoint, submodule", "how many those are"},
	{"understudy_budget_ended", "gauge", "account, endpoint, submodule", "1 once a call was refused for the day"},
	{"understudy_budget_reach", "gauge", "account, endpoint, submodule", "share of the conversations still to come today that the budgets pay for; below 1 some are left out, drawn by their names; absent before it is known"},
	{"understudy_budget_events_total", "counter", "account, percent", "daily budgets that came to 80 or 100 percent, told by the process that found it"},

	{"understudy_judge_verdicts_total", "counter", "", "verdicts stored"},
	{"understudy_judge_duplicates_total", "counter", "", "verdicts that were stored already"},
	{"understudy_judge_without_exchange_total", "counter", "", "trials whose exchange could not be read; their verdict has no checks"},
	{"understudy_judge_check_failures_total", "counter", "check, side", "checks that did not hold"},
	{"understudy_judge_unchecked_total", "counter", "check, side, reason", "checks that applied and could not be made"},
	{"understudy_judge_seconds", "histogram", "", "time to read, check and store one verdict"},
	{"understudy_judge_calls_total", "counter", "endpoint, class", "calls of judge models, by how they ended"},
	{"understudy_judge_questions_total", "counter", "endpoint, parse", "questions that a judge answered, by how its label was found; failed is a missing verdict"},
	{"understudy_judge_remembered_total", "counter", "endpoint", "questions that were answered before and cost nothing"},
	{"understudy_judge_judgements_total", "counter", "endpoint, outcome", "judgements stored; outcome is judged, outside_share, over_budget or unreadable"},
	{"understudy_judge_flagged_total", "counter", "side", "judged answers that speak to a judge"},
	{"understudy_judge_pauses_total", "counter", "endpoint, class", "pauses of a judge after a fault that is not the question's"},
	{"understudy_judge_in_flight", "gauge", "endpoint", "calls of judge models under way"},
	{"understudy_judge_paused", "gauge", "endpoint", "1 while the judge is paused"},
	{"understudy_judge_spent_today_usd", "gauge", "", "what this process spent on judges since 00:00 UTC"},

	{"understudy_canary_verdict", "gauge", "submodule, candidate, verdict", "1 for the verdict that stands, else 0"},
	{"understudy_canary_clusters", "gauge", "submodule, candidate", "conversations analysed"},
	{"understudy_canary_pairs", "gauge", "submodule, candidate", "pairs analysed"},
}

// writeMetricsDoc writes docs/metrics.md.
func writeMetricsDoc(w io.Writer) {
	fmt.Fprint(w, "# Metrics\n\n`GET /metrics` on the admin listener, in Prometheus' text format; histograms have `le` buckets. Label values come from the\n"+
		"configuration and from fixed words; ids never stand in labels. Go's process metrics (`go_*`, `process_*`) come besides.\n"+
		"This page is generated: `make metrics-doc`.\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range metricTable {
		fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", m.name, m.kind, m.labels, m.meaning)
	}
}

func (p *process) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	fmt.Fprintf(w, "understudy_build_info{version=%q} 1\n", version())
	fmt.Fprintf(w, "understudy_start_time_seconds %d\n", p.start.Unix())
	fmt.Fprintf(w, "understudy_nats_up %d\n", oneIf(p.j.Up()))
	if r := p.currentWorkers().replay; r != nil {
		lanes := r.Status()
		for _, name := range slices.Sorted(maps.Keys(lanes)) {
			fmt.Fprintf(w, "understudy_replay_in_flight{candidate=%q} %d\n", name, lanes[name].InFlight)
			fmt.Fprintf(w, "understudy_replay_concurrency{candidate=%q} %d\n", name, lanes[name].Concurrency)
			fmt.Fprintf(w, "understudy_replay_paused{candidate=%q} %d\n", name, oneIf(lanes[name].PausedFor != ""))
		}
		fmt.Fprintf(w, "understudy_replay_spent_today_usd %g\n", r.SpentToday())
		controls := r.Controls()
		for _, name := range slices.Sorted(maps.Keys(controls)) {
			fmt.Fprintf(w, "understudy_control_in_flight{endpoint=%q} %d\n", name, controls[name].InFlight)
			fmt.Fprintf(w, "understudy_control_concurrency{endpoint=%q} %d\n", name, controls[name].Concurrency)
			fmt.Fprintf(w, "understudy_control_paused{endpoint=%q} %d\n", name, oneIf(controls[name].PausedFor != ""))
		}
		fmt.Fprintf(w, "understudy_control_spent_today_usd %g\n", r.ControlSpentToday())
	}
	if panel := p.currentWorkers().panel; panel != nil {
		judges := panel.Status()
		for _, name := range slices.Sorted(maps.Keys(judges)) {
			fmt.Fprintf(w, "understudy_judge_in_flight{endpoint=%q} %d\n", name, judges[name].InFlight)
			fmt.Fprintf(w, "understudy_judge_paused{endpoint=%q} %d\n", name, oneIf(judges[name].PausedFor != ""))
		}
		fmt.Fprintf(w, "understudy_judge_spent_today_usd %g\n", panel.SpentToday())
	}
	p.budgetMetrics(w)
	p.set.WritePrometheus(w)
	metrics.WriteProcessMetrics(w)
}

// budgetMetrics shows the budgets that this process spends from.
func (p *process) budgetMetrics(w io.Writer) {
	var list []journal.Budget
	workers := p.currentWorkers()
	if workers.replay != nil {
		list = append(list, workers.replay.Budgets()...)
	}
	if workers.panel != nil {
		list = append(list, workers.panel.Budgets()...)
	}
	for i := range list {
		b := &list[i]
		labels := budgetLabels(b.Account, b.Endpoint, b.Submodule)
		fmt.Fprintf(w, "understudy_budget_cap_usd%s %g\n", labels, b.CapUSD)
		fmt.Fprintf(w, "understudy_budget_charged_usd%s %g\n", labels, b.ChargedUSD)
		fmt.Fprintf(w, "understudy_budget_lost_usd%s %g\n", labels, b.LostUSD)
		fmt.Fprintf(w, "understudy_budget_lost_calls%s %d\n", labels, b.LostCalls)
		fmt.Fprintf(w, "understudy_budget_ended%s %d\n", labels, oneIf(b.Ended != nil))
	}
	if workers.replay == nil {
		return
	}
	reach := workers.replay.Reach(time.Now())
	for _, a := range spendAccounts {
		for _, c := range p.config().cells(a.role) {
			if share, ok := reach[c]; ok {
				fmt.Fprintf(w, "understudy_budget_reach%s %g\n", budgetLabels(a.account, c.Endpoint, c.Submodule), share)
			}
		}
	}
}

func budgetLabels(account, endpoint, submodule string) string {
	labels := fmt.Sprintf("{account=%q", account)
	if endpoint != "" {
		labels += fmt.Sprintf(",endpoint=%q", endpoint)
	}
	if submodule != "" {
		labels += fmt.Sprintf(",submodule=%q", submodule)
	}
	return labels + "}"
}

func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}
