package xmlscan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

var words = &Vocabulary{
	Names:  map[string]Name{"root": 1, "a": 2, "b": 3, "long": 4, "skipped": 5, "deep": 6},
	Spaces: map[string]Space{"urn:one": 1, "urn:two": 2},
	Root:   func(n Name) bool { return n == 1 },
}

// log writes down what it is told.
type log struct{ lines []string }

func (l *log) Start(s *Scanner) {
	line := fmt.Sprintf("%d<%d:%d", s.Depth(), s.Space(), s.Name())
	for _, name := range []string{"V", "w", "type"} {
		if v := s.Attr(name); v != nil {
			line += fmt.Sprintf(" %s=%q", name, v)
		}
	}
	if v := s.Attr("type"); v != nil {
		space, local := s.Resolve(v)
		line += fmt.Sprintf(" (%d:%s)", space, local)
	}
	l.lines = append(l.lines, line)
	switch s.Name() {
	case 5:
		s.Skip()
	case 3:
		s.Keep()
	}
}

func (l *log) End(s *Scanner) {
	line := fmt.Sprintf("%d>%d", s.Depth(), s.Name())
	if t := s.Text(); t != nil {
		line += fmt.Sprintf(" %q", t)
	}
	l.lines = append(l.lines, line)
}

func (l *log) Broken() { l.lines = append(l.lines, "broken") }

func scan(v *Vocabulary, parts ...string) string {
	s := Scanner{Vocabulary: v}
	var l log
	for _, p := range parts {
		s.Write(&l, []byte(p))
		if s.Size() > 64<<10 {
			panic("too much is kept")
		}
	}
	s.Close(&l)
	return strings.Join(l.lines, "|")
}

func TestScanner(t *testing.T) {
	fragment := &Vocabulary{Names: words.Names}
	for _, tc := range []struct {
		name string
		v    *Vocabulary
		in   string
		want string
	}{
		{"element", words, `<root V="x"/>`, `1<0:1 V="x"|1>1`},
		{"text", words, "<root><b>one &amp; &#228;&#xE4;&lt;</b></root>", `1<0:1|2<0:3|2>3 "one & ää<"|1>1`},
		{"text with a child", words, "<root><b>one<a/>two</b></root>", `1<0:1|2<0:3|3<0:2|3>2|2>3|1>1`},
		{"declaration and spaces", words, "\xef\xbb\xbf\r\n<?xml version=\"1.0\" encoding='utf-8'?>\n<root\n V = 'a\"b'\tw=\"\" ></root >\x1c\r", `1<0:1 V="a\"b" w=""|1>1`},
		{"comment, section, type", words, `<!DOCTYPE r [<!ENTITY x "]>y"> ]><root><!-- <a> -- ---><b><![CDATA[<a>&amp;]]]]></b></root>`, `1<0:1|2<0:3|2>3 "<a>&amp;]]"|1>1`},
		{"unknown entity", words, `<root V="&who;&#0;&#x110000;&#xZ;&noend"/>`, `1<0:1 V="?????noend"|1>1`},
		{"namespaces", words, `<p:root xmlns:p="urn:one" xmlns="urn:two"><a type="p:X"/><a xmlns="urn:no" type="X"/><a type="q:Y"/></p:root>`, `1<1:1|2<2:2 type="p:X" (1:X)|2>2|2<0:2 type="X" (0:X)|2>2|2<2:2 type="q:Y" (0:Y)|2>2|1>1`},
		{"qualified attribute", words, `<root xmlns:x="urn:one" xmlns:type="urn:two" x:type="x:T"/>`, `1<0:1 type="x:T" (1:T)|1>1`},
		{"skipped", words, `<root><skipped V="s"><b V="t">u</b></skipped><a/></root>`, `1<0:1|2<0:5 V="s"|2<0:2|2>2|1>1`},
		{"unknown", words, `<root><other><b>x</b></other></root>`, `1<0:1|2<0:0|3<0:3|3>3 "x"|2>0|1>1`},
		{"two documents", words, `<root/><root/>`, `1<0:1|1>1|1<0:1|1>1`},
		{"end is missing", words, `<root><a><root/>`, `1<0:1|2<0:2|broken|1<0:1|1>1`},
		{"end is missing before a declaration", words, `<root><skipped><?xml version="1.0"?><root/>`, `1<0:1|2<0:5|broken|1<0:1|1>1`},
		{"wrong end", words, `<root><a></b></root><a/><root/>`, `1<0:1|2<0:2|broken|1<0:1|1>1`},
		{"no quote", words, `<root V=x/><root/>`, `1<0:1|1>1`},
		{"lost quote", words, `<root><a V="x /><b w="y">z</b></root><root/>`, `1<0:1|broken|1<0:1|1>1`},
		{"lost quote, even", words, `<root><a V="x /><b w=" /></root><root/>`, `1<0:1|2<0:2|2>2|1>1|1<0:1|1>1`},
		{"lone less-than", words, `<root> 1 < 2 <a/></root>`, `1<0:1|broken`},
		{"not markup", words, `<root/ ><![CDAT[<!x<root/>`, `1<0:1|1>1`},
		{"other root", words, `<a><b>x</b></a>`, `1<0:2|2<0:3|2>3 "x"|1>2`},
		{"fragments never come back", fragment, `<a></b><a/>`, `1<0:2|broken`},
		{"fragments come back with a declaration", fragment, `<a></b><?xml ?><a/>`, `1<0:2|broken|1<0:2|1>2`},
		{"not ended", words, `<root><a V="x"`, `1<0:1|broken`},
		{"nothing", words, "HTTP/1.1 200 OK\r\n\r\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := scan(tc.v, tc.in); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			for i := range len(tc.in) {
				if got := scan(tc.v, tc.in[:i], tc.in[i:]); got != tc.want {
					t.Fatalf("cut at %d: %s", i, got)
				}
			}
			if got := scan(tc.v, strings.Split(tc.in, "")...); got != tc.want {
				t.Fatalf("byte by byte: %s", got)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"name":       {"<root><" + strings.Repeat("a", 500) + "><b>x</b></" + strings.Repeat("a", 500) + "></root>", `1<0:1|2<0:0|3<0:3|3>3 "x"|2>0|1>1`},
		"value":      {`<root V="` + strings.Repeat("a", 5000) + `" w="1"/>`, `1<0:1 w="1"|1>1`},
		"attributes": {"<root" + strings.Repeat(` x="1"`, 40) + ` w="1"/>`, `1<0:1|1>1`},
		"text":       {"<root><b>" + strings.Repeat("a", 9000) + "</b></root>", `1<0:1|2<0:3|2>3|1>1`},
		"namespaces": {"<root" + strings.Repeat(` xmlns:a="urn:one"`, 30) + `><a` + strings.Repeat(` xmlns:b="urn:one"`, 31) + `><b` + strings.Repeat(` xmlns:c="urn:two"`, 31) + ` type="c:x"/></a></root>`, `1<0:1|2<0:2|3<0:3 type="c:x" (2:x)|3>3|2>2|1>1`},
		"prefix":     {`<root xmlns:` + strings.Repeat("p", 17) + `="urn:one"/>`, `1<0:1|1>1`},
	} {
		if got := scan(words, tc.in); got != tc.want {
			t.Errorf("%s: got %.300s, want %s", name, got, tc.want)
		}
	}
	n := 200
	deep := "<root>" + strings.Repeat("<deep>", n) + strings.Repeat("</deep>", n) + "<a/></root>"
	got := strings.Split(scan(words, deep), "|")
	if len(got) != 2+2*(maxDepth-1)+2 || !slices.Contains(got, "2<0:2") {
		t.Errorf("%d events: %v", len(got), got)
	}
}

// After bytes were lost, the next root begins a document.
func TestLost(t *testing.T) {
	s := Scanner{Vocabulary: words}
	var l log
	s.Write(&l, []byte(`<root><b>sec`))
	s.Lost(&l)
	s.Write(&l, []byte(`ret</b></root><a/><root/>`))
	if got := strings.Join(l.lines, "|"); got != `1<0:1|2<0:3|broken|1<0:1|1>1` {
		t.Error(got)
	}
}

// What was skipped or is over is not kept anywhere.
func TestWiped(t *testing.T) {
	s := Scanner{Vocabulary: words}
	var l log
	s.Write(&l, []byte(`<root V="CANARY"><b>CANARY</b><skipped><b V="CANARY">CANARY</b></skipped>`))
	for _, b := range [][]byte{s.buf[:cap(s.buf)], s.text[:cap(s.text)], s.name[:cap(s.name)]} {
		if strings.Contains(string(b), "CANARY") {
			t.Errorf("%q is kept", b)
		}
	}
}

func FuzzScanner(f *testing.F) {
	f.Add(`<?xml version="1.0"?><root xmlns:x="urn:one" V="&amp;"><b><![CDATA[x]]></b><!-- c --><skipped/></root>`, 20)
	f.Add(`<root><a V='<'/><!DOCTYPE [ "]" ]><?pi ?></root>`, 3)
	f.Fuzz(func(t *testing.T, in string, cut int) {
		want := scan(words, in)
		cut = max(0, min(len(in), cut))
		if got := scan(words, in[:cut], in[cut:]); got != want {
			t.Fatalf("cut at %d: %s, want %s", cut, got, want)
		}
	})
}
