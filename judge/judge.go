// Package judge turns trials into verdicts: it puts what a candidate answered
// beside what production answered and says what the deterministic checks find.
//
// The checks are pure functions of a request and two answers; docs/checks.md
// says in plain words what each one asks and when it applies. A check that does
// not apply, or could not be done, is left out: no data is never a pass.
package judge
