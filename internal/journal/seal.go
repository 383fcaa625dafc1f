package journal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/klauspost/compress/s2"
)

// Texts are compressed, since what is sealed cannot be, and sealed with AES-256-GCM. The
// key is derived from all secrets of a record's owners, so that to delete one is enough.
// The nonce is derived from the text, so that a record which is published again has the
// same bytes; the record's kind and id and the field's name are bound to it.

// ErrSeal tells that a sealed text was changed, or is not the one that it claims to be.
var ErrSeal = errors.New("the seal of a text does not fit it")

// nonceSize is GCM's own.
const nonceSize = 12

// sealOverhead is how many bytes sealing adds at least.
const sealOverhead = nonceSize + 16

// A sealer seals the texts of one record, or opens them.
type sealer struct {
	aead  cipher.AEAD
	nonce []byte // the key of the nonces
	id    string // kind and id of the record
}

// newSealer makes the sealer of a record from the secrets of its owners.
func newSealer(secrets [][]byte, kind, id string) (*sealer, error) {
	var all []byte
	for _, s := range secrets {
		all = append(all, s...)
	}
	key, err := hkdf.Key(sha256.New, all, nil, "understudy texts", 64)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	block, err := aes.NewCipher(key[:32])
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	return &sealer{aead: aead, nonce: key[32:], id: kind + "\x00" + id + "\x00"}, err
}

// seal gives the sealed text of a field; an empty one stays empty.
func (s *sealer) seal(field string, text []byte) []byte {
	if len(text) == 0 {
		return nil
	}
	room := s2.MaxEncodedLen(len(text))
	out := make([]byte, nonceSize+room, sealOverhead+room)
	packed := s2.Encode(out[nonceSize:], text)
	about := []byte(s.id + field)
	mac := hmac.New(sha256.New, s.nonce)
	mac.Write(about)
	mac.Write([]byte{0})
	mac.Write(packed)
	nonce := out[:nonceSize]
	copy(nonce, mac.Sum(nil))
	return s.aead.Seal(nonce, nonce, packed, about)
}

// open is the inverse of seal.
func (s *sealer) open(field string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	if len(sealed) < sealOverhead {
		return nil, ErrSeal
	}
	packed, err := s.aead.Open(nil, sealed[:nonceSize], sealed[nonceSize:], []byte(s.id+field))
	if err != nil {
		return nil, ErrSeal
	}
	text, err := s2.Decode(nil, packed)
	if err != nil {
		return nil, ErrSeal
	}
	return text, nil
}
