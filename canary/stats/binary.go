package stats

import (
	"encoding/binary"
	"errors"
)

// The binary forms are the fields of a state in their order, eight bytes each,
// big-endian: exact to the last bit, of fixed length, without a version. A store
// that keeps them states the version of the method beside them.

var errLength = errors.New("decode state: the length is not that of this kind of state")

// AppendBinary appends the state to b.
func (s *MBX) AppendBinary(b []byte) ([]byte, error) { return binary.Append(b, binary.BigEndian, s) }

// MarshalBinary gives the state in its binary form.
func (s *MBX) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary reads what MarshalBinary gave.
func (s *MBX) UnmarshalBinary(b []byte) error { return decode(b, s) }

// AppendBinary appends the state to b.
func (s *Ratio) AppendBinary(b []byte) ([]byte, error) { return binary.Append(b, binary.BigEndian, s) }

// MarshalBinary gives the state in its binary form.
func (s *Ratio) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary reads what MarshalBinary gave.
func (s *Ratio) UnmarshalBinary(b []byte) error { return decode(b, s) }

// AppendBinary appends the state to b.
func (d *Detector) AppendBinary(b []byte) ([]byte, error) {
	return binary.Append(b, binary.BigEndian, d)
}

// MarshalBinary gives the state in its binary form.
func (d *Detector) MarshalBinary() ([]byte, error) { return d.AppendBinary(nil) }

// UnmarshalBinary reads what MarshalBinary gave.
func (d *Detector) UnmarshalBinary(b []byte) error { return decode(b, d) }

// AppendBinary appends the histogram to b.
func (h *Histogram) AppendBinary(b []byte) ([]byte, error) {
	return binary.Append(b, binary.BigEndian, h)
}

// MarshalBinary gives the histogram in its binary form.
func (h *Histogram) MarshalBinary() ([]byte, error) { return h.AppendBinary(nil) }

// UnmarshalBinary reads what MarshalBinary gave.
func (h *Histogram) UnmarshalBinary(b []byte) error { return decode(b, h) }

func decode(b []byte, state any) error {
	if len(b) != binary.Size(state) {
		return errLength
	}
	_, err := binary.Decode(b, binary.BigEndian, state)
	return err
}
