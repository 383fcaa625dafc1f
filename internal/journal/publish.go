package journal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// messageLimit is the size above which a body goes to the object store.
const messageLimit = 512 << 10

func (j *Journal) limit() int {
	return min(messageLimit, int(j.nc.MaxPayload())-4096)
}

// PublishExchanges stores records of one sub-module that this process captured,
// in as few messages as the size limit allows, and returns once the broker has
// acknowledged them all; seq is the last message's. The same records may be
// published again after an error: the broker drops what it already has. Their bodies are
// sealed; of a record whose unit or conversation was forgotten after its time the numbers
// alone are stored.
func (j *Journal) PublishExchanges(ctx context.Context, submodule string, recs []*Exchange) (seq uint64, err error) {
	if err := j.storable("publish exchanges"); err != nil {
		return 0, err
	}
	buf := batches.Get().(*[]byte)
	defer batches.Put(buf)
	batch, first, count := (*buf)[:0], 0, 0 // the records of the batch
	flush := func(data []byte) error {
		if count == 0 {
			return nil
		}
		seq, err = j.publishBatch(ctx, submodule, recs[first:first+count], data)
		count = 0
		return err
	}
	owners := make([]Owners, len(recs))
	for i, e := range recs {
		owners[i] = e.owners()
	}
	j.keys.prepare(ctx, owners)
	for i, e := range recs {
		sealed, err := j.sealExchange(ctx, e)
		if err != nil {
			return seq, err
		}
		before := len(batch)
		if batch, err = AppendExchange(batch, sealed); err != nil {
			return seq, err
		}
		if count > 0 && len(batch) > j.limit() {
			if err := flush(batch[:before]); err != nil {
				return seq, err
			}
			batch = append(batch[:0], batch[before:]...)
		}
		if count == 0 {
			first = i
		}
		count++
	}
	if cap(batch) <= 2*messageLimit {
		*buf = batch
	}
	return seq, flush(batch)
}

// batches are the buffers in which messages are put together. The client has copied a
// message when its publishing returns.
var batches = sync.Pool{New: func() any { return new([]byte) }}

func (j *Journal) publishBatch(ctx context.Context, submodule string, recs []*Exchange, data []byte) (uint64, error) {
	id, count := recs[0].ID, strconv.Itoa(len(recs))
	m := nats.NewMsg(ExchangeSubject(submodule))
	m.Header.Set(HeaderCount, count)
	m.Header.Set(HeaderInstance, recs[0].Instance)
	if ids := idsHeader(recs); ids != "" {
		m.Header.Set(HeaderIDs, ids)
	}
	if err := j.fill(ctx, m, id, data); err != nil {
		return 0, err
	}
	ack, err := j.js.PublishMsg(ctx, m, jetstream.WithMsgID(id+"/"+count))
	if err != nil {
		return 0, classify("publish exchanges", err)
	}
	return ack.Sequence, nil
}

// fill puts the body into the message, or into the object store with the
// message naming it: object first, record second.
func (j *Journal) fill(ctx context.Context, m *nats.Msg, id string, data []byte) error {
	if len(data) <= j.limit() {
		m.Data = data
		return nil
	}
	digest := sha256.Sum256(data)
	name := hex.EncodeToString(digest[:16]) + "-" + id
	// An object of that name is whole and the same: the client would store it again
	// and purge what it replaced.
	if _, err := j.bodies.GetInfo(ctx, name); err != nil {
		meta := jetstream.ObjectMeta{Name: name, Opts: &jetstream.ObjectMetaOptions{ChunkSize: uint32(j.limit())}} // each chunk is synced by itself
		if _, err := j.bodies.Put(ctx, meta, bytes.NewReader(data)); err != nil {
			return classify("store object", err)
		}
	}
	m.Header.Set(HeaderObject, name)
	return nil
}

// body is the inverse of fill.
func (j *Journal) body(ctx context.Context, header nats.Header, data []byte) ([]byte, error) {
	name := header.Get(HeaderObject)
	if name == "" {
		return data, nil
	}
	b, err := j.bodies.GetBytes(ctx, name)
	if err != nil {
		return nil, classify("read object "+name, err)
	}
	return b, nil
}

// StoreTrial stores t under its own subject. stored is false when the stream
// already had a trial of that id: then nothing was written, which is no error.
func (j *Journal) StoreTrial(ctx context.Context, t *Trial) (stored bool, err error) {
	m := nats.NewMsg(TrialSubject(t.Submodule, t.Candidate, t.ID))
	m.Header.Set(HeaderDisposition, string(t.Disposition))
	m.Header.Set(HeaderSeq, strconv.FormatUint(t.ExchangeSeq, 10))
	m.Header.Set(HeaderSource, t.Source)
	m.Header.Set(HeaderClass, string(t.Class))
	setBooked(m, t.BookedUSD, t.BookedBy)
	if t.ReasonCode != "" {
		m.Header.Set(HeaderReason, t.ReasonCode)
	}
	if t.Replaces != "" {
		m.Header.Set(HeaderReplaces, string(t.Replaces))
	}
	if t.Backfill != "" {
		m.Header.Set(HeaderBackfill, t.Backfill)
	}
	if t.Role != RoleCandidate {
		m.Header.Set(HeaderRole, string(t.Role))
	}
	c := *t
	return j.storeOnce(ctx, m, t.ID, &c)
}

// StoreVerdict stores v once, as StoreTrial does.
func (j *Journal) StoreVerdict(ctx context.Context, v *Verdict) (stored bool, err error) {
	m := nats.NewMsg(VerdictSubject(v.Submodule, v.Candidate, v.TrialID))
	c := *v
	return j.storeOnce(ctx, m, v.TrialID, &c)
}

// StoreJudgement stores v once, as StoreTrial does.
func (j *Journal) StoreJudgement(ctx context.Context, v *Judgement) (stored bool, err error) {
	m := nats.NewMsg(JudgementSubject(v.Submodule, v.Candidate, v.TrialID))
	setBooked(m, v.BookedUSD, v.BookedBy)
	if v.Unasked == "" {
		m.Header.Set(HeaderJudge, v.Judge)
	}
	c := *v
	return j.storeOnce(ctx, m, v.TrialID, &c)
}

func setBooked(m *nats.Msg, usd float64, by string) {
	m.Header.Set(HeaderBooked, strconv.FormatInt(nano(usd), 10))
	if by != "" {
		m.Header.Set(HeaderBookedBy, by)
	}
}

// storeOnce seals a record, a copy of the caller's, and stores it. Of one whose unit or
// conversation was forgotten meanwhile the numbers alone are stored, without their names.
func (j *Journal) storeOnce(ctx context.Context, m *nats.Msg, id string, record texted) (bool, error) {
	if err := j.storable("store " + m.Subject); err != nil {
		return false, err
	}
	forgotten, err := j.sealTexts(ctx, record)
	if err != nil {
		return false, err
	}
	if forgotten {
		record.unname()
	}
	data, err := json.Marshal(record)
	if err != nil {
		return false, fmt.Errorf("encode %s: %w", m.Subject, err)
	}
	if err := j.fill(ctx, m, id, data); err != nil {
		return false, err
	}
	_, err = j.js.PublishMsg(ctx, m, jetstream.WithExpectLastSequencePerSubject(0))
	if isSecond(err) {
		return false, nil
	}
	return err == nil, classify("store "+m.Subject, err)
}

// isSecond tells that the stream refused a message because its subject has one.
func isSecond(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && int(api.ErrorCode) == codeWrongLastSequence
}

// AppendDecision appends d to its cell's history.
func (j *Journal) AppendDecision(ctx context.Context, d *Decision) error {
	if err := j.storable("append decision"); err != nil {
		return err
	}
	data, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode decision: %w", err)
	}
	_, err = j.js.Publish(ctx, DecisionSubject(d.Submodule, d.Candidate), data, jetstream.WithMsgID(d.ID))
	return classify("append decision", err)
}
