package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"understudy/judge"
)

var calibrateVerb = &verb{
	name: "calibrate", short: "how far judges agree with people's labels, and with themselves in both orders",
	args: "[FILE] [-o text|json]",
	examples: "understudy calibrate labelled.jsonl\n" +
		"understudy calibrate -o json < labelled.jsonl | jq '.groups[] | {judge, group, kappa}'\n" +
		`echo '{"id":"1","judge":"nova","group":"tone","human":1,"preference":{"lc":1,"cl":0}}' | understudy calibrate`,
	run: runCalibrate,
}

func runCalibrate(_ context.Context, e *env, args []string) error {
	e.withOutput("text", "json")
	rest, err := e.parse(args, 0, 1)
	if err != nil {
		return err
	}
	var list []judge.Labelled
	bad := 0
	err = eachLine(rest, func(n int, line []byte, err error) error {
		var l judge.Labelled
		if err == nil {
			l, err = judge.ParseLabelled(line)
		}
		if err != nil {
			bad++
			fmt.Fprintf(e.stderr, "understudy calibrate: line %d is left out: %v\n", n, err)
			return nil
		}
		list = append(list, l)
		return nil
	})
	if err != nil {
		return err
	}
	if bad > 0 && len(list) == 0 {
		return errors.New("no line could be read")
	}
	groups := judge.Calibrate(list)
	if e.output == "json" {
		enc := json.NewEncoder(e.stdout)
		enc.SetEscapeHTML(false)
		return enc.Encode(struct {
			Groups   []judge.Calibration `json:"groups"`
			BadLines int                 `json:"bad_lines"`
		}{groups, bad})
	}
	if bad > 0 {
		fmt.Fprintf(e.stderr, "lines left out: %d\n", bad)
	}
	return writeCalibration(e.stdout, groups)
}

// writeCalibration writes the groups as a table; what is not known is a dash.
func writeCalibration(w io.Writer, groups []judge.Calibration) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "judge\tgroup\titems\tlabelled\tunparsed\tcorrect lc\tcl\tboth\tmerged\tconsistent\tdecided\tkappa human\torders\twin rate\twins\tlosses\tdraws")
	for i := range groups {
		g := &groups[i]
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%d\t%d\t%d\n",
			inCell(g.Judge), inCell(g.Group), g.Items, g.Labelled, g.Unparsed, g.Correct.LC, g.Correct.CL, g.Correct.Both, g.Correct.Merged,
			g.Consistent, g.Decided, orUnknown(g.Kappa.Human), orUnknown(g.Kappa.Orders), rateOf(g), g.Wins, g.Losses, g.Draws)
	}
	return t.Flush()
}

// inCell is a name that a file gives, on one line and in one column.
func inCell(s string) string {
	out := []rune(visible(s))
	for i, r := range out {
		if r == '\n' || r == '\t' {
			out[i] = ' '
		}
	}
	return orDash(string(out))
}

func rateOf(g *judge.Calibration) string {
	switch {
	case g.WinRate == nil:
		return "–"
	case g.StandardError == nil:
		return fmt.Sprintf("%.1f %%", 100**g.WinRate)
	}
	return fmt.Sprintf("%.1f %% ± %.1f", 100**g.WinRate, 100**g.StandardError)
}

func orUnknown(x *float64) string {
	if x == nil {
		return "–"
	}
	return fmt.Sprintf("%.3f", *x)
}
