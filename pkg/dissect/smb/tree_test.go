package smb_test

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
)

// with gives a message of SMB 2 another id.
func with(id int, m []byte) []byte {
	m = slices.Clone(m)
	binary.LittleEndian.PutUint64(m[24:], uint64(id))
	return m
}

func tree2(id int, path string) []byte {
	p := wide(path)
	return with(id, smb2(3, 0, 0, le16(9), le16(0), le16(72), le16(len(p)), p))
}

func treed2(id, status int, kind byte) []byte {
	return with(id, smb2(3, status, 1, le16(16), []byte{kind, 0}, make([]byte, 12)))
}

func create2(name string) []byte {
	p := wide(name)
	return smb2(5, 0, 0, make([]byte, 44), le16(64+56), le16(len(p)), make([]byte, 8), p)
}

func write2(file byte, data []byte) []byte {
	return smb2(9, 0, 0, le16(49), le16(64+48), le32(len(data)), make([]byte, 16), []byte{file}, make([]byte, 7), make([]byte, 16), data)
}

func ioctl2(file byte, data []byte) []byte {
	return smb2(11, 0, 0, le16(57), le16(0), le32(0x0011c017), make([]byte, 8), []byte{file}, make([]byte, 7), le32(64+56), le32(len(data)), make([]byte, 24), data)
}

// rpcBind binds to svcctl, rpcCall calls an operation of it.
func rpcBind() []byte {
	id := []byte{0x81, 0xbb, 0x7a, 0x36, 0x44, 0x98, 0xf1, 0x35, 0xad, 0x32, 0x98, 0xf0, 0x38, 0, 0x10, 3}
	b := slices.Concat(le16(4280), le16(4280), le32(0), []byte{1, 0, 0, 0}, le16(0), []byte{1, 0}, id, le32(2), make([]byte, 20))
	return slices.Concat([]byte{5, 0, 11, 3, 0x10, 0, 0, 0}, le16(16+len(b)), le16(0), le32(1), b)
}

func rpcCall(operation int) []byte {
	return slices.Concat([]byte{5, 0, 0, 3, 0x10, 0, 0, 0}, le16(24+11), le16(0), le32(2), le32(11), le16(0), le16(operation), []byte("CANARYSHARE"))
}

func administration() dissecttest.Conversation {
	var c dissecttest.Conversation
	for i, p := range [][]byte{
		frame(negotiate2()), frame(negotiated2()), frame(setup2(type3("Administrator"))), frame(smb2(1, 0, 1, le16(9), le16(1), le16(0), le16(0))),
		frame(tree2(3, `\\PACS1.ward.example\IPC$`)), frame(treed2(3, 0, 2)), frame(tree2(4, `\\10.1.2.4\ADMIN$`)), frame(treed2(4, 0xc0000022, 0)),
		frame(tree2(5, `\\pacs1\CANARYSHARE`)), frame(treed2(5, 0, 1)), frame(create2("svcctl")), frame(smb2(5, 0, 1, make([]byte, 89))), frame(create2(`CANARYSHARE\canaryuser.txt`)), frame(smb2(5, 0, 1, make([]byte, 89))),
		frame(write2(7, rpcBind())), frame(smb2(9, 0, 1, make([]byte, 17))), frame(ioctl2(7, rpcCall(12))), frame(smb2(11, 0, 1, make([]byte, 49))), frame(write2(8, rpcCall(12))), frame(smb2(9, 0x103, 1, make([]byte, 17))),
	} {
		c = append(c, dissecttest.Chunk{Side: i % 2, Data: p})
	}
	return c
}

func TestTrees(t *testing.T) {
	r := dissecttest.EveryCut(t, administration())
	want := `smb login > account=guest mechanism=ntlm outcome=success
smb tree_connect > admin_share=IPC$ outcome=success server_name=PACS1.ward.example share_type=pipe
smb tree_connect > admin_share=ADMIN$ outcome=failure status=access_denied
smb tree_connect > outcome=success server_name=pacs1 share_type=disk
dcerpc bind > interfaces=svcctl
dcerpc calls > operations=svcctl/12:1
smb session > commands=create:2|ioctl:1|negotiate:1|session_setup:1|tree_connect:3|write:2 logins=1 logins_failed=0 pipes=svcctl
`
	if _, got, _ := strings.Cut(r.Brief(), "ntlm_version=v2 os_version=10.0.19041\n"); got != want || !slices.Contains(r.Flows[0].Inner, "dcerpc") {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if !strings.Contains(r.Brief(), "ntlm_authenticate > account=administrator") {
		t.Error(r.Brief())
	}
	dissecttest.NoLeak(t, []string{"CANARYSHARE", "canaryuser", "CANARYHASHCANARYHASH"}, administration())
}

// A session setup and a tree connect in one message, with a password in clear.
func TestChain(t *testing.T) {
	server := make([]byte, 34)
	server[2] = 1 // users log in, passwords are not hidden
	texts := func(list ...string) (b []byte) {
		for _, s := range list {
			b = append(append(b, s...), 0)
		}
		return b
	}
	first := slices.Concat([]byte{0x75, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, le16(14), le16(0), make([]byte, 8))
	ascii := func(m []byte) []byte {
		m = slices.Clone(m)
		m[11] &^= 0x80 // no Unicode
		return m
	}
	setup := ascii(smb1(0x73, 0, false, first, append([]byte("canarypassword"), texts("root", "WARD", "DOS", "Client")...)))
	binary.LittleEndian.PutUint16(setup[35:], uint16(len(setup)))
	second := slices.Concat([]byte{0xff, 0}, le16(0), le16(0), le16(1))
	path := append([]byte{0}, texts(`\\XRAY1\C$`, "A:")...)
	setup = slices.Concat(setup, []byte{4}, second, le16(len(path)), path)
	answer := ascii(smb1(0x73, 0, true, slices.Concat([]byte{0x75, 0}, le16(0), le16(1)), texts("DOS", "Server", "WARD")))
	binary.LittleEndian.PutUint16(answer[35:], uint16(len(answer)))
	answer = slices.Concat(answer, []byte{3, 0xff, 0, 0, 0, 0, 0}, le16(3), texts("A:"))
	var c dissecttest.Conversation
	for i, p := range [][]byte{frame(smb1(0x72, 0, false, nil, []byte("\x02NT LM 0.12\x00"))), frame(smb1(0x72, 0, true, server, make([]byte, 8))), frame(setup), frame(answer)} {
		c = append(c, dissecttest.Chunk{Side: i % 2, Data: p})
	}
	r := dissecttest.EveryCut(t, c)
	for _, want := range []string{
		"smb login > account=guest cleartext_credential=user_pass outcome=success\n", "smb tree_connect > admin_share=C$ outcome=success server_name=XRAY1 share_type=disk\n", "session_setup > native_lan_manager=Client native_os=DOS netbios_domain=WARD",
	} {
		if !strings.Contains(r.Brief(), want) {
			t.Errorf("no %q in\n%s", want, r.Brief())
		}
	}
	dissecttest.NoLeak(t, []string{"canarypassword"}, c)
}

// The cipher and the compressions of SMB 3.1.1's contexts.
func TestContexts(t *testing.T) {
	b := slices.Concat(le16(65), le16(3), le16(0x0311), le16(2), guid, make([]byte, 16), make([]byte, 16), le16(0), le16(0), le32(128),
		le16(2), le16(4), le32(0), le16(1), le16(2), make([]byte, 4), le16(3), le16(10), le32(0), le16(1), le16(0), le32(0), le16(3))
	c := dissecttest.Conversation{{Side: 0, Data: frame(negotiate2())}, {Side: 1, Data: frame(smb2(0, 0, 1, b))}}
	if r := dissecttest.EveryCut(t, c); !strings.Contains(r.Brief(), "negotiate_response < compression=lz77_huffman dialect=3.1.1 encryption=aes_128_gcm") {
		t.Error(r.Brief())
	}
}

// What Zeek (smb_mapping.log, dce_rpc.log) and Suricata (smb events) have of these
// captures, and Wireshark.
func TestTreeCaptures(t *testing.T) {
	for file, want := range map[string][]string{
		"suricata-verify/smb-version-keyword/input.pcap":                                       {"tree_connect > admin_share=C$ outcome=success server_name=ws01.cylera.lab share_type=disk", "admin_share=IPC$"},
		"suricata-verify/smb2-06/20171220_smb_net_user.pcap":                                   {"login > mechanism=kerberos outcome=success", "bind > interfaces=samr", "pipes=lsarpc|samr"},
		"suricata-verify/smb3-01/input.pcap":                                                   {"encrypted=true", "negotiate_response < dialect=3.0 encryption=aes_128_ccm"},
		"zeek/Traces/smb/dssetup_DsRoleGetPrimaryDomainInformation_standalone_workstation.cap": {"dcerpc calls > operations=dssetup/0:1"},
		"malcolm-artifacts/pcap/plugins/CVE-2021-1675/PrintNightmare.pcap":                     {"kerberos ap_request >", "operations=spoolss/10:2|spoolss/89:3"},
		"nDPI/pcap/smbv1.pcap":                        {"login > account=anonymous outcome=success", "admin_share=IPC$ outcome=success share_type=pipe"},
		"suricata-verify/smb-eicar-andx/smbandx.pcap": {"login > account=guest"},
	} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+file)))
		for _, w := range want {
			if !strings.Contains(r.Brief(), w) {
				t.Errorf("%s: no %q in\n%.3000s", file, w, r.Brief())
			}
		}
	}
}
