/* A training session: resume, steps, evaluation, checkpoints, signals, metrics, plots, summary. All ranks take the
 * same turns; what rank 0 alone knows is agreed before anybody branches. What is done between steps is not charged
 * to them. */
#include "train/session/loop.h"

#include <dlfcn.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "io/metrics.h"
#include "io/plot.h"
#include "io/run_directory.h"
#include "mpi/world.h"
#include "train/session/baseline_ngram.h"
#include "train/session/progress.h"
#include "train/session/summary.h"
#include "train/task/language.h"

/* Set by the signal handler alone, read at step edges. */
static volatile sig_atomic_t stop_signal;

static void note_signal(int number) { stop_signal = number; }

/* A library loaded before the program may define `void cohort_step_ended(int64_t step)`: it is called at the end of
 * every step, so that tools can tell what happens inside steps. */
typedef void (*step_hook)(int64_t step);

static step_hook find_step_hook(void) {
  void *symbol = dlsym(RTLD_DEFAULT, "cohort_step_ended");
  step_hook hook = NULL;
  memcpy(&hook, &symbol, sizeof hook);
  return hook;
}

/* Counters of communication as they stood at some moment. */
typedef struct traffic {
  uint64_t received, shared, sent, messages;
  double exposed, hidden;
} traffic;

typedef struct loop {
  cohort_settings *settings;
  cohort_comm *comm;
  cohort_log *log;
  cohort_run *run;
  cohort_run_directory directory;
  cohort_metrics *metrics; /* rank 0 */
  cohort_progress progress;
  cohort_session session;
  double start, step_seconds, loop_seconds; /* loop_seconds: from the first step to the end of the last */
  double last_logged;                       /* step_seconds at the last timing row */
  int64_t last_logged_samples;
  double last_logged_flops;
  int64_t first_samples; /* where the session began */
  traffic last_traffic;
  double peak_memory, peak_seen; /* bytes, as they stood at that clock second */
  double saved_bytes;            /* by this rank, in all saves */
  char *checkpoints;
  step_hook step_ended; /* or NULL */
} loop;

static void catch_signals(void) {
  struct sigaction action = {.sa_handler = note_signal};
  (void)sigemptyset(&action.sa_mask);
  stop_signal = 0;
  (void)sigaction(SIGTERM, &action, NULL);
  (void)sigaction(SIGINT, &action, NULL);
  (void)sigaction(SIGUSR1, &action, NULL);
  /* A full file-size limit is then an error of write, which is reported, and not a death. */
  (void)signal(SIGXFSZ, SIG_IGN);
}

static cohort_split evaluated_split(const cohort_task *task) {
  return task->samples[COHORT_SPLIT_VALIDATION] ? COHORT_SPLIT_VALIDATION : COHORT_SPLIT_TEST;
}

static cohort_status write_row(loop *own, const char *split, const cohort_run_row *row, bool train,
                               cohort_error *error) {
  if (!own->metrics) return COHORT_DONE;
  const cohort_run_position where = cohort_run_where(own->run);
  const bool tokens = cohort_run_task(own->run)->tokens_per_sample != 0;
  const cohort_metrics_row out = {.step = where.step,
                                  .split = split,
                                  .epoch = where.epoch,
                                  .samples = where.samples,
                                  .tokens = tokens ? where.tokens : -1,
                                  .loss = row->loss,
                                  .learning_rate = train ? row->report.learning_rate : NAN,
                                  .gradient_norm = train ? row->report.gradient_norm : NAN,
                                  .extra = row->columns};
  return cohort_metrics_write(own->metrics, &out, error);
}

static traffic traffic_now(cohort_comm *comm) {
  cohort_comm_count(comm, cohort_clock_seconds());
  return (traffic){comm->bytes_received, comm->bytes_shared, comm->bytes_sent,
                   comm->messages,       comm->seconds,      comm->hidden};
}

/* Forgets what came after `then`: evaluation and saving are not charged to the steps. */
static void restore_traffic(cohort_comm *comm, const traffic *then) {
  (void)traffic_now(comm);
  comm->bytes_received = then->received;
  comm->bytes_shared = then->shared;
  comm->bytes_sent = then->sent;
  comm->messages = then->messages;
  comm->seconds = then->exposed;
  comm->hidden = then->hidden;
}

/* What the last step has sent is the step's, though it arrives later. */
static traffic traffic_of_steps(loop *own) {
  cohort_run_wait(own->run);
  return traffic_now(own->comm);
}

/* Once a second: the system takes longer to tell than some steps take. */
static double peak_memory(loop *own) {
  const double now = cohort_clock_seconds();
  if (own->peak_memory == 0 || now - own->peak_seen >= 1) {
    own->peak_memory = cohort_peak_memory();
    own->peak_seen = now;
  }
  return own->peak_memory;
}

static cohort_status write_timing(loop *own, cohort_error *error) {
  if (!own->metrics) return COHORT_DONE;
  const cohort_run_position where = cohort_run_where(own->run);
  const double seconds = own->step_seconds - own->last_logged;
  const double samples = (double)(where.samples - own->last_logged_samples);
  const cohort_task *task = cohort_run_task(own->run);
  const double flops = cohort_run_flops(own->run);
  const traffic now = traffic_now(own->comm), *last = &own->last_traffic;
  const cohort_timing_row row = {.step = where.step,
                                 .seconds = cohort_clock_seconds() - own->start,
                                 .samples_per_second = samples / seconds,
                                 .tokens_per_second = samples * (double)task->tokens_per_sample / seconds,
                                 .gflops_per_second = (flops - own->last_logged_flops) / seconds / 1e9,
                                 .exposed_communication_seconds = now.exposed - last->exposed,
                                 .checkpoint_seconds = own->session.checkpoint_seconds,
                                 .evaluation_seconds = own->session.evaluation_seconds,
                                 .bytes_received = now.received + now.shared - last->received - last->shared,
                                 .peak_memory_bytes = peak_memory(own),
                                 .messages = now.messages - last->messages,
                                 .hidden_communication_seconds = now.hidden - last->hidden};
  own->last_logged = own->step_seconds;
  own->last_logged_samples = where.samples;
  own->last_logged_flops = flops;
  own->last_traffic = now;
  return cohort_metrics_write_timing(own->metrics, &row, error);
}

/* File errors of rank 0 become everyone's. */
static cohort_status agree(const loop *own, cohort_status status, cohort_error *error) {
  return cohort_comm_agree_error(own->comm, status, error);
}

static cohort_status evaluate(loop *own, cohort_split split, cohort_error *error) {
  const double start = cohort_clock_seconds();
  cohort_run_row row;
  const traffic before = traffic_of_steps(own);
  cohort_comm_phase(own->comm, "evaluation", cohort_run_where(own->run).step);
  COHORT_TRY(cohort_run_evaluate(own->run, split, &row, error));
  restore_traffic(own->comm, &before);
  own->session.evaluation_seconds += cohort_clock_seconds() - start;
  own->session.last_evaluation = row;
  own->session.evaluated = cohort_split_name(split);
  if (split == evaluated_split(cohort_run_task(own->run))) cohort_run_note_evaluation(own->run, row.loss);
  return agree(own, write_row(own, cohort_split_name(split), &row, false, error), error);
}

static cohort_status save(loop *own, const char *directory, const char *name, cohort_error *error) {
  const double start = cohort_clock_seconds();
  const traffic before = traffic_of_steps(own);
  cohort_comm_phase(own->comm, "save", cohort_run_where(own->run).step);
  COHORT_TRY(cohort_run_save(own->run, directory, name, &own->session.checkpoint_bytes, error));
  if (!name && own->comm->rank == 0)
    cohort_checkpoint_prune(directory, (int)own->settings->checkpoint_settings.keep, cohort_run_best_step(own->run));
  restore_traffic(own->comm, &before);
  own->session.checkpoint_seconds += cohort_clock_seconds() - start;
  own->saved_bytes += (double)own->session.checkpoint_bytes;
  return COHORT_DONE;
}

static cohort_status open_directory(loop *own, const char *path, cohort_error *error) {
  COHORT_TRY(cohort_run_directory_open(own->comm, path, own->settings->expanded, cohort_settings_may_change,
                                       &own->directory, error));
  cohort_run_guard(own->run, &own->directory.lock);
  own->checkpoints = cohort_format_text("%s/checkpoints", path);
  char *log_path = cohort_format_text("%s/log.txt", path);
  cohort_world_watch(own->comm, own->settings->watchdog, log_path);
  const cohort_status status =
      own->comm->rank == 0 ? cohort_file_append(log_path, &own->log->file, error) : COHORT_DONE;
  free(log_path);
  return agree(own, status, error);
}

static cohort_status begin(loop *own, cohort_error *error) {
  bool found = false;
  char *path = NULL;
  char *last = cohort_format_text("%s/final.h5", own->directory.path);
  const cohort_status resumed = cohort_run_resume(own->run, own->checkpoints, last, &found, &path, error);
  free(last);
  COHORT_TRY(resumed);
  const int64_t step = cohort_run_where(own->run).step;
  if (found)
    cohort_log_line(own->log, "resumed from %s at step %lld", path, (long long)step);
  else if (own->settings->init_from) {
    COHORT_TRY(cohort_run_take_weights(own->run, own->settings->init_from, false, error));
    cohort_log_line(own->log, "weights from %s", own->settings->init_from);
  }
  free(path);
  own->session.first_step = step;
  own->first_samples = own->last_logged_samples = cohort_run_where(own->run).samples;
  const cohort_task *task = cohort_run_task(own->run);
  cohort_status status = COHORT_DONE;
  if (own->comm->rank == 0)
    status =
        cohort_metrics_open(own->directory.path, found ? step : -1, task->metrics, task->metric, &own->metrics, error);
  return agree(own, status, error);
}

static bool due(int64_t every, int64_t step) { return every > 0 && step % every == 0; }

static cohort_status not_applied(const loop *own, const cohort_run_row *row, cohort_error *error) {
  const double loss = isnan(row->loss) ? NAN : row->loss; /* without a sign */
  const double norm = isnan(row->report.gradient_norm) ? NAN : row->report.gradient_norm;
  const int64_t step = cohort_run_where(own->run).step;
  if (own->settings->on_nan == COHORT_NAN_SKIP) {
    cohort_log_warning(own->log, "step %lld: loss %g, gradient norm %g: not finite, the step is skipped",
                       (long long)step, loss, norm);
    return COHORT_DONE;
  }
  return cohort_fail(
      error, COHORT_DIVERGED,
      "step %lld: loss %g, gradient norm %g: not finite, the step was not applied; lower the learning rate, "
      "set clip, or set on_nan: skip",
      (long long)step, loss, norm);
}

static void show_progress(loop *own, const cohort_run_row *row) {
  const cohort_run_position where = cohort_run_where(own->run);
  if (!cohort_progress_due(&own->progress, where.step)) return;
  enum { PARTS = 4 };
  char text[PARTS][64];
  const char *part[PARTS] = {text[0], text[1], text[2], text[3]};
  int parts = 0;
  const cohort_task *task = cohort_run_task(own->run);
  const double rate = (double)(where.samples - own->first_samples) / own->step_seconds;
  (void)snprintf(text[parts++], sizeof *text, "loss %.4f", row->loss);
  if (own->session.evaluated)
    (void)snprintf(text[parts++], sizeof *text, "%s %.4f", own->session.evaluated, own->session.last_evaluation.loss);
  if (own->session.evaluated && task->metrics) {
    const char *slash = strchr(task->metric[0], '/');
    (void)snprintf(text[parts++], sizeof *text, "%s %.4f", slash ? slash + 1 : task->metric[0],
                   own->session.last_evaluation.columns[0]);
  }
  if (task->tokens_per_sample)
    (void)snprintf(text[parts++], sizeof *text, "%.0f tokens/s", rate * (double)task->tokens_per_sample);
  else
    (void)snprintf(text[parts++], sizeof *text, "%.0f samples/s", rate);
  cohort_progress_show(&own->progress, where.step, part, parts);
}

/* Evaluation at the end covers every split and stands before the last save, so that a resume never writes it twice. */
static cohort_status evaluate_if_due(loop *own, cohort_error *error) {
  const cohort_task *task = cohort_run_task(own->run);
  const int64_t step = cohort_run_where(own->run).step;
  if (step == own->settings->steps) {
    for (int s = COHORT_SPLIT_TEST; s >= COHORT_SPLIT_VALIDATION; s--)
      if (task->samples[s]) COHORT_TRY(evaluate(own, (cohort_split)s, error));
    return COHORT_DONE;
  }
  if (due(own->settings->evaluate_settings.every, step) && task->samples[evaluated_split(task)])
    COHORT_TRY(evaluate(own, evaluated_split(task), error));
  return COHORT_DONE;
}

static bool wants_stop(const loop *own) {
  const double limit = own->settings->max_seconds;
  return stop_signal != 0 || (limit > 0 && cohort_clock_seconds() - own->start > limit);
}

static cohort_status one_step(loop *own, bool *stopped, cohort_error *error) {
  cohort_run_row row;
  const double start = cohort_clock_seconds();
  cohort_comm_phase(own->comm, "step", cohort_run_where(own->run).step + 1);
  COHORT_TRY(cohort_run_step(own->run, wants_stop(own), &row, error));
  own->step_seconds += cohort_clock_seconds() - start;
  const int64_t step = cohort_run_where(own->run).step;
  if (!row.report.applied) COHORT_TRY(not_applied(own, &row, error));
  own->session.last_train = row;
  const bool last = step == own->settings->steps;
  if (due(own->settings->log_every, step) || last) {
    const cohort_status status = write_row(own, "train", &row, true, error);
    COHORT_TRY(agree(own, status == COHORT_DONE ? write_timing(own, error) : status, error));
  }
  COHORT_TRY(evaluate_if_due(own, error));
  show_progress(own, &row);
  *stopped = row.flagged && !last;
  if (due(own->settings->checkpoint_settings.every, step) || *stopped)
    COHORT_TRY(save(own, own->checkpoints, NULL, error));
  if (own->step_ended) own->step_ended(step);
  return COHORT_DONE;
}

/* The n-gram model over the same tokens, on one rank. */
static cohort_status run_baseline(loop *own, cohort_error *error) {
  const cohort_task *task = cohort_run_task(own->run);
  own->session.baseline_nats = NAN;
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
  return agree(own, status, error);
}

static cohort_status write_profile(loop *own, cohort_error *error) {
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

static cohort_status finish(loop *own, bool stopped, const cohort_loop_program *program, int threads,
                            cohort_error *error) {
  own->session.outcome = stopped ? "stopped" : "done";
  own->session.baseline_nats = NAN;
  if (!stopped) {
    const double start = cohort_clock_seconds();
    COHORT_TRY(save(own, own->directory.path, "final.h5", error));
    own->loop_seconds += cohort_clock_seconds() - start;
    COHORT_TRY(run_baseline(own, error));
  }
  cohort_comm_phase(own->comm, "end", cohort_run_where(own->run).step);
  own->session.run_path = own->directory.path;
  own->session.seconds = own->step_seconds;
  own->session.total_seconds = cohort_clock_seconds() - own->start;
  COHORT_TRY(cohort_summary_write(own->run, &own->session, own->comm, own->log, threads, program, error));
  COHORT_TRY(write_profile(own, error));
  cohort_status status = COHORT_DONE;
  if (own->comm->rank == 0) {
    status = cohort_metrics_close(own->metrics, error);
    own->metrics = NULL;
    const char *const paths[1] = {own->directory.path};
    if (status == COHORT_DONE) status = cohort_plot_runs(1, paths, NULL, own->log, error);
  }
  COHORT_TRY(agree(own, status, error));
  if (!stopped) return COHORT_DONE;
  cohort_log_line(own->log, "stopped at step %lld after a save; start it again to resume",
                  (long long)cohort_run_where(own->run).step);
  return COHORT_STOPPED;
}

/* Rank 0: a run that stands beyond the wanted steps is left as it is; its final.h5 would become an older one. */
static cohort_status refuse_fewer_steps(const loop *own, const char *run_path, cohort_error *error) {
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

static void warn_of_idle_threads(const loop *own, int threads) {
  const int idle = cohort_run_idle_threads(own->run);
  if (idle)
    cohort_log_warning(
        own->log, "threads: %d of %d are idle while lanes run; set threads to a multiple of a rank's lanes%s", idle,
        threads, own->settings->is_federated ? "" : ", or lanes to no fewer than all ranks' threads (other bits)");
}

static cohort_status run_loop(loop *own, const char *run_path, const cohort_loop_program *program, int threads,
                              cohort_error *error) {
  const bool first_rank = own->comm->rank == 0;
  COHORT_TRY(agree(own, first_rank ? refuse_fewer_steps(own, run_path, error) : COHORT_DONE, error));
  COHORT_TRY(open_directory(own, run_path, error));
  char *what = cohort_run_describe(own->run), *how = cohort_run_describe_plan(own->run);
  cohort_log_line(own->log, "%s\nrun        %s\ncohort %s (%s), kernels %s, OpenBLAS %s\n%s", what, run_path,
                  program->version, program->commit, cohort_run_kernels(own->run), program->blas, how);
  free(what);
  free(how);
  warn_of_idle_threads(own, threads);
  if (program->topology) cohort_topology_print(program->topology, cohort_run_lanes(own->run), own->log);
  if (program->blas_before)
    cohort_log_line(own->log, "OpenBLAS had chosen its %s kernels; started again with %s, which this processor can run",
                    program->blas_before, program->blas);
  COHORT_TRY(begin(own, error));
  cohort_progress_open(&own->progress, own->log, own->settings->is_federated ? "round" : "step",
                       own->session.first_step, own->settings->steps);
  restore_traffic(own->comm, &own->last_traffic); /* nothing */
  (void)cohort_run_take_counters(own->run);
  bool stopped = false;
  cohort_status status = COHORT_DONE;
  const double first = cohort_clock_seconds();
  while (status == COHORT_DONE && !stopped && cohort_run_where(own->run).step < own->settings->steps)
    status = one_step(own, &stopped, error);
  own->loop_seconds = cohort_clock_seconds() - first;
  cohort_progress_close(&own->progress);
  return status == COHORT_DONE ? finish(own, stopped, program, threads, error) : status;
}

cohort_status cohort_loop_train(cohort_settings *settings, const char *run_path, cohort_comm *comm, cohort_log *log,
                                int threads, const cohort_loop_program *program, cohort_error *error) {
  loop own = {.settings = settings,
              .comm = comm,
              .log = log,
              .start = cohort_clock_seconds(),
              .directory = {.lock = {.descriptor = -1}},
              .step_ended = find_step_hook()};
  catch_signals();
  cohort_status status = cohort_run_create(settings, comm, log, threads, &own.run, error);
  if (status == COHORT_DONE) status = run_loop(&own, run_path, program, threads, error);
  if (own.metrics) {
    cohort_error ignored;
    (void)cohort_metrics_close(own.metrics, &ignored);
  }
  if (own.directory.path) cohort_run_directory_close(&own.directory);
  free(own.checkpoints);
  cohort_run_destroy(own.run);
  return status;
}
