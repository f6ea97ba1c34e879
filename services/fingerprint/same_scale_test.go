package fingerprint

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// claimOfNumber is what device n claims that holds an address since some moment.
func claimOfNumber(n int, ip netip.Addr, since proto.Time, version uint64) *proto.Claim {
	who, _ := number(n)
	c := &proto.Claim{Endpoint: who, Site: "st-alban", FirstSeen: noon, Hour: 1, Hours: 1, Version: version, Keys: []proto.ClaimKey{
		{Kind: proto.ClaimMAC, Value: proto.MAC{0, 0x30, 0xe6, byte(n >> 16), byte(n >> 8), byte(n)}.String()},
		{Kind: proto.ClaimOwns, Value: ip.String(), Since: since},
	}}
	if n%4 == 1 {
		c.Keys = append(c.Keys, proto.ClaimKey{Kind: proto.ClaimSerial, Value: "SN" + strconv.Itoa(n)})
	}
	c.Keys = append(c.Keys, proto.ClaimKey{Kind: proto.ClaimHostname, Value: "w" + strconv.Itoa(n%997) + "-" + strconv.Itoa(n)})
	if n%4 == 1 {
		c.Keys = append(c.Keys, proto.ClaimKey{Kind: proto.ClaimModel, Value: "somatom go.up"})
	}
	return c
}

// TestScaleOfIdentity measures what a claim costs while many devices are known, on disk:
// each tenth address is seen behind a router too, and then leases change hands.
// WARDFLOW_SCALE is how many devices (go tool task bench:devices).
func TestScaleOfIdentity(t *testing.T) {
	devices, _ := strconv.Atoi(os.Getenv("WARDFLOW_SCALE"))
	if devices == 0 {
		t.Skip("a measurement: WARDFLOW_SCALE says for how many devices")
	}
	s := newStage(t, NewIdentity(), stream.NewCache(int64(mebibytes("WARDFLOW_BLOCKS", 256<<20)), 1))
	seq, sent, groupings := uint64(0), 0, 0
	send := func(list []*proto.Claim) {
		for _, c := range list {
			val, err := proto.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			seq++
			env, err := (&proto.Envelope{Schema: proto.SchemaDerived, Kind: proto.KindClaim, Producer: "endpoint/0", Seq: seq, Time: noon, Domain: proto.LiveDomain}).Append(nil)
			if err != nil {
				t.Fatal(err)
			}
			s.offer(proto.TopicClaims, noon, env, val)
		}
		groupings += len(s.commit())
		sent += len(list)
	}
	measured := func(what string, f func()) {
		s.written, sent, groupings = 0, 0, 0
		begun, cost := time.Now(), processor()
		f()
		cost = processor() - cost
		t.Logf("%s: %d claims in %s, %.0f a second of processor, %d groupings, %.0f bytes of changelog a claim",
			what, sent, time.Since(begun).Round(time.Second), float64(sent)/cost.Seconds(), groupings, float64(s.written)/float64(sent))
	}
	var list []*proto.Claim
	add := func(c *proto.Claim, last bool) {
		if list = append(list, c); len(list) >= batch || last {
			send(list)
			list = list[:0]
		}
	}
	measured(strconv.Itoa(devices)+" devices made known", func() {
		for n := range devices {
			_, ip := number(n)
			if n%10 == 0 {
				far := proto.IPEndpoint("st-alban", 0, ip)
				add(&proto.Claim{Endpoint: far, Site: "st-alban", Class: proto.ClassAddress, FirstSeen: noon, Version: 1, Keys: []proto.ClaimKey{{Kind: proto.ClaimAddress, Value: ip.String()}}}, false)
			}
			add(claimOfNumber(n, ip, noon, 1), n == devices-1)
		}
	})
	random := rand.New(rand.NewPCG(1, 2))
	const changes = 100_000
	measured("leases that change hands", func() {
		for i := range changes {
			_, ip := number(random.IntN(devices))
			add(claimOfNumber(random.IntN(devices), ip, noon.Add(time.Duration(1+i)*time.Second), uint64(2+i)), i == changes-1)
		}
	})
	entries, bytes, tables := s.held()
	t.Logf("state: %d entries, %.0f bytes a device;%s restored in %s", entries, float64(bytes)/float64(devices), tables, s.restore(NewIdentity()).Round(time.Millisecond))
	if groupings == 0 {
		t.Error("no address has changed hands")
	}
}
