package llm

// A policy is what callers do about a class of failure. In shadow nobody waits for
// the answer: the question is whether the call was a trial of the model. Live, a user
// waits: the question is who may answer instead.
type policy struct {
	// retry: the same call may succeed when it is made again soon.
	retry bool
	// ours: our own fault or quota. Such a call is no trial; the endpoint pauses.
	ours bool
	// falls: another endpoint may answer in its place.
	falls bool
	// region: the same model in another region may.
	region bool
	// counts: it counts against the endpoint in its circuit breaker.
	counts bool
}

// policies has every class but ClassOK. A refusal as invalid falls over, since what one
// vendor refuses another may take; the last endpoint of a chain is what the
// application was written for, and its word stands. What a content filter stopped is
// not shown to another model.
var policies = map[Class]policy{
	ClassOverloaded:     {retry: true, falls: true, region: true, counts: true},
	ClassTimeout:        {retry: true, falls: true, counts: true},
	ClassTruncated:      {retry: true, falls: true, counts: true},
	ClassStream:         {retry: true, falls: true, counts: true},
	ClassMalformed:      {retry: true, falls: true, counts: true},
	ClassNetwork:        {retry: true, falls: true, region: true, counts: true},
	ClassInvalid:        {falls: true},
	ClassContext:        {falls: true},
	ClassFiltered:       {},
	ClassThrottled:      {retry: true, ours: true, falls: true, region: true, counts: true},
	ClassQuota:          {ours: true, falls: true, region: true, counts: true},
	ClassAccess:         {ours: true, falls: true, region: true, counts: true},
	ClassNotFound:       {ours: true, falls: true, region: true, counts: true},
	ClassUntranslatable: {falls: true},
	ClassCancelled:      {},
}

// Classes lists every class of failure, in the order in which they are documented.
func Classes() []Class {
	return []Class{ClassOverloaded, ClassTimeout, ClassTruncated, ClassStream, ClassMalformed, ClassNetwork, ClassInvalid, ClassContext,
		ClassFiltered, ClassThrottled, ClassQuota, ClassAccess, ClassNotFound, ClassUntranslatable, ClassCancelled}
}

// Retryable tells whether the same call may succeed when it is made again soon.
func (c Class) Retryable() bool { return policies[c].retry }

// OurFault tells that the failure says nothing about the model: credentials,
// configuration or quota of ours. Such a call is no trial; the endpoint pauses.
func (c Class) OurFault() bool { return policies[c].ours }

// FallsOver tells whether, for a user who waits, another endpoint may be asked.
func (c Class) FallsOver() bool { return policies[c].falls }

// OtherRegion tells whether the same endpoint in another region may do better.
func (c Class) OtherRegion() bool { return policies[c].region }

// CountsAgainst tells whether the failure counts against the endpoint, so that it is
// left alone for a while when there are many.
func (c Class) CountsAgainst() bool { return policies[c].counts }
