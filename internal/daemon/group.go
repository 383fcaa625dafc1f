package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
)

// A Group runs actors side by side. The first that returns an error stops all.
type Group struct {
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
}

// NewGroup makes a group whose actors end with ctx.
func NewGroup(ctx context.Context, log *slog.Logger) *Group {
	g := &Group{log: log}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	return g
}

// Go starts an actor. It must return soon after its context ends.
func (g *Group) Go(name string, run func(context.Context) error) {
	g.wg.Go(func() {
		if err := run(g.ctx); err != nil && g.ctx.Err() == nil {
			g.log.Error("stopped", "stage", name, "err", err)
			g.cancel(fmt.Errorf("%s: %w", name, err))
		}
	})
}

// Failed is closed when an actor failed or the group's context ended.
func (g *Group) Failed() <-chan struct{} { return g.ctx.Done() }

// Stop ends all actors, waits for them and gives the error of the one that
// failed first, if any.
func (g *Group) Stop() error {
	g.cancel(nil)
	g.wg.Wait()
	if err := context.Cause(g.ctx); err != context.Canceled {
		return err
	}
	return nil
}
