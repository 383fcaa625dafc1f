package capture

// The reasons for which an exchange is dropped, as they stand in the accounts
// and in the metrics.
const (
	// reasonMemory: the byte budget is used up before the exchange was read and redacted.
	reasonMemory = "redactor_backlog"
	// reasonSpoolFull: the journal does not take the record, and the spool is full.
	reasonSpoolFull = "spool_full"
	// reasonSpoolDamaged: the record was in the spool, and the disk lost it.
	reasonSpoolDamaged = "spool_damaged"
	// reasonTooLarge: a body is longer than max_body.
	reasonTooLarge = "too_large"
	// reasonMalformed: the request body is no Chat Completions request.
	reasonMalformed = "malformed"
	// reasonIncomplete: the request body never came to its end.
	reasonIncomplete = "incomplete_request"
	// reasonEncoding: a body has a content encoding that is not known.
	reasonEncoding = "encoding"
	// reasonPanic: a fault in our own code.
	reasonPanic = "panic"
	// reasonUnavailable: the budget is used up because NATS is away.
	reasonUnavailable = "journal_unavailable"
	// reasonFull: the store's limit is reached.
	reasonFull = "journal_full"
	// reasonRefused: NATS refused the record for another reason.
	reasonRefused = "journal_error"
	// reasonShutdown: the process ended before the record could be stored.
	reasonShutdown = "shutdown"
)

// reasons lists them all, so that each has a counter from the start.
var reasons = [...]string{
	reasonMemory, reasonTooLarge, reasonMalformed, reasonIncomplete, reasonEncoding, reasonPanic,
	reasonUnavailable, reasonSpoolFull, reasonSpoolDamaged, reasonFull, reasonRefused, reasonShutdown,
}
