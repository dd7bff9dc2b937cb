/* The steps of a training session: step, row, evaluation, checkpoint. Invariant: whatever ends a session, the run
 * stands at a whole step on all ranks, and the rows of metrics.csv are those of a run that was never stopped. Between
 * steps it costs some microseconds, with one exchange. */
#include <dlfcn.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "train/session/finished.h"
#include "train/session/loop_state.h"
#include "train/session/signals.h"

static cohort_step_hook find_step_hook(void) {
  void *symbol = dlsym(RTLD_DEFAULT, "cohort_step_ended");
  cohort_step_hook hook = NULL;
  memcpy(&hook, &symbol, sizeof hook);
  return hook;
}

bool cohort_loop_due(int64_t every, int64_t step) { return every > 0 && step % every == 0; }

cohort_status cohort_loop_agree(const cohort_loop *loop, cohort_status status, cohort_error *error) {
  return cohort_comm_agree_error(loop->comm, status, error);
}

/* Rank 0. A row that the disk does not take waits (io/metrics.h): no reason to end. */
static void tell_rows(cohort_loop *own, cohort_status status, const cohort_error *error) {
  if (status != COHORT_DONE && !own->rows_fail)
    cohort_log_warning(own->log, "%s; training goes on, the rows wait in memory; free some space", error->text);
  if (status == COHORT_DONE && own->rows_fail)
    cohort_log_line(own->log, "step %lld: rows can be written again", (long long)cohort_run_where(own->run).step);
  own->rows_fail = status != COHORT_DONE;
}

void cohort_loop_write_row(cohort_loop *own, const char *split, const cohort_run_row *row,
                           const cohort_client_results *clients) {
  cohort_error error;
  if (!own->metrics) return;
  const cohort_run_position where = cohort_run_where(own->run);
  const bool tokens = cohort_run_task(own->run)->tokens_per_sample != 0, train = strcmp(split, "train") == 0;
  const int metrics = cohort_run_task(own->run)->metrics, reports = cohort_run_reports(own->run);
  double extra[COHORT_MAX_METRICS + COHORT_MAX_COLUMNS + COHORT_CLIENT_COLUMNS + COHORT_MAX_ROUND_COLUMNS];
  double *of_clients = extra + metrics + reports;
  for (int m = 0; m < metrics; m++) extra[m] = row->columns[m];
  for (int c = 0; c < reports; c++) extra[metrics + c] = train ? row->report.columns[c] : NAN;
  double *of_round = of_clients + cohort_loop_client_values(own->run, clients, of_clients);
  for (int c = 0; c < COHORT_MAX_ROUND_COLUMNS; c++) of_round[c] = train ? row->round[c] : NAN;
  const cohort_metrics_row out = {.step = where.step,
                                  .split = split,
                                  .epoch = where.epoch,
                                  .samples = where.samples,
                                  .tokens = tokens ? where.tokens : -1,
                                  .loss = row->loss,
                                  .learning_rate = train ? row->report.learning_rate : NAN,
                                  .gradient_norm = train ? row->report.gradient_norm : NAN,
                                  .extra = extra};
  tell_rows(own, cohort_metrics_write(own->metrics, &out, &error), &error);
}

static cohort_traffic traffic_now(cohort_comm *comm) {
  cohort_comm_count(comm, cohort_clock_seconds());
  return (cohort_traffic){comm->bytes_received, comm->bytes_shared, comm->bytes_sent,
                          comm->messages,       comm->seconds,      comm->hidden};
}

void cohort_loop_restore_traffic(cohort_comm *comm, const cohort_traffic *then) {
  (void)traffic_now(comm);
  comm->bytes_received = then->received;
  comm->bytes_shared = then->shared;
  comm->bytes_sent = then->sent;
  comm->messages = then->messages;
  comm->seconds = then->exposed;
  comm->hidden = then->hidden;
}

/* What the last step has sent is the step's, though it arrives later. */
cohort_traffic cohort_loop_traffic(cohort_loop *own) {
  cohort_run_wait(own->run);
  return traffic_now(cohort_run_comm(own->run));
}

/* Once a second: the system takes longer to tell than some steps take. */
static double peak_memory(cohort_loop *own) {
  const double now = cohort_clock_seconds();
  if (own->peak_memory == 0 || now - own->peak_seen >= 1) {
    own->peak_memory = cohort_peak_memory();
    own->peak_seen = now;
  }
  return own->peak_memory;
}

static void write_timing(cohort_loop *own) {
  cohort_error error;
  if (!own->metrics) return;
  const cohort_run_position where = cohort_run_where(own->run);
  const double seconds = own->step_seconds - own->last_logged;
  const double samples = (double)(where.samples - own->last_logged_samples);
  const cohort_task *task = cohort_run_task(own->run);
  const double flops = cohort_run_flops(own->run);
  const cohort_traffic now = traffic_now(cohort_run_comm(own->run)), *last = &own->last_traffic;
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
  tell_rows(own, cohort_metrics_write_timing(own->metrics, &row, &error), &error);
}

/* A line, but not many a second. */
static void show_evaluation(cohort_loop *own, cohort_split split, const cohort_run_row *row) {
  enum { FEW = 50 };
  const cohort_task *task = cohort_run_task(own->run);
  const int64_t every = own->settings->evaluate_settings.every, steps = own->settings->steps;
  const int64_t step = cohort_run_where(own->run).step;
  const double now = cohort_clock_seconds();
  const bool few = every > 0 && steps / every <= FEW;
  if (!own->log->speaks || step == steps || (!few && now - own->evaluation_shown < 1)) return;
  own->evaluation_shown = now;
  char metrics[160] = "";
  size_t used = 0;
  for (int m = 0; m < task->metrics && used < sizeof metrics; m++) {
    if (isnan(row->columns[m])) continue;
    const int length =
        snprintf(metrics + used, sizeof metrics - used, "  %s %.4f", strchr(task->metric[m], '/') + 1, row->columns[m]);
    used += length > 0 ? (size_t)length : 0;
  }
  cohort_log_line(own->log, "step %lld/%lld  %s loss %.4f%s", (long long)step, (long long)steps,
                  cohort_split_name(split), row->loss, metrics);
}

static cohort_status evaluate(cohort_loop *own, cohort_split split, bool end, cohort_error *error) {
  const double start = cohort_clock_seconds();
  cohort_run_row row;
  const int64_t step = cohort_run_where(own->run).step;
  const cohort_traffic before = cohort_loop_traffic(own);
  cohort_comm_phase(own->comm, "evaluation", step);
  COHORT_TRY(cohort_run_evaluate(own->run, split, &row, error));
  cohort_loop_restore_traffic(cohort_run_comm(own->run), &before);
  own->session.evaluation_seconds += cohort_clock_seconds() - start;
  own->session.evaluation[split] = row;
  own->session.evaluated[split] = true;
  if (split == cohort_task_evaluated_split(cohort_run_task(own->run)))
    cohort_run_note_evaluation(own->run, row.loss, end);
  if (step == own->session.first_step && own->kept[split]) return COHORT_DONE;
  cohort_loop_write_row(own, cohort_split_name(split), &row, NULL);
  show_evaluation(own, split, &row);
  if (split != cohort_task_evaluated_split(cohort_run_task(own->run))) return COHORT_DONE;
  COHORT_TRY(cohort_run_write_samples(own->run, error));
  cohort_loop_restore_traffic(cohort_run_comm(own->run), &before);
  return COHORT_DONE;
}

/* At the end it covers every split and stands before the last save, so that a resume never writes it twice. */
cohort_status cohort_loop_evaluate(cohort_loop *own, cohort_error *error) {
  const cohort_task *task = cohort_run_task(own->run);
  const int64_t step = cohort_run_where(own->run).step;
  const cohort_split usual = cohort_task_evaluated_split(task);
  const bool due = cohort_loop_due(own->settings->evaluate_settings.every, step);
  if (step == own->settings->steps) {
    for (int s = COHORT_SPLIT_TEST; s >= COHORT_SPLIT_VALIDATION; s--)
      if (task->samples[s]) COHORT_TRY(evaluate(own, (cohort_split)s, !due, error));
    return COHORT_DONE;
  }
  if (!due || !task->samples[usual] || (step == own->session.first_step && own->kept[usual])) return COHORT_DONE;
  return evaluate(own, usual, false, error);
}

cohort_status cohort_loop_save(cohort_loop *own, const char *directory, const char *name, cohort_error *error) {
  const double start = cohort_clock_seconds();
  cohort_error row_error;
  const int64_t step = cohort_run_where(own->run).step;
  const cohort_traffic before = cohort_loop_traffic(own);
  cohort_comm_phase(own->comm, "save", step);
  if (own->metrics) tell_rows(own, cohort_metrics_sync(own->metrics, &row_error), &row_error);
  COHORT_TRY(cohort_run_save(own->run, directory, name, &own->session.checkpoint_bytes, error));
  own->saved_step = step;
  if (!name && own->comm->rank == 0)
    cohort_checkpoint_prune(directory, (int)own->settings->checkpoint_settings.keep,
                            cohort_run_best_evaluation(own->run).step);
  cohort_loop_restore_traffic(cohort_run_comm(own->run), &before);
  own->session.checkpoint_seconds += cohort_clock_seconds() - start;
  own->saved_bytes += (double)own->session.checkpoint_bytes;
  return COHORT_DONE;
}

/* A save on the way that finds the disk full ends nothing: the last good one stays, and the next tries again. */
static cohort_status save_on_the_way(cohort_loop *own, cohort_error *error) {
  const int64_t step = cohort_run_where(own->run).step;
  const cohort_status status = cohort_loop_save(own, own->checkpoints, NULL, error);
  if (status != COHORT_DONE && status != COHORT_NO_RESOURCE) return status;
  if (status == COHORT_NO_RESOURCE && !own->saves_fail) {
    char last[48] = "there is none yet";
    if (own->saved_step >= 0)
      (void)snprintf(last, sizeof last, "the last one is of step %lld", (long long)own->saved_step);
    cohort_log_warning(own->log, "step %lld: no checkpoint: %s; training goes on, the next save tries again (%s)",
                       (long long)step, error->text, last);
  }
  if (status == COHORT_DONE && own->saves_fail)
    cohort_log_line(own->log, "step %lld: checkpoints can be written again", (long long)step);
  own->saves_fail = status != COHORT_DONE;
  return COHORT_DONE;
}

static cohort_status not_applied(const cohort_loop *own, const cohort_run_row *row, cohort_error *error) {
  const double loss = isnan(row->loss) ? NAN : row->loss; /* without a sign */
  const double norm = isnan(row->report.gradient_norm) ? NAN : row->report.gradient_norm;
  const int64_t step = cohort_run_where(own->run).step;
  if (row->refusal) {
    cohort_log_warning(own->log, "round %lld: the sum stays masked: %s; nothing was changed", (long long)step,
                       row->refusal);
    return COHORT_DONE;
  }
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

static void show_progress(cohort_loop *own, const cohort_run_row *row) {
  const cohort_run_position where = cohort_run_where(own->run);
  if (!cohort_progress_due(&own->progress, where.step)) return;
  enum { PARTS = 4 };
  char text[PARTS][64];
  const char *part[PARTS] = {text[0], text[1], text[2], text[3]};
  int parts = 0;
  const cohort_task *task = cohort_run_task(own->run);
  const double rate = (double)(where.samples - own->first_samples) / own->step_seconds;
  (void)snprintf(text[parts++], sizeof *text, "loss %.4f", row->loss);
  const cohort_split usual = cohort_task_evaluated_split(task);
  const cohort_run_row *last = &own->session.evaluation[usual];
  if (own->session.evaluated[usual])
    (void)snprintf(text[parts++], sizeof *text, "%s %.4f", cohort_split_name(usual), last->loss);
  if (own->session.evaluated[usual] && task->metrics) {
    const char *slash = strchr(task->metric[0], '/');
    (void)snprintf(text[parts++], sizeof *text, "%s %.4f", slash ? slash + 1 : task->metric[0], last->columns[0]);
  }
  if (task->tokens_per_sample)
    (void)snprintf(text[parts++], sizeof *text, "%.0f tokens/s", rate * (double)task->tokens_per_sample);
  else
    (void)snprintf(text[parts++], sizeof *text, "%.0f samples/s", rate);
  cohort_progress_show(&own->progress, where.step, part, parts);
}

static bool wants_stop(const cohort_loop *own) {
  const double limit = own->settings->max_seconds;
  return atomic_load(own->stop) != 0 || (limit > 0 && cohort_clock_seconds() - own->start > limit);
}

static cohort_status one_step(cohort_loop *own, cohort_error *error) {
  cohort_run_row row;
  const double start = cohort_clock_seconds();
  cohort_comm_phase(own->comm, "step", cohort_run_where(own->run).step + 1);
  COHORT_TRY(cohort_run_step(own->run, wants_stop(own), &row, error));
  own->step_seconds += cohort_clock_seconds() - start;
  const int64_t step = cohort_run_where(own->run).step;
  if (!row.report.applied) COHORT_TRY(not_applied(own, &row, error));
  own->session.last_train = row;
  own->session.trained = true;
  const bool last = step == own->settings->steps;
  if (cohort_loop_due(own->settings->log_every, step) || last) {
    cohort_loop_write_row(own, "train", &row, NULL);
    write_timing(own);
  }
  if (row.flagged && !last) return COHORT_STOPPED; /* what is due is measured when it goes on */
  COHORT_TRY(cohort_loop_evaluate_clients(own, error));
  COHORT_TRY(cohort_loop_evaluate(own, error));
  show_progress(own, &row);
  if (cohort_loop_due(own->settings->checkpoint_settings.every, step)) COHORT_TRY(save_on_the_way(own, error));
  if (own->step_ended) own->step_ended(step);
  return COHORT_DONE;
}

/* Saves where a signal has stopped the run: at the end of the last whole step. */
static cohort_status save_where_stopped(cohort_loop *own, cohort_error *error) {
  const int64_t step = cohort_run_where(own->run).step;
  if (step == 0 || step == own->saved_step) return COHORT_STOPPED;
  COHORT_TRY(cohort_loop_save(own, own->checkpoints, NULL, error));
  return COHORT_STOPPED;
}

/* The same where what a step needs from outside has failed on all ranks (a command that rewards): no step is lost. The
 * error stays that one. */
static cohort_status save_where_failed(cohort_loop *own, cohort_status status) {
  cohort_error ignored;
  (void)save_where_stopped(own, &ignored);
  return status;
}

static cohort_status train(cohort_loop *own, cohort_error *error) {
  cohort_progress_open(&own->progress, own->log, own->settings->is_federated ? "round" : "step",
                       own->session.first_step, own->settings->steps);
  COHORT_TRY(cohort_loop_listen(own, error));
  cohort_loop_restore_traffic(cohort_run_comm(own->run), &own->last_traffic); /* nothing */
  (void)cohort_run_take_counters(own->run);
  const double first = cohort_clock_seconds();
  /* What the last session has left undone. */
  cohort_status status = own->session.first_step > 0 ? cohort_loop_evaluate_clients(own, error) : COHORT_DONE;
  if (status == COHORT_DONE && own->session.first_step > 0) status = cohort_loop_evaluate(own, error);
  while (status == COHORT_DONE && cohort_run_where(own->run).step < own->settings->steps) status = one_step(own, error);
  own->loop_seconds = cohort_clock_seconds() - first;
  cohort_progress_close(&own->progress);
  if (status == COHORT_BAD_DATA) return save_where_failed(own, status);
  return status == COHORT_STOPPED ? save_where_stopped(own, error) : status;
}

/* A budget of privacy may end the run before its steps. */
static void end_with_budget(cohort_loop *own) {
  int64_t limit = cohort_run_limit(own->run);
  cohort_comm_broadcast(own->comm, 0, &limit, sizeof limit);
  if (limit >= own->settings->steps) return;
  own->session.ended_by = "privacy budget";
  cohort_log_line(own->log, "privacy    the budget is spent after %lld %s, and the run ends there", (long long)limit,
                  own->settings->is_federated ? "rounds" : "steps");
  own->settings->steps = limit;
}

static cohort_status run_session(cohort_loop *own, const char *run_path, cohort_error *error) {
  COHORT_TRY(cohort_run_create(own->settings, own->comm, own->log, own->threads, &own->run, error));
  COHORT_TRY(cohort_loop_begin(own, run_path, error));
  end_with_budget(own);
  const cohort_status status = train(own, error);
  const bool tells = status == COHORT_DONE || status == COHORT_STOPPED || status == COHORT_DIVERGED;
  return tells ? cohort_loop_finish(own, status, error) : status;
}

cohort_status cohort_loop_train(cohort_settings *settings, const char *run_path, cohort_comm *comm, cohort_log *log,
                                int threads, const cohort_loop_program *program, cohort_error *error) {
  cohort_loop own = {.settings = settings,
                     .comm = comm,
                     .log = log,
                     .program = program,
                     .threads = threads,
                     .saved_step = -1,
                     .start = cohort_clock_seconds(),
                     .directory = {.lock = {.descriptor = -1}},
                     .step_ended = find_step_hook()};
  cohort_signals_catch(log->speaks);
  cohort_status status = COHORT_DONE;
  if (cohort_finished(settings, run_path, comm))
    cohort_log_line(
        log, "%s has come to its end at step %lld; give more steps to resume it, or overwrite: true to begin anew",
        run_path, (long long)settings->steps);
  else
    status = run_session(&own, run_path, error);
  cohort_loop_close(&own);
  return status;
}
