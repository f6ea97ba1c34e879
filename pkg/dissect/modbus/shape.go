package modbus

import "encoding/binary"

// The functions (V1.1b3, clause 6).
const (
	readCoils            = 1
	readDiscreteInputs   = 2
	readHoldingRegisters = 3
	readInputRegisters   = 4
	writeCoil            = 5
	writeRegister        = 6
	readExceptionStatus  = 7
	diagnostics          = 8
	eventCounter         = 11
	eventLog             = 12
	writeCoils           = 15
	writeRegisters       = 16
	reportServerID       = 17
	readFileRecord       = 20
	writeFileRecord      = 21
	maskWriteRegister    = 22
	readWriteRegisters   = 23
	readFIFO             = 24
	encapsulated         = 43
	umas                 = 90 // Schneider's own
	exceptionBit         = 0x80
	deviceIdentification = 14 // of function 43
	lastException        = 11
)

// functions are the functions' names.
var functions = [128]string{
	readCoils: "read_coils", readDiscreteInputs: "read_discrete_inputs", readHoldingRegisters: "read_holding_registers",
	readInputRegisters: "read_input_registers", writeCoil: "write_single_coil", writeRegister: "write_single_register",
	readExceptionStatus: "read_exception_status", diagnostics: "diagnostics", eventCounter: "get_comm_event_counter",
	eventLog: "get_comm_event_log", writeCoils: "write_multiple_coils", writeRegisters: "write_multiple_registers",
	reportServerID: "report_server_id", readFileRecord: "read_file_record", writeFileRecord: "write_file_record",
	maskWriteRegister: "mask_write_register", readWriteRegisters: "read_write_multiple_registers", readFIFO: "read_fifo_queue",
	encapsulated: "encapsulated_interface_transport", umas: "umas",
}

// exceptions are the names of the exception codes (clause 7).
var exceptions = [lastException + 1]string{
	"0", "illegal_function", "illegal_data_address", "illegal_data_value", "server_device_failure", "acknowledge", "server_device_busy",
	"negative_acknowledge", "memory_parity_error", "9", "gateway_path_unavailable", "gateway_target_failed_to_respond",
}

// shape judges whether a whole PDU may be a request, a response, or, as echoes
// are, both. Neither means that it is no message of the specification. Some pad
// the shortest messages with a zero.
func shape(p []byte) (request, response bool) {
	if len(p) == 0 {
		return false, false
	}
	n, f := len(p), p[0]
	if f&exceptionBit != 0 {
		return false, (n == 2 || n == 3 && p[2] == 0) && p[1] > 0 && p[1] <= lastException
	}
	switch f {
	case readCoils, readDiscreteInputs, readHoldingRegisters, readInputRegisters:
		return isRead(p), n > 2 && n == 2+int(p[1]) && (f < readHoldingRegisters || p[1]%2 == 0)
	case writeCoil:
		ok := n == 5 && p[4] == 0 && (p[3] == 0 || p[3] == 0xff)
		return ok, ok
	case writeRegister:
		return n == 5, n == 5
	case readExceptionStatus:
		return n == 1, n == 2
	case diagnostics:
		ok := n >= 5 && n%2 == 1 && p[1] == 0 && p[2] <= 20
		return ok, ok
	case eventCounter:
		return n == 1, n == 5
	case eventLog:
		return n == 1, n > 7 && n == 2+int(p[1])
	case writeCoils, writeRegisters:
		return isWrite(p), n == 5 && quantity(p, 3) > 0
	case reportServerID:
		return n == 1, n > 2 && n == 2+int(p[1])
	case readFileRecord, writeFileRecord:
		ok := n > 2 && n == 2+int(p[1])
		return ok && (f == writeFileRecord || p[1]%7 == 0 && p[2] == 6), ok
	case maskWriteRegister:
		return n == 7, n == 7
	case readWriteRegisters:
		return n > 10 && n == 10+int(p[9]) && int(p[9]) == 2*quantity(p, 7), n > 2 && n == 2+int(p[1]) && p[1]%2 == 0
	case readFIFO:
		return n == 3, n >= 5 && n == 3+quantity(p, 1)
	case encapsulated:
		return isEncapsulated(p)
	case umas:
		return n >= 3, n >= 3
	}
	return false, false
}

// isRead wants an address and a quantity within the specification's bounds.
func isRead(p []byte) bool {
	most := 2000
	if p[0] >= readHoldingRegisters {
		most = 125
	}
	return len(p) == 5 && quantity(p, 3) > 0 && quantity(p, 3) <= most
}

// isWrite wants as many values as are announced.
func isWrite(p []byte) bool {
	if len(p) < 7 || len(p) != 6+int(p[5]) {
		return false
	}
	if p[0] == writeCoils {
		return int(p[5]) == (quantity(p, 3)+7)/8
	}
	return int(p[5]) == 2*quantity(p, 3)
}

// isEncapsulated judges function 43: device identification (type 14), and CANopen
// (type 13) as far as can be told.
func isEncapsulated(p []byte) (request, response bool) {
	switch {
	case len(p) < 3:
		return false, false
	case p[1] == 13:
		return true, true
	case p[1] != deviceIdentification || p[2] < 1 || p[2] > 4:
		return false, false
	}
	return len(p) == 4 || len(p) == 5 && p[4] == 0, len(p) >= 7 && (p[4] == 0 || p[4] == 0xff)
}

// quantity is the 16-bit number at i.
func quantity(p []byte, i int) int { return int(binary.BigEndian.Uint16(p[i:])) }

// rtuLengths are the lengths that an RTU frame beginning with b may have, address
// and checksum included, the shorter one first; 0 while that cannot be said, and
// -1 where there is none.
func rtuLengths(b []byte) (n [2]int) {
	if len(b) < 2 {
		return [2]int{0, 0}
	}
	count := func(at int) int { // a byte count in the PDU
		if len(b) <= at+1 {
			return 0
		}
		return at + 1 + int(b[at+1]) + 3
	}
	f := b[1]
	switch {
	case f&exceptionBit != 0 && functions[f&^exceptionBit] != "":
		return [2]int{5, -1}
	case f >= readCoils && f <= readInputRegisters, f == readFileRecord, f == writeFileRecord:
		if f >= readFileRecord {
			return [2]int{count(1), -1}
		}
		if r := count(1); r > 0 && r < 8 {
			return [2]int{r, 8}
		}
		return [2]int{8, count(1)}
	case f == writeCoil, f == writeRegister:
		return [2]int{8, -1}
	case f == writeCoils, f == writeRegisters:
		return [2]int{8, count(5)}
	case f == readExceptionStatus:
		return [2]int{4, 5}
	case f == eventCounter:
		return [2]int{4, 8}
	case f == eventLog, f == reportServerID:
		return [2]int{4, count(1)}
	case f == diagnostics:
		return [2]int{8, -1}
	case f == maskWriteRegister:
		return [2]int{10, -1}
	case f == readWriteRegisters:
		return [2]int{count(1), count(9)}
	}
	return [2]int{-1, -1}
}

// table is that of the CRC-16 of RTU frames (MODBUS over Serial Line V1.02, 6.2.2).
var table = func() (t [256]uint16) {
	for i := range t {
		crc := uint16(i)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xa001
			} else {
				crc >>= 1
			}
		}
		t[i] = crc
	}
	return t
}()

func checksum(b []byte) uint16 {
	crc := uint16(0xffff)
	for _, x := range b {
		crc = crc>>8 ^ table[byte(crc)^x]
	}
	return crc
}
