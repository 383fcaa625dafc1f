package journal

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Exchanges are looked up by what others know of them. Each message of ours carries a
// header with a short hash of every such id of its records, so that a reader of headers
// can index them; whether one is really there its body says.

// An idHash is the beginning of an id's hash. Two ids may share one.
type idHash uint64

func hashID(id string) idHash {
	sum := sha256.Sum256([]byte(id))
	return idHash(binary.BigEndian.Uint64(sum[:]))
}

// ids are what an exchange can be looked up by, besides its own id: the provider's
// request id, the answer's id, the trace, the unit and the conversation.
func (e *Exchange) ids() []string {
	list := []string{e.ProviderRequestID, e.AnswerID, traceID(e.Traceparent), e.Unit}
	if e.Conversation != e.ID {
		list = append(list, e.Conversation)
	}
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}

// traceID is the trace of a W3C traceparent; any other text is given back.
func traceID(s string) string {
	if parts := strings.Split(s, "-"); len(parts) == 4 && len(parts[1]) == 32 {
		return parts[1]
	}
	return s
}

// Known tells whether an exchange goes by the id: its own, or one of those that it is
// looked up by. Of a traceparent the trace counts.
func (e *Exchange) Known(id string) bool { return e.ID == id || slices.Contains(e.ids(), traceID(id)) }

// idsHeader is the header of a message that holds the records.
func idsHeader(recs []*Exchange) string {
	var b []byte
	seen := map[idHash]bool{}
	for _, e := range recs {
		for _, id := range e.ids() {
			if h := hashID(id); !seen[h] {
				seen[h] = true
				b = binary.BigEndian.AppendUint64(b, uint64(h))
			}
		}
	}
	return base64.RawStdEncoding.EncodeToString(b)
}

func headerIDs(h nats.Header) (list []idHash) {
	b, err := base64.RawStdEncoding.DecodeString(h.Get(HeaderIDs))
	for ; err == nil && len(b) >= 8; b = b[8:] {
		list = append(list, idHash(binary.BigEndian.Uint64(b)))
	}
	return list
}

// indexMost is how many ids the index of this process holds: those of the latest half a
// million exchanges or so, in 32 MiB. Older ones are found by reading headers.
const indexMost = 2 << 20

// An idIndex says which messages hold the ids that came last.
type idIndex struct {
	mu      sync.Mutex
	entries []idEntry // a ring once it is full
	next    int
	from    uint64 // every id of the messages from here on is inside
}

type idEntry struct {
	id  idHash
	seq uint64
}

func (x *idIndex) add(m *Message) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, id := range headerIDs(m.Header) {
		e := idEntry{id, m.Seq}
		if len(x.entries) < indexMost {
			x.entries = append(x.entries, e)
			continue
		}
		x.from = x.entries[x.next].seq + 1
		x.entries[x.next] = e
		x.next = (x.next + 1) % indexMost
	}
}

// find gives the messages that may hold an id, in order, and from where on they are all.
func (x *idIndex) find(id idHash) (seqs []uint64, from uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.entries {
		if e.id == id {
			seqs = append(seqs, e.seq)
		}
	}
	slices.Sort(seqs)
	return seqs, x.from
}

// Found is an exchange and the sequence of its message.
type Found struct {
	*Exchange
	Seq uint64
}

// FindExchanges looks exchanges up by an id of theirs: their own, the provider's request
// id, the answer's id, a W3C traceparent or its trace, a unit or a conversation. The
// latest comes first, at most limit of them; none is no error. Those of other publishers
// are found by their own id alone.
func (a *Accounts) FindExchanges(ctx context.Context, id string, limit int) ([]Found, error) {
	if err := a.j.usable("find exchanges"); err != nil {
		return nil, err
	}
	var own []Found
	_, ours := IDTime(id)
	if ours {
		e, seq, err := a.j.FindExchange(ctx, id)
		if err == nil {
			own = []Found{{e, seq}}
		} else if !errors.Is(err, ErrNotFound) {
			return nil, err
		}
	}
	found, err := a.findByHeaders(ctx, id, limit-len(own))
	found = append(own, found...)
	if err != nil || len(found) > 0 || ours || a.Ingested() == 0 {
		return found, err
	}
	e, seq, err := a.j.FindExchange(ctx, id) // another publisher's id says nothing of its time
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return []Found{{e, seq}}, err
}

func (a *Accounts) findByHeaders(ctx context.Context, id string, limit int) ([]Found, error) {
	hash := hashID(traceID(id))
	seqs, from := a.index.find(hash)
	found, err := a.j.recordsOf(ctx, seqs, id, limit)
	if err != nil || len(found) >= limit || from == 0 {
		return found, err
	}
	older, err := a.j.messagesBefore(ctx, from, hash)
	if err != nil {
		return found, err
	}
	more, err := a.j.recordsOf(ctx, older, id, limit-len(found))
	return append(found, more...), err
}

// messagesBefore reads the headers of all messages before one.
func (j *Journal) messagesBefore(ctx context.Context, before uint64, id idHash) (seqs []uint64, err error) {
	enough := errors.New("enough")
	err = j.readAll(ctx, StreamExchanges, jetstream.OrderedConsumerConfig{HeadersOnly: true}, nil, func(m *Message) error {
		if m.Seq >= before {
			return enough
		}
		if slices.Contains(headerIDs(m.Header), id) {
			seqs = append(seqs, m.Seq)
		}
		return nil
	})
	if errors.Is(err, enough) {
		err = nil
	}
	return seqs, err
}

// recordsOf reads messages, the last one first, and gives their records that go by the id.
func (j *Journal) recordsOf(ctx context.Context, seqs []uint64, id string, limit int) (found []Found, err error) {
	for _, seq := range slices.Backward(seqs) {
		m, err := j.streams[StreamExchanges].GetMsg(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue // it aged out
		}
		if err != nil {
			return found, classify("find exchange", err)
		}
		data, err := j.body(ctx, m.Header, m.Data)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return found, err
		}
		list, err := ReadExchanges(m.Subject, data)
		if err != nil {
			continue // unreadable messages are dead letters elsewhere
		}
		for _, e := range slices.Backward(list) {
			if e.ID != id && e.Known(id) {
				found = append(found, Found{e, seq})
			}
			if len(found) == limit {
				return found, nil
			}
		}
	}
	return found, nil
}
