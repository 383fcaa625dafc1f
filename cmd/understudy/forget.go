package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"understudy/internal/journal"
)

var forgetVerb = &verb{
	name: "forget", short: "make the texts of a unit or a conversation unreadable, and erase its records",
	args: "--unit NAME | --conversation NAME [--yes] [-o text|json]",
	examples: "understudy forget --unit interview-4711\n" +
		"understudy forget --conversation 8c1f03 --yes",
	run: func(ctx context.Context, e *env, args []string) error {
		o := &forgetOrder{e: e, in: os.Stdin, asks: isTerminal(os.Stdin) && isTerminal(e.stderr)}
		e.withConfig()
		e.withOutput("text", "json")
		e.flags.StringVar(&o.what.Unit, "unit", "", "the `name` of the unit, as the application says it or as it is stored")
		e.flags.StringVar(&o.what.Conversation, "conversation", "", "the `name` of the conversation, as the application says it or as it is stored")
		e.flags.StringVar(&o.what.Tenant, "tenant", "", "the `tenant` within which redaction named it ([capture] tenant_header, tenant_pointers)")
		e.flags.BoolVar(&o.yes, "yes", false, "do not ask")
		if _, err := e.parse(args, 0, 0); err != nil {
			return err
		}
		if (o.what.Unit == "") == (o.what.Conversation == "") {
			return fmt.Errorf("%w: give one of --unit and --conversation", errUsage)
		}
		a := e.running(ctx)
		if a == nil {
			return &codedError{code: exitUnreachable, err: errors.New("no daemon answers on the admin socket of the configured [nats] dir; start understudy run, and order it again")}
		}
		defer a.close()
		o.admin = a
		return o.run(ctx)
	},
}

// A forgetOrder is one command line of the verb.
type forgetOrder struct {
	e         *env
	admin     *admin
	in        io.Reader
	asks, yes bool
	what      forgetRequest
}

// run counts, asks and orders. It orders also where there is nothing to erase: what is
// on its way is then not stored.
func (o *forgetOrder) run(ctx context.Context) error {
	var plan, done journal.ForgetCount
	if o.asks {
		fmt.Fprintln(o.e.stderr, "reading the stored records …")
	}
	if err := o.admin.do(ctx, http.MethodPost, "/api/v1/forget/plan", o.what, decodeTo(&plan)); err != nil {
		return err
	}
	writeForget(o.e.stderr, "there are", &plan)
	if err := o.accept(); err != nil {
		return err
	}
	if err := o.admin.do(ctx, http.MethodPost, "/api/v1/forget", o.what, decodeTo(&done)); err != nil {
		return err
	}
	if o.e.output == "json" {
		return printJSON(o.e.stdout, done)
	}
	writeForget(o.e.stdout, "forgotten are", &done)
	return nil
}

func (o *forgetOrder) accept() error {
	const question = "delete the keys, for good, and erase these records?"
	if o.yes {
		return nil
	}
	if !o.asks {
		return fmt.Errorf("%w: %s Nobody can be asked here; say --yes to have it done", errUsage, question)
	}
	fmt.Fprintf(o.e.stderr, "%s [y/N] ", question)
	if agreed(o.in) {
		return nil
	}
	return &codedError{code: exitInconclusive, err: errors.New("nothing was forgotten")}
}

func writeForget(w io.Writer, lead string, n *journal.ForgetCount) {
	fmt.Fprintf(w, "%s %s, %s, %s, %s\n", lead, countOf(n.Exchanges, "exchange"), countOf(n.Trials, "trial"), countOf(n.Verdicts, "verdict"), countOf(n.Judgements, "judgement"))
	if n.Kept > 0 {
		fmt.Fprintf(w, "%d of the exchanges share a message with others': their numbers stay until they are too old, their texts are unreadable once the keys are deleted\n", n.Kept)
	}
	if n.Plain > 0 {
		fmt.Fprintf(w, "%d of those were stored unsealed by an earlier version: their TEXTS STAY READABLE until they are too old ([nats] retention)\n", n.Plain)
	}
}
