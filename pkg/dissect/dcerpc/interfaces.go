package dcerpc

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// interfaceWords are the ids of interfaces and their names: Microsoft's protocol
// documents (MS-SCMR, MS-TSCH, MS-DRSR, MS-SAMR, ...), C706, and PROFINET's.
const interfaceWords = `
	e1af8308-5d1f-11c9-91a4-08002b14a0fa epmapper
	afa8bd80-7d8a-11c9-bef4-08002b102989 mgmt
	367abb81-9844-35f1-ad32-98f038001003 svcctl
	12345778-1234-abcd-ef00-0123456789ac samr
	12345778-1234-abcd-ef00-0123456789ab lsarpc
	12345678-1234-abcd-ef00-01234567cffb netlogon
	4b324fc8-1670-01d3-1278-5a47bf6ee188 srvsvc
	6bffd098-a112-3610-9833-46c3f87e345a wkssvc
	338cd001-2244-31f1-aaaa-900038001003 winreg
	1ff70682-0a51-30e8-076d-740be8cee98b atsvc
	378e52b0-c0a9-11cf-822d-00aa0051e40f sasec
	86d35949-83c9-4044-b424-db363231fd0c taskscheduler
	e3514235-4b06-11d1-ab04-00c04fc2dcd2 drsuapi
	12345678-1234-abcd-ef00-0123456789ab spoolss
	76f03f96-cdfd-44fc-a22c-64950a001209 iremotewinspool
	ae33069b-a2a8-46ee-a235-ddfd339be281 irpcremoteobject
	0b6edbfa-4a24-4fc6-8a23-942b1eca65d1 irpcasyncnotify
	c681d488-d850-11d0-8c52-00c04fd90f7e efsrpc
	df1941c5-fe89-4e79-bf10-463657acf44d efsrpc
	82273fdc-e32a-18c3-3f78-827929dc23ea eventlog
	f6beaff7-1e19-4fbb-9f8f-b89e2018337c eventlog6
	f309ad18-d86a-11d0-a075-00c04fb68820 wbem_login
	9556dc99-828c-11cf-a37e-00aa003240c7 wbem_services
	423ec01e-2e35-11d2-b604-00104b703efd wbem_writeclient
	027947e1-d731-11ce-a357-000000000001 wbem_enum
	4d9f4ab8-7d1c-11cf-861e-0020af6e7c57 iremoteactivation
	000001a0-0000-0000-c000-000000000046 isystemactivator
	99fcfec4-5260-101b-bbcb-00aa0021347a ioxidresolver
	00000131-0000-0000-c000-000000000046 iremunknown
	00000143-0000-0000-c000-000000000046 iremunknown2
	00020400-0000-0000-c000-000000000046 idispatch
	3919286a-b10c-11d0-9ba8-00c04fd92ef5 dssetup
	4fc742e0-4a10-11cf-8273-00aa004ae673 netdfs
	894de0c0-0d55-11d3-a322-00c04fa321a1 initshutdown
	d95afe70-a6d5-4259-822e-2c84da1ddb0d windowsshutdown
	6bffd098-a112-3610-9833-012892020162 browser
	17fdd703-1827-4e34-79d4-24a55c53bb37 msgsvc
	5a7b91f8-ff00-11d0-a9b2-00c04fb6e6fc msgsvcsend
	300f3532-38cc-11d0-a3f0-0020af6b0add trkwks
	8fb6d884-2388-11d0-8c35-00c04fda2795 w32time
	50abc2a4-574d-40b3-9d66-ee4fd5fba076 dnsserver
	6bffd098-a112-3610-9833-46c3f874532d dhcpsrv
	5b821720-f63b-11d0-aad2-00c04fc324db dhcpsrv2
	8f09f000-b7ed-11ce-bbd2-00001a181cad rras
	8d0ffe72-d252-11d0-bf8f-00c04fd9126b keysvc
	a8e0653c-2744-4389-a61d-7373df8b2292 fssagentrpc
	91ae6020-9e3c-11cf-8d7c-00aa00c091be icertpassage
	d99e6e70-fc88-11d0-b498-00a0c90312f3 icertadmin
	fdb3a030-065f-11d1-bb9b-00a024ea5525 msmq
	a4f1db00-ca47-1067-b31f-00dd010662da emsmdb
	f5cc5a18-4264-101a-8c59-08002b2f8426 nspi
	1544f5e0-613c-11d1-93df-00c04fd7bd09 rfr
	d049b186-814f-11d1-9a3c-00c04fc9b232 ntfrsapi
	f5cc59b4-4264-101a-8c59-08002b2f8426 frsrpc
	897e2e5f-93f3-4376-9c9c-fd2277495c27 frstrans
	484809d6-4239-471b-b5bc-61df8c23ac48 termsrv
	5ca4a760-ebb1-11cf-8611-00a0245420ed icaapi
	11220835-5b26-4d94-ae86-c3e475a809de icertprotect
	3dde7c30-165d-11d1-ab8f-00805f14db40 backupkey
	57674cd0-5200-11ce-a897-08002b2e9c6d llsrpc
	342cfd40-3c6c-11ce-a893-08002b2e9c6d llsrpc
	68b58241-c259-4f03-a2e5-a2651dcbc930 kdssvc
	b25a52bf-e5dd-4f4a-aea6-8ca7272a0e86 keyiso
	20610036-fa22-11cf-9823-00a0c911e5df rasrpc
	2f5f6520-ca46-1067-b319-00dd010662da tapsrv
	83da7c00-e84f-11d2-9807-00c04f8ec850 sfcapi
	06bba54a-be05-49f9-b0a0-30f790261023 securitycenter
	4b112204-0e19-11d3-b42b-0000f81feb9f ssdpsrv
	63fbe424-2029-11d1-8db8-00aa004abd5e sensapi
	b58aa02e-2884-4e97-8176-4ee06d794184 sysmain
	dea00001-6c97-11d1-8271-00a02442df7d pnio_device
	dea00002-6c97-11d1-8271-00a02442df7d pnio_controller
	dea00003-6c97-11d1-8271-00a02442df7d pnio_supervisor
	dea00004-6c97-11d1-8271-00a02442df7d pnio_parameterserver
	18a70770-8e64-11cf-9af1-0020af6e72f4 iwebbrowser
	55a4a4a0-fcee-11d3-bf76-00c04f8ec4cd iopc`

var interfaces = func() map[string]string {
	m := map[string]string{}
	list := strings.Fields(interfaceWords)
	for i := 0; i+1 < len(list); i += 2 {
		m[list[i]] = list[i+1]
	}
	return m
}()

// uuid is an id's text; big says in which order of bytes the sender writes numbers.
func uuid(b []byte, big bool) string {
	var order binary.ByteOrder = binary.LittleEndian
	if big {
		order = binary.BigEndian
	}
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", order.Uint32(b), order.Uint16(b[4:]), order.Uint16(b[6:]), b[8:10], b[10:16])
}

// name is an interface's name, or its id.
func name(id string) string {
	if n := interfaces[id]; n != "" {
		return n
	}
	return id
}
