//go:build crash

package main

import "testing"

// Forty kills at random moments.
func TestCrashOfSpool(t *testing.T) { newSiege(t).run(40) }
