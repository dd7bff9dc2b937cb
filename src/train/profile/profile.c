/* Gathers what recorders have measured into rows of tables, over executors and ranks. Recording allocates nothing; all
 * of this runs once, at the end. */
#include "train/profile/profile.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/run_directory.h"
#include "train/profile/report.h"

struct cohort_profile {
  cohort_profile_options plan;
  cohort_recorder **recorder; /* [executors] */
  double origin;              /* the clock when the profile was made */
  double step_start;
  int64_t steps;
};

/* The parts of a session, in the order of a step. Wait: executors that are done before the slowest. Other: what nothing
 * else counts, such as the rows of metrics.csv. */
typedef enum phase {
  PHASE_INPUT,
  PHASE_FORWARD,
  PHASE_BACKWARD,
  PHASE_REDUCE,
  PHASE_NORM,
  PHASE_UPDATE,
  PHASE_GATHER,
  PHASE_WAIT,
  PHASE_OTHER,
  PHASE_EVALUATION,
  PHASE_CHECKPOINT,
  PHASES
} phase;

static const char *const phase_names[PHASES] = {"input",  "forward", "backward", "reduce",     "norm",      "update",
                                                "gather", "wait",    "other",    "evaluation", "checkpoint"};

const char *cohort_activity_name(cohort_activity activity) {
  static const char *const names[COHORT_ACTIVITY_COUNT] = {
      "input", "join", "local update", "lanes of an executor", "lanes", "reduce", "norm", "update", "gather", "step"};
  return names[activity];
}

cohort_profile *cohort_profile_create(const cohort_profile_options *plan) {
  cohort_profile *profile = cohort_allocate(sizeof *profile);
  profile->plan = *plan;
  profile->recorder = cohort_allocate((size_t)plan->executors * sizeof *profile->recorder);
  const cohort_plan *const plans[2] = {plan->train, plan->evaluate};
  const int64_t share = COHORT_TRACE_EVENTS / ((int64_t)plan->comm->size * plan->executors);
  const int64_t step = plan->runs * (cohort_plan_nodes(plan->train) + 8) + 16;
  const int64_t wanted = (COHORT_TRACE_LAST - COHORT_TRACE_FIRST + 1) * step;
  for (int e = 0; e < plan->executors; e++)
    profile->recorder[e] = cohort_recorder_create(2, plans, (int)(wanted < share ? wanted : share));
  cohort_comm_barrier(plan->comm);
  profile->origin = cohort_clock_seconds();
  return profile;
}

void cohort_profile_destroy(cohort_profile *profile) {
  if (!profile) return;
  for (int e = 0; e < profile->plan.executors; e++) cohort_recorder_destroy(profile->recorder[e]);
  free(profile->recorder);
  free(profile);
}

cohort_recorder *const *cohort_profile_recorders(const cohort_profile *profile) { return profile->recorder; }

void cohort_profile_step_begins(cohort_profile *profile) {
  profile->steps++;
  for (int e = 0; e < profile->plan.executors; e++) {
    profile->recorder[e]->active = true;
    profile->recorder[e]->tracing = profile->steps >= COHORT_TRACE_FIRST && profile->steps <= COHORT_TRACE_LAST;
  }
  profile->step_start = cohort_recorder_start(profile->recorder[0]);
}

void cohort_profile_step_ends(cohort_profile *profile) {
  cohort_recorder_stop(profile->recorder[0], COHORT_ACTIVITY_STEP, profile->step_start, 0);
  for (int e = 0; e < profile->plan.executors; e++)
    profile->recorder[e]->active = profile->recorder[e]->tracing = false;
}

/* Calls and bytes of all executors, seconds of one on average. */
static cohort_recorded mean(const cohort_profile *profile, cohort_activity activity) {
  cohort_recorded sum = {0};
  const int executors = profile->plan.executors;
  for (int e = 0; e < executors; e++) {
    const cohort_recorded *own = &profile->recorder[e]->activity[activity];
    sum.calls += own->calls;
    sum.bytes += own->bytes;
    sum.seconds += own->seconds / executors;
  }
  return sum;
}

static cohort_recorded mean_step(const cohort_profile *profile, int table, int step) {
  cohort_recorded sum = {0};
  for (int e = 0; e < profile->plan.executors; e++) {
    sum.calls += profile->recorder[e]->table[table][step].calls;
    sum.seconds += profile->recorder[e]->table[table][step].seconds / profile->plan.executors;
  }
  return sum;
}

static void add_recorded(cohort_profile_row *row, cohort_recorded part) {
  row->calls += part.calls;
  row->seconds += part.seconds;
  row->bytes += part.bytes;
}

/* What a step of a plan is called in the tables; the copies at the ends of phases come after the last. */
static cohort_plan_step label_of(const cohort_plan *plan, int step) {
  if (step < cohort_plan_nodes(plan)) return cohort_plan_step_at(plan, step);
  return (cohort_plan_step){.name = "copies of outputs", .op = COHORT_OP_COUNT, .backward = true};
}

static phase phase_of(const cohort_profile *profile, const cohort_plan *plan, const cohort_plan_step *label) {
  if (plan != profile->plan.train) return PHASE_EVALUATION;
  return label->backward ? PHASE_BACKWARD : PHASE_FORWARD;
}

/* This rank's phases: what was recorded, then what is left of lane work, of steps and of the session. */
static void fill_phases(const cohort_profile *profile, const cohort_profile_session *session, cohort_profile_row *row) {
  const cohort_recorder *first = profile->recorder[0];
  add_recorded(&row[PHASE_INPUT], mean(profile, COHORT_ACTIVITY_INPUT));
  for (int t = 0; t < first->plans; t++)
    for (int s = 0; s <= cohort_plan_nodes(first->plan[t]); s++) {
      const cohort_plan_step label = label_of(first->plan[t], s);
      const cohort_recorded part = mean_step(profile, t, s);
      cohort_profile_row *own = &row[phase_of(profile, first->plan[t], &label)];
      own->seconds += part.seconds;
      own->flops += part.calls * label.flops;
      own->bytes += part.calls * label.bytes;
    }
  add_recorded(&row[PHASE_REDUCE], mean(profile, COHORT_ACTIVITY_JOIN));
  add_recorded(&row[PHASE_UPDATE], mean(profile, COHORT_ACTIVITY_LOCAL));
  double known = row[PHASE_INPUT].seconds + row[PHASE_FORWARD].seconds + row[PHASE_BACKWARD].seconds +
                 row[PHASE_REDUCE].seconds + row[PHASE_UPDATE].seconds;
  const double busy = mean(profile, COHORT_ACTIVITY_BUSY).seconds,
               lanes = first->activity[COHORT_ACTIVITY_LANES].seconds;
  row[PHASE_WAIT].seconds = lanes > busy ? lanes - busy : 0;
  static const struct {
    cohort_activity activity;
    phase phase;
  } whole[] = {{COHORT_ACTIVITY_REDUCE, PHASE_REDUCE},
               {COHORT_ACTIVITY_NORM, PHASE_NORM},
               {COHORT_ACTIVITY_UPDATE, PHASE_UPDATE},
               {COHORT_ACTIVITY_GATHER, PHASE_GATHER}};
  known += row[PHASE_WAIT].seconds + session->evaluation_seconds + session->checkpoint_seconds;
  for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
    add_recorded(&row[whole[i].phase], first->activity[whole[i].activity]);
    known += first->activity[whole[i].activity].seconds;
  }
  row[PHASE_OTHER].seconds = session->seconds > known ? session->seconds - known : 0;
  row[PHASE_EVALUATION].seconds = session->evaluation_seconds;
  row[PHASE_CHECKPOINT].seconds = session->checkpoint_seconds;
  row[PHASE_CHECKPOINT].bytes = session->checkpoint_bytes;
}

/* Sends this rank's bytes to rank 0, which receives `bytes` from every other one into all + r * bytes. */
static void send_first(cohort_comm *comm, const void *own, size_t bytes, char *all) {
  if (comm->rank != 0) {
    const cohort_message send = {0, (void *)(uintptr_t)own, bytes};
    comm->exchange(comm, 1, &send, 0, NULL);
    return;
  }
  cohort_message *receive = cohort_allocate((size_t)comm->size * sizeof *receive);
  memcpy(all, own, bytes);
  for (int r = 1; r < comm->size; r++) receive[r - 1] = (cohort_message){r, all + (size_t)r * bytes, bytes};
  comm->exchange(comm, 0, NULL, comm->size - 1, receive);
  free(receive);
}

static size_t all_steps(const cohort_profile *profile) {
  const cohort_recorder *first = profile->recorder[0];
  size_t steps = 0;
  for (int t = 0; t < first->plans; t++) steps += (size_t)cohort_plan_nodes(first->plan[t]) + 1;
  return steps;
}

/* One rank's numbers: the session's seconds, whether its trace is cut, calls, seconds, FLOPs and bytes of the phases,
 * calls and seconds of the steps. */
static size_t numbers_of(const cohort_profile *profile) { return 2 + 4 * PHASES + 2 * all_steps(profile); }

static bool is_cut(const cohort_profile *profile) {
  for (int e = 0; e < profile->plan.executors; e++)
    if (profile->recorder[e]->events == profile->recorder[e]->room) return true;
  return false;
}

static void pack(const cohort_profile *profile, const cohort_profile_session *session, double *out) {
  const cohort_recorder *first = profile->recorder[0];
  cohort_profile_row row[PHASES] = {0};
  fill_phases(profile, session, row);
  *out++ = session->seconds;
  *out++ = is_cut(profile);
  for (int p = 0; p < PHASES; p++) {
    *out++ = row[p].calls;
    *out++ = row[p].seconds;
    *out++ = row[p].flops;
    *out++ = row[p].bytes;
  }
  for (int t = 0; t < first->plans; t++)
    for (int s = 0; s <= cohort_plan_nodes(first->plan[t]); s++) {
      const cohort_recorded part = mean_step(profile, t, s);
      *out++ = part.calls;
      *out++ = part.seconds;
    }
}

static void unpack(const cohort_profile *profile, const double *all, int ranks, cohort_profile_totals *out) {
  const size_t numbers = numbers_of(profile);
  out->phases.row = cohort_allocate(PHASES * sizeof *out->phases.row);
  out->phases.count = PHASES;
  out->nodes.row = cohort_allocate(all_steps(profile) * sizeof *out->nodes.row);
  for (int p = 0; p < PHASES; p++) out->phases.row[p].phase = phase_names[p];
  for (int r = 0; r < ranks; r++) {
    const double *own = all + (size_t)r * numbers;
    out->seconds += *own++ / ranks;
    out->cut = *own++ != 0 || out->cut;
    for (int p = 0; p < PHASES; p++) {
      out->phases.row[p].calls += *own++;
      out->phases.row[p].seconds += *own++ / ranks;
      out->phases.row[p].flops += *own++;
      out->phases.row[p].bytes += *own++;
    }
    for (size_t i = 0; i < all_steps(profile); i++) {
      out->nodes.row[i].calls += *own++;
      out->nodes.row[i].seconds += *own++ / ranks;
    }
  }
}

static int slower(const void *a, const void *b) {
  const double difference = ((const cohort_profile_row *)b)->seconds - ((const cohort_profile_row *)a)->seconds;
  return (difference > 0) - (difference < 0);
}

static void add_operation(cohort_profile_rows *operations, const cohort_profile_row *node) {
  cohort_profile_row *row = operations->row;
  while (row < operations->row + operations->count && (row->operation != node->operation || row->phase != node->phase))
    row++;
  if (row == operations->row + operations->count) {
    operations->count++;
    *row = (cohort_profile_row){.phase = node->phase, .operation = node->operation};
  }
  row->calls += node->calls;
  row->seconds += node->seconds;
  row->flops += node->flops;
  row->bytes += node->bytes;
}

/* Names the nodes' rows, drops those that never ran, and adds them up by operation. */
static void fill_operations(const cohort_profile *profile, cohort_profile_totals *out) {
  const cohort_recorder *first = profile->recorder[0];
  const cohort_profile_row *from = out->nodes.row;
  out->operations.row = cohort_allocate(all_steps(profile) * sizeof *out->operations.row);
  for (int t = 0; t < first->plans; t++)
    for (int s = 0; s <= cohort_plan_nodes(first->plan[t]); s++, from++) {
      const cohort_plan_step label = label_of(first->plan[t], s);
      if (from->calls == 0) continue;
      cohort_profile_row row = *from;
      row.phase = phase_names[phase_of(profile, first->plan[t], &label)];
      row.operation = label.op == COHORT_OP_COUNT ? "copy" : cohort_op_name(label.op);
      row.node = label.name;
      row.flops = row.calls * label.flops;
      row.bytes = row.calls * label.bytes;
      add_operation(&out->operations, &row);
      out->nodes.row[out->nodes.count++] = row;
    }
  qsort(out->nodes.row, (size_t)out->nodes.count, sizeof *out->nodes.row, slower);
  qsort(out->operations.row, (size_t)out->operations.count, sizeof *out->operations.row, slower);
}

/* A rank's events one executor after another, starts from the profile's origin. */
static cohort_event *pack_events(const cohort_profile *profile, int32_t *count) {
  int total = 0;
  for (int e = 0; e < profile->plan.executors; e++) total += count[e] = profile->recorder[e]->events;
  cohort_event *all = cohort_allocate(((size_t)total + 1) * sizeof *all), *next = all;
  for (int e = 0; e < profile->plan.executors; e++)
    for (int i = 0; i < count[e]; i++) {
      *next = profile->recorder[e]->event[i];
      next++->start -= profile->origin;
    }
  return all;
}

static void take_events(cohort_profile_events *out, int executors, const int32_t *count, const cohort_event *event) {
  out->executors = executors;
  out->count = cohort_allocate((size_t)executors * sizeof *out->count);
  out->event = cohort_allocate((size_t)executors * sizeof *out->event);
  for (int e = 0; e < executors; e++) {
    out->count[e] = count[e];
    out->event[e] = cohort_allocate(((size_t)count[e] + 1) * sizeof **out->event);
    memcpy(out->event[e], event, (size_t)count[e] * sizeof *event);
    event += count[e];
  }
}

static void receive_events(cohort_comm *comm, int rank, cohort_profile_events *out) {
  int32_t executors = 0;
  const cohort_message first = {rank, &executors, sizeof executors};
  comm->exchange(comm, 0, NULL, 1, &first);
  int32_t *count = cohort_allocate((size_t)executors * sizeof *count), total = 0;
  const cohort_message second = {rank, count, (size_t)executors * sizeof *count};
  comm->exchange(comm, 0, NULL, 1, &second);
  for (int e = 0; e < executors; e++) total += count[e];
  cohort_event *event = cohort_allocate(((size_t)total + 1) * sizeof *event);
  const cohort_message third = {rank, event, (size_t)total * sizeof *event};
  comm->exchange(comm, 0, NULL, 1, &third);
  take_events(out, executors, count, event);
  free(event);
  free(count);
}

static void gather_events(const cohort_profile *profile, cohort_profile_totals *out) {
  cohort_comm *comm = profile->plan.comm;
  int32_t executors = profile->plan.executors, total = 0;
  int32_t *count = cohort_allocate((size_t)executors * sizeof *count);
  cohort_event *event = pack_events(profile, count);
  for (int e = 0; e < executors; e++) total += count[e];
  if (comm->rank == 0) {
    out->ranks = comm->size;
    out->events = cohort_allocate((size_t)comm->size * sizeof *out->events);
    take_events(&out->events[0], executors, count, event);
    for (int r = 1; r < comm->size; r++) receive_events(comm, r, &out->events[r]);
  } else {
    const cohort_message send[3] = {{0, &executors, sizeof executors},
                                    {0, count, (size_t)executors * sizeof *count},
                                    {0, event, (size_t)total * sizeof *event}};
    for (int i = 0; i < 3; i++) comm->exchange(comm, 1, &send[i], 0, NULL);
  }
  free(event);
  free(count);
}

void cohort_profile_gather(cohort_profile *profile, const cohort_profile_session *session, cohort_profile_totals *out) {
  cohort_comm *comm = profile->plan.comm;
  const size_t numbers = numbers_of(profile);
  memset(out, 0, sizeof *out);
  double *own = cohort_allocate(numbers * sizeof *own);
  double *all = comm->rank == 0 ? cohort_allocate((size_t)comm->size * numbers * sizeof *all) : NULL;
  pack(profile, session, own);
  send_first(comm, own, numbers * sizeof *own, (char *)all);
  if (comm->rank == 0) {
    const cohort_recorder *first = profile->recorder[0];
    out->steps = profile->steps;
    out->plans = first->plans;
    for (int t = 0; t < first->plans; t++) out->plan[t] = first->plan[t];
    unpack(profile, all, comm->size, out);
    fill_operations(profile, out);
  }
  gather_events(profile, out);
  free(all);
  free(own);
}

void cohort_profile_totals_release(cohort_profile_totals *totals) {
  for (int r = 0; r < totals->ranks; r++) {
    for (int e = 0; e < totals->events[r].executors; e++) free(totals->events[r].event[e]);
    free(totals->events[r].event);
    free(totals->events[r].count);
  }
  free(totals->events);
  free(totals->phases.row);
  free(totals->operations.row);
  free(totals->nodes.row);
}

static cohort_status write_text(const char *directory, const char *name, char *text, cohort_error *error) {
  char *path = cohort_format_text("%s/%s", directory, name);
  const cohort_status status = cohort_file_write(path, text, strlen(text), error);
  free(path);
  free(text);
  return status;
}

static cohort_status write_all(const cohort_profile_totals *totals, const char *directory, cohort_error *error) {
  COHORT_TRY(cohort_directory_create(directory, error));
  const double seconds = totals->seconds;
  COHORT_TRY(write_text(directory, "phases.csv", cohort_profile_csv(&totals->phases, seconds), error));
  COHORT_TRY(write_text(directory, "operations.csv", cohort_profile_csv(&totals->operations, seconds), error));
  COHORT_TRY(write_text(directory, "nodes.csv", cohort_profile_csv(&totals->nodes, seconds), error));
  return write_text(directory, "trace.json", cohort_profile_trace(totals), error);
}

cohort_status cohort_profile_report(cohort_profile *profile, const cohort_profile_session *session,
                                    const char *directory, const cohort_log *log, cohort_error *error) {
  cohort_profile_totals totals;
  cohort_profile_gather(profile, session, &totals);
  cohort_status status = COHORT_DONE;
  if (profile->plan.comm->rank == 0) {
    cohort_profile_print(&totals, log);
    status = write_all(&totals, directory, error);
  }
  cohort_profile_totals_release(&totals);
  return cohort_comm_agree_error(profile->plan.comm, status, error);
}
