package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"time"
)

const (
	// besidesBudget is what a proxy needs beside what it holds to be recorded: its
	// connections, the parts of the runtime, and room for garbage. The code itself, which
	// is no part of the limit, is some 20 MiB more of the resident memory.
	besidesBudget = 28 << 20
	// garbagePercent is how much the heap of a proxy may grow until it is collected, as
	// far as the limit lets it. Of the default, 100, a proxy in traffic pays for a
	// collection every few milliseconds: what it keeps is little.
	garbagePercent = 400
	// limitEvery is how often the limit follows what is in use.
	limitEvery = time.Second
)

// memoryLimit is the limit of the Go runtime for a proxy that keeps live bytes. Its floor is
// the budget and what is needed besides. What is in use beyond the budget, by thousands of
// connections it may be, has the room to double that a heap has without a limit, so that no
// processor time goes into collecting what is in use.
func memoryLimit(cfg *Config, live int64) int64 {
	budget := int64(cfg.Capture.Memory)
	return besidesBudget + max(budget, 2*live-budget)
}

// boundMemory sets, until ctx ends, how much memory a process that is nothing but a proxy
// takes before it collects garbage. Where another program, such as an embedded NATS, shares
// its heap, or the environment says so in Go's own variables, it does nothing.
func (p *process) boundMemory(ctx context.Context) error {
	alone := slices.Equal(p.stages, []string{"capture"}) && p.config().NATS.Mode == "external"
	if !alone || os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	debug.SetGCPercent(garbagePercent)
	tick := time.NewTicker(limitEvery)
	defer tick.Stop()
	for {
		debug.SetMemoryLimit(memoryLimit(p.config(), liveBytes()))
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// liveBytes is what the last collection found in use, and the stacks.
func liveBytes() int64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64() + s[1].Value.Uint64())
}
