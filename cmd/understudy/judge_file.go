package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"understudy/judge"
)

var judgeVerb = &verb{
	name: "judge", short: "the checks and the verdict parser over a file of JSON lines",
	args: "[FILE]",
	examples: "understudy judge pairs.jsonl > checked.jsonl\n" +
		`echo '{"id":1,"reply":{"text":"Sound in every part.\nAnswer: correct"},"labels":["incorrect","correct"]}' | understudy judge` + "\n" +
		`echo '{"id":2,"reply":{"text":"Rating: [[7]]"},"scale":[1,10]}' | understudy judge` + "\n" +
		`understudy judge < pairs.jsonl | jq -c 'select(.checks.trial.schema == false) | .id'`,
	run: runJudge,
}

// runJudge writes one object for each line that is not blank, in their order. A bad
// line has an object with its error, so that none is lost, and makes the verb fail in
// the end, so that nobody takes the output for whole.
func runJudge(_ context.Context, e *env, args []string) error {
	rest, err := e.parse(args, 0, 1)
	if err != nil {
		return err
	}
	checker := judge.NewChecker()
	enc := json.NewEncoder(e.stdout)
	enc.SetEscapeHTML(false)
	bad := 0
	err = eachLine(rest, func(n int, line []byte, err error) error {
		var result any
		var id json.RawMessage
		if err == nil {
			result, id, err = checker.JudgeLine(line)
		}
		if err != nil {
			bad++
			fmt.Fprintf(e.stderr, "understudy judge: line %d: %v\n", n, err)
			result = badLine{ID: id, Error: err.Error()}
		}
		return enc.Encode(result)
	})
	if err == nil && bad > 0 {
		err = fmt.Errorf("bad lines: %d; each has an object with its error in the output", bad)
	}
	return err
}

// badLine stands in the output for a line that cannot be judged.
type badLine struct {
	ID    json.RawMessage `json:"id"`
	Error string          `json:"error"`
}

// longestFileLine bounds one line of the files that verbs read, in bytes.
const longestFileLine = 64 << 20

var errLongLine = fmt.Errorf("the line is longer than %d MiB", longestFileLine>>20)

// eachLine reads the lines of a file, or of stdin, that are not blank; n counts all
// lines from 1. A line that is too long is handed over as an error, and the lines
// after it are read.
func eachLine(args []string, handle func(n int, line []byte, err error) error) error {
	var in io.Reader = os.Stdin
	if len(args) == 1 && args[0] != "-" {
		f, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	r := bufio.NewReaderSize(in, 64<<10)
	for n := 1; ; n++ {
		line, bad, err := readLine(r)
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\uFEFF"))
		}
		if line = bytes.TrimSpace(line); len(line) > 0 || bad != nil {
			if err := handle(n, line, bad); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read line %d: %w", n, err)
		}
	}
}

// readLine reads up to the end of a line. bad is set for a line that is too long, of
// which nothing is kept; err is io.EOF after the last.
func readLine(r *bufio.Reader) (line []byte, bad, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > longestFileLine {
			line, bad = nil, errLongLine
		}
		if bad == nil {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, bad, err
		}
	}
}
