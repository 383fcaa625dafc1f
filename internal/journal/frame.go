package journal

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// The body of an exchange message is 1..N records, each
//
//	uvarint(length of what follows) record
//	record = uvarint(len meta) meta  uvarint(len request) request  uvarint(len response) response
//
// where meta is the JSON of Exchange. Bodies stand outside the JSON, so that
// they are neither escaped nor copied to be read.

var errFrame = errors.New("record is cut or its lengths do not fit")

// AppendExchange appends the length-delimited record of e to dst.
func AppendExchange(dst []byte, e *Exchange) ([]byte, error) {
	meta, err := json.Marshal(e)
	if err != nil {
		return dst, fmt.Errorf("encode exchange %s: %w", e.ID, err)
	}
	n := sectionSize(meta) + sectionSize(e.Request) + sectionSize(e.Response)
	dst = slices.Grow(dst, n+binary.MaxVarintLen64)
	dst = binary.AppendUvarint(dst, uint64(n))
	for _, b := range [][]byte{meta, e.Request, e.Response} {
		dst = binary.AppendUvarint(dst, uint64(len(b)))
		dst = append(dst, b...)
	}
	return dst, nil
}

func sectionSize(b []byte) int {
	var v [binary.MaxVarintLen64]byte
	return binary.PutUvarint(v[:], uint64(len(b))) + len(b)
}

// DecodeExchanges reads all records of a message body. The bodies of the
// exchanges point into data.
func DecodeExchanges(data []byte) ([]*Exchange, error) {
	var list []*Exchange
	for len(data) > 0 {
		var rec []byte
		var err error
		if rec, data, err = section(data); err != nil {
			return nil, err
		}
		e, err := decodeExchange(rec)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	if len(list) == 0 {
		return nil, errors.New("message holds no record")
	}
	return list, nil
}

// ReadExchanges reads the records of a message. Its subject, not the records, says
// which sub-module they belong to and whether our own proxy captured them; a
// foreign message holds exactly one.
func ReadExchanges(subject string, data []byte) ([]*Exchange, error) {
	submodule, source, ok := SubjectOf(subject)
	if !ok {
		return nil, fmt.Errorf("subject %q holds no exchanges", subject)
	}
	list, err := DecodeExchanges(data)
	if err != nil {
		return nil, err
	}
	if source != SourceCapture && len(list) != 1 {
		return nil, fmt.Errorf("message of another publisher holds %d records; send one in each", len(list))
	}
	for _, e := range list {
		e.Submodule, e.Source = submodule, source
	}
	return list, nil
}

// findExchange reads the record with the given id. A record of our own writing is
// told by the bytes of its id, without decoding its neighbours; another program
// may write its JSON in other ways, so what is not found so is looked for again.
func findExchange(data []byte, id string) (*Exchange, error) {
	mark := []byte(`"id":"` + id + `"`)
	for rest := data; len(rest) > 0; {
		rec, next, err := section(rest)
		if err != nil {
			return nil, err
		}
		rest = next
		if meta, _, err := section(rec); err != nil || !bytes.Contains(meta, mark) {
			continue
		}
		if e, err := decodeExchange(rec); err == nil && e.ID == id {
			return e, nil
		}
	}
	list, err := DecodeExchanges(data)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		if e.ID == id {
			return e, nil
		}
	}
	return nil, ErrNotFound
}

func decodeExchange(rec []byte) (*Exchange, error) {
	var parts [3][]byte
	var err error
	for i := range parts {
		if parts[i], rec, err = section(rec); err != nil {
			return nil, err
		}
	}
	if len(rec) != 0 {
		return nil, errFrame
	}
	e := &Exchange{Request: parts[1], Response: parts[2]}
	if err := json.Unmarshal(parts[0], e); err != nil {
		return nil, fmt.Errorf("decode exchange: %w", err)
	}
	if e.Schema < 1 || e.Schema > SchemaVersion {
		return nil, fmt.Errorf("decode exchange: schema %d is not known to this version (%d)", e.Schema, SchemaVersion)
	}
	if e.ID == "" || e.At.IsZero() {
		return nil, errors.New("decode exchange: id or at is missing")
	}
	return e, nil
}

func section(data []byte) (head, rest []byte, err error) {
	n, w := binary.Uvarint(data)
	if w <= 0 || n > uint64(len(data)-w) {
		return nil, nil, errFrame
	}
	end := w + int(n)
	return data[w:end:end], data[end:], nil
}
