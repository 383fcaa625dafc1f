package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"understudy/capture"
	"understudy/internal/journal"
)

// secondPlace is the directory, inside the state directory, of a proxy that took over from
// one that had not ended yet.
const secondPlace = "second"

// openJournal takes a place in the state directory: the directory itself, or, for a process
// that takes over from one that still has it, the second.
func openJournal(cfg journal.Config, successor bool, open func(journal.Config) (*journal.Journal, error)) (*journal.Journal, error) {
	cfg.Shared = cfg.Dir
	j, err := open(cfg)
	if !errors.Is(err, journal.ErrLocked) || !successor {
		return j, err
	}
	cfg.Dir = filepath.Join(cfg.Dir, secondPlace)
	return open(cfg)
}

// places are the directories of a state directory in which proxies have been.
func places(dir string) []string {
	list := []string{dir}
	if second := filepath.Join(dir, secondPlace); isDir(second) {
		list = append(list, second)
	}
	return list
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// settleOthers looks after the accounts of proxies of this host that have another place:
// while one runs it shows what that has saved, and what a dead one left open it settles.
func (p *process) settleOthers(ctx context.Context) error {
	settled := map[string]bool{}
	for {
		for _, dir := range places(p.config().NATS.Dir) {
			if dir != p.j.Dir() && !settled[dir] {
				settled[dir] = p.settleOther(ctx, dir)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// settleOther tells whether the proxy that had the place is gone and settled.
func (p *process) settleOther(ctx context.Context, dir string) (done bool) {
	lock, err := journal.Lock(dir)
	if errors.Is(err, journal.ErrLocked) {
		if instance, a, err := capture.SavedAccounts(dir); err == nil {
			p.proxies.set(instance, a)
		}
		return false
	}
	if err != nil {
		p.log.Debug("look after another proxy's accounts", "dir", dir, "err", err)
		return false
	}
	defer lock.Close()
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	cfg := p.config()
	instance, a, err := capture.Settle(ctx, &cfg.Capture, p.homeIn(dir), p.j, p.log)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err == nil {
		p.proxies.set(instance, a)
		err = p.j.PutCounters(ctx, instance, a)
	}
	if err != nil {
		p.log.Debug("settle another proxy's accounts", "dir", dir, "err", err)
	}
	return err == nil
}

// home says where a process's proxy has its files.
func (p *process) home() capture.Home { return p.homeIn(p.j.Dir()) }

// keepFree is what a spool leaves free of a disk that no store of ours lies on.
const keepFree = 64 << 20

func (p *process) homeIn(own string) capture.Home {
	h := capture.Home{Shared: p.config().NATS.Dir, Own: own, KeepFree: keepFree}
	if _, reserve, _ := p.j.Space(); reserve > 0 {
		h.KeepFree = reserve
	}
	return h
}
