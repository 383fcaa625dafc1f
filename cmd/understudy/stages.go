package main

import (
	"fmt"
	"slices"
	"strings"
)

// stageNames in the order of the flow.
var stageNames = []string{"capture", "replay", "judge", "canary"}

// parseStages reads a comma-separated list.
func parseStages(s string) ([]string, error) {
	var out []string
	for name := range strings.SplitSeq(s, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(stageNames, name) {
			return nil, fmt.Errorf("%w: --stages: %q is not one of %s", errUsage, name, strings.Join(stageNames, ", "))
		}
		out = append(out, name)
	}
	return out, nil
}
