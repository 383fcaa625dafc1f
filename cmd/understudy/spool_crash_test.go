//go:build crash

package main

import "testing"

// Sixty kills at random moments.
func TestCrashOfSpool(t *testing.T) { newSiege(t).run(60) }
