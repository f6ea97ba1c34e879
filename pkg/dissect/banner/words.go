package banner

import "strings"

// kind is what a word is.
type kind uint8

const (
	unknown  kind = iota
	common        // a technical word
	device        // what a device is called: printer, camera
	marker        // announces a version
	software      // a program
	maker         // of devices or programs
	system        // an operating system
	version
	model
)

// words are the known words in lower case. Makers' and programs' names are as
// they stand in the greetings that makers document and that the Recog database
// (Rapid7) lists.
var words = func() map[string]kind {
	m := map[string]kind{}
	for k, list := range map[kind]string{common: commonWords, device: deviceWords, marker: markerWords, software: programs, maker: makers, system: systems} {
		for _, w := range strings.Fields(list) {
			m[w] = k
		}
	}
	return m
}()

const markerWords = `version ver release rev revision firmware fw build software`

const commonWords = `
	ftp ftpd sftp smtp esmtp lmtp mail mta mda imap imap4 imap4rev1 pop pop3 telnet telnetd login ssh web www snmp ldap tls ssl starttls sip rtsp rtp nas san
	server servers service services daemon agent gateway proxy relay ready management exchange manager system systems
	network networks networking net card module interface console configuration config utility controller control
	secure security embedded enterprise professional pro standard edition source series suite project group corporation inc ltd gmbh ag co corp
	technologies technology electronics industrial medical healthcare infusion pump spectrum ventilator analyzer ultrasound imaging radiology laboratory
	remote terminal device devices internet tcp ip udp digital video audio media data storage disk backup turbo cloud home smart wireless wlan wifi lan wan vpn
	dome fixed ptz ipv4 ipv6 beta alpha stable stg lts service-pack sp
	unix type l8 kernel linux-gnu mips arm arm64 armv7l aarch64 x86 i386 i586 i686 x86_64 amd64 ppc sparc busybox shell
	laser color colour multifunction mfp print printing label thermal jet ink scan scanner fax copier ups power supply pdu environmental`

const deviceWords = `printer printserver printers camera cameras switch router firewall modem phone bridge nvr dvr recorder plc hmi gateway scanner dome projector display encoder decoder`

const programs = `
	vsftpd proftpd pure-ftpd pureftpd filezilla serv-u wu-ftpd wuftpd wu tnftpd ncftpd zftpserver bftpd surgeftp freeftpd warftpd gene6 crushftp ws_ftp glftpd titan rumpus cerberus xlight
	twoftpd slimftpd smbftpd ucftpd inetutils vermillion twisted pyftpdlib muddleftpd troll-ftpd betaftpd netkit-ftpd lukemftpd fritz!boxftp raidenftpd quick'n wing firezilla goldenftp
	postfix sendmail exim qmail dovecot cyrus courier courier-imap courier-pop3 qpopper mailenable mdaemon zimbra haraka opensmtpd domino groupwise imail hmailserver kerio communigate
	james mercury merak icewarp powermta ecelerity momentum surgemail netqmail nullmailer ssmtp msmtp dma lotus slmail smartermail argosoft teapop popa3d uw-imapd uw-imap dbmail perdition
	asterisk freeswitch freepbx kamailio opensips opensser openser sofia-sip sofia pjsip pjsua linphone x-lite xlite zoiper bria eyebeam resiprocate reciprocate sipvicious friendly-scanner
	imail analogx eudora mailsite mail-max mailsweeper ccproxy nasftpd qvt multicraft medusa vftpd appleshare argosoft
	gstreamer live555 vlc lavf libvlc wowza flussonic darwin darwinstreamingserver realserver helix rtsp-simple-server mediamtx ffmpeg
	openssh dropbear inetd xinetd boa lighttpd`

const makers = `
	microsoft apple ibm hp hewlett-packard hpe dell emc cisco linksys juniper huawei h3c zte zyxel d-link tp-link netgear mikrotik ubiquiti aruba ruckus extreme brocade fortinet
	sonicwall barracuda symantec mcafee sophos checkpoint alcatel alcatel-lucent nokia nortel avaya mitel aastra polycom yealink grandstream snom gigaset siemens audiocodes patton sangoma unify
	ericsson ascom spectralink vocera axis bosch hikvision dahua hanwha samsung sony panasonic vivotek mobotix avigilon arecont foscam acti geovision pelco honeywell ge philips
	xerox lexmark ricoh canon epson brother kyocera konica minolta sharp toshiba oki okidata zebra sato intermec datamax oce savin lanier nrg gestetner efi fuji fujifilm fujitsu kodak agfa
	jetdirect laserjet officejet designjet aficio bizhub taskalfa ecosys workcentre phaser docuprint imagerunner e-studio zebranet pagewide
	synology diskstation qnap readynas netapp buffalo drobo wd western lacie iomega thecus asustor nas4free freenas truenas
	apc eaton liebert vertiv cyberpower tripplite schneider rittal raritan geist moxa lantronix digi advantech wago beckhoff phoenix rockwell allen-bradley omron mitsubishi
	yokogawa abb emerson trane carrier york tridium niagara delta kmc alerton loytec sauter kieback crestron extron vaddio barix algo valcom
	baxter sigma hospira icu alaris carefusion bd fresenius braun baxa smiths medfusion b.braun draeger drager dräger mindray spacelabs nihon kohden masimo nellcor covidien medtronic hill-rom stryker
	roche abbott beckman sysmex radiometer bayer werfen instrumentation biomerieux ortho olympus storz karl hologic carestream varian elekta accuray swisslog pyxis omnicell getinge maquet
	hamilton resmed capsule welch allyn mortara zoll schiller cardiac
	vmware citrix oracle sun novell redhat suse google amazon avm fritz fritz!box speedport asus teltonika sierra netmodule opengear perle vivid`

const systems = `
	windows windows_nt win32 winnt winsock linux gnu debian ubuntu centos fedora freebsd netbsd openbsd macos solaris sunos aix hp-ux hpux irix tru64 ultrix unixware openvms vms os400 os zos z vxworks qnx
	nucleus threadx integrity rtems ecos uclinux openwrt dd-wrt lede routeros ios nx-os junos screenos fortios panos comware vrp timos dsm qts ontap esxi android netware
	alpine raspbian yocto busybox nt aos psos lynxos mqx freertos ceos winceos wince`
