// Command understudy mirrors production OpenAI traffic, replays it to candidate
// models in shadow, and says for each sub-module when a candidate may take over.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"understudy/internal/journal"
)

// The exit codes.
const (
	exitOK           = 0
	exitFailed       = 1
	exitUsage        = 2
	exitConfig       = 3
	exitUnreachable  = 4
	exitInconclusive = 5
)

// A verb is one command of the command line.
type verb struct {
	name string
	// short is its line in the list of verbs, examples lead its own help.
	short    string
	args     string
	examples string
	run      func(ctx context.Context, env *env, args []string) error
}

// env is what a verb works with.
type env struct {
	stdout, stderr io.Writer
	flags          *flag.FlagSet
	config         string
	sets           []string
	output         string
}

func verbs() []*verb {
	return []*verb{
		runVerb, demoVerb, simVerb, checkVerb, pricesVerb, modelsVerb, statusVerb, replayVerb, spendVerb, bypassVerb, forgetVerb, reportVerb, findVerb, tailVerb, exportVerb, diffVerb, translateVerb, judgeVerb, calibrateVerb, versionVerb,
	}
}

func main() {
	os.Exit(command(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// command runs one command line and gives its exit code.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		usage(stderr)
		return exitUsage
	}
	name, rest := args[0], args[1:]
	if name == "help" || name == "-h" || name == "--help" {
		return help(rest, stdout, stderr)
	}
	v := find(name)
	if v == nil {
		var names []string
		for _, v := range verbs() {
			names = append(names, v.name)
		}
		fmt.Fprintf(stderr, "understudy: unknown verb %q", name)
		if best := nearest(name, names); best != "" {
			fmt.Fprintf(stderr, "; did you mean %q?", best)
		}
		fmt.Fprintln(stderr, "\nunderstudy help lists the verbs")
		return exitUsage
	}
	e := &env{stdout: stdout, stderr: stderr, flags: flag.NewFlagSet(name, flag.ContinueOnError)}
	e.flags.SetOutput(io.Discard)
	err := v.run(ctx, e, rest)
	if errors.Is(err, flag.ErrHelp) {
		v.help(e.flags, stdout)
		return exitOK
	}
	return exitCode(name, err, stderr)
}

func exitCode(name string, err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	var coded *codedError
	if errors.As(err, &coded) && coded.err == nil {
		return coded.code
	}
	text := strings.TrimPrefix(err.Error(), errConfig.Error()+": ")
	for line := range strings.SplitSeq(strings.TrimPrefix(text, errUsage.Error()+": "), "\n") {
		fmt.Fprintf(stderr, "understudy %s: %s\n", name, line)
	}
	switch {
	case coded != nil:
		return coded.code
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, errConfig):
		return exitConfig
	case errors.Is(err, journal.ErrUnavailable):
		return exitUnreachable
	}
	return exitFailed
}

// errUsage marks a command line that makes no sense: exit code 2.
var errUsage = errors.New("usage")

// codedError carries an exit code of its own; without a cause nothing is printed.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}
func (e *codedError) Unwrap() error { return e.err }

func find(name string) *verb {
	for _, v := range verbs() {
		if v.name == name {
			return v
		}
	}
	return nil
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "understudy mirrors production OpenAI traffic, replays it to candidate models in shadow,\nand says for each sub-module when a candidate may take over.")
	fmt.Fprintln(w, "\nVerbs:")
	for _, v := range verbs() {
		fmt.Fprintf(w, "  %-9s %s\n", v.name, v.short)
	}
	fmt.Fprintln(w, "\nunderstudy help VERB tells more. Exit codes: 0 ok, 1 failed, 2 usage, 3 config invalid,\n4 dependency unreachable, 5 inconclusive.")
}

func help(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		usage(stdout)
		return exitOK
	}
	if find(args[0]) == nil {
		return command(context.Background(), args[:1], stdout, stderr)
	}
	return command(context.Background(), []string{args[0], "-h"}, stdout, stderr)
}

func (v *verb) help(flags *flag.FlagSet, w io.Writer) {
	fmt.Fprintf(w, "Examples:\n%s\n\nunderstudy %s %s\n  %s\n", indent(v.examples), v.name, v.args, v.short)
	flags.SetOutput(w)
	fmt.Fprintln(w, "\nFlags:")
	flags.PrintDefaults()
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n  ")
}

// withConfig adds the flags of verbs that read the configuration.
func (e *env) withConfig() {
	e.flags.StringVar(&e.config, "config", "config.toml", "configuration `file`")
	e.flags.Func("set", "override one key: `section.key=value` (repeatable)", func(s string) error {
		e.sets = append(e.sets, s)
		return nil
	})
}

// withOutput adds -o with the forms that the verb knows, the default first.
func (e *env) withOutput(forms ...string) {
	e.output = forms[0]
	e.flags.Func("o", "output `form`: "+strings.Join(forms, " or ")+" (default "+forms[0]+")", func(s string) error {
		for _, f := range forms {
			if s == f {
				e.output = s
				return nil
			}
		}
		return fmt.Errorf("want %s", strings.Join(forms, " or "))
	})
}

// parse reads the flags, which may stand before and after the arguments, and
// checks the number of arguments.
func (e *env) parse(args []string, least, most int) ([]string, error) {
	var rest []string
	for {
		if err := e.flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		if e.flags.NArg() == 0 {
			break
		}
		rest, args = append(rest, e.flags.Arg(0)), e.flags.Args()[1:]
	}
	if len(rest) < least || len(rest) > most {
		return nil, fmt.Errorf("%w: %d arguments given; understudy help %s shows what is wanted", errUsage, len(rest), e.flags.Name())
	}
	return rest, nil
}

// visited are the flags that were given.
func visited(e *env) []string {
	var names []string
	e.flags.Visit(func(f *flag.Flag) { names = append(names, f.Name) })
	return names
}

// printJSON writes v indented, as it stands.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// isTerminal tells whether somebody watches w.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	if err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull) // a character device as well, and nobody watches it
	return err != nil || !os.SameFile(st, null)
}
