package geo

import (
	"bytes"
	"compress/gzip"
	"net/netip"
	"strings"
	"testing"
)

// Facts that are known well enough to hold the embedded table to: operators of root and
// national name servers, and a national research network each.
func TestEmbedded(t *testing.T) {
	for addr, want := range map[string]string{
		"130.59.31.80": "CH", "::ffff:130.59.31.80": "CH", "2001:620:0:ff::5c": "CH", // SWITCH
		"193.174.75.38": "DE", "2001:638:d:c102::150": "DE", // DFN
		"128.112.136.10": "US",                       // Princeton
		"202.12.27.33":   "JP", "2001:dc3::35": "JP", // WIDE
		"10.1.2.3": "", "fd00::1": "", "100.64.3.4": "", "169.254.1.1": "", "127.0.0.1": "", "224.0.0.251": "", "ff02::1": "", "fe80::1": "",
		"198.51.100.7": "", "2001:db8::1": "", "0.0.0.0": "", "255.255.255.255": "", "::": "",
	} {
		if got := Embedded().Lookup(netip.MustParseAddr(addr)); got.Country != want || got.ASN != 0 {
			t.Errorf("%s: %+v, want %q", addr, got, want)
		}
	}
	if got := Embedded().Lookup(netip.Addr{}); got != (Place{}) {
		t.Errorf("no address: %+v", got)
	}
	if about := Embedded().About(); !strings.HasPrefix(about, "IPtoASN, 20") || Embedded().Len() < 200_000 {
		t.Errorf("%q, %d ranges", about, Embedded().Len())
	}
}

const file = "# made up, 2026-11-30\n2.0.0.0\t2.0.0.255\t3215\tFR\tAS3215 Orange\r\n\n1.0.0.0\t1.0.0.255\t13335\tUS\tCLOUD\x1b[2JFLARE\n1.0.1.0\t1.0.1.255\t0\tNone\tNot routed\n2a00::\t2a00:1:ffff:ffff:ffff:ffff:ffff:ffff\t64500\tUnknown\tExample\n3.0.0.0\t3.0.0.0\t0\tDE\t\n"

func TestRead(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte(file))
	_ = z.Close()
	for _, text := range []string{file, packed.String()} {
		table, err := Read(strings.NewReader(text))
		if err != nil || table.About() != "made up, 2026-11-30" || table.Len() != 4 {
			t.Fatalf("%+v, %v", table, err)
		}
		for addr, want := range map[string]Place{
			"1.0.0.0": {"US", 13335, "CLOUD[2JFLARE"}, "1.0.0.255": {"US", 13335, "CLOUD[2JFLARE"}, "0.255.255.255": {}, "1.0.1.0": {},
			"2.0.0.7": {"FR", 3215, "AS3215 Orange"}, "3.0.0.0": {"DE", 0, ""}, "3.0.0.1": {},
			"2a00::": {"", 64500, "Example"}, "2a00:1:ffff:ffff:ffff:ffff:ffff:ffff": {"", 64500, "Example"}, "2a00:2::": {}, "29ff::1": {},
		} {
			if got := table.Lookup(netip.MustParseAddr(addr)); got != want {
				t.Errorf("%s: %+v, want %+v", addr, got, want)
			}
		}
	}
}

func TestReadSaysWhatIsWrong(t *testing.T) {
	good := "1.0.0.0\t1.0.0.255\t1\tUS\tA\n"
	for text, want := range map[string]string{
		"":                                               "has no ranges",
		"# only this\n":                                  "has no ranges",
		good + "1.0.0.0,1.0.0.255,US\n":                  "line 2: has 1 columns",
		"1.0.0\t1.0.0.255\t1\tUS\tA\n":                   `line 1: first address "1.0.0" is no IP address`,
		"1.0.0.0\tx\t1\tUS\tA\n":                         `line 1: last address "x" is no IP address`,
		"1.0.0.9\t1.0.0.1\t1\tUS\tA\n":                   "line 1: 1.0.0.9 to 1.0.0.1 is no range",
		"1.0.0.9\t::1\t1\tUS\tA\n":                       "line 1: 1.0.0.9 to ::1 is no range",
		"1.0.0.0\t1.0.0.1\t-1\tUS\tA\n":                  `line 1: AS number "-1"`,
		"1.0.0.0\t1.0.0.1\t1\tus\tA\n":                   `line 1: country "us"`,
		good + "1.0.0.9\t1.0.1.9\t1\tUS\tA\n":            "two ranges overlap at 1.0.0.9",
		"2a00::\t2a01::\t1\t\t\n2a01::\t2a02::\t1\t\t\n": "two ranges overlap at 2a01::",
		strings.Repeat("x", 5000):                        "line 1: is longer than 4096 bytes",
		"\x1f\x8b\x08junk":                               "unpack",
	} {
		if _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
	if _, err := Open("nowhere.tsv"); err == nil || !strings.Contains(err.Error(), "nowhere.tsv") {
		t.Errorf("no file: %v", err)
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	four, six, table := netip.MustParseAddr("130.59.31.80"), netip.MustParseAddr("2001:620:0:ff::5c"), Embedded()
	if n := testing.AllocsPerRun(100, func() { table.Lookup(four); table.Lookup(six) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(file))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, r := range table.four {
			if got := table.Lookup(address4(r.first)); got != (Place{}) && got != table.places[r.place] {
				t.Errorf("%v: %+v", r, got)
			}
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	table, a := Embedded(), netip.MustParseAddr("130.59.31.80")
	for b.Loop() {
		table.Lookup(a)
	}
}

func BenchmarkEmbedded(b *testing.B) {
	for b.Loop() {
		if _, err := Read(bytes.NewReader(packed)); err != nil {
			b.Fatal(err)
		}
	}
}
