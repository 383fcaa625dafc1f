package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
)

var statusVerb = &verb{
	name: "status", short: "what every request and every exchange × candidate came to",
	args:     "[--config FILE] [-o text|json]",
	examples: "understudy status\nunderstudy status -o json --config /etc/understudy/config.toml",
	run: func(ctx context.Context, e *env, args []string) error {
		e.withConfig()
		e.withOutput("text", "json")
		if _, err := e.parse(args, 0, 0); err != nil {
			return err
		}
		return e.ask(ctx, "/api/v1/status", func(r io.Reader) error {
			if e.output == "json" {
				return copyTo(e.stdout)(r)
			}
			var s Status
			if err := json.NewDecoder(r).Decode(&s); err != nil {
				return fmt.Errorf("read the daemon's answer: %w", err)
			}
			s.write(e.stdout)
			return nil
		})
	},
}

var reportVerb = &verb{
	name: "report", short: "the decisions and their evidence",
	args:     "[SUBMODULE] [--config FILE] [-o text|md|json]",
	examples: "understudy report\nunderstudy report interview/evaluation\nunderstudy report -o md > report.md\nunderstudy report -o json > report.json",
	run: func(ctx context.Context, e *env, args []string) error {
		e.withConfig()
		e.withOutput("text", "md", "json")
		rest, err := e.parse(args, 0, 1)
		if err != nil {
			return err
		}
		q := url.Values{"o": {e.output}}
		if len(rest) == 1 {
			q.Set("submodule", rest[0])
		}
		return e.ask(ctx, "/api/v1/report?"+q.Encode(), copyTo(e.stdout))
	},
}

var exportKinds = []string{"exchanges", "trials", "observations", "dead_letters"}

var exportVerb = &verb{
	name: "export", short: "stored records as JSON lines",
	args:     "--what exchanges|trials|observations|dead_letters [--config FILE]",
	examples: "understudy export --what observations > observations.jsonl\nunderstudy export --what trials\nunderstudy export --what dead_letters",
	run: func(ctx context.Context, e *env, args []string) error {
		e.withConfig()
		what := e.flags.String("what", "", "exchanges, trials, observations or dead_letters")
		if _, err := e.parse(args, 0, 0); err != nil {
			return err
		}
		if !slices.Contains(exportKinds, *what) {
			return fmt.Errorf("%w: --what must be one of %s", errUsage, strings.Join(exportKinds, ", "))
		}
		return e.ask(ctx, "/api/v1/export?what="+*what, copyTo(e.stdout))
	},
}

var diffVerb = &verb{
	name: "diff", short: "one exchange: the live answer beside each candidate's",
	args:     "EXCHANGE [--config FILE]",
	examples: "understudy diff 06bq3v0x9m1kz4t8r2yw5nhc7e",
	run: func(ctx context.Context, e *env, args []string) error {
		e.withConfig()
		rest, err := e.parse(args, 1, 1)
		if err != nil {
			return err
		}
		return e.ask(ctx, "/api/v1/diff/"+url.PathEscape(rest[0]), copyTo(e.stdout))
	},
}
