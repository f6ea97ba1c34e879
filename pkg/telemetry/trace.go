package telemetry

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Span is a piece of work in a trace: a batch, a transaction, an insert. A nil one,
// which is what comes without tracing, does nothing.
type Span struct{ s trace.Span }

// SpanKind is the role of a span between services.
type SpanKind = trace.SpanKind

// The kinds of spans.
const (
	SpanInternal = trace.SpanKindInternal
	SpanProducer = trace.SpanKindProducer
	SpanConsumer = trace.SpanKindConsumer
	SpanClient   = trace.SpanKindClient
)

// Remote is where a trace comes from: what a record's headers say. A nil one is none.
type Remote struct{ sc trace.SpanContext }

// maxLinks bounds how many batches a transaction names as its origin.
const maxLinks = 16

// Tracing tells whether spans are made at all.
func (t *Telemetry) Tracing() bool { return t != nil && t.tracer != nil }

// Start begins a span below the one in ctx. It is linked with from, at most 16 of them; when
// one of these is being traced, so is this.
func (t *Telemetry) Start(ctx context.Context, kind SpanKind, name string, from ...*Remote) (context.Context, *Span) {
	if !t.Tracing() {
		return ctx, nil
	}
	opts := []trace.SpanStartOption{trace.WithSpanKind(kind)}
	var links []trace.Link
	for _, r := range from {
		if r == nil || len(links) == maxLinks {
			continue
		}
		if len(links) == 0 && !trace.SpanContextFromContext(ctx).IsValid() {
			ctx = trace.ContextWithRemoteSpanContext(ctx, r.sc)
		}
		links = append(links, trace.Link{SpanContext: r.sc})
	}
	ctx, s := t.tracer.Start(ctx, name, append(opts, trace.WithLinks(links...))...)
	return ctx, &Span{s}
}

// Set says something of the work: texts, numbers, truth. Never an address, an id or
// anything else of a device or a person.
func (s *Span) Set(name string, value any) {
	if s != nil && s.s.IsRecording() {
		s.s.SetAttributes(kv(name, value))
	}
}

// End ends the work; err is what it failed by. Of an error only its kind is told.
func (s *Span) End(err error) {
	if s == nil {
		return
	}
	if err != nil {
		s.s.SetAttributes(kv("error.type", ErrorType(err)))
		s.s.SetStatus(codes.Error, "")
	}
	s.s.End()
}

// Sampled tells whether the span will be sent.
func (s *Span) Sampled() bool { return s != nil && s.s.SpanContext().IsSampled() }

// Carrier gives and takes the headers of a message, by which a trace goes on in
// another process.
type Carrier = propagation.TextMapCarrier

// TraceHeader is the header of W3C Trace Context.
const TraceHeader = "traceparent"

var propagator = propagation.TraceContext{}

// Inject writes the trace in ctx into a message's headers.
func Inject(ctx context.Context, c Carrier) { propagator.Inject(ctx, c) }

// Extract reads it; nil when there is none, or nobody traces it.
func Extract(c Carrier) *Remote {
	sc := trace.SpanContextFromContext(propagator.Extract(context.Background(), c))
	if !sc.IsValid() || !sc.IsSampled() {
		return nil
	}
	return &Remote{sc}
}

// LogHandler adds trace_id and span_id to what is logged within a span.
func LogHandler(h slog.Handler) slog.Handler { return logHandler{h} }

type logHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h logHandler) WithGroup(name string) slog.Handler { return logHandler{h.Handler.WithGroup(name)} }
