package journal

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Secrets lie in a stream of their own: one subject for each name, the last message of
// which is the secret that texts are sealed with today, or the word that the name was
// forgotten. A record names its secrets by their sequences.

// secretSize is how many random bytes a secret has.
const secretSize = 32

// secretUse is how long texts are sealed with one secret; then the name gets another. So
// the stream may let a secret go by age once no record that it sealed is kept any more.
const secretUse = 7 * 24 * time.Hour

// A secretRecord is a message of the stream of secrets.
type secretRecord struct {
	// Secret is wrapped where a key file was configured when it was made.
	Secret  []byte    `json:"secret,omitempty"`
	Wrapped bool      `json:"wrapped,omitempty"`
	Made    time.Time `json:"made"`
	// Since is when the name was forgotten last: texts of earlier records are not sealed,
	// nor stored.
	Since time.Time `json:"since,omitzero"`
	// Forgotten stands in place of a secret.
	Forgotten bool `json:"forgotten,omitempty"`
}

// A secret as it is used.
type secret struct {
	seq         uint64
	bytes       []byte
	made, since time.Time
	forgotten   bool
}

func (j *Journal) secretStream() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:     StreamSecrets,
		Subjects: []string{secretPrefix + "*"},
		Discard:  jetstream.DiscardNew,
		MaxBytes: j.share(2),
		MaxAge:   j.cfg.longest() + 2*secretUse, AllowDirect: true, Replicas: j.cfg.Replicas,
	}
}

const secretPrefix = "understudy.secret."

// errMaster tells that a secret was wrapped with another key file, or with one while this
// process has none.
var errMaster = errors.New("a secret is wrapped with another key_file than this process has: give all processes the same [nats] key_file")

// wrap seals a secret with the key file's key, bound to its subject.
func (m *master) wrap(subject string, b []byte) []byte {
	aead := m.wrapper()
	nonce := make([]byte, nonceSize)
	rand.Read(nonce) // never fails: crypto/rand ends the process instead
	return aead.Seal(nonce, nonce, b, []byte(subject))
}

func (m *master) unwrap(subject string, b []byte) ([]byte, error) {
	if m == nil || len(b) < sealOverhead {
		return nil, errMaster
	}
	out, err := m.wrapper().Open(nil, b[:nonceSize], b[nonceSize:], []byte(subject))
	if err != nil {
		return nil, errMaster
	}
	return out, nil
}

func (m *master) wrapper() cipher.AEAD {
	block, err := aes.NewCipher(m.derive("secrets"))
	if err != nil {
		panic(err) // of the length alone
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// newSecret is the record of a new secret for a subject.
func (j *Journal) newSecret(subject string, since time.Time) (secretRecord, []byte) {
	b := make([]byte, secretSize)
	rand.Read(b)
	r := secretRecord{Secret: b, Made: time.Now().UTC(), Since: since}
	if j.master != nil {
		r.Secret, r.Wrapped = j.master.wrap(subject, b), true
	}
	return r, b
}

// decodeSecret reads a record. One that cannot be unwrapped comes with errMaster: its
// sequence is known.
func (j *Journal) decodeSecret(subject string, seq uint64, data []byte) (*secret, error) {
	var r secretRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("decode secret %d: %w", seq, err)
	}
	s := &secret{seq: seq, bytes: r.Secret, made: r.Made, since: r.Since, forgotten: r.Forgotten}
	if r.Wrapped {
		var err error
		if s.bytes, err = j.master.unwrap(subject, r.Secret); err != nil {
			return s, err
		}
	}
	return s, nil
}

// lastSecret reads what stands last under a subject; nil where nothing does.
func (j *Journal) lastSecret(ctx context.Context, subject string) (*secret, error) {
	m, err := j.lastStored(ctx, StreamSecrets, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, classify("read secret", err)
	}
	return j.decodeSecret(subject, m.Sequence, m.Data)
}

// appendSecret writes behind what was read last; stored is false where another process
// was faster.
func (j *Journal) appendSecret(ctx context.Context, subject string, last *secret, r *secretRecord) (seq uint64, stored bool, err error) {
	data, err := json.Marshal(r)
	if err != nil {
		return 0, false, fmt.Errorf("encode secret: %w", err)
	}
	var after uint64
	if last != nil {
		after = last.seq
	}
	m := nats.NewMsg(subject)
	m.Data = data
	ack, err := j.js.PublishMsg(ctx, m, jetstream.WithExpectLastSequencePerSubject(after))
	if isSecond(err) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, classify("write secret", err)
	}
	return ack.Sequence, true, nil
}
