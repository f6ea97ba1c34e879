package banner

import (
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
)

func TestRead(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want Banner
	}{
		{"ProFTPD 1.3.5rc3 Server (Debian) [host]", Banner{Text: "ProFTPD 1.3.5rc3 Server Debian", Software: "ProFTPD", Version: "1.3.5rc3", OS: "Debian"}},
		{"(vsFTPd 3.0.3)", Banner{Text: "vsFTPd 3.0.3", Software: "vsFTPd", Version: "3.0.3"}},
		{"FileZilla Server version 0.9.54 beta", Banner{Text: "FileZilla Server version 0.9.54 beta", Software: "FileZilla", Version: "0.9.54"}},
		{"example.com FTP server (Version wu-2.6.2(1) Sat Jul 19) ready.", Banner{Text: "FTP server Version wu-2.6.2 ready", Software: "wu", Version: "2.6.2"}},
		{"example.com FTP server (SunOS 5.11) ready.", Banner{Text: "FTP server SunOS 5.11 ready", OS: "SunOS", OSVersion: "5.11"}},
		{"AXIS 214 PTZ Network Camera 4.49 (Oct 05 2009) ready", Banner{Text: "AXIS 214 PTZ Network Camera 4.49 ready", Manufacturer: "AXIS", Model: "214", Version: "4.49"}},
		{"MikroTik v6.42.3 (stable)", Banner{Text: "MikroTik v6.42.3 stable", Manufacturer: "MikroTik", Version: "6.42.3"}},
		{"mx1 ESMTP Postfix (Ubuntu)", Banner{Text: "ESMTP Postfix Ubuntu", Software: "Postfix", OS: "Ubuntu"}},
		{"Baxter SIGMA Spectrum Infusion System v8.00.01", Banner{Text: "Baxter SIGMA Spectrum Infusion System v8.00.01", Manufacturer: "Baxter", Version: "8.00.01"}},
		{"NRG MP C3500 FTP server (5.17) ready.", Banner{Text: "NRG MP C3500 FTP server 5.17 ready", Manufacturer: "NRG", Model: "MP C3500", Version: "5.17"}},
		{"VxWorks (VxWorks5.5.1) FTP server ready", Banner{Text: "VxWorks VxWorks5.5.1 FTP server ready", OS: "VxWorks"}},
		{"Welcome to the ward of Dr. John Canary, born 12.03.1961, call 5551234", Banner{}},
		{"ftp for canary@hospital.example PHI-0001-CANARY ready", Banner{}},
		{"ready", Banner{}},
		{"", Banner{}},
		{"FTP 192.168.1.1", Banner{}},
	} {
		if got := Read([]byte(tc.in)); got != tc.want {
			t.Errorf("%q:\n got %+v\nwant %+v", tc.in, got, tc.want)
		}
	}
}

func TestHost(t *testing.T) {
	for in, want := range map[string]string{
		"Mail.Example.ORG": "mail.example.org", "mail.example.org.": "mail.example.org", "ward7": "", "10.1.2.3": "", "localhost": "", "a..b": "", "x@y.z": "", "1.2": "", "": "",
	} {
		if got := Host([]byte(in), false); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if Host([]byte("WARD7-PC"), true) != "ward7-pc" {
		t.Error("a single label is a name where one is wanted")
	}
}

// Words that are nobody's name or number stay; all others go, wherever they stand.
func TestCanaries(t *testing.T) {
	secrets := []string{"CANARYALFA", "PHI-0001-CANARY", "jcanary", "4711-0815"}
	s := canary.New(secrets)
	for _, frame := range []string{"%", "Welcome to %", "ProFTPD 1.3 Server (%) [%]", "FTP server for % ready", "% FTP server", "Linux % login:", "Version % ready", "%: please call %"} {
		for _, x := range secrets {
			b := Read([]byte(strings.ReplaceAll(frame, "%", x)))
			if hits := s.Search([]byte(b.Text + b.Software + b.Version + b.Model + b.OS + b.OSVersion + b.Manufacturer)); len(hits) > 0 {
				t.Errorf("%q with %q: %+v", frame, x, b)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("ProFTPD 1.3.5 Server (Debian)")
	f.Add("AXIS 214 PTZ wu-2.6.2 v1")
	f.Fuzz(func(t *testing.T, s string) {
		if b := Read([]byte(s)); len(b.Text) > maxText {
			t.Fatal(b)
		}
		Host([]byte(s), true)
	})
}
