package main

import (
	"os"
	"runtime/debug"
	"slices"
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
)

// memoryLimit is the limit of the Go runtime for a process that is nothing but a proxy,
// in bytes; 0 where another program, such as an embedded NATS, shares its heap.
func memoryLimit(cfg *Config, stages []string) int64 {
	if !slices.Equal(stages, []string{"capture"}) || cfg.NATS.Mode != "external" {
		return 0
	}
	return int64(cfg.Capture.Memory) + besidesBudget
}

// tuneMemory sets how much memory a proxy takes before it collects garbage, unless the
// environment says so in Go's own variables.
func tuneMemory(cfg *Config, stages []string) {
	limit := memoryLimit(cfg, stages)
	if limit == 0 || os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(garbagePercent)
	debug.SetMemoryLimit(limit)
}
