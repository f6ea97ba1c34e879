package dissector

import "bytes"

// accounts are the names of accounts that tell nothing of a person, and what they are.
var accounts = map[string]string{
	"": "empty", "admin": "administrator", "administrator": "administrator", "root": "administrator", "supervisor": "administrator", "superuser": "administrator",
	"adm": "administrator", "sysadmin": "administrator", "sys": "administrator", "system": "administrator", "toor": "administrator", "sa": "administrator",
	"guest": "guest", "public": "guest", "demo": "guest", "visitor": "guest",
	"anonymous": "anonymous", "ftp": "anonymous",
	"user": "default", "default": "default", "service": "default", "support": "default", "tech": "default", "operator": "default", "test": "default", "pi": "default", "ubnt": "default",
	"cisco": "default", "manager": "default", "monitor": "default", "nobody": "default", "oracle": "default", "postgres": "default", "mysql": "default",
}

// maxAccount is the longest of these names.
const maxAccount = 16

// Account is the kind of account that a name stands for: administrator, guest,
// default, anonymous, empty, or other. A name itself never leaves a dissector.
func Account(name []byte) string {
	name = bytes.TrimSpace(name)
	if len(name) > maxAccount {
		return "other"
	}
	var lower [maxAccount]byte
	for i, x := range name {
		if x >= 'A' && x <= 'Z' {
			x += 'a' - 'A'
		}
		lower[i] = x
	}
	if kind, known := accounts[string(lower[:len(name)])]; known {
		return kind
	}
	return "other"
}
