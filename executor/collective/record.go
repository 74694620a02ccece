package collective

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"net"
)

// TLS makes records of at most 16 KiB, one write and one read each, and copies every byte twice on its way in and once on
// its way out. So once TLS has shown who is there, a straight connection goes on with records of its own, under keys that
// only the two ends of that handshake have (its exporter, RFC 8446, section 7.5): sealed from where they are, opened to where
// they belong.
const (
	recordBytes = 64 << 10
	recordHead  = 4  // the length of what is sealed, u24, and which connection of a bundle is next, u8; authenticated with it
	recordTag   = 16 // of AES-128-GCM
	// keyRecords is how many records, 64 GiB, one key seals: a quarter of what RFC 8446, section 5.5, allows.
	keyRecords = 1 << 20
	keyLabel   = "EXPORTER-tally-collective-lane"
)

// An exporter derives keys from a handshake.
type exporter func(label string, context []byte, length int) ([]byte, error)

// A direction has the keys and counts the records of one way.
type direction struct {
	export exporter
	dialer bool // whether the dialer seals these
	count  uint64
	aead   cipher.AEAD
	nonce  [12]byte
}

// next moves to the next record's nonce, and to its key.
func (d *direction) next() error {
	if d.aead == nil || d.count%keyRecords == 0 {
		context := make([]byte, 9)
		if d.dialer {
			context[0] = 1
		}
		binary.LittleEndian.PutUint64(context[1:], d.count/keyRecords)
		key, err := d.export(keyLabel, context, 16)
		if err != nil {
			return err
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return err
		}
		if d.aead, err = cipher.NewGCM(block); err != nil {
			return err
		}
	}
	binary.LittleEndian.PutUint64(d.nonce[:], d.count)
	d.count++
	return nil
}

// seal appends b as a record. next is the connection that has the one after it.
func (d *direction) seal(to, b []byte, next byte) ([]byte, error) {
	if err := d.next(); err != nil {
		return nil, err
	}
	at := len(to)
	to = binary.LittleEndian.AppendUint32(to, uint32(len(b))|uint32(next)<<24)
	return d.aead.Seal(to, d.nonce[:], b, to[at:at+recordHead]), nil
}

// open appends to to what a record has sealed.
func (d *direction) open(to, record []byte) ([]byte, error) {
	if err := d.next(); err != nil {
		return nil, err
	}
	out, err := d.aead.Open(to, d.nonce[:], record[recordHead:], record[:recordHead])
	if err != nil {
		return nil, fmt.Errorf("%w: record %d is not what was sealed", ErrFrame, d.count-1)
	}
	return out, nil
}

// ahead is a connection that is read in large pieces.
type ahead struct {
	net.Conn
	buf  []byte
	r, w int
	left int // of the TLS record under way
}

const (
	// aheadBytes holds some records at once.
	aheadBytes = segmentBytes + recordHead + recordBytes + recordTag
	// smallAhead is enough while there were small ones only.
	smallAhead = 4096
)

// peek waits for n bytes, and gives those without taking them.
func (a *ahead) peek(n int) ([]byte, error) {
	for a.w-a.r < n {
		if a.r == a.w {
			a.r, a.w = 0, 0
		}
		if a.r+n > len(a.buf) {
			to := a.buf
			if n > len(to) {
				to = make([]byte, smallAhead)
				if n > smallAhead {
					to = make([]byte, aheadBytes)
				}
			}
			a.w = copy(to, a.buf[a.r:a.w])
			a.buf, a.r = to, 0
		}
		got, err := a.Conn.Read(a.buf[a.w:])
		a.w += got
		if got == 0 {
			return nil, err
		}
	}
	return a.buf[a.r:][:n], nil
}

// Read implements net.Conn for TLS: nothing past the record that TLS reads, since what follows the last one is not TLS's.
func (a *ahead) Read(b []byte) (int, error) {
	if a.left == 0 {
		const head = 5 // type, version, length
		h, err := a.peek(head)
		if err != nil {
			return 0, err
		}
		a.left = head + int(binary.BigEndian.Uint16(h[3:]))
	}
	if _, err := a.peek(1); err != nil {
		return 0, err
	}
	n := copy(b, a.buf[a.r:min(a.w, a.r+a.left)])
	a.r += n
	a.left -= n
	return n, nil
}

// record gives the next record, which stays until the next call.
func (a *ahead) record() ([]byte, error) {
	head, err := a.peek(recordHead)
	if err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head) & (1<<24 - 1)
	if n == 0 || n > recordBytes {
		return nil, fmt.Errorf("%w: a record of %d bytes", ErrFrame, n)
	}
	b, err := a.peek(recordHead + int(n) + recordTag)
	if err == nil {
		a.r += len(b)
	}
	return b, err
}
