package kerberos

import (
	"strconv"
	"strings"
)

// errorWords are the codes of RFC 4120 7.5.9 and RFC 4556 3.1.3, each with its name in
// lower case without its prefix.
const errorWords = `
	0 none 1 name_exp 2 service_exp 3 bad_pvno 4 c_old_mast_kvno 5 s_old_mast_kvno 6 c_principal_unknown 7 s_principal_unknown 8 principal_not_unique 9 null_key
	10 cannot_postdate 11 never_valid 12 policy 13 badoption 14 etype_nosupp 15 sumtype_nosupp 16 padata_type_nosupp 17 trtype_nosupp 18 client_revoked 19 service_revoked
	20 tgt_revoked 21 client_notyet 22 service_notyet 23 key_expired 24 preauth_failed 25 preauth_required 26 server_nomatch 27 must_use_user2user 28 path_not_accepted
	29 svc_unavailable 31 bad_integrity 32 tkt_expired 33 tkt_nyv 34 repeat 35 not_us 36 badmatch 37 skew 38 badaddr 39 badversion 40 msg_type 41 modified 42 badorder
	44 badkeyver 45 nokey 46 mut_fail 47 baddirection 48 method 49 badseq 50 inapp_cksum 51 path_not_accepted 52 response_too_big 60 generic 61 field_toolong
	62 client_not_trusted 63 kdc_not_trusted 64 invalid_sig 65 key_too_weak 66 certificate_mismatch 67 no_tgt 68 wrong_realm 69 user_to_user_required
	70 cant_verify_certificate 71 invalid_certificate 72 revoked_certificate 73 revocation_status_unknown 74 revocation_status_unavailable 75 client_name_mismatch
	76 kdc_name_mismatch`

var errors = func() map[int64]string {
	m := map[int64]string{}
	list := strings.Fields(errorWords)
	for i := 0; i+1 < len(list); i += 2 {
		n, err := strconv.ParseInt(list[i], 10, 32)
		if err != nil { // the table is ours
			panic(err)
		}
		m[n] = list[i+1]
	}
	return m
}()

func errorName(n int64) string {
	if s := errors[n]; s != "" {
		return s
	}
	return strconv.FormatInt(n, 10)
}
