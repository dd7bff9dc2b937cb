/* Gathers a session's counters from all ranks, prints them as a table and writes summary.json. One gather, at the
 * end. */
#include "train/session/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/lanes.h"
#include "base/memory.h"
#include "base/processor.h"
#include "io/config.h"
#include "io/libraries.h"
#include "io/run_directory.h"
#include "mpi/world.h"
#include "train/profile/roofline.h"

enum { COUNTERS = 13 };
/* Per rank: samples, FLOPs, bytes received, bytes sent, messages, exposed seconds, busy seconds, peak memory, bytes
 * written in the last save, seconds and bytes of element-wise updates, hidden seconds, and of the bytes received those
 * read from other ranks' memory. */

/* A shorter run has no roofline: measuring it would take a good part of its time. */
static const double least_seconds = 2;

/* Rates of all ranks, and the most that their cores can do. */
typedef struct rates {
  double flops, samples, update; /* a second; update: bytes */
  cohort_roofline roofline;
} rates;

/* A line "name: N kB" of a file of /proc, in bytes; 0 when it is not there. */
static double proc_bytes(const char *path, const char *name) {
  FILE *file = fopen(path, "r");
  char line[256];
  double kilobytes = 0;
  while (file && fgets(line, sizeof line, file))
    if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
      kilobytes = strtod(line + strlen(name) + 1, NULL);
  if (file) (void)fclose(file);
  return kilobytes * 1024;
}

/* Memory that ranks share counts for each by its share: else what a rank reads of others' would count as its own. */
double cohort_peak_memory(void) {
  struct rusage usage;
  (void)getrusage(RUSAGE_SELF, &usage);
  const double shared = proc_bytes("/proc/self/status", "RssShmem");
  const double share = shared > 0 ? proc_bytes("/proc/self/smaps_rollup", "Pss_Shmem") : 0;
  return (double)usage.ru_maxrss * 1024 - shared + share;
}

static void gather(cohort_run *run, const cohort_session *session, cohort_comm *comm, double *table) {
  const cohort_run_counters counters = cohort_run_take_counters(run);
  const cohort_updater_counters updates = cohort_run_take_updater_counters(run);
  double *own = table + comm->rank * COUNTERS;
  cohort_comm *used = cohort_run_comm(run);
  cohort_comm_count(used, cohort_clock_seconds());
  const double received = (double)(used->bytes_received + used->bytes_shared);
  const double values[COUNTERS] = {(double)counters.samples,  counters.flops,         received,
                                   (double)used->bytes_sent,  (double)used->messages, used->seconds,
                                   counters.busy_seconds,     cohort_peak_memory(),   (double)session->checkpoint_bytes,
                                   updates.update_seconds,    updates.update_bytes,   used->hidden,
                                   (double)used->bytes_shared};
  memcpy(own, values, sizeof values);
  size_t *offsets = cohort_allocate(2 * (size_t)comm->size * sizeof *offsets), *bytes = offsets + comm->size;
  for (int r = 0; r < comm->size; r++) {
    offsets[r] = (size_t)r * COUNTERS * sizeof(double);
    bytes[r] = COUNTERS * sizeof(double);
  }
  cohort_comm_gather_all(comm, table, offsets, bytes);
  free(offsets);
}

static void set_number(cohort_document *map, const char *name, double value) {
  char text[40];
  (void)snprintf(text, sizeof text, "%.15g", value);
  cohort_document *scalar = cohort_document_create(COHORT_SCALAR, NULL, 0, 0);
  cohort_document_set_text(scalar, isfinite(value) ? text : "null");
  cohort_document_set(map, name, scalar);
}

static void set_text(cohort_document *map, const char *name, const char *value) {
  cohort_document *scalar = cohort_document_create(COHORT_SCALAR, NULL, 0, 0);
  cohort_document_set_text(scalar, value);
  scalar->quoted = true;
  cohort_document_set(map, name, scalar);
}

static cohort_document *rank_rows(const cohort_run *run, const double *table, int ranks) {
  static const char *const names[COUNTERS] = {"samples",          "flops",
                                              "bytes_received",   "bytes_sent",
                                              "messages",         "exposed_communication_seconds",
                                              "busy_seconds",     "peak_memory_bytes",
                                              "checkpoint_bytes", "update_seconds",
                                              "update_bytes",     "hidden_communication_seconds",
                                              "bytes_shared"};
  cohort_document *list = cohort_document_create(COHORT_LIST, NULL, 0, 0);
  for (int r = 0; r < ranks; r++) {
    cohort_document *row = cohort_document_create(COHORT_MAP, NULL, 0, 0);
    int first, last;
    cohort_lanes_of(cohort_run_lanes(run), ranks, r, &first, &last);
    set_number(row, "rank", r);
    set_number(row, "first_lane", first);
    set_number(row, "lanes", last - first);
    for (int f = 0; f < COUNTERS; f++) set_number(row, names[f], table[r * COUNTERS + f]);
    cohort_document_append(list, row);
  }
  return list;
}

static double train_loss(const cohort_session *session) {
  return session->trained ? session->last_train.loss : session->train_loss;
}

static void describe_evaluation(cohort_document *out, const cohort_task *task, cohort_split split,
                                const cohort_run_row *row) {
  char name[96];
  (void)snprintf(name, sizeof name, "%s_loss", cohort_split_name(split));
  set_number(out, name, row->loss);
  for (int m = 0; m < task->metrics; m++) {
    (void)snprintf(name, sizeof name, "%s_%s", cohort_split_name(split), strchr(task->metric[m], '/') + 1);
    set_number(out, name, row->columns[m]);
  }
}

/* As columns and clients.csv have them, but for the slash: clients_accuracy_worst_tenth. */
static void describe_clients(cohort_document *out, const cohort_client_results *clients) {
  char name[96];
  set_number(out, "clients_evaluated", clients->clients);
  for (int f = 0; f < COHORT_CLIENT_FIGURES; f++)
    for (int s = 0; s < COHORT_CLIENT_STATISTICS && clients->measured[f]; s++) {
      (void)snprintf(name, sizeof name, "clients_%s_%s", cohort_client_figure_name[f], cohort_client_statistic_name[s]);
      set_number(out, name, clients->statistic[f][s]);
    }
}

static void describe_outcome(cohort_document *out, const cohort_run *run, const cohort_session *session) {
  const cohort_task *task = cohort_run_task(run);
  const cohort_run_position where = cohort_run_where(run);
  set_text(out, "outcome", session->outcome);
  set_text(out, "task", task->functions->name);
  set_number(out, "steps", (double)where.step);
  set_number(out, "epochs", where.epoch);
  if (cohort_run_space(run, 0))
    set_number(out, "parameters", (double)cohort_run_space(run, task->model_space)->parameters);
  set_number(out, "train_loss", train_loss(session));
  for (int s = 0; s < COHORT_SPLITS; s++)
    if (session->evaluated[s]) describe_evaluation(out, task, (cohort_split)s, &session->evaluation[s]);
  if (session->clients_evaluated) describe_clients(out, &session->clients);
  const cohort_run_best best = cohort_run_best_evaluation(run);
  if (best.step >= 0) {
    char name[96];
    (void)snprintf(name, sizeof name, "best_%s_loss", cohort_split_name(cohort_task_evaluated_split(task)));
    set_number(out, "best_step", (double)best.step);
    set_number(out, name, best.loss);
  }
  if (session->reason) set_text(out, "error", session->reason);
  if (session->ended_by) set_text(out, "ended_by", session->ended_by);
  char *private = cohort_run_private_text(run, where.step);
  if (private) set_text(out, "privacy", private);
  free(private);
  if (isfinite(session->baseline_nats)) {
    set_number(out, "rival_order", session->baseline_order);
    set_number(out, "rival_nats_per_token", session->baseline_nats);
    set_number(out, "rival_bits_per_byte", session->baseline_nats * session->tokens_per_byte / M_LN2);
  }
}

/* "Open MPI v4.1.4, OpenBLAS 0.3.21, HDF5 1.10.8, ...". */
static void describe_libraries(cohort_document *out) {
  char mpi[64], blas[64];
  cohort_world_library(mpi);
  (void)snprintf(blas, sizeof blas, "%s", cohort_product_library());
  char *space = strchr(blas, ' ') ? strchr(strchr(blas, ' ') + 1, ' ') : NULL;
  if (space) *space = '\0'; /* what it was built with follows */
  char *files = cohort_io_libraries(), *all = cohort_format_text("%s, %s, %s", mpi, blas, files);
  set_text(out, "libraries", all);
  free(all);
  free(files);
}

static void describe_machine(cohort_document *out, const cohort_run *run, cohort_comm *comm, int threads,
                             const cohort_loop_program *program, const char *hosts) {
  char processor[64], stamp[32];
  cohort_processor_name(processor);
  cohort_clock_stamp(stamp);
  set_number(out, "ranks", comm->size);
  set_number(out, "threads", threads);
  set_number(out, "lanes", cohort_run_lanes(run));
  set_text(out, "version", program->version);
  set_text(out, "commit", program->commit);
  set_text(out, "kernels", cohort_run_kernels(run));
  set_text(out, "blas", program->blas);
  describe_libraries(out);
  set_text(out, "processor", processor);
  set_text(out, "hosts", hosts ? hosts : "");
  set_text(out, "written", stamp);
}

static double largest(const double *table, int ranks, int counter) {
  double out = 0;
  for (int r = 0; r < ranks; r++) out = fmax(out, table[r * COUNTERS + counter]);
  return out;
}

/* Of the rank that has most of each, a step of this session. */
static cohort_document *step_map(const double *table, int ranks, int64_t steps) {
  cohort_document *map = cohort_document_create(COHORT_MAP, NULL, 0, 0);
  const double every = steps > 0 ? (double)steps : NAN;
  set_number(map, "bytes_received", largest(table, ranks, 2) / every);
  set_number(map, "messages", largest(table, ranks, 4) / every);
  set_number(map, "exposed_seconds", largest(table, ranks, 5) / every);
  set_number(map, "hidden_seconds", largest(table, ranks, 11) / every);
  return map;
}

static rates sum_rates(const cohort_session *session, const double *table, int ranks) {
  rates out = {0};
  for (int r = 0; r < ranks; r++) {
    const double *row = table + r * COUNTERS;
    out.samples += row[0] / session->seconds;
    out.flops += row[1] / session->seconds;
    if (row[9] > 0) out.update += row[10] / row[9];
  }
  return out;
}

/* Rank 0's clock decides for all. The lanes' memory serves for the buffers, or is given back first: they must not add
 * to the most that the run held. */
static void measure_roofline(cohort_run *run, const cohort_session *session, cohort_comm *comm, int threads,
                             cohort_roofline *out) {
  uint8_t long_enough = session->total_seconds >= least_seconds;
  cohort_comm_broadcast(comm, 0, &long_enough, sizeof long_enough);
  if (!long_enough) return;
  int local_rank, local_ranks;
  cohort_world_local(comm, &local_rank, &local_ranks);
  void **buffer = cohort_allocate((size_t)threads * sizeof *buffer);
  const bool lent = cohort_run_borrow(run, cohort_roofline_bytes(threads, local_ranks), threads, buffer);
  if (!lent) cohort_run_release_lanes(run);
  cohort_roofline_measure(comm, threads, local_ranks, cohort_run_isa(run), lent ? buffer : NULL, out);
  free(buffer);
}

static double percent(double part, double whole) { return whole > 0 ? 100 * part / whole : NAN; }

static const char *const peak_names[COHORT_PEAKS] = {"float32", "bf16", "amx_bf16"};

static cohort_document *roofline_map(const rates *own, const char *kernels) {
  const cohort_roofline *roofline = &own->roofline;
  cohort_document *map = cohort_document_create(COHORT_MAP, NULL, 0, 0);
  if (!roofline->measured) {
    set_text(map, "skipped", "the run was shorter than 2 s");
    return map;
  }
  set_number(map, "seconds", roofline->seconds);
  const cohort_peak held = cohort_roofline_products(kernels);
  for (int p = 0; p < COHORT_PEAKS; p++) {
    char name[64];
    (void)snprintf(name, sizeof name, "%s_gflops_per_second", peak_names[p]);
    set_number(map, name, roofline->peak[p] > 0 ? roofline->peak[p] / 1e9 : NAN);
  }
  set_text(map, "products", peak_names[held]);
  set_number(map, "products_percent", percent(own->flops, roofline->peak[held]));
  set_number(map, "memory_read_gbytes_per_second", roofline->read / 1e9);
  set_number(map, "memory_update_gbytes_per_second", roofline->update / 1e9);
  set_number(map, "optimizer_gbytes_per_second", own->update / 1e9);
  set_number(map, "optimizer_percent", percent(own->update, roofline->update));
  return map;
}

static void print_roofline(const rates *own, const char *kernels, const cohort_log *log) {
  const cohort_roofline *roofline = &own->roofline;
  if (!roofline->measured) {
    cohort_log_line(log, "%-22s not measured: the run was shorter than %.0f s", "roofline", least_seconds);
    return;
  }
  const cohort_peak held = cohort_roofline_products(kernels);
  cohort_log_line(log, "%-22s %s %.0f %% of %.0f GFLOP/s (%s)", "roofline", peak_names[held],
                  percent(own->flops, roofline->peak[held]), roofline->peak[held] / 1e9, kernels);
  for (int p = 0; p < COHORT_PEAKS; p++)
    if (p != (int)held && roofline->peak[p] > 0)
      cohort_log_line(log, "%-22s %s peak %.0f GFLOP/s", "", peak_names[p], roofline->peak[p] / 1e9);
  if (own->update > 0 && roofline->update > 0)
    cohort_log_line(log, "%-22s optimizer %.0f %% of %.1f GB/s in place%s", "", percent(own->update, roofline->update),
                    roofline->update / 1e9, own->update > roofline->update ? " (its state stays in the caches)" : "");
  if (roofline->read > 0) cohort_log_line(log, "%-22s memory reads %.1f GB/s", "", roofline->read / 1e9);
}

/* Each number with the split that it is of. */
static void print_evaluation(const cohort_log *log, const cohort_task *task, cohort_split split,
                             const cohort_run_row *row) {
  cohort_log_line(log, "%-10s %-11s %.6f", cohort_split_name(split), "loss", row->loss);
  for (int m = 0; m < task->metrics; m++)
    cohort_log_line(log, "%-10s %-11s %.6f", cohort_split_name(split), strchr(task->metric[m], '/') + 1,
                    row->columns[m]);
}

static void print_clients(const cohort_log *log, const cohort_client_results *clients) {
  for (int f = 0; f < COHORT_CLIENT_FIGURES; f++) {
    const double *of = clients->statistic[f];
    if (!clients->measured[f] || isnan(of[COHORT_CLIENT_MEAN])) continue;
    char name[64];
    (void)snprintf(name, sizeof name, "clients'%s%s",
                   f == COHORT_CLIENT_LOSS || f == COHORT_CLIENT_ACCURACY ? " " : " own ",
                   f == COHORT_CLIENT_LOSS || f == COHORT_CLIENT_PERSONAL_LOSS ? "loss" : "accuracy");
    cohort_log_line(log, "%-22s mean %.4f, worst tenth %.4f, quantiles 0.1: %.4f  0.5: %.4f  0.9: %.4f", name,
                    of[COHORT_CLIENT_MEAN], of[COHORT_CLIENT_WORST_TENTH], of[COHORT_CLIENT_P10], of[COHORT_CLIENT_P50],
                    of[COHORT_CLIENT_P90]);
  }
}

static void print_table(const cohort_run *run, const cohort_session *session, const double *table, int ranks,
                        const rates *rate, const cohort_log *log) {
  const cohort_task *task = cohort_run_task(run);
  const cohort_run_position where = cohort_run_where(run);
  const double steps = (double)(where.step - session->first_step);
  cohort_log_line(log, "%-22s %s", "outcome", session->outcome);
  cohort_log_line(log, "%-22s %lld (%.2f epochs)", "steps", (long long)where.step, where.epoch);
  if (session->ended_by) cohort_log_line(log, "%-22s %s", "ended by", session->ended_by);
  if (isfinite(train_loss(session))) cohort_log_line(log, "%-22s %.6f", "train loss", train_loss(session));
  char *private = cohort_run_private_text(run, where.step);
  if (private) cohort_log_line(log, "%-22s %s", "privacy", private);
  free(private);
  for (int s = COHORT_SPLITS - 1; s >= 0; s--)
    if (session->evaluated[s]) print_evaluation(log, task, (cohort_split)s, &session->evaluation[s]);
  if (session->clients_evaluated) print_clients(log, &session->clients);
  const cohort_run_best best = cohort_run_best_evaluation(run);
  if (best.step >= 0 && best.step < where.step)
    cohort_log_line(log, "%-22s %.6f at step %lld", "best loss", best.loss, (long long)best.step);
  if (isfinite(session->baseline_nats)) {
    const double loss = session->evaluation[cohort_task_evaluated_split(task)].loss;
    cohort_log_line(log, "%-22s %.4f nats/token  %.4f bits/byte", "this model", loss,
                    loss * session->tokens_per_byte / M_LN2);
    cohort_log_line(log, "Kneser-Ney %d-gram      %.4f nats/token  %.4f bits/byte", session->baseline_order,
                    session->baseline_nats, session->baseline_nats * session->tokens_per_byte / M_LN2);
  }
  if (session->seconds > 0 && steps > 0) {
    cohort_log_line(log, "%-22s %.1f s training, %.1f s evaluation, %.1f s saving", "time", session->seconds,
                    session->evaluation_seconds, session->checkpoint_seconds);
    cohort_log_line(log, "%-22s %.1f samples/s", "rate", rate->samples);
    if (task->tokens_per_sample)
      cohort_log_line(log, "%-22s %.0f tokens/s", "", rate->samples * (double)task->tokens_per_sample);
    cohort_log_line(log, "%-22s %.1f GFLOP/s", "", rate->flops / 1e9);
    print_roofline(rate, cohort_run_kernels(run), log);
  }
  cohort_log_line(
      log, "rank  lanes    samples    GFLOP  received MB    sent MB  messages  exposed s  hidden s   busy s  peak MB");
  for (int r = 0; r < ranks; r++) {
    int first, last;
    const double *row = table + r * COUNTERS;
    cohort_lanes_of(cohort_run_lanes(run), ranks, r, &first, &last);
    cohort_log_line(log, "%4d  %2d-%-3d %10.0f %8.1f %12.1f %10.1f %9.0f %10.2f %9.2f %8.2f %8.1f", r, first, last - 1,
                    row[0], row[1] / 1e9, row[2] / 1e6, row[3] / 1e6, row[4], row[5], row[11], row[6], row[7] / 1e6);
  }
  if (ranks > 1)
    cohort_log_line(log, "exposed: seconds spent waiting for other ranks; hidden: exchanges while a rank computed");
}

cohort_status cohort_summary_write(cohort_run *run, const cohort_session *session, cohort_comm *comm,
                                   const cohort_log *log, int threads, const cohort_loop_program *program,
                                   cohort_error *error) {
  double *table = cohort_allocate((size_t)comm->size * COUNTERS * sizeof *table);
  gather(run, session, comm, table);
  rates rate = sum_rates(session, table, comm->size);
  measure_roofline(run, session, comm, threads, &rate.roofline);
  char *hosts = cohort_world_hosts(comm);
  cohort_status status = COHORT_DONE;
  if (comm->rank == 0) {
    print_table(run, session, table, comm->size, &rate, log);
    cohort_document *out = cohort_document_create(COHORT_MAP, NULL, 0, 0);
    describe_outcome(out, run, session);
    set_number(out, "seconds", session->seconds);
    set_number(out, "total_seconds", session->total_seconds);
    set_number(out, "evaluation_seconds", session->evaluation_seconds);
    set_number(out, "checkpoint_seconds", session->checkpoint_seconds);
    set_number(out, "samples_per_second", rate.samples);
    set_number(out, "tokens_per_second", rate.samples * (double)cohort_run_task(run)->tokens_per_sample);
    set_number(out, "gflops_per_second", rate.flops / 1e9);
    cohort_document_set(out, "roofline", roofline_map(&rate, cohort_run_kernels(run)));
    describe_machine(out, run, comm, threads, program, hosts);
    cohort_document_set(out, "communication_per_step",
                        step_map(table, comm->size, cohort_run_where(run).step - session->first_step));
    cohort_document_set(out, "per_rank", rank_rows(run, table, comm->size));
    char *json = cohort_config_write_json(out);
    char *path = cohort_format_text("%s/summary.json", session->run_path);
    status = cohort_file_write(path, json, strlen(json), error);
    free(path);
    free(json);
    cohort_document_destroy(out);
  }
  free(hosts);
  free(table);
  return cohort_comm_agree_error(comm, status, error);
}
