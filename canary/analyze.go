package canary

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

// longestLine bounds one line of observations, in bytes.
const longestLine = 16 << 20

// ReadObservations reads observations, one JSON object a line. A bad line, or one
// whose sub-module or candidate the configuration lacks, is counted, reported with
// its number (from 1), and left out; blank lines are ignored. The error is of
// reading only.
func ReadObservations(r io.Reader, s Submodules, report func(line int, err error)) (good []Observation, bad int, err error) {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 64<<10), longestLine)
	for n := 1; in.Scan(); n++ {
		line := bytes.TrimSpace(in.Bytes())
		if len(line) == 0 {
			continue
		}
		o, err := ParseObservation(line)
		if err == nil && !slices.Contains(s.Candidates(o.Submodule), o.Candidate) {
			err = errors.New("read observation: the configuration has no such sub-module with this candidate")
		}
		if err != nil {
			bad++
			report(n, err)
			continue
		}
		good = append(good, o)
	}
	if err := in.Err(); err != nil {
		return nil, bad, fmt.Errorf("read observations: %w", err)
	}
	return good, bad, nil
}

// Analyze decides from observations alone. The end of the list closes every
// conversation. It looks whenever every more distinct conversations have entered
// (0: never), before the next one enters, and once at the end; the last look is
// always there. The observations may come in any order and are sorted in place.
func Analyze(c Config, s Submodules, observations []Observation, every int) ([]Look, error) {
	unique, duplicates := withoutDuplicates(observations)
	e := NewEngine(c, s)
	var looks []Look
	look := func() {
		l := e.Look()
		l.Duplicates = duplicates
		looks = append(looks, l)
	}
	seen := 0
	for _, k := range clustersOf(unique, c) {
		if _, entered := e.conversations[hash64(k.Submodule, k.Conversation)]; !entered && every > 0 && len(e.conversations) == seen+every {
			seen += every
			look()
		}
		if err := e.Fold(k); err != nil {
			return nil, fmt.Errorf("analyze: %w", err)
		}
	}
	look()
	return looks, nil
}

// withoutDuplicates sorts by time and exchange and keeps the first of each
// exchange in a cell.
func withoutDuplicates(all []Observation) (unique []Observation, duplicates int) {
	slices.SortStableFunc(all, compareObservations)
	type key struct{ submodule, candidate, exchange string }
	seen := make(map[key]struct{}, len(all))
	unique = make([]Observation, 0, len(all))
	for i := range all {
		o := &all[i]
		k := key{o.Submodule, o.Candidate, o.ExchangeID}
		if _, again := seen[k]; again {
			duplicates++
			continue
		}
		seen[k] = struct{}{}
		unique = append(unique, *o)
	}
	return unique, duplicates
}

// clustersOf groups observations into clusters, in the order in which they enter.
func clustersOf(observations []Observation, c Config) []*Cluster {
	type key struct{ submodule, candidate, conversation string }
	groups := map[key][]Observation{}
	for i := range observations {
		o := &observations[i]
		k := key{o.Submodule, o.Candidate, o.cluster()}
		groups[k] = append(groups[k], *o)
	}
	out := make([]*Cluster, 0, len(groups))
	for _, pairs := range groups {
		out = append(out, newCluster(pairs, c.ConversationWindow))
	}
	slices.SortFunc(out, compareClusters)
	return out
}
