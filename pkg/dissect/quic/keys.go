package quic

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
)

// keys open the Initial packets of one direction (RFC 9001 5).
type keys struct {
	aead   cipher.AEAD
	iv     [12]byte
	header cipher.Block
}

const (
	tagSize    = 16
	sampleSize = 16
)

// derive makes the keys of both directions, the client's first, from the first
// destination connection id of the client (RFC 9001 5.2).
func derive(v *version, id []byte) (both [2]keys, ok bool) {
	for i, label := range [...]string{"client in", "server in"} {
		side := expandFrom(v, id, label)
		k := &both[i]
		block, err := aes.NewCipher(expand(side, v.label+" key", 16))
		if err != nil {
			return both, false
		}
		if k.aead, err = cipher.NewGCM(block); err != nil {
			return both, false
		}
		copy(k.iv[:], expand(side, v.label+" iv", len(k.iv)))
		if k.header, err = aes.NewCipher(expand(side, v.label+" hp", 16)); err != nil {
			return both, false
		}
	}
	return both, true
}

// expandFrom is the secret of a direction.
func expandFrom(v *version, id []byte, label string) []byte {
	secret, err := hkdf.Extract(sha256.New, id, v.salt)
	if err != nil { // only keys that are too short for an approved mode fail
		return make([]byte, sha256.Size)
	}
	return expand(secret, label, sha256.Size)
}

// expand is HKDF-Expand-Label of TLS 1.3 without a context (RFC 8446 7.1).
func expand(secret []byte, label string, size int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(info, byte(len("tls13 "+label)))
	info = append(info, "tls13 "+label...)
	out, err := hkdf.Expand(sha256.New, secret, string(append(info, 0)), size)
	if err != nil { // only sizes beyond 255 hashes fail
		return make([]byte, size)
	}
	return out
}

// open takes the protection off a packet (RFC 9001 5.3, 5.4): number is where its
// packet number begins. nil where the keys are not its own.
func (k *keys) open(packet []byte, number int) []byte {
	if len(packet) < number+4+sampleSize {
		return nil
	}
	var mask [aes.BlockSize]byte
	k.header.Encrypt(mask[:], packet[number+4:number+4+sampleSize])
	first := packet[0] ^ mask[0]&0x0f
	size := int(first&3) + 1
	if len(packet) < number+size+tagSize {
		return nil
	}
	head := append([]byte(nil), packet[:number+size]...)
	head[0] = first
	nonce := k.iv
	for i := range size {
		head[number+i] ^= mask[1+i]
		nonce[len(nonce)-size+i] ^= head[number+i]
	}
	plain, err := k.aead.Open(nil, nonce[:], packet[number+size:], head)
	if err != nil {
		return nil
	}
	return plain
}
