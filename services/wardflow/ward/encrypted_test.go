package ward_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// contents are the protocols whose messages tell of use.
var contents = map[string]bool{"dicom": true, "hl7": true, "sdc": true, "intellivue": true, "poct1a": true, "astm": true}

// hidden gives the day's traffic as it would be if all that tells of use were
// encrypted: without its messages, DICOM within TLS of real handshakes, with
// certificates of both ends.
func hidden(t *testing.T, items []proto.Item) []proto.Item {
	cover := newCover(t)
	var out []proto.Item
	for _, it := range items {
		if o := it.Observation; o != nil && contents[o.Protocol] {
			continue
		}
		if it.Flow != nil && contents[it.Flow.Protocol] {
			f := *it.Flow
			f.Protocol, f.ProtocolBy, f.ProtocolInner = "tls", proto.ByContent, nil
			if it.Flow.Protocol == "dicom" && f.Transport == proto.TCP && f.SrcPayloadBytes > 0 {
				f.SrcPayloadBytes = cover.bytes(f.SrcPayloadBytes)
				f.SrcBytes = max(f.SrcBytes, f.SrcPayloadBytes)
			}
			it.Flow = &f
		}
		out = append(out, it)
	}
	return out
}

// cover sends through TLS.
type cover struct {
	t              *testing.T
	client, server *tls.Config
}

func newCover(t *testing.T) *cover {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	like := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"modality"}}
	der, err := x509.CreateCertificate(rand.Reader, like, like, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	own := []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	return &cover{
		t: t, client: &tls.Config{Certificates: own, InsecureSkipVerify: true}, //nolint:gosec // nobody is there to be deceived
		server: &tls.Config{Certificates: own, ClientAuth: tls.RequireAnyClientCert, SessionTicketsDisabled: true, MinVersion: tls.VersionTLS12},
	}
}

// counted counts what is written.
type counted struct {
	net.Conn
	n uint64
}

func (c *counted) Write(b []byte) (int, error) {
	c.n += uint64(len(b))
	return c.Conn.Write(b)
}

// bytes is what a client sends over TLS that has n bytes to say: a request for an
// association, data, a release.
func (c *cover) bytes(n uint64) uint64 {
	a, b := net.Pipe()
	out := &counted{Conn: a}
	done := make(chan struct{})
	go func() {
		s := tls.Server(b, c.server)
		_, _ = io.Copy(io.Discard, s) // until the client goes
		_ = b.Close()
		close(done)
	}()
	conn := tls.Client(out, c.client)
	first := min(n, 200)
	for _, part := range []uint64{first, n - first} {
		if part > 0 {
			if _, err := conn.Write(make([]byte, part)); err != nil {
				c.t.Fatal(err)
			}
		}
	}
	go func() { _, _ = io.Copy(io.Discard, a) }()
	_ = conn.Close()
	_ = a.Close()
	<-done
	return out.n
}

// TestUseOfEncryptedDevices compares what is told of the day when nothing that tells
// of use can be read with the sheet: examinations, their hours, and nothing of others.
// What is learned is learned from the day itself, as it goes on; the two halves are
// looked at apart.
func TestUseOfEncryptedDevices(t *testing.T) {
	clear := run(t, nil, "day.pcapng")
	sheet := readUseTruth(t)
	levelsApart(t, clear, sheet)
	w := start(t, nil)
	types := map[string]string{"ct1": "ct", "mr1": "mri", "us1": "ultrasound"}
	unset := map[proto.ID]string{} // what a device is its protocol does not say any more
	for _, h := range sheet.Hosts {
		if d := find(clear, &h.truthHost); d != nil && types[h.ID] != "" {
			unset[d.DeviceID] = types[h.ID]
		}
	}
	batch := proto.Batch{Site: site, Sensor: "replay", Producer: "day.pcapng", Domain: "day.pcapng"}
	for _, it := range hidden(t, clear.items) {
		if err := w.local.Item(&batch, it); err != nil {
			t.Fatal(err)
		}
		for id, is := range unset {
			if w.devices[id] == nil {
				continue
			}
			delete(unset, id)
			if err := w.local.Edit(&proto.Edit{EditID: id, DeviceID: id, Time: w.devices[id].FirstSeen, By: "m.keller", Action: proto.EditSet, Attribute: "type", Value: is}); err != nil {
				t.Fatal(err)
			}
		}
	}
	compareEstimates(t, clear, sheet, usageOf(t, w.raw))
}

// compareEstimates compares the lines of use with the sheet.
func compareEstimates(t *testing.T, clear *wardRun, sheet *useTruth, lines map[proto.ID][]proto.Usage) {
	noon := proto.TimeOf(time.Date(2026, 11, 17, 12, 0, 0, 0, time.UTC))
	for _, h := range sheet.Hosts {
		d := find(clear, &h.truthHost)
		if d == nil {
			continue
		}
		used := inUse(lines[d.DeviceID])
		want := sheet.Utilisation.Exams[h.ID]
		var hours, wantHours [2]float64
		var count, wantCount [2]int
		for _, u := range used {
			if u.How != "inferred" || u.Method != "activity" || u.Kind != "exam" || u.Outcome != "unknown" || u.Confidence > 0.6 {
				t.Errorf("%s: %+v is no estimate", h.ID, u)
			}
			half := 0
			if u.Start >= noon {
				half = 1
			}
			count[half]++
			hours[half] += u.End.Sub(u.Start).Hours()
		}
		for _, x := range want {
			half := 0
			if proto.TimeOf(x.Start) >= noon {
				half = 1
			}
			wantCount[half]++
			wantHours[half] += x.End.Sub(x.Start).Hours()
		}
		if h.InUseHours > 0 {
			t.Logf("%-5s exams %v of %v, hours %.4f of %.4f before noon, %.4f of %.4f after it (in use %.3f)", h.ID, count, wantCount, hours[0], wantHours[0], hours[1], wantHours[1], h.InUseHours)
		}
		if count != wantCount {
			t.Errorf("%s: %v examinations before and after noon, want %v", h.ID, count, wantCount)
		}
		for i := range hours {
			if math.Abs(hours[i]-wantHours[i]) > 0.02*wantHours[i] {
				t.Errorf("%s: %.3f hours, want %.3f", h.ID, hours[i], wantHours[i])
			}
		}
	}
}

// levelsApart is why pumps and monitors get no estimate: what they send in a
// quarter of an hour is hardly more, or no more, while they are in use. It prints the
// share of pairs of quarters, one in use and one idle, of which the former has more
// payload; a coin gives 0.5.
func levelsApart(t *testing.T, w *wardRun, sheet *useTruth) {
	const quarter = 15 * time.Minute
	for _, h := range sheet.Hosts {
		if h.MAC == nil || len(h.InUse) == 0 {
			continue
		}
		sent := map[time.Time]uint64{}
		var first, last time.Time
		for _, f := range w.flows {
			at, n := f.End.Std().Truncate(quarter), f.SrcPayloadBytes
			switch *h.MAC {
			case f.SrcMAC.String():
			case f.DstMAC.String():
				n = f.DstPayloadBytes
			default:
				continue
			}
			sent[at] += n
			if first.IsZero() || at.Before(first) {
				first = at
			}
			if at.After(last) {
				last = at
			}
		}
		var used, idle []uint64
		for at := first; !at.After(last); at = at.Add(quarter) {
			middle := at.Add(quarter / 2)
			if slices.ContainsFunc(h.InUse, func(x [2]time.Time) bool { return !middle.Before(x[0]) && middle.Before(x[1]) }) {
				used = append(used, sent[at])
			} else {
				idle = append(idle, sent[at])
			}
		}
		more := 0.
		for _, a := range used {
			for _, b := range idle {
				if a > b {
					more++
				} else if a == b {
					more += 0.5
				}
			}
		}
		share := more / float64(len(used)*len(idle))
		t.Logf("%-5s %.3f of %d quarters in use and %d idle", h.ID, share, len(used), len(idle))
		if makes := h.ID == "ct1" || h.ID == "mr1" || h.ID == "us1"; makes != (share > 0.95) {
			t.Errorf("%s: levels are apart in %.3f of pairs: the reason for what gets an estimate has changed", h.ID, share)
		}
	}
}
