/* A run's state on disk: its spaces, the player's state, and where it stands. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/config.h"
#include "io/run_directory.h"
#include "train/run/stored.h"

enum { NUMBERS = 6 };

static int64_t bits_of(double number) {
  int64_t bits;
  memcpy(&bits, &number, sizeof bits);
  return bits;
}

static double number_of(int64_t bits) {
  double number;
  memcpy(&number, &bits, sizeof number);
  return number;
}

static cohort_checkpoint describe(const cohort_run *run, cohort_stored_run *stored, const cohort_stored_text *texts,
                                  int count, cohort_stored_number *numbers) {
  numbers[0] = (cohort_stored_number){"step", run->step};
  numbers[1] = (cohort_stored_number){"samples", run->samples};
  numbers[2] = (cohort_stored_number){"dataset", (int64_t)run->task.digest};
  numbers[3] = (cohort_stored_number){"lanes", run->lanes};
  numbers[4] = (cohort_stored_number){"best_step", run->best.step};
  numbers[5] = (cohort_stored_number){"best_loss_bits", bits_of(run->best.loss)};
  return (cohort_checkpoint){.step = run->step,
                             .seed = (uint64_t)run->settings->seed,
                             .texts = count,
                             .text = texts,
                             .numbers = NUMBERS,
                             .number = numbers,
                             .flats = stored->flats,
                             .flat = stored->flat,
                             .lock = run->lock};
}

void cohort_run_guard(cohort_run *run, const cohort_run_lock *lock) { run->lock = lock; }

char *cohort_run_evaluated_text(const char *space) {
  return strcmp(space, "model") == 0 ? cohort_copy_text("evaluated") : cohort_format_text("evaluated_%s", space);
}

/* What is evaluated instead of the weights: a vector of the optimizer's, or of the strategy's. Owned by the caller. */
static char *evaluated_slot(const cohort_run *run) {
  const char *name = NULL, *slot = run->updater ? cohort_updater_evaluated_slot(run->updater) : NULL;
  if (slot) return cohort_copy_text(slot);
  if (!run->federation || !cohort_clients_evaluated(cohort_federation_clients(run->federation), &name)) return NULL;
  return cohort_format_text("%s.%s", run->strategy.method->key, name);
}

cohort_status cohort_run_save(cohort_run *run, const char *directory, const char *name, uint64_t *bytes_written,
                              cohort_error *error) {
  cohort_stored_run stored;
  cohort_run_wait(run);
  cohort_stored_list(run, &stored, true);
  char *config = cohort_config_write(run->settings->expanded);
  const char *const program = run->settings->program;
  char *slot = evaluated_slot(run),
       *evaluated_text = slot ? cohort_run_evaluated_text(run->spaces.space[0]->name) : NULL;
  char evaluated[COHORT_PATH_ROOM];
  (void)snprintf(evaluated, sizeof evaluated, "main/%s", slot ? slot : "");
  char *best =
      cohort_format_text("%lld %lld", (long long)run->before_end.step, (long long)bits_of(run->before_end.loss));
  cohort_stored_text texts[] = {{"kind", run->task.functions->name},
                                {"kernels", run->kernels->name},
                                {"config", config},
                                {"program", program ? program : "unknown"},
                                {NULL, NULL},
                                {NULL, NULL},
                                {NULL, NULL}};
  int count = 4;
  if (slot) texts[count++] = (cohort_stored_text){evaluated_text, evaluated};
  if (run->ended) texts[count++] = (cohort_stored_text){"best_before_end", best};
  char *scores = cohort_run_scores_text(run);
  if (scores) texts[count++] = (cohort_stored_text){"scores", scores};
  cohort_stored_number numbers[NUMBERS];
  const cohort_checkpoint checkpoint = describe(run, &stored, texts, count, numbers);
  cohort_stored_deal(run, &stored, true);
  const cohort_status status = cohort_checkpoint_save(run->comm, directory, name, &checkpoint, bytes_written, error);
  free(best);
  free(slot);
  free(evaluated_text);
  free(config);
  free(scores);
  cohort_stored_release(run, &stored);
  return status;
}

void cohort_run_forget_end(cohort_run *run, const char *path) {
  char *text = NULL;
  cohort_error ignored; /* the end made no evaluation of its own */
  int64_t number[2] = {run->best.step, bits_of(run->best.loss)};
  if (run->comm->rank == 0 && cohort_checkpoint_text(path, "best_before_end", &text, &ignored) == COHORT_DONE) {
    char *rest = NULL;
    number[0] = strtoll(text, &rest, 10);
    number[1] = strtoll(rest, NULL, 10);
    free(text);
  }
  cohort_comm_broadcast(run->comm, 0, number, sizeof number);
  run->best = (cohort_run_best){number[0], number_of(number[1])};
}

static cohort_status check_kernels(const cohort_run *run, const char *path, cohort_error *error) {
  char *kernels = NULL;
  cohort_status status = COHORT_DONE;
  if (run->comm->rank == 0) {
    status = cohort_checkpoint_text(path, "kernels", &kernels, error);
    if (status == COHORT_DONE && strcmp(kernels, run->kernels->name) != 0)
      cohort_log_warning(run->log,
                         "%s was written with kernels %s, this run uses %s: its bits will differ from there on", path,
                         kernels, run->kernels->name);
    free(kernels);
  }
  return cohort_comm_agree_error(run->comm, status, error);
}

static cohort_status load_last(cohort_run *run, const char *last, cohort_checkpoint *checkpoint, bool *found,
                               char **path, cohort_error *error) {
  COHORT_TRY(cohort_checkpoint_load(run->comm, last, checkpoint, error));
  *found = true;
  *path = cohort_copy_text(last);
  return COHORT_DONE;
}

/* Where `last` and the newest checkpoint stand; -1: there is none, or it cannot be read. */
typedef struct standing {
  int64_t last, newest;
  bool exists; /* last, whatever it is worth */
} standing;

static cohort_status look(const cohort_run *run, const char *directory, const char *last, standing *out,
                          cohort_error *error) {
  cohort_error fault;
  out->exists = cohort_file_exists(last);
  if (out->exists) out->last = cohort_checkpoint_step(last, &fault);
  if (out->exists && out->last < 0) cohort_log_warning(run->log, "%s; trying the checkpoints", fault.text);
  return cohort_checkpoint_last_step(directory, &out->newest, error);
}

/* The newer of the two first, then the other. */
static cohort_status find(cohort_run *run, const char *directory, const char *last, cohort_checkpoint *checkpoint,
                          bool *found, char **path, cohort_error *error) {
  standing stands = {-1, -1, false};
  const cohort_status seen = run->comm->rank == 0 ? look(run, directory, last, &stands, error) : COHORT_DONE;
  COHORT_TRY(cohort_comm_agree_error(run->comm, seen, error));
  cohort_comm_broadcast(run->comm, 0, &stands, sizeof stands);
  if (stands.last >= 0 && stands.last >= stands.newest) {
    const cohort_status status = load_last(run, last, checkpoint, found, path, error);
    if (status != COHORT_BAD_DATA || stands.newest < 0) return status;
    cohort_log_warning(run->log, "%s; trying the checkpoints", error->text);
    return cohort_checkpoint_resume(run->comm, run->log, directory, checkpoint, found, path, error);
  }
  const cohort_status status = cohort_checkpoint_resume(run->comm, run->log, directory, checkpoint, found, path, error);
  if (!stands.exists || *found || (status != COHORT_DONE && status != COHORT_BAD_DATA)) return status;
  if (status == COHORT_BAD_DATA && stands.last < 0) return status;
  return load_last(run, last, checkpoint, found, path, error);
}

cohort_status cohort_run_resume(cohort_run *run, const char *directory, const char *last, bool *found, char **path,
                                cohort_error *error) {
  cohort_stored_run stored;
  cohort_stored_list(run, &stored, false);
  cohort_stored_number numbers[NUMBERS];
  cohort_checkpoint checkpoint = describe(run, &stored, NULL, 0, numbers);
  cohort_status status = find(run, directory, last, &checkpoint, found, path, error);
  if (status == COHORT_DONE && *found) {
    if ((uint64_t)numbers[2].value != run->task.digest)
      status =
          cohort_fail(error, COHORT_BAD_DATA, "%s: the data have changed since it was saved; start another run", *path);
    else if (numbers[3].value != run->lanes)
      status =
          cohort_settings_fail(run->settings, "lanes", error, "lanes: %s was saved with %lld lanes, this run has %d",
                               *path, (long long)numbers[3].value, run->lanes);
    else
      status = check_kernels(run, *path, error);
  }
  if (status == COHORT_DONE && *found) status = cohort_stored_take_tables(run, &stored, error);
  if (status == COHORT_DONE && *found) status = cohort_run_check_scores(run, *path, error);
  if (status == COHORT_DONE && *found) {
    cohort_stored_spread(run, &stored);
    for (int s = 0; s < run->spaces.trained; s++) cohort_updater_loaded(cohort_run_player(run, s));
    run->begun = true;
    run->step = numbers[0].value;
    run->samples = numbers[1].value;
    run->best = (cohort_run_best){numbers[4].value, number_of(numbers[5].value)};
  }
  cohort_stored_release(run, &stored);
  return status;
}
