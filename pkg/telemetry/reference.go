package telemetry

import (
	"fmt"
	"slices"
	"strings"
)

// Reference is docs/reference/metrics.md: every metric and every label.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	b.WriteString("\n## Labels\n\nA metric has no labels but these, and a label no more values than its bound; what comes beyond it is `other`. A value that looks like a hardware address, an IP address or an id is `other` too.\n\n")
	b.WriteString("| label | on /metrics | at most | what |\n|---|---|---|---|\n")
	for _, k := range keys {
		fmt.Fprintf(&b, "| `%s` | `%s` | %d | %s |\n", k.Name, k.Prometheus(), k.Bound, k.Help)
	}
	hop := ""
	for _, m := range sortedByHop() {
		if h := m.Hop(); h != hop {
			hop = h
			fmt.Fprintf(&b, "\n## %s\n", hop)
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n", m.Name, m.Help)
		fmt.Fprintf(&b, "%s, unit `%s`", m.Kind, m.Unit)
		if len(m.Labels) > 0 {
			names := make([]string, len(m.Labels))
			for i, k := range m.Labels {
				names[i] = "`" + k.Name + "`"
			}
			fmt.Fprintf(&b, ", by %s", strings.Join(names, ", "))
		}
		fmt.Fprintf(&b, ". On /metrics: `%s`", m.Prometheus())
		if m.Only != "" {
			fmt.Fprintf(&b, ". There %s", m.Only)
		}
		b.WriteString(".\n")
	}
	return b.String()
}

func sortedByHop() []*Metric {
	order := []string{"capture", "spool", "bus", "messaging", "fold", "sink", "clickhouse", "canary", "engine"}
	place := func(m *Metric) int {
		if i := slices.Index(order, m.Hop()); i >= 0 {
			return i
		}
		return len(order)
	}
	list := Metrics()
	slices.SortStableFunc(list, func(a, b *Metric) int {
		if d := place(a) - place(b); d != 0 {
			return d
		}
		return strings.Compare(a.Hop(), b.Hop())
	})
	return list
}

const referenceHead = `# Metrics

<!-- Made from pkg/telemetry by "go generate ./pkg/telemetry"; a test compares the two. -->

Every process of Wardflow answers on ` + "`telemetry.listen`" + `: ` + "`/metrics`" + ` for Prometheus, ` + "`/healthz`" + ` (alive; 503 when a part has
failed for good), ` + "`/readyz`" + ` (503 until every part can be used; JSON that says which cannot and why). Where an OTLP endpoint is
configured the same metrics, and traces, are sent there.

The default address is a free port of 127.0.0.1. A process writes the one it has taken to
` + "`DATA_DIR/telemetry/SERVICE-INSTANCE.json`" + `, in the format of Prometheus's ` + "`file_sd_configs`" + `, and takes the same one again when
it is started again:

    scrape_configs:
      - job_name: wardflow
        file_sd_configs:
          - files: [/var/lib/wardflow/telemetry/*.json]
    rule_files: [/etc/wardflow/wardflow.rules.yml]      # deploy/prometheus/wardflow.rules.yml

Names are OpenTelemetry's; on /metrics dots are underscores and the unit and ` + "`_total`" + ` stand behind. Histograms have the series
` + "`_bucket`, `_sum`, `_count`" + `.
`
