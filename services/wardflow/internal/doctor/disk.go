package doctor

import (
	"fmt"
	"slices"
)

// Folder is a folder that we write to, and the file system that it is on.
type Folder struct {
	Setting    string // data_dir
	Path       string
	Exists     bool
	Writable   bool   // the folder, or the nearest one above that exists
	Kind       string // of the file system: ext4, xfs, tmpfs, nfs, ...; a hexadecimal number when we have no name for it
	Free       uint64 // bytes for us
	Total      uint64
	Inodes     uint64 // free; 0 with InodesAll 0 when the file system does not count them
	InodesAll  uint64
	Want       uint64 // bytes that we may need
	Err        error
	Persistent bool // what is there must survive a restart
}

// networked are file systems whose locks and syncs are not those of a disk.
var networked = []string{"nfs", "cifs", "smb2", "fuse", "9p", "ceph"}

// JudgeFolder judges.
func JudgeFolder(d *Folder) []Result {
	f := &findings{area: "disk"}
	at := fmt.Sprintf("%s (%s)", d.Path, d.Setting)
	switch {
	case d.Err != nil:
		f.add(Problem, d.Setting, "name a folder that can be made, by "+d.Setting, "%s cannot be looked at: %v", at, d.Err)
		return f.list
	case !d.Writable:
		f.add(Problem, d.Setting, "give it to this user, or name another by "+d.Setting, "%s cannot be written", at)
		return f.list
	}
	missing := ""
	if !d.Exists {
		missing = "; it will be made"
	}
	do := fmt.Sprintf("free some, or move %s to a larger disk", d.Setting)
	switch {
	case d.Total > 0 && (d.Free < 256<<20 || float64(d.Free) < 0.02*float64(d.Total)):
		f.add(Problem, d.Setting, do, "%s: %s free of %s", at, bytesText(d.Free), bytesText(d.Total))
	case d.Free < d.Want:
		f.add(Warning, d.Setting, do, "%s: %s free of %s, may need %s", at, bytesText(d.Free), bytesText(d.Total), bytesText(d.Want))
	default:
		f.ok(d.Setting, "%s: %s free of %s%s", at, bytesText(d.Free), bytesText(d.Total), missing)
	}
	if d.InodesAll > 0 && float64(d.Inodes) < 0.02*float64(d.InodesAll) {
		f.add(Problem, d.Setting+" inodes", "delete files, or make the file system anew with more inodes", "%s: %d free of %d", at, d.Inodes, d.InodesAll)
	}
	switch {
	case d.Kind == "tmpfs" && d.Persistent:
		f.add(Warning, d.Setting+" file system", "name a folder on a disk by "+d.Setting, "%s is in memory: gone with the next restart of the machine", at)
	case slices.Contains(networked, d.Kind):
		f.add(Warning, d.Setting+" file system", "name a folder on a local disk by "+d.Setting, "%s is on %s: slow, and its locks and syncs cannot be relied on", at, d.Kind)
	default:
		f.ok(d.Setting+" file system", "%s", d.Kind)
	}
	return f.list
}
