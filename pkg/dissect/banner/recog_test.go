package banner

import (
	"archive/tar"
	"compress/gzip"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/repotest"
)

// example is one greeting of the Recog database (Rapid7) with what it tells.
type example struct {
	Text     string     `xml:",chardata"`
	Encoding string     `xml:"_encoding,attr"`
	Values   []xml.Attr `xml:",any,attr"`
}

// recog reads the examples of one file of the database.
func recog(t *testing.T, name string) []example {
	f, err := os.Open(repotest.Shared(t, "data/recog-xml-v3.1.28.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			t.Fatalf("no %s in the archive", name)
		} else if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(h.Name, "/"+name) {
			continue
		}
		var x struct {
			Fingerprints []struct {
				Examples []example `xml:"example"`
			} `xml:"fingerprint"`
		}
		if err := xml.NewDecoder(r).Decode(&x); err != nil {
			t.Fatal(err)
		}
		var list []example
		for _, p := range x.Fingerprints {
			list = append(list, p.Examples...)
		}
		return list
	}
}

// Of the greetings in the Recog database, the versions and models that stand in
// them are told, for the most part.
func TestRecog(t *testing.T) {
	for _, tc := range []struct {
		file  string
		least float64
	}{{"ftp_banners.xml", 0.5}, {"smtp_banners.xml", 0.5}, {"pop_banners.xml", 0.5}, {"imap_banners.xml", 0.5}, {"telnet_banners.xml", 0.3}} {
		found, total := 0, 0
		for _, e := range recog(t, tc.file) {
			text := []byte(e.Text)
			if e.Encoding == "base64" {
				var err error
				if text, err = base64.StdEncoding.DecodeString(strings.TrimSpace(e.Text)); err != nil {
					continue
				}
			}
			b := Read(text)
			for _, v := range e.Values {
				switch v.Name.Local {
				case "service.version", "os.version", "hw.version", "hw.product":
				default:
					continue
				}
				total++
				if strings.Contains(b.Text, v.Value) {
					found++
				} else if testing.Verbose() {
					t.Logf("%s %q not in %q of %q", v.Name.Local, v.Value, b.Text, text)
				}
			}
		}
		t.Logf("%s: %d of %d versions and models", tc.file, found, total)
		if float64(found) < tc.least*float64(total) {
			t.Errorf("%s: only %d of %d", tc.file, found, total)
		}
	}
}
