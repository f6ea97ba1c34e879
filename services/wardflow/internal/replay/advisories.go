package replay

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Advisories counts what a folder of advisories holds, told apart by content.
type Advisories struct {
	CSAF, CVE, NVD int // documents; CVE records, files of NVD records
	KEV, EPSS      int // entries of CISA's catalogue; scores
	Unknown        []error
}

// maxAdvisory bounds a file: the largest NVD feed is a fifth of it.
const maxAdvisory = 512 << 20

// LoadAdvisories looks into every file of a folder, or at one file. The error is
// for a folder that cannot be read; files that are nothing known are in Unknown.
func LoadAdvisories(path string) (*Advisories, error) {
	a := &Advisories{}
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.Type().IsRegular() {
			return nil
		}
		if err := a.file(name); err != nil {
			a.Unknown = append(a.Unknown, fmt.Errorf("%s: %w", name, err))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read advisories: %w", err)
	}
	return a, nil
}

// String tells the counts.
func (a *Advisories) String() string {
	return fmt.Sprintf("%d CSAF documents, %d CVE records, %d NVD files, %d known exploited vulnerabilities, %d EPSS scores, %d files of another kind", a.CSAF, a.CVE, a.NVD, a.KEV, a.EPSS, len(a.Unknown))
}

var errNoAdvisory = errors.New("neither CSAF, KEV, EPSS, CVE nor NVD")

func (a *Advisories) file(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	in := bufio.NewReader(f)
	if head, err := in.Peek(2); err == nil && head[0] == 0x1f && head[1] == 0x8b {
		z, err := gzip.NewReader(in)
		if err != nil {
			return err
		}
		in = bufio.NewReader(z)
	}
	text, err := io.ReadAll(io.LimitReader(in, maxAdvisory))
	if err != nil {
		return err
	}
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")))
	if bytes.HasPrefix(text, []byte("{")) {
		return a.object(text)
	}
	return a.scores(text)
}

func (a *Advisories) object(text []byte) error {
	var o struct {
		Document struct {
			CSAF string `json:"csaf_version"`
		} `json:"document"`
		Catalog         string            `json:"catalogVersion"`
		DataType        string            `json:"dataType"`
		Format          string            `json:"format"`
		Vulnerabilities []json.RawMessage `json:"vulnerabilities"`
	}
	if err := json.Unmarshal(text, &o); err != nil {
		return err
	}
	switch {
	case o.Document.CSAF != "":
		a.CSAF++
	case o.Catalog != "":
		a.KEV += len(o.Vulnerabilities)
	case o.DataType == "CVE_RECORD":
		a.CVE++
	case o.Format == "NVD_CVE":
		a.NVD++
	default:
		return errNoAdvisory
	}
	return nil
}

// scores counts the lines of an EPSS file: a comment, a header, then one a line.
func (a *Advisories) scores(text []byte) error {
	if bytes.HasPrefix(text, []byte("#")) {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	if !bytes.HasPrefix(text, []byte("cve,epss")) {
		return errNoAdvisory
	}
	a.EPSS += bytes.Count(text, []byte("\n"))
	return nil
}
