/* A profile as text: tables for people, CSV and a trace in Chrome's format for programs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/profile/report.h"

enum { PRINTED_OPERATIONS = 24, PRINTED_NODES = 12 };

static double percent(double seconds, double whole) { return whole > 0 ? 100 * seconds / whole : 0; }

/* Units of 1e9 a second; 0 when there is nothing to count. */
static double rate(double amount, double seconds) { return seconds > 0 ? amount / seconds / 1e9 : 0; }

static void write_rate(FILE *out, double amount, double seconds) {
  if (amount > 0 && seconds > 0)
    fprintf(out, ",%.6g", rate(amount, seconds));
  else
    fprintf(out, ",");
}

char *cohort_profile_csv(const cohort_profile_rows *rows, double seconds) {
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (!out) return cohort_copy_text("");
  const bool operations = rows->count && rows->row[0].operation, nodes = rows->count && rows->row[0].node;
  fprintf(out, "phase%s%s,calls,seconds,percent,gflops_per_second,gbytes_per_second%s\n",
          operations ? ",operation" : "", nodes ? ",node" : "", nodes ? ",flops_per_call" : "");
  for (int i = 0; i < rows->count; i++) {
    const cohort_profile_row *row = &rows->row[i];
    fprintf(out, "%s", row->phase);
    if (operations) fprintf(out, ",%s", row->operation);
    if (nodes) fprintf(out, ",%s", row->node);
    if (row->calls > 0)
      fprintf(out, ",%.0f", row->calls);
    else
      fprintf(out, ",");
    fprintf(out, ",%.9g,%.4g", row->seconds, percent(row->seconds, seconds));
    write_rate(out, row->flops, row->seconds);
    write_rate(out, row->bytes, row->seconds);
    if (nodes) fprintf(out, ",");
    if (nodes && row->flops > 0) fprintf(out, "%.15g", row->flops / row->calls);
    fprintf(out, "\n");
  }
  (void)fclose(out);
  return text;
}

/* "%8.1f" of a rate, or a dash where there is nothing to count. */
static const char *rate_text(double amount, double seconds, char out[16]) {
  if (amount > 0 && seconds > 0)
    (void)snprintf(out, 16, "%.1f", rate(amount, seconds));
  else
    (void)snprintf(out, 16, "-");
  return out;
}

static void print_row(const cohort_profile_totals *totals, const cohort_profile_row *row, const cohort_log *log) {
  char flops[16], bytes[16];
  cohort_log_line(log, "%-30s %-10s %10.0f %9.3f %6.1f %9s %8s%s%s", row->operation, row->phase, row->calls,
                  row->seconds, percent(row->seconds, totals->seconds), rate_text(row->flops, row->seconds, flops),
                  rate_text(row->bytes, row->seconds, bytes), row->node ? "  " : "", row->node ? row->node : "");
}

static void print_operations(const cohort_profile_totals *totals, const cohort_log *log) {
  for (int i = 0; i < totals->operations.count && i < PRINTED_OPERATIONS; i++)
    print_row(totals, &totals->operations.row[i], log);
}

/* Those of evaluation are in nodes.csv. */
static void print_nodes(const cohort_profile_totals *totals, const cohort_log *log) {
  int printed = 0;
  for (int i = 0; i < totals->nodes.count && printed < PRINTED_NODES; i++) {
    const cohort_profile_row *row = &totals->nodes.row[i];
    if (strcmp(row->phase, "evaluation") == 0) continue;
    print_row(totals, row, log);
    printed++;
  }
}

static void print_trace(const cohort_profile_totals *totals, const cohort_log *log) {
  if (totals->steps < COHORT_TRACE_FIRST)
    cohort_log_line(log, "trace.json is empty: it holds steps %d to %d, this session had %lld", COHORT_TRACE_FIRST,
                    COHORT_TRACE_LAST, (long long)totals->steps);
  if (totals->cut)
    cohort_log_line(log, "trace.json is cut: executors of all ranks share room for %d events; profile on fewer",
                    COHORT_TRACE_EVENTS);
}

void cohort_profile_print(const cohort_profile_totals *totals, const cohort_log *log) {
  char flops[16], bytes[16];
  const double steps = totals->steps > 0 ? (double)totals->steps : 1;
  cohort_log_line(log, "profile of %lld steps, %.3f s; times are of the wall, rates of all ranks together",
                  (long long)totals->steps, totals->seconds);
  cohort_log_line(log, "%-12s %9s %9s %6s %9s %8s", "phase", "seconds", "ms/step", "%", "GFLOP/s", "GB/s");
  for (int p = 0; p < totals->phases.count; p++) {
    const cohort_profile_row *row = &totals->phases.row[p];
    cohort_log_line(log, "%-12s %9.3f %9.3f %6.1f %9s %8s", row->phase, row->seconds, 1e3 * row->seconds / steps,
                    percent(row->seconds, totals->seconds), rate_text(row->flops, row->seconds, flops),
                    rate_text(row->bytes, row->seconds, bytes));
  }
  cohort_log_line(log, "%-30s %-10s %10s %9s %6s %9s %8s", "operation", "phase", "calls", "seconds", "%", "GFLOP/s",
                  "GB/s");
  print_operations(totals, log);
  cohort_log_line(log, "%-30s %-10s %10s %9s %6s %9s %8s  %s", "hottest nodes", "phase", "calls", "seconds", "%",
                  "GFLOP/s", "GB/s", "node");
  print_nodes(totals, log);
  print_trace(totals, log);
}

/* As a JSON string, quotes included. */
static void write_string(FILE *out, const char *text) {
  fputc('"', out);
  for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
    if (*c == '"' || *c == '\\')
      fprintf(out, "\\%c", *c);
    else if (*c < 0x20)
      fprintf(out, "\\u%04x", *c);
    else
      fputc(*c, out);
  }
  fputc('"', out);
}

static void write_event(FILE *out, const cohort_profile_totals *totals, int rank, int executor,
                        const cohort_event *event) {
  const char *name, *category = "activity", *node = NULL;
  if (event->table < 0) {
    name = cohort_activity_name((cohort_activity)event->index);
  } else if (event->index == cohort_plan_nodes(totals->plan[event->table])) {
    name = "copy";
  } else {
    const cohort_plan_step label = cohort_plan_step_at(totals->plan[event->table], event->index);
    name = cohort_op_name(label.op);
    category = label.backward ? "backward" : "forward";
    node = label.name;
  }
  fprintf(out, ",\n{\"name\":\"%s\",\"cat\":\"%s\",\"ph\":\"X\",\"ts\":%.3f,\"dur\":%.3f,\"pid\":%d,\"tid\":%d", name,
          category, 1e6 * event->start, 1e6 * event->seconds, rank, executor);
  if (node) {
    fprintf(out, ",\"args\":{\"node\":");
    write_string(out, node);
    fputc('}', out);
  }
  fputc('}', out);
}

static void write_name(FILE *out, const char *kind, const char *what, int rank, int executor, int number) {
  fprintf(out, "{\"name\":\"%s\",\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"args\":{\"name\":\"%s %d\"}}", kind, rank,
          executor, what, number);
}

char *cohort_profile_trace(const cohort_profile_totals *totals) {
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (!out) return cohort_copy_text("");
  fprintf(out, "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"steps\":\"%d to %d of the session\"},\"traceEvents\":[\n",
          COHORT_TRACE_FIRST, COHORT_TRACE_LAST);
  for (int r = 0; r < totals->ranks; r++) {
    if (r) fprintf(out, ",\n");
    write_name(out, "process_name", "rank", r, 0, r);
    for (int e = 0; e < totals->events[r].executors; e++) {
      fprintf(out, ",\n");
      write_name(out, "thread_name", "executor", r, e, e);
    }
  }
  for (int r = 0; r < totals->ranks; r++)
    for (int e = 0; e < totals->events[r].executors; e++)
      for (int i = 0; i < totals->events[r].count[e]; i++)
        write_event(out, totals, r, e, &totals->events[r].event[e][i]);
  fprintf(out, "\n]}\n");
  (void)fclose(out);
  return text;
}
