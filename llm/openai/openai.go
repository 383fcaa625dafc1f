// Package openai is the spoke between llm and the Chat Completions wire: it
// reads requests, answers, errors and event streams into the neutral form,
// writes them as OpenAI writes them, and has a Client for any compatible
// endpoint. It speaks net/http; no SDK stands between it and the bytes.
package openai

import (
	"fmt"

	"understudy/llm"
)

// untranslatable is the error of a request that does not have the wire's form.
// Its words never quote the request.
func untranslatable(path, format string, a ...any) error {
	return &llm.Error{Op: "decode", Class: llm.ClassUntranslatable, Path: path, Err: fmt.Errorf(format, a...)}
}

// malformed is the error of an answer that does not have the wire's form.
func malformed(format string, a ...any) *llm.Error {
	return &llm.Error{Op: "chat completion", Class: llm.ClassMalformed, Err: fmt.Errorf(format, a...)}
}
