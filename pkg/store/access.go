package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// The analyst's role, limits and quota. readonly = 2 refuses every change but
// lets a client set its own harmless settings; MAX keeps the limits from being
// raised by them.
const (
	analystRole    = "wardflow_analyst"
	analystProfile = "wardflow_analyst"
	analystQuota   = "wardflow_analyst"
)

// accessStatements makes role, limits, quota and account. shown are the same
// without the password.
func (l layout) accessStatements(a Analyst) (stmts, shown []string) {
	add := func(s string) { stmts, shown = append(stmts, s), append(shown, s) }
	limit := func(name string, v int64) string {
		n := strconv.FormatInt(v, 10)
		return name + " = " + n + " MAX " + n
	}
	add("CREATE ROLE OR REPLACE " + analystRole)
	add("GRANT SELECT ON " + l.database + ".* TO " + analystRole)
	add("CREATE SETTINGS PROFILE OR REPLACE " + analystProfile + " SETTINGS readonly = 2 READONLY, " +
		limit("max_memory_usage", a.MaxMemory) + ", " + limit("max_execution_time", int64(a.MaxSeconds)) + " TO " + analystRole)
	quota := "CREATE QUOTA OR REPLACE " + analystQuota + " KEYED BY user_name FOR INTERVAL 1 hour MAX queries = " + strconv.Itoa(a.QueriesPerH)
	if a.ReadRowsPerH > 0 {
		quota += ", read_rows = " + strconv.FormatInt(a.ReadRowsPerH, 10)
	}
	add(quota + " TO " + analystRole)
	if a.User != "" && a.Password != "" {
		user := "CREATE USER OR REPLACE " + a.User + " IDENTIFIED WITH sha256_password BY "
		rest := " DEFAULT ROLE " + analystRole
		stmts, shown = append(stmts, user+quote(a.Password)+rest), append(shown, user+"'[hidden]'"+rest)
		add("GRANT " + analystRole + " TO " + a.User)
	}
	return stmts, shown
}

// access makes the analyst where the server keeps accounts made by SQL. Where it
// does not (its accounts are a file), an account of that name has to be there.
func (h *migrator) access(ctx context.Context, a Analyst) error {
	if a.User == "" {
		return nil
	}
	var writable, users, roles uint64
	err := h.conn.QueryRow(ctx, "SELECT (SELECT countIf(type NOT IN ('users_xml', 'ldap')) FROM system.user_directories), (SELECT count() FROM system.users WHERE name = ?), (SELECT count() FROM system.roles WHERE name = ?)", a.User, analystRole).
		Scan(&writable, &users, &roles)
	if Code(err) == codeAccessDenied {
		h.differs("this account may not see accounts, so the read-only analyst was not made: GRANT ACCESS MANAGEMENT to it, or make an account that may SELECT from %s.*", h.layout.database)
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for account: %w", err)
	}
	if writable == 0 {
		if users == 0 {
			h.differs("the server keeps its accounts in a file: add a read-only account %q that may SELECT from %s.*", a.User, h.layout.database)
		}
		return nil
	}
	if roles > 0 && (users > 0 || a.Password == "") {
		return nil
	}
	stmts, shown := h.layout.accessStatements(a)
	for i := range stmts {
		if err := h.do(ctx, stmts[i], shown[i]); err != nil {
			if Code(err) == codeAccessDenied {
				h.differs("this account may not make accounts, so the read-only analyst was not made: GRANT ACCESS MANAGEMENT to it, or execute: %s", strings.Join(shown, "; "))
				return nil
			}
			return err
		}
	}
	return nil
}

// Codes of the server's answers that we tell apart (ErrorCodes.cpp).
const (
	codeAccessDenied = 497
)

// AnalystStatements gives what makes the read-only analyst, for people whose
// accounts are not Wardflow's to make.
func AnalystStatements(cfg Config) []string {
	_, shown := cfg.layout().accessStatements(cfg.Analyst)
	return shown
}
