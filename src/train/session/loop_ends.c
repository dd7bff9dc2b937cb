/* How a training session begins and ends. Invariant: summary.json is there when, and only when, the last session has
 * come to an end of its own and the run has not gone on since. Beginning costs a checkpoint's reading, ending its
 * writing, the plots and the roofline. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "io/plot.h"
#include "mpi/world.h"
#include "train/session/baseline_ngram.h"
#include "train/session/loop_state.h"
#include "train/session/signals.h"
#include "train/task/language.h"

/* Rank 0: a run that stands beyond the wanted steps is left as it is; its final.h5 would become an older one. */
static cohort_status refuse_fewer_steps(const cohort_loop *own, const char *run_path, cohort_error *error) {
  char *directory = cohort_format_text("%s/checkpoints", run_path);
  char *last = cohort_format_text("%s/final.h5", run_path);
  int64_t step = -1;
  const cohort_status status = cohort_checkpoint_last_step(directory, &step, error);
  if (status == COHORT_DONE && cohort_file_exists(last)) {
    cohort_error ignored;
    const int64_t end = cohort_checkpoint_step(last, &ignored);
    if (end > step) step = end;
  }
  free(directory);
  free(last);
  COHORT_TRY(status);
  if (step <= own->settings->steps) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_CONFIG,
                     "steps: %lld, but the run in %s is at step %lld; give more steps, or set run to another path",
                     (long long)own->settings->steps, run_path, (long long)step);
}

static void warn_of_idle_threads(const cohort_loop *own) {
  const int idle = cohort_run_idle_threads(own->run);
  if (idle)
    cohort_log_warning(
        own->log, "threads: %d of %d are idle while lanes run; set threads to a multiple of a rank's lanes%s", idle,
        own->threads, own->settings->is_federated ? "" : ", or lanes to no fewer than all ranks' threads (other bits)");
}

static void describe(const cohort_loop *own) {
  const cohort_loop_program *program = own->program;
  char *what = cohort_run_describe(own->run), *how = cohort_run_describe_plan(own->run);
  cohort_log_line(own->log, "%s\nrun        %s\ncohort %s (%s), kernels %s, OpenBLAS %s\n%s", what, own->directory.path,
                  program->version, program->commit, cohort_run_kernels(own->run), program->blas, how);
  free(what);
  free(how);
  warn_of_idle_threads(own);
  if (program->topology) cohort_topology_print(program->topology, cohort_run_lanes(own->run), own->log);
  if (program->blas_before)
    cohort_log_line(own->log, "OpenBLAS had chosen its %s kernels; started again with %s, which this processor can run",
                    program->blas_before, program->blas);
}

static cohort_status open_directory(cohort_loop *own, const char *path, cohort_error *error) {
  COHORT_TRY(cohort_run_directory_open(own->comm, path, cohort_run_expanded(own->run), &cohort_settings_rules,
                                       &own->directory, error));
  cohort_run_guard(own->run, &own->directory.lock);
  own->checkpoints = cohort_format_text("%s/checkpoints", path);
  char *log_path = cohort_format_text("%s/log.txt", path);
  cohort_world_watch(own->comm, own->settings->watchdog, log_path);
  const cohort_status status =
      own->comm->rank == 0 ? cohort_file_append(log_path, &own->log->file, error) : COHORT_DONE;
  free(log_path);
  return cohort_loop_agree(own, status, error);
}

/* A whole number of the config that the run had before this session; `otherwise` when it had none. */
static int64_t number_before(const cohort_loop *own, const char *key, int64_t otherwise) {
  const cohort_document *value = cohort_document_get(own->directory.before, key);
  return value && value->kind == COHORT_SCALAR ? strtoll(value->text, NULL, 10) : otherwise;
}

/* The learning rates of a run of other length may not be those that the steps so far have had. */
static void warn_of_schedule(const cohort_loop *own) {
  const int64_t before = number_before(own, "steps", own->settings->steps);
  if (before == own->settings->steps || cohort_run_same_schedule(own->run, before, own->settings->steps)) return;
  cohort_log_warning(own->log,
                     "steps: %lld -> %lld: the schedule depends on them, so this is not what a run of %lld steps from "
                     "the beginning gives",
                     (long long)before, (long long)own->settings->steps, (long long)own->settings->steps);
}

static cohort_status resume(cohort_loop *own, bool *found, char **path, cohort_error *error) {
  char *last = cohort_format_text("%s/final.h5", own->directory.path);
  const cohort_status resumed = cohort_run_resume(own->run, own->checkpoints, last, found, path, error);
  free(last);
  COHORT_TRY(resumed);
  if (*found) {
    const int64_t step = cohort_run_where(own->run).step;
    cohort_log_line(own->log, "resumed from %s at step %lld", *path, (long long)step);
    warn_of_schedule(own);
  } else if (cohort_run_begins_elsewhere(own->run)) {
    COHORT_TRY(cohort_run_take_weights(own->run, own->settings->init_from, false, error));
    if (own->settings->init_from) cohort_log_line(own->log, "weights from %s", own->settings->init_from);
  }
  return *found ? COHORT_DONE : cohort_run_score(own->run, error);
}

/* Whether the run was one of fewer steps that ended where this session begins. Its last rows are then no rows of a
 * longer run. */
static bool ended_here(const cohort_loop *own, bool found) {
  const int64_t step = cohort_run_where(own->run).step;
  const bool here =
      own->comm->rank == 0 && found && step < own->settings->steps && number_before(own, "steps", -1) == step;
  return cohort_comm_agree(own->comm, here) != 0;
}

/* The splits whose rows of this step only its end has brought; NULL-ended. */
static void list_ended(const cohort_loop *own, const char *ended[COHORT_SPLITS + 2]) {
  const int64_t step = cohort_run_where(own->run).step;
  const cohort_split usual = cohort_task_evaluated_split(cohort_run_task(own->run));
  const bool due = cohort_loop_due(own->settings->evaluate_settings.every, step);
  int count = 0;
  for (int s = 0; s < COHORT_SPLITS; s++) {
    const bool train = s == COHORT_SPLIT_TRAIN;
    const bool stays = train ? cohort_loop_due(own->settings->log_every, step) : due && s == (int)usual;
    if (!stays) ended[count++] = cohort_split_name((cohort_split)s);
  }
  if (!cohort_loop_due(own->settings->federated_settings.evaluate_clients_settings.every, step))
    ended[count++] = COHORT_LOOP_CLIENTS;
  ended[count] = NULL;
}

/* Rank 0. Rows up to the checkpoint were on the disk before it: what is missing has been taken away. */
static void check_rows(cohort_loop *own, int64_t last_train) {
  const int64_t step = cohort_run_where(own->run).step;
  const int64_t now = own->settings->log_every, before = number_before(own, "log_every", now);
  const int64_t every = now > before ? now : before;
  if (last_train >= step - step % every) return;
  if (last_train < 0)
    cohort_log_warning(own->log, "%s/metrics.csv: holds no row of the %lld steps so far; it begins anew here",
                       own->directory.path, (long long)step);
  else
    cohort_log_warning(own->log,
                       "%s/metrics.csv: its rows end at step %lld, but the run is at step %lld; the rows "
                       "between are missing",
                       own->directory.path, (long long)last_train, (long long)step);
}

/* The task's columns, then the optimizer's (updates of several groups may report alike), then those of clients
 * and of rounds. */
static cohort_status open_columns(cohort_loop *own, int64_t step, const char *const *splits, cohort_error *error) {
  const cohort_task *task = cohort_run_task(own->run);
  const cohort_updater *updater = cohort_run_updater(own->run);
  const char *name[COHORT_MAX_METRICS + COHORT_MAX_COLUMNS + COHORT_CLIENT_COLUMNS + COHORT_MAX_ROUND_COLUMNS];
  const char *reported[COHORT_MAX_COLUMNS];
  char *numbered[COHORT_MAX_COLUMNS] = {NULL}, *of_clients[COHORT_CLIENT_COLUMNS];
  const int reports = updater ? cohort_updater_columns(updater, reported) : 0;
  for (int m = 0; m < task->metrics; m++) name[m] = task->metric[m];
  for (int c = 0; c < reports; c++) {
    int before = 0;
    for (int b = 0; b < c; b++) before += strcmp(reported[b], reported[c]) == 0;
    if (before) numbered[c] = cohort_format_text("%s_%d", reported[c], before + 1);
    name[task->metrics + c] = before ? numbered[c] : reported[c];
  }
  int columns = task->metrics + reports;
  const int clients = cohort_loop_client_columns(own->run, of_clients);
  for (int c = 0; c < clients; c++) name[columns++] = of_clients[c];
  columns += cohort_run_round_columns(own->run, name + columns);
  const cohort_status status =
      cohort_metrics_open(own->directory.path, step, splits, columns, name, &own->metrics, error);
  for (int c = 0; c < clients; c++) free(of_clients[c]);
  for (int c = 0; c < reports; c++) free(numbered[c]);
  return status;
}

static cohort_status open_metrics(cohort_loop *own, bool found, bool ended, cohort_error *error) {
  const int64_t step = found ? cohort_run_where(own->run).step : -1;
  const char *splits[COHORT_SPLITS + 2] = {NULL};
  if (ended) list_ended(own, splits);
  COHORT_TRY(open_columns(own, step, splits, error));
  double loss = NAN;
  const int64_t last_train = cohort_metrics_last_train(own->metrics, &loss);
  if (found) check_rows(own, last_train);
  own->session.train_loss = loss;
  for (int s = 0; s < COHORT_SPLITS; s++)
    own->kept[s] = found && cohort_metrics_kept(own->metrics, cohort_split_name((cohort_split)s));
  own->clients_kept = found && cohort_metrics_kept(own->metrics, COHORT_LOOP_CLIENTS);
  return COHORT_DONE;
}

/* The last session's summary does not tell of what follows. */
static void remove_summary(const cohort_loop *own) {
  char *path = cohort_format_text("%s/summary.json", own->directory.path);
  if (own->comm->rank == 0) (void)unlink(path);
  free(path);
}

cohort_status cohort_loop_begin(cohort_loop *own, const char *run_path, cohort_error *error) {
  const bool first_rank = own->comm->rank == 0;
  if (!own->settings->overwrite)
    COHORT_TRY(cohort_loop_agree(own, first_rank ? refuse_fewer_steps(own, run_path, error) : COHORT_DONE, error));
  COHORT_TRY(open_directory(own, run_path, error));
  describe(own);
  bool found = false;
  char *path = NULL;
  COHORT_TRY(resume(own, &found, &path, error));
  const bool ended = ended_here(own, found);
  if (ended) cohort_run_forget_end(own->run, path);
  free(path);
  const cohort_run_position where = cohort_run_where(own->run);
  own->session.first_step = where.step;
  own->session.train_loss = NAN;
  own->first_samples = own->last_logged_samples = where.samples;
  if (found) own->saved_step = where.step;
  COHORT_TRY(cohort_loop_agree(own, first_rank ? open_metrics(own, found, ended, error) : COHORT_DONE, error));
  cohort_comm_broadcast(own->comm, 0, own->kept, sizeof own->kept);
  cohort_comm_broadcast(own->comm, 0, &own->clients_kept, sizeof own->clients_kept);
  cohort_loop_draw_labels(own);
  remove_summary(own);
  return COHORT_DONE;
}

cohort_status cohort_loop_listen(cohort_loop *own, cohort_error *error) {
  COHORT_TRY(cohort_shared_memory_create(own->comm, sizeof *own->stop, "the stop flag", &own->shared, error));
  int first = 0;
  while (!own->shared->part[first]) first++; /* the host's first rank */
  own->stop = (_Atomic int *)(void *)own->shared->part[first];
  const double limit = own->settings->max_seconds;
  cohort_run_stop_on(own->run, own->stop);
  /* A start that took all the time leaves one step, so that a run started again and again comes to its end. */
  cohort_signals_train(own->stop, limit > 0 ? own->start + limit - cohort_clock_seconds() : 0);
  return COHORT_DONE;
}

/* The n-gram model over the same tokens, on one rank. */
static cohort_status run_baseline(cohort_loop *own, cohort_error *error) {
  const cohort_task *task = cohort_run_task(own->run);
  if (!own->settings->rival || task->functions != &cohort_task_language) return COHORT_DONE;
  cohort_status status = COHORT_DONE;
  if (own->comm->rank == 0) {
    const int32_t *tokens = NULL;
    int64_t train, all, bytes;
    cohort_language_tokens(task, &tokens, &train, &all, &bytes);
    own->session.baseline_order = (int)own->settings->rival;
    own->session.tokens_per_byte = (double)(all - train) / (double)bytes;
    status = cohort_ngram_score(tokens, train, all, (int)task->model_data.outputs, own->session.baseline_order,
                                &own->session.baseline_nats, error);
  }
  return cohort_loop_agree(own, status, error);
}

static cohort_status write_profile(cohort_loop *own, cohort_error *error) {
  cohort_profile *profile = cohort_run_profile(own->run);
  if (!profile) return COHORT_DONE;
  const cohort_profile_session session = {.seconds = own->loop_seconds,
                                          .evaluation_seconds = own->session.evaluation_seconds,
                                          .checkpoint_seconds = own->session.checkpoint_seconds,
                                          .checkpoint_bytes = own->saved_bytes};
  char *directory = cohort_format_text("%s/profile", own->directory.path);
  const cohort_status status = cohort_profile_report(profile, &session, directory, own->log, error);
  free(directory);
  return status;
}

static cohort_status write_results(cohort_loop *own, bool done, cohort_error *error) {
  if (done) {
    const double start = cohort_clock_seconds();
    COHORT_TRY(cohort_loop_save(own, own->directory.path, "final.h5", error));
    own->loop_seconds += cohort_clock_seconds() - start;
    COHORT_TRY(run_baseline(own, error));
  }
  cohort_comm_phase(own->comm, "end", cohort_run_where(own->run).step);
  own->session.run_path = own->directory.path;
  own->session.seconds = own->step_seconds;
  own->session.total_seconds = cohort_clock_seconds() - own->start;
  cohort_status status = COHORT_DONE;
  if (own->comm->rank == 0) {
    status = cohort_metrics_close(own->metrics, error);
    own->metrics = NULL;
  }
  COHORT_TRY(cohort_loop_agree(own, status, error));
  COHORT_TRY(cohort_summary_write(own->run, &own->session, own->comm, own->log, own->threads, own->program, error));
  COHORT_TRY(write_profile(own, error));
  const char *const paths[1] = {own->directory.path};
  if (own->comm->rank == 0) status = cohort_plot_runs(1, paths, NULL, own->log, error);
  return cohort_loop_agree(own, status, error);
}

cohort_status cohort_loop_finish(cohort_loop *own, cohort_status outcome, cohort_error *error) {
  const long long step = (long long)cohort_run_where(own->run).step;
  own->session.outcome = outcome == COHORT_DONE ? "done" : outcome == COHORT_STOPPED ? "stopped" : "diverged";
  own->session.baseline_nats = NAN;
  if (outcome == COHORT_DIVERGED) {
    cohort_error second;
    own->session.reason = error->text;
    if (write_results(own, false, &second) != COHORT_DONE) cohort_log_warning(own->log, "%s", second.text);
    return outcome;
  }
  COHORT_TRY(write_results(own, outcome == COHORT_DONE, error));
  if (outcome == COHORT_STOPPED && step == 0)
    cohort_log_line(own->log, "stopped before the first step was done: there is nothing to save; start it again");
  else if (outcome == COHORT_STOPPED)
    cohort_log_line(own->log, "stopped at step %lld after a save; start it again to resume", step);
  return outcome;
}

void cohort_loop_close(cohort_loop *own) {
  cohort_signals_release();
  if (own->metrics) {
    cohort_error ignored;
    (void)cohort_metrics_close(own->metrics, &ignored);
  }
  if (own->directory.path) cohort_run_directory_close(&own->directory);
  free(own->checkpoints);
  cohort_run_destroy(own->run);
  cohort_shared_memory_destroy(own->shared);
}
