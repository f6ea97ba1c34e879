package quic

import "crypto/aes"

// Keys are what is derived from a connection id: key, iv and header protection of
// client and server.
func Keys(number uint32, id []byte) (list [2][3][]byte) {
	v, _ := versionOf(number)
	for i := range list {
		side := expandFrom(&v, id, [...]string{"client in", "server in"}[i])
		for j, label := range [...]string{" key", " iv", " hp"} {
			list[i][j] = expand(side, v.label+label, []int{16, 12, 16}[j])
		}
	}
	return list
}

// Protect makes an Initial packet of a header up to the packet number of one byte,
// and a payload; the length is filled in, in the two bytes before that number.
func Protect(number uint32, id []byte, side int, head, payload []byte) []byte {
	v, _ := versionOf(number)
	both, _ := derive(&v, id)
	k := &both[side]
	n := len(head) - 1
	size := 1 + len(payload) + tagSize
	head[n-2], head[n-1] = 0x40|byte(size>>8), byte(size)
	nonce := k.iv
	nonce[11] ^= head[n]
	packet := k.aead.Seal(append([]byte(nil), head...), nonce[:], payload, head)
	var mask [aes.BlockSize]byte
	k.header.Encrypt(mask[:], packet[n+4:n+4+sampleSize])
	packet[0] ^= mask[0] & 0x0f
	packet[n] ^= mask[1]
	return packet
}
