package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// kinds are the f_type numbers of statfs(2).
var kinds = map[int64]string{
	0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x2fc12fc1: "zfs", 0xf2f52010: "f2fs", 0x01021994: "tmpfs", 0x858458f6: "tmpfs",
	0x794c7630: "overlay", 0x6969: "nfs", 0xff534d42: "cifs", 0xfe534d42: "smb2", 0x65735546: "fuse", 0x01021997: "9p", 0x00c36400: "ceph",
}

// ReadFolder looks at a folder, or, where it is not there yet, at the nearest
// one above.
func ReadFolder(setting, path string, want uint64, persistent bool) *Folder {
	d := &Folder{Setting: setting, Path: path, Want: want, Persistent: persistent}
	at, err := filepath.Abs(path)
	if err != nil {
		d.Err = err
		return d
	}
	info, err := os.Stat(at)
	d.Exists = err == nil
	for errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
		at = filepath.Dir(at)
		info, err = os.Stat(at)
	}
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no folder", at)
	}
	if err != nil {
		d.Err = err
		return d
	}
	d.Writable = unix.Access(at, unix.W_OK|unix.X_OK) == nil
	var s unix.Statfs_t
	if err := unix.Statfs(at, &s); err != nil {
		d.Err = os.NewSyscallError("statfs "+at, err)
		return d
	}
	block := uint64(s.Bsize)
	d.Free, d.Total, d.Inodes, d.InodesAll = s.Bavail*block, s.Blocks*block, s.Ffree, s.Files
	d.Kind = kinds[s.Type]
	if d.Kind == "" {
		d.Kind = fmt.Sprintf("%#x", s.Type)
	}
	return d
}
