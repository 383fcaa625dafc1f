//go:build simulate

package canary

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"
)

// TestSimulate runs every scenario many times and prints the table of
// docs/decisions.md. UNDERSTUDY_RUNS sets how many runs a scenario has.
func TestSimulate(t *testing.T) {
	runs := 30
	if n, err := strconv.Atoi(os.Getenv("UNDERSTUDY_RUNS")); err == nil && n > 0 {
		runs = n
	}
	list, bad := scenarios()
	wrong, total := 0, 0
	fmt.Println("| scenario | runs x conversations | first verdict (median conversations) |\n| --- | --- | --- |")
	for _, s := range list {
		clusters := map[string][]int{}
		for seed := range runs {
			got, err := s.first(uint64(1000 + seed))
			if err != nil {
				t.Fatal(err)
			}
			clusters[got.Verdict] = append(clusters[got.Verdict], got.Clusters)
		}
		line := fmt.Sprintf("| %s | %d x %d |", s.name, runs, s.conversations)
		for _, v := range []string{Promote, Reject, Hold, Collecting} {
			if c := clusters[v]; len(c) > 0 {
				slices.Sort(c)
				line += fmt.Sprintf(" %s %d (%d)", v, len(c), c[len(c)/2])
			}
		}
		fmt.Println(line + " |")
		if !bad[s.name] {
			continue
		}
		promoted := len(clusters[Promote])
		wrong, total = wrong+promoted, total+runs
		if bar := 0.05 + 3*math.Sqrt(0.05*0.95/float64(runs)); float64(promoted) > bar*float64(runs) {
			t.Errorf("%s: promoted in %d of %d runs; 5 %% and three standard errors are %.3f", s.name, promoted, runs, bar)
		}
	}
	fmt.Printf("promoted although it must not be: %d of %d\n", wrong, total)
}
