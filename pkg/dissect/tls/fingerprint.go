package tls

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
)

// ja3 is the MD5 of "version,ciphers,extensions,groups,formats" in decimal,
// lists joined by hyphens, GREASE left out.
func (h *hello) ja3() string {
	b := make([]byte, 0, 512)
	b = strconv.AppendUint(b, uint64(h.legacy), 10)
	b = joined(append(b, ','), numbers(h.ciphers))
	b = joined(append(b, ','), clean(h.extensions))
	b = joined(append(b, ','), numbers(h.groups))
	b = append(b, ',')
	for i, f := range h.formats {
		if i > 0 {
			b = append(b, '-')
		}
		b = strconv.AppendUint(b, uint64(f), 10)
	}
	return hash(b)
}

// ja3s is the MD5 of "version,cipher,extensions".
func (h *hello) ja3s() string {
	b := strconv.AppendUint(nil, uint64(h.legacy), 10)
	b = joined(append(b, ','), numbers(h.ciphers))
	b = joined(append(b, ','), h.extensions)
	return hash(b)
}

func hash(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

func joined(b []byte, list []uint16) []byte {
	for i, v := range list {
		if i > 0 {
			b = append(b, '-')
		}
		b = strconv.AppendUint(b, uint64(v), 10)
	}
	return b
}

// clean is the list without GREASE.
func clean(list []uint16) []uint16 {
	return slices.DeleteFunc(slices.Clone(list), grease)
}

// ja4Versions are how JA4 writes versions.
var ja4Versions = map[uint16]string{tls13: "13", tls12: "12", tls11: "11", tls10: "10", ssl3: "s3", ssl2: "s2", dtls10: "d1", dtls12: "d2", dtls13: "d3"}

// ja4 is, as FoxIO's technical_details/JA4.md has it:
//
//	t (over TCP), q (QUIC), d (DTLS) | version | d or i: with or without SNI | count of ciphers | of extensions | ends of the first ALPN
//	_ | SHA-256 of the sorted ciphers, 12 characters
//	_ | SHA-256 of the sorted extensions without SNI and ALPN, then the signature algorithms as they stand
func (h *hello) ja4(over byte) string {
	version := ja4Versions[h.top()]
	if version == "" {
		version = "00"
	}
	sni := "i"
	if h.named {
		sni = "d"
	}
	ciphers, extensions := numbers(h.ciphers), clean(h.extensions)
	head := fmt.Sprintf("%c%s%s%02d%02d%s", over, version, sni, min(len(ciphers), 99), min(len(extensions), 99), h.alpnEnds())
	slices.Sort(ciphers)
	slices.Sort(extensions)
	rest := slices.DeleteFunc(extensions, func(v uint16) bool { return v == extServerName || v == extALPN })
	tail := hexes(nil, rest)
	if signatures := numbers(h.signatures); len(signatures) > 0 && len(tail) > 0 {
		tail = hexes(append(tail, '_'), signatures)
	}
	return head + "_" + short(hexes(nil, ciphers)) + "_" + short(tail)
}

// top is the highest version of the list, drafts included, else that of the
// first field.
func (h *hello) top() uint16 {
	list := numbers(h.versions)
	switch {
	case len(list) == 0:
	case h.datagrams():
		return slices.Min(list)
	default:
		return slices.Max(list)
	}
	return h.legacy
}

// alpnEnds is the first and the last character of the first ALPN; of one that
// does not begin and end with letters or digits, those of its hex digits.
func (h *hello) alpnEnds() string {
	if len(h.alpn) == 0 || len(h.alpn[0]) == 0 {
		return "00"
	}
	p := h.alpn[0]
	first, last := p[0], p[len(p)-1]
	if !alphanumeric(first) || !alphanumeric(last) {
		s := hex.EncodeToString(p)
		first, last = s[0], s[len(s)-1]
	}
	return string([]byte{first, last})
}

func alphanumeric(x byte) bool {
	return x >= '0' && x <= '9' || x >= 'A' && x <= 'Z' || x >= 'a' && x <= 'z'
}

// hexes is the list as four hex digits each, joined by commas.
func hexes(b []byte, list []uint16) []byte {
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, digits[v>>12], digits[v>>8&15], digits[v>>4&15], digits[v&15])
	}
	return b
}

const digits = "0123456789abcdef"

// short is the first 12 hex digits of the SHA-256, zeros of nothing.
func short(b []byte) string {
	if len(b) == 0 {
		return "000000000000"
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}
