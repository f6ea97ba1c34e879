package embedded

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

const defaultClickHouseMemory = 2 << 30

// Everything below is sized for a small machine that runs all of Wardflow: few background threads, small caches, no
// query, text, trace or metric logs (a table that is not configured is not made).
var configTemplate = template.Must(template.New("config.xml").Funcs(template.FuncMap{"x": escapeXML}).Parse(`<clickhouse>
  <logger>
    <level>warning</level>
    <log>{{x .LogDir}}/server.log</log>
    <errorlog>{{x .LogDir}}/server-error.log</errorlog>
    <size>4M</size>
    <count>2</count>
  </logger>
  <path>{{x .DataDir}}/</path>
  <tmp_path>{{x .DataDir}}/tmp/</tmp_path>
  <user_files_path>{{x .DataDir}}/user_files/</user_files_path>
  <listen_host>127.0.0.1</listen_host>
  <http_port>{{.HTTPPort}}</http_port>
  <tcp_port>{{.TCPPort}}</tcp_port>
  <users_config>{{x .UsersFile}}</users_config>
  <user_directories>
    <users_xml><path>{{x .UsersFile}}</path></users_xml>
    <local_directory><path>{{x .DataDir}}/access/</path></local_directory>
  </user_directories>
  <max_server_memory_usage>{{.MemoryBytes}}</max_server_memory_usage>
  <max_connections>256</max_connections>
  <max_concurrent_queries>100</max_concurrent_queries>
  <mark_cache_size>67108864</mark_cache_size>
  <index_mark_cache_size>16777216</index_mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <compiled_expression_cache_size>16777216</compiled_expression_cache_size>
  <query_cache><max_size_in_bytes>0</max_size_in_bytes></query_cache>
  <background_pool_size>2</background_pool_size>
  <background_merges_mutations_concurrency_ratio>2</background_merges_mutations_concurrency_ratio>
  <background_schedule_pool_size>8</background_schedule_pool_size>
  <background_common_pool_size>2</background_common_pool_size>
  <background_move_pool_size>1</background_move_pool_size>
  <background_fetches_pool_size>1</background_fetches_pool_size>
  <merge_tree>
    <max_bytes_to_merge_at_max_space_in_pool>10737418240</max_bytes_to_merge_at_max_space_in_pool>
    <number_of_free_entries_in_pool_to_lower_max_size_of_merge>1</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
    <number_of_free_entries_in_pool_to_execute_mutation>1</number_of_free_entries_in_pool_to_execute_mutation>
    <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>1</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
    <max_number_of_merges_with_ttl_in_pool>1</max_number_of_merges_with_ttl_in_pool>
    <min_bytes_for_wide_part>134217728</min_bytes_for_wide_part>
    <merge_selector_base>10</merge_selector_base>
  </merge_tree>
{{- with .Cluster}}
  <macros><cluster>{{x .Name}}</cluster><shard>{{x .Shard}}</shard></macros>
  <remote_servers><{{x .Name}}>
{{- range .Shards}}
    <shard><internal_replication>true</internal_replication><replica>
      <host>{{x .Host}}</host><port>{{.TCPPort}}</port><user>{{x .User}}</user><password>{{x .Password}}</password>
    </replica></shard>
{{- end}}
  </{{x .Name}}></remote_servers>
{{- end}}
</clickhouse>
`))

// The library authenticates its own local session as "default" from loopback with an empty password, and there is no
// other way in for it. That user is therefore there, may open the ports and run the statement that never ends, and has
// room for exactly one session, which is the local one: whoever else tries gets USER_SESSION_LIMIT_EXCEEDED.
var usersTemplate = template.Must(template.New("users.xml").Funcs(template.FuncMap{"x": escapeXML, "sha256": hexSHA256}).Parse(`<clickhouse>
  <profiles>
    <default>
      <max_memory_usage>{{.QueryMemoryBytes}}</max_memory_usage>
      <async_insert>0</async_insert>
      <log_queries>0</log_queries>
    </default>
    <analyst>
      <readonly>2</readonly>
      <max_execution_time>60</max_execution_time>
      <max_memory_usage>{{.AnalystMemoryBytes}}</max_memory_usage>
      <max_concurrent_queries_for_user>8</max_concurrent_queries_for_user>
      <max_result_rows>1000000</max_result_rows>
      <allow_ddl>0</allow_ddl>
    </analyst>
{{- if .Library}}
    <local_session>
      <max_sessions_for_user>1</max_sessions_for_user>
      <max_concurrent_queries_for_user>1</max_concurrent_queries_for_user>
    </local_session>
{{- end}}
  </profiles>
  <quotas>
    <default/>
    <analyst>
      <interval><duration>3600</duration><queries>3600</queries><execution_time>1800</execution_time></interval>
    </analyst>
  </quotas>
  <roles>
    <analyst><grants><query>GRANT SELECT ON {{x .Database}}*.*</query></grants></analyst>
  </roles>
  <users>
{{- if .Library}}
    <default>
      <no_password/>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>local_session</profile>
      <quota>default</quota>
      <grants><query>GRANT SYSTEM LISTEN ON *.*</query><query>GRANT SELECT ON system.numbers</query></grants>
    </default>
{{- end}}
    <{{x .User}}>
      <password_sha256_hex>{{sha256 .Password}}</password_sha256_hex>
      <networks><ip>127.0.0.1</ip><ip>::1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <access_management>1</access_management>
      <named_collection_control>1</named_collection_control>
    </{{x .User}}>
{{- if .AnalystUser}}
    <{{x .AnalystUser}}>
      <password_sha256_hex>{{sha256 .AnalystPassword}}</password_sha256_hex>
      <networks><ip>127.0.0.1</ip><ip>::1</ip></networks>
      <profile>analyst</profile>
      <quota>analyst</quota>
      <grants><query>GRANT analyst</query></grants>
    </{{x .AnalystUser}}>
{{- end}}
  </users>
</clickhouse>
`))

// writeClickHouseFiles makes the folders of c.Dir (0700) and its configuration (0600: it may hold passwords).
func writeClickHouseFiles(c ClickHouseConfig, kind ClickHouseKind) error {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return err
	}
	c.Dir = dir
	for _, sub := range []string{"data", "config", "log"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return err
		}
	}
	if c.MemoryBytes <= 0 {
		c.MemoryBytes = defaultClickHouseMemory
	}
	for _, name := range []string{c.User, c.AnalystUser, c.Database} {
		if !isIdentifier(name) && name != "" {
			return fmt.Errorf("%q must be letters, digits and underscores to be a name in ClickHouse's configuration", name)
		}
	}
	values := struct {
		ClickHouseConfig
		DataDir, LogDir, UsersFile           string
		QueryMemoryBytes, AnalystMemoryBytes int64
		Library                              bool
	}{
		c, filepath.Join(dir, "data"), filepath.Join(dir, "log"), c.configPath("users.xml"),
		c.MemoryBytes * 3 / 4, c.MemoryBytes / 4, kind == ClickHouseLibrary,
	}
	if c.Database == "" {
		values.Database = "wardflow"
	}
	for name, t := range map[string]*template.Template{"config.xml": configTemplate, "users.xml": usersTemplate} {
		var b bytes.Buffer
		if err := t.Execute(&b, values); err != nil {
			return err
		}
		if err := writeFileAtomic(c.configPath(name), b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// isIdentifier tells whether s can be an XML element and a SQL name without quoting.
func isIdentifier(s string) bool {
	for i, r := range s {
		letter := r == '_' || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z')
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

func escapeXML(s string) (string, error) {
	var b bytes.Buffer
	err := xml.EscapeText(&b, []byte(s))
	return b.String(), err
}

func hexSHA256(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
