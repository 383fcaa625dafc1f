package journal

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// markerLife is how long the bucket remembers that an entry was deleted.
const markerLife = time.Hour

// forget deletes, once a day, the entries of days of which no trial is kept any more, and
// what deleted entries leave behind: a bucket that is full lets nobody make a call.
func (l *Ledger) forget(ctx context.Context) error {
	today := l.today()
	if l.forgot == today {
		return nil
	}
	first := l.now().UTC().Add(-max(l.j.cfg.keeps(l.j.cfg.RetentionTrials), keepLost)).Format(time.DateOnly)
	var old []string
	err := readEntries(ctx, l.kv, "*.*", func(e jetstream.KeyValueEntry) error {
		day, _, _ := strings.Cut(e.Key(), ".")
		if _, err := time.Parse(time.DateOnly, day); err == nil && day < first {
			old = append(old, e.Key())
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range old {
		if err := l.kv.Purge(ctx, key); err != nil {
			return classify("forget "+key, err)
		}
	}
	if err := l.kv.PurgeDeletes(ctx, jetstream.DeleteMarkersOlderThan(markerLife)); err != nil {
		return classify("forget deleted entries", err)
	}
	l.forgot = today
	return nil
}
