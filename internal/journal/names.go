package journal

import "strings"

// Streams, buckets and the object store. docs/records.md documents them for
// programs in other languages.
const (
	StreamExchanges = "UNDERSTUDY_EXCHANGES"
	StreamTrials    = "UNDERSTUDY_TRIALS"
	StreamVerdicts  = "UNDERSTUDY_VERDICTS"
	StreamDecisions = "UNDERSTUDY_DECISIONS"
	// StreamDeadLetters keeps the broker's notices of messages that it gave up.
	StreamDeadLetters = "UNDERSTUDY_DEADLETTERS"
	BucketClaims      = "UNDERSTUDY_CLAIMS"
	BucketLedger      = "UNDERSTUDY_LEDGER"
	BucketAccounts    = "UNDERSTUDY_ACCOUNTS"
	StoreBodies       = "UNDERSTUDY_BODIES"
	// StreamCache remembers what judges said, by a keyed hash of what they were asked.
	StreamCache = "UNDERSTUDY_JUDGE_CACHE"
	// BucketJudgeClaims holds leases on questions to judges.
	BucketJudgeClaims = "UNDERSTUDY_JUDGE_CLAIMS"
	// BucketQuota holds the schedules of models with a quota. It lies in memory.
	BucketQuota = "UNDERSTUDY_QUOTA"
	// BucketBackfills holds what persons have ordered to be tried again.
	BucketBackfills = "UNDERSTUDY_BACKFILLS"
	// StreamSecrets holds what records are sealed with.
	StreamSecrets = "UNDERSTUDY_SECRETS"
	// BucketShared holds the site's key and the state of each control.
	BucketShared = "UNDERSTUDY_SHARED"
)

// Message headers of ours.
const (
	// HeaderCount is the number of records in an exchange message.
	HeaderCount = "Understudy-Count"
	// HeaderInstance is the proxy that published an exchange message.
	HeaderInstance = "Understudy-Instance"
	// HeaderIDs holds hashes of what the records of an exchange message can be looked up
	// by.
	HeaderIDs = "Understudy-Ids"
	// HeaderObject names the object that holds the message's body.
	HeaderObject = "Understudy-Object"
	// HeaderDisposition and HeaderSeq repeat fields of a trial, so that the
	// accounts can be kept without reading bodies.
	HeaderDisposition = "Understudy-Disposition"
	HeaderSeq         = "Understudy-Exchange-Seq"
	HeaderSource      = "Understudy-Source"
	// HeaderClass repeats a trial's class.
	HeaderClass = "Understudy-Class"
	// HeaderRole tells a control's trials and verdicts from a candidate's.
	HeaderRole = "Understudy-Role"
	// HeaderBooked is what a trial or judgement was booked with in the ledger, in
	// nano-dollars: what is known to be billed, or else what was set aside.
	HeaderBooked = "Understudy-Booked"
	// HeaderBookedBy is the entry of the ledger in which the calls stand that a record
	// was booked for.
	HeaderBookedBy = "Understudy-Booked-By"
	// HeaderJudge is the endpoint that was asked for a judgement; none where none was.
	HeaderJudge = "Understudy-Judge"
	// HeaderReason is the machine part of why a trial has no answer.
	HeaderReason = "Understudy-Reason"
	// HeaderReplaces is the bucket in which the attempt sets before left the exchange.
	HeaderReplaces = "Understudy-Replaces"
	// HeaderBackfill is the id of the backfill that a trial was made for.
	HeaderBackfill = "Understudy-Backfill"
)

var escaper = strings.NewReplacer(".", "=2E", "/", "=2F")
var unescaper = strings.NewReplacer("=2E", ".", "=2F", "/")

// Escape writes a name as one token of a subject, key or durable: NATS splits
// subjects at dots and refuses dots and slashes in durables. Names hold no "=".
func Escape(name string) string { return escaper.Replace(name) }

// Unescape is the inverse of Escape.
func Unescape(token string) string { return unescaper.Replace(token) }

// ExchangeSubject is where captured exchanges of a sub-module go.
func ExchangeSubject(submodule string) string { return "understudy.exchange." + Escape(submodule) }

// IngestSubject is where a foreign publisher sends exchanges of a sub-module.
func IngestSubject(source, submodule string) string {
	return "understudy.ingest." + Escape(source) + "." + Escape(submodule)
}

// TrialSubject is the one subject of a trial.
func TrialSubject(submodule, candidate, id string) string {
	return "understudy.trial." + Escape(submodule) + "." + Escape(candidate) + "." + id
}

// VerdictSubject is the one subject of a trial's verdict.
func VerdictSubject(submodule, candidate, id string) string {
	return "understudy.verdict." + Escape(submodule) + "." + Escape(candidate) + "." + id
}

const judgementPrefix = "understudy.judgement."

// judgements are all subjects of judgements.
const judgements = judgementPrefix + "*.*.*"

// subjectCell reads sub-module and endpoint from the subject of a trial, a verdict or a
// judgement.
func subjectCell(subject string) (submodule, endpoint string, ok bool) {
	t := strings.Split(subject, ".")
	if len(t) != 5 {
		return "", "", false
	}
	return Unescape(t[2]), Unescape(t[3]), true
}

// JudgementSubject is the one subject of a trial's judgement.
func JudgementSubject(submodule, endpoint, id string) string {
	return judgementPrefix + Escape(submodule) + "." + Escape(endpoint) + "." + id
}

// DecisionSubject is where a cell's decisions are appended.
func DecisionSubject(submodule, candidate string) string {
	return "understudy.decision." + Escape(submodule) + "." + Escape(candidate)
}

// SubjectOf reads sub-module and source from the subject of an exchange: what
// our own proxies publish is SourceCapture, whatever the record says.
func SubjectOf(subject string) (submodule, source string, ok bool) {
	t := strings.Split(subject, ".")
	switch {
	case len(t) == 3 && t[1] == "exchange":
		return Unescape(t[2]), SourceCapture, true
	case len(t) == 4 && t[1] == "ingest" && t[2] == SourceCapture:
		return Unescape(t[3]), "foreign", true // the name is ours
	case len(t) == 4 && t[1] == "ingest":
		return Unescape(t[3]), Unescape(t[2]), true
	}
	return "", "", false
}
