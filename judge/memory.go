package judge

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/singleflight"

	"understudy/internal/journal"
)

// A memory answers a question that was asked before, by any process and in any
// run, and lets nobody ask what somebody is asking. The key is a keyed hash of all
// that a verdict depends on; replies without a verdict are not remembered.
type memory struct {
	j      *journal.Journal
	key    []byte
	claims *journal.Claims
	flight singleflight.Group
	log    *slog.Logger
}

// pollEvery is how often the memory is asked for what another process is asking.
const pollEvery = 200 * time.Millisecond

// ask gives the remembered verdict, else the judge's. shared says that another
// process may put the same question at the same moment, as for the live side of an
// exchange that several candidates were tried on.
func (m *memory) ask(ctx context.Context, a *asker, prompts string, q *question, shared bool, purse *journal.Reservation) (said saying, cached bool, err error) {
	key := m.keyOf(a, prompts, q)
	mine := false // of several that ask the same at once, one does
	v, err, _ := m.flight.Do(key, func() (any, error) {
		mine = true
		said, cached, err = m.once(ctx, a, key, q, shared, purse)
		return said, err
	})
	if !mine {
		said, _ = v.(saying)
		said.calls, said.usd, said.known, cached = 0, 0, true, true
	}
	return said, cached, err
}

func (m *memory) once(ctx context.Context, a *asker, key string, q *question, shared bool, purse *journal.Reservation) (said saying, cached bool, err error) {
	for {
		if said, ok, err := m.recall(ctx, key); ok || err != nil {
			return said, ok, err
		}
		if !shared {
			break
		}
		claim, err := m.claims.Take(ctx, key)
		if err != nil {
			return saying{}, false, err
		}
		if claim != nil {
			release := claim.Hold(ctx)
			defer func() {
				if err := release(); err != nil {
					m.log.Debug("release claim", "err", err)
				}
			}()
			// Only now: whoever held the claim before may have its verdict.
			if said, ok, err := m.recall(ctx, key); ok || err != nil {
				return said, ok, err
			}
			break
		}
		select {
		case <-ctx.Done():
			return saying{}, false, ctx.Err()
		case <-time.After(pollEvery):
		}
	}
	said, err = a.ask(ctx, q, purse)
	if err == nil && said.Label != "" {
		m.remember(ctx, key, q.owners, said)
	}
	return said, false, err
}

func (m *memory) recall(ctx context.Context, key string) (said saying, ok bool, err error) {
	data, err := m.j.Cached(ctx, key)
	if err != nil || data == nil {
		return saying{}, false, err
	}
	if err := json.Unmarshal(data, &said); err != nil {
		m.log.Warn("remembered verdict cannot be read; asking again", "err", err)
		return saying{}, false, nil
	}
	said.known = true
	return said, true, nil
}

// remember is a help, not a promise: what is not remembered is asked again.
func (m *memory) remember(ctx context.Context, key string, o journal.Owners, said saying) {
	data, err := json.Marshal(said)
	if err == nil {
		err = m.j.Remember(ctx, key, o, data)
	}
	if err != nil {
		m.log.Debug("remember verdict", "err", err)
	}
}

func (m *memory) keyOf(a *asker, prompts string, q *question) string {
	ep := &a.judge.Endpoint
	canonical, err := json.Marshal([]any{ep.Provider, ep.BaseURL, ep.Model, prompts, q.metric.Name, q.request, q.answers})
	if err != nil {
		panic(fmt.Sprintf("encode question: %v", err)) // strings always encode
	}
	h := hmac.New(sha256.New, m.key)
	h.Write(canonical)
	return hex.EncodeToString(h.Sum(nil)[:16])
}
