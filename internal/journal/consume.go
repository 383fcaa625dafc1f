package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A Consumer is a durable pull consumer: work that is shared by every process
// that opens it under the same name, and redelivered when it is not acknowledged
// in time.
type Consumer struct {
	j    *Journal
	cons jetstream.Consumer
	wait time.Duration
}

// A Delivery is one message in hand. It must end in Ack or Nak; until then
// InProgress, called more often than the ack wait, keeps it.
type Delivery struct {
	Seq     uint64
	Subject string
	Header  nats.Header
	// Data is the body, also where it came from the object store.
	Data []byte
	// Err tells why the body could not be read. The delivery is in hand all the
	// same; ErrUnavailable means that it may be readable later.
	Err error
	// Deliveries counts how often the broker gave the message out, this time included.
	Deliveries uint64
	// Stored is when the broker stored the message.
	Stored time.Time
	msg    jetstream.Msg
}

// ExchangeConsumer opens the durable of one endpoint over the exchanges of the
// given sub-modules (nil: all). When the scope has grown since the durable was
// made, delivery begins again at the start of the stream: what is done is
// recognised and acknowledged, what is new is not missed.
func (j *Journal) ExchangeConsumer(ctx context.Context, endpoint string, submodules []string, inHand, maxDeliver int, ackWait time.Duration) (*Consumer, error) {
	return j.exchanges(ctx, LaneName(RoleCandidate, endpoint), submodules, inHand, maxDeliver, ackWait)
}

// LaneName is what the durable of an endpoint in a role is called.
func LaneName(role Role, endpoint string) string {
	if role == RoleControl {
		return "control-" + Escape(endpoint)
	}
	return "replay-" + Escape(endpoint)
}

// ControlConsumer is ExchangeConsumer for an endpoint in the role of a control:
// a durable of its own, since the endpoint may be a candidate elsewhere.
func (j *Journal) ControlConsumer(ctx context.Context, endpoint string, submodules []string, inHand, maxDeliver int, ackWait time.Duration) (*Consumer, error) {
	return j.exchanges(ctx, LaneName(RoleControl, endpoint), submodules, inHand, maxDeliver, ackWait)
}

// hostsMost is for how many processes one durable has messages in hand: each fetches no
// more than it may hold, and the broker's own bound is there for accidents.
const hostsMost = 64

func (j *Journal) exchanges(ctx context.Context, name string, submodules []string, inHand, maxDeliver int, ackWait time.Duration) (*Consumer, error) {
	filters := submoduleFilters(submodules)
	cfg := durable(name, filters, hostsMost*inHand, ackWait)
	cfg.MaxDeliver = maxDeliver
	return j.open(ctx, StreamExchanges, cfg)
}

// submoduleFilters are the subjects of the sub-modules' exchanges; none is all.
func submoduleFilters(submodules []string) []string {
	if len(submodules) == 0 {
		return []string{"understudy.exchange.*", "understudy.ingest.*.*"}
	}
	var filters []string
	for _, s := range submodules {
		filters = append(filters, ExchangeSubject(s), "understudy.ingest.*."+Escape(s))
	}
	slices.Sort(filters)
	return filters
}

// TrialConsumer opens a durable over the trials of the given sub-modules (nil: all).
// Where the scope has grown it begins again, as ExchangeConsumer does.
func (j *Journal) TrialConsumer(ctx context.Context, name string, submodules []string, inHand int, ackWait time.Duration) (*Consumer, error) {
	filters := []string{"understudy.trial.>"}
	if submodules != nil {
		filters = nil
		for _, s := range submodules {
			filters = append(filters, "understudy.trial."+Escape(s)+".>")
		}
		slices.Sort(filters)
	}
	return j.open(ctx, StreamTrials, durable(name, filters, inHand, ackWait))
}

func durable(name string, filters []string, inHand int, ackWait time.Duration) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: name, FilterSubjects: filters,
		DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: ackWait, MaxAckPending: inHand, MaxDeliver: -1,
	}
}

func (j *Journal) open(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (*Consumer, error) {
	if err := j.usable("open consumer " + cfg.Durable); err != nil {
		return nil, err
	}
	s := j.streams[stream]
	old, err := s.Consumer(ctx, cfg.Durable)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
	case err != nil:
		return nil, classify("open consumer "+cfg.Durable, err)
	case grown(old.CachedInfo().Config, cfg.FilterSubjects):
		if err := s.DeleteConsumer(ctx, cfg.Durable); err != nil {
			return nil, classify("reset consumer "+cfg.Durable, err)
		}
	}
	cons, err := s.CreateOrUpdateConsumer(ctx, cfg)
	if err != nil {
		return nil, classify("create consumer "+cfg.Durable, err)
	}
	return &Consumer{j: j, cons: cons, wait: cfg.AckWait}, nil
}

// grown tells whether want holds a filter that the consumer did not have.
func grown(old jetstream.ConsumerConfig, want []string) bool {
	have := map[string]bool{old.FilterSubject: true}
	for _, f := range old.FilterSubjects {
		have[f] = true
	}
	for _, f := range want {
		if !have[f] {
			return true
		}
	}
	return false
}

// AckWait is how long a delivery stays ours without a sign of life.
func (c *Consumer) AckWait() time.Duration { return c.wait }

// Fetch hands up to n deliveries to take as they come, for as long as wait. Fewer, or
// none, are no error.
func (c *Consumer) Fetch(ctx context.Context, n int, wait time.Duration, take func(*Delivery)) error {
	fetch, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	batch, err := c.cons.Fetch(n, jetstream.FetchContext(fetch))
	if err != nil {
		if isNothing(err) {
			return nil
		}
		return classify("fetch", err)
	}
	for m := range batch.Messages() {
		d, err := c.j.delivery(ctx, m)
		if err != nil {
			return err
		}
		take(d)
	}
	if err := batch.Error(); err != nil && !isNothing(err) {
		return classify("fetch", err)
	}
	return nil
}

// isNothing tells that a fetch ended without a message.
func isNothing(err error) bool {
	return errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrNoMessages)
}

// Next waits for a delivery. It returns nil without an error when none came
// within wait.
func (c *Consumer) Next(ctx context.Context, wait time.Duration) (*Delivery, error) {
	fetch, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	m, err := c.cons.Next(jetstream.FetchContext(fetch))
	if err != nil {
		if isNothing(err) {
			return nil, nil
		}
		return nil, classify("fetch", err)
	}
	return c.j.delivery(ctx, m)
}

func (j *Journal) delivery(ctx context.Context, m jetstream.Msg) (*Delivery, error) {
	meta, err := m.Metadata()
	if err != nil {
		return nil, fmt.Errorf("read metadata of %s: %w", m.Subject(), err)
	}
	d := &Delivery{Seq: meta.Sequence.Stream, Subject: m.Subject(), Header: m.Headers(), Deliveries: meta.NumDelivered, Stored: meta.Timestamp, msg: m}
	d.Data, d.Err = j.body(ctx, d.Header, m.Data())
	return d, nil
}

// Ack ends the delivery for good and waits until the broker knows.
func (d *Delivery) Ack(ctx context.Context) error {
	return classify("ack", d.msg.DoubleAck(ctx))
}

// Nak gives the delivery back, to come again after the delay.
func (d *Delivery) Nak(delay time.Duration) error {
	return classify("nak", d.msg.NakWithDelay(delay))
}

// InProgress tells the broker that the delivery is being worked on.
func (d *Delivery) InProgress() error { return classify("in progress", d.msg.InProgress()) }

// Exchange reads one exchange by the sequence of its message and its id. ErrForgotten
// tells that its bodies are gone for good.
func (j *Journal) Exchange(ctx context.Context, seq uint64, id string) (*Exchange, error) {
	if err := j.usable("read exchange"); err != nil {
		return nil, err
	}
	m, err := j.stored(ctx, StreamExchanges, seq)
	if err != nil {
		return nil, classify("read exchange "+id, err)
	}
	data, err := j.body(ctx, m.Header, m.Data)
	if err != nil {
		return nil, err
	}
	e, err := findExchange(data, id)
	if err != nil {
		return nil, fmt.Errorf("read exchange %s in message %d: %w", id, seq, err)
	}
	e.Submodule, e.Source, _ = SubjectOf(m.Subject)
	if err := j.Unseal(ctx, e); err != nil {
		return nil, err
	}
	return e, nil
}

// Trials hands every trial, decoded, to handle, at most inHand at once, each
// until handle returns; an error brings the trial back later. It blocks until
// ctx ends.
func (j *Journal) Trials(ctx context.Context, stage string, inHand int, handle func(context.Context, *Trial) error) error {
	const ackWait = 30 * time.Second
	cons, err := j.TrialConsumer(ctx, stage, nil, inHand, ackWait)
	if err != nil {
		return err
	}
	it, err := cons.cons.Messages(jetstream.PullMaxMessages(inHand), jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return classify("consume trials", err)
	}
	stop := context.AfterFunc(ctx, it.Stop)
	defer stop()
	slots := make(chan struct{}, inHand)
	for {
		m, err := it.Next()
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, jetstream.ErrMsgIteratorClosed) || errors.Is(err, jetstream.ErrConsumerDeleted) {
			return classify("consume trials", err)
		}
		if err != nil {
			j.log.Debug("consume trials", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
			continue
		}
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			j.handleTrial(ctx, m, handle)
		}()
	}
	for range inHand {
		slots <- struct{}{}
	}
	return nil
}

func (j *Journal) handleTrial(ctx context.Context, m jetstream.Msg, handle func(context.Context, *Trial) error) {
	t, err := j.readTrial(ctx, m)
	if err != nil && !errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
		// It will never be readable; its pair counts as missing.
		j.log.Error("trial cannot be read; it gets no verdict", "subject", m.Subject(), "err", err)
		m.TermWithReason("unreadable")
		return
	}
	if err == nil {
		err = handle(ctx, t)
	}
	if err != nil {
		if ctx.Err() == nil {
			j.log.Warn("trial could not be judged; it comes again", "subject", m.Subject(), "err", err)
		}
		m.NakWithDelay(time.Second)
		return
	}
	if err := m.DoubleAck(context.WithoutCancel(ctx)); err != nil {
		j.log.Debug("ack trial", "err", err)
	}
}

func (j *Journal) readTrial(ctx context.Context, m jetstream.Msg) (*Trial, error) {
	d, err := j.delivery(ctx, m)
	if err == nil {
		err = d.Err
	}
	if err != nil {
		return nil, err
	}
	var t Trial
	if err := json.Unmarshal(d.Data, &t); err != nil {
		return nil, err
	}
	return &t, j.unsealTexts(ctx, &t)
}

// Records is how many records the message says it holds, at least 1.
func (d *Delivery) Records() int { return countOf(d.Subject, d.Header) }
