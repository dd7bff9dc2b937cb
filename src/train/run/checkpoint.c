/* A run's state on disk: its spaces, the player's state, and where it stands. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/config.h"
#include "io/run_directory.h"
#include "train/run/state.h"

enum { MAX_FLATS = 192, PATH_ROOM = 128, NUMBERS = 6 };

/* What the reference says of the data. */
static const char table_flat[] = "/scores/flat/reference", table_view[] = "/scores/reference";

/* The flat datasets of a run and the vectors behind them. */
typedef struct stored_run {
  int flats;
  cohort_stored_flat flat[MAX_FLATS];
  char *vector[MAX_FLATS];
  size_t size[MAX_FLATS];                 /* bytes of an element */
  const cohort_shards *shards[MAX_FLATS]; /* NULL: every rank has all of it */
  char path[MAX_FLATS][2][PATH_ROOM];
  cohort_stored_tensor *tensor[COHORT_MAX_SPACES + 2]; /* of the spaces, of the table, of what is kept */
  int vectors;                                         /* of the flats; those behind them are row tables' */
} stored_run;

static void add_flat(const cohort_run *run, stored_run *stored, const char *flat_path, const char *view_path,
                     cohort_stored_type type, int64_t elements, int tensors, const cohort_stored_tensor *tensor,
                     void *vector, const cohort_shards *shards) {
  const int at = stored->flats++;
  (void)snprintf(stored->path[at][0], PATH_ROOM, "%s", flat_path);
  (void)snprintf(stored->path[at][1], PATH_ROOM, "%s", view_path);
  cohort_stored_flat *flat = &stored->flat[at];
  *flat = (cohort_stored_flat){.flat_path = stored->path[at][0],
                               .view_path = stored->path[at][1],
                               .type = type,
                               .elements = elements,
                               .tensors = tensors,
                               .tensor = tensor};
  cohort_checkpoint_slice(elements, run->comm->size, run->comm->rank, &flat->first, &flat->count);
  stored->size[at] = type == COHORT_STORED_FLOAT32 ? sizeof(float) : sizeof(int64_t);
  flat->slice = (char *)vector + (size_t)flat->first * stored->size[at];
  stored->vector[at] = vector;
  stored->shards[at] = shards;
}

static cohort_stored_tensor *table_of(const cohort_space *space) {
  cohort_stored_tensor *table = cohort_allocate((size_t)(space->tensors + 1) * sizeof *table);
  for (int t = 0; t < space->tensors; t++) {
    const cohort_space_tensor *tensor = &space->tensor[t];
    table[t] = (cohort_stored_tensor){
        .name = tensor->declared.name, .axes = tensor->declared.shape.axes, .offset = tensor->offset};
    for (int a = 0; a < table[t].axes; a++) table[t].size[a] = tensor->declared.shape.size[a];
  }
  return table;
}

static cohort_stored_type stored_type(cohort_state_type type) {
  if (type == COHORT_STATE_INTEGER) return COHORT_STORED_INT64;
  return type == COHORT_STATE_FLOAT64 ? COHORT_STORED_FLOAT64 : COHORT_STORED_FLOAT32;
}

/* What the server of a federated run keeps beside its optimizer: vectors that every rank has. */
static void list_server(const cohort_run *run, stored_run *stored) {
  const cohort_clients *clients = cohort_federation_clients(run->federation);
  const cohort_space *space = run->spaces.space[0];
  char flat_path[PATH_ROOM], view_path[PATH_ROOM];
  for (int i = 0; i < cohort_clients_vectors(clients); i++) {
    const char *name, *key = run->strategy.method->key;
    void *values = cohort_clients_vector(clients, i, &name);
    (void)snprintf(flat_path, PATH_ROOM, "/%s/flat/main/%s.%s", space->name, key, name);
    (void)snprintf(view_path, PATH_ROOM, "/%s/main/%s.%s", space->name, key, name);
    add_flat(run, stored, flat_path, view_path, COHORT_STORED_FLOAT32, space->elements, space->tensors,
             stored->tensor[0], values, NULL);
  }
}

/* What a player keeps, beside its space. */
static void list_slots(const cohort_run *run, int space, stored_run *stored) {
  char flat_path[PATH_ROOM], view_path[PATH_ROOM];
  const cohort_updater *updater = cohort_run_player(run, space);
  for (int i = 0; i < cohort_updater_slots(updater); i++) {
    const cohort_slot *slot = cohort_updater_slot(updater, i);
    if (slot->scratch) continue;
    (void)snprintf(flat_path, PATH_ROOM, "/%s/flat/main/%s", run->spaces.space[space]->name, slot->name);
    (void)snprintf(view_path, PATH_ROOM, "/%s/main/%s", run->spaces.space[space]->name, slot->name);
    add_flat(run, stored, flat_path, view_path, stored_type(slot->type), slot->elements, slot->tensors, slot->tensor,
             slot->values, slot->shards);
  }
}

static void list_flats(const cohort_run *run, stored_run *stored) {
  char flat_path[PATH_ROOM], view_path[PATH_ROOM];
  memset(stored, 0, sizeof *stored);
  for (int s = 0; s < run->spaces.count; s++) {
    cohort_space *space = run->spaces.space[s];
    stored->tensor[s] = table_of(space);
    (void)snprintf(flat_path, PATH_ROOM, "/%s/flat/parameters", space->name);
    (void)snprintf(view_path, PATH_ROOM, "/%s/parameters", space->name);
    const bool sharded = run->sharding == COHORT_SHARDING_PARAMETERS;
    add_flat(run, stored, flat_path, view_path, COHORT_STORED_FLOAT32, space->elements, space->tensors,
             stored->tensor[s], space->values, sharded ? run->spaces.layout->own[s] : NULL);
  }
  const cohort_space *state = run->spaces.state;
  if (state) {
    const cohort_stored_tensor *tensor = stored->tensor[COHORT_MAX_SPACES + 1] = table_of(state);
    add_flat(run, stored, "/state/flat/parameters", "/state/parameters", COHORT_STORED_FLOAT32, state->elements,
             state->tensors, tensor, state->values, NULL);
  }
  if (run->task.table) {
    cohort_stored_tensor *scores = stored->tensor[COHORT_MAX_SPACES] = cohort_allocate(sizeof *scores);
    *scores = (cohort_stored_tensor){
        .name = "log_probability", .axes = 2, .size = {run->task.table_rows, run->task.table_columns}};
    add_flat(run, stored, table_flat, table_view, COHORT_STORED_FLOAT32, run->task.table_rows * run->task.table_columns,
             1, scores, run->task.table, NULL);
  }
  for (int s = 0; s < run->spaces.trained; s++) list_slots(run, s, stored);
  if (run->federation) list_server(run, stored);
}

/* Row tables of the run, by index: the task's, and what clients keep; NULL past the last. */
static cohort_row_table *table_at(const cohort_run *run, int index) {
  if (index < run->task.tables) return run->task.rows[index];
  return run->federation && index == run->task.tables ? cohort_clients_table(cohort_federation_clients(run->federation))
                                                      : NULL;
}

/* Behind the vectors: for a save what the tables hold, for a load what they expect. */
static void list_tables(const cohort_run *run, stored_run *stored, bool save) {
  stored->vectors = stored->flats;
  cohort_row_table *table;
  for (int t = 0; (table = table_at(run, t)); t++) {
    (save ? cohort_row_table_gather : cohort_row_table_expect)(table, &stored->flat[stored->flats]);
    stored->flats += 1 + cohort_row_table_columns(table);
  }
}

static cohort_status take_tables(const cohort_run *run, stored_run *stored, cohort_error *error) {
  cohort_stored_flat *flat = &stored->flat[stored->vectors];
  cohort_status status = COHORT_DONE;
  cohort_row_table *table;
  for (int t = 0; (table = table_at(run, t)) && status == COHORT_DONE; t++) {
    status = cohort_row_table_scatter(table, flat, error);
    flat += 1 + cohort_row_table_columns(table);
  }
  return status;
}

static void release(const cohort_run *run, stored_run *stored) {
  cohort_stored_flat *flat = &stored->flat[stored->vectors];
  cohort_row_table *table;
  for (int t = 0; (table = table_at(run, t)); t++) {
    cohort_row_table_release(table, flat);
    flat += 1 + cohort_row_table_columns(table);
  }
  for (int s = 0; s < COHORT_MAX_SPACES + 2; s++) free(stored->tensor[s]);
}

/* The runs of elements of a sharded vector that `owner` holds of `writer`'s slice, as messages to or from `other`;
 * returns how many. Neighbours are one run. `message` NULL: only counts. */
static int list_runs(const stored_run *stored, int vector, int ranks, int owner, int writer, int other,
                     cohort_message *message) {
  const cohort_shards *shards = stored->shards[vector];
  const int member = shards->members->number_of[owner];
  int64_t first, count, end = -1;
  int runs = 0;
  cohort_checkpoint_slice(stored->flat[vector].elements, ranks, writer, &first, &count);
  for (int i = 0; i < shards->ranges[member]; i++) {
    const cohort_range range = shards->range[member][i];
    const int64_t from = range.offset > first ? range.offset : first;
    const int64_t range_end = range.offset + range.elements, to = range_end < first + count ? range_end : first + count;
    if (from >= to) continue;
    if (from != end && message)
      message[runs] = (cohort_message){other, stored->vector[vector] + (size_t)from * stored->size[vector], 0};
    runs += from != end;
    if (message) message[runs - 1].bytes += (size_t)(to - from) * stored->size[vector];
    end = to;
  }
  return runs;
}

/* All the messages of a sharded vector in one direction; returns how many. */
static int list_messages(const cohort_run *run, const stored_run *stored, int i, bool save, bool as_owner,
                         cohort_message *message) {
  const int me = run->comm->rank;
  const cohort_shard_group *members = stored->shards[i]->members;
  int messages = 0;
  for (int r = 0; r < run->comm->size; r++)
    if (r != me && (!save || members->replica_of[r] == members->replica))
      messages += list_runs(stored, i, run->comm->size, as_owner ? me : r, as_owner ? r : me, r,
                            message ? message + messages : NULL);
  return messages;
}

/* Before a save the owners of a sharded vector's elements send them to the ranks of their copy that write them; after a
 * load those that have read them send them to their owners in every copy. What a rank neither owns nor writes it never
 * holds. */
static void deal(const cohort_run *run, const stored_run *stored, bool save) {
  for (int i = 0; i < stored->vectors; i++) {
    if (!stored->shards[i]) continue;
    const int owned = list_messages(run, stored, i, save, true, NULL);
    const int written = list_messages(run, stored, i, save, false, NULL);
    cohort_message *own = cohort_allocate((size_t)(owned + written + 1) * sizeof *own), *other = own + owned;
    (void)list_messages(run, stored, i, save, true, own);
    (void)list_messages(run, stored, i, save, false, other);
    cohort_comm_name(run->comm, "exchange of slices");
    run->comm->exchange(run->comm, save ? owned : written, save ? own : other, save ? written : owned,
                        save ? other : own);
    free(own);
  }
}

/* After a load every rank has its slice of the vectors that all hold; the others' slices follow. */
static void spread(const cohort_run *run, const stored_run *stored) {
  size_t *offsets = cohort_allocate(2 * (size_t)run->comm->size * sizeof *offsets);
  size_t *bytes = offsets + run->comm->size;
  for (int i = 0; i < stored->vectors; i++) {
    if (stored->shards[i]) continue;
    for (int r = 0; r < run->comm->size; r++) {
      int64_t first, count;
      cohort_checkpoint_slice(stored->flat[i].elements, run->comm->size, r, &first, &count);
      offsets[r] = (size_t)first * stored->size[i];
      bytes[r] = (size_t)count * stored->size[i];
    }
    cohort_comm_gather_all(run->comm, stored->vector[i], offsets, bytes);
  }
  free(offsets);
  deal(run, stored, false);
}

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

static cohort_checkpoint describe(const cohort_run *run, stored_run *stored, const cohort_stored_text *texts, int count,
                                  cohort_stored_number *numbers) {
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

/* The table's digest in a file: of the data that it is about. */
static char *table_digest(const cohort_run *run) {
  return cohort_format_text("%016llx", (unsigned long long)run->task.digest);
}

char *cohort_run_evaluated_text(const char *space) {
  return strcmp(space, "model") == 0 ? cohort_copy_text("evaluated") : cohort_format_text("evaluated_%s", space);
}

cohort_status cohort_run_save(cohort_run *run, const char *directory, const char *name, uint64_t *bytes_written,
                              cohort_error *error) {
  stored_run stored;
  cohort_run_wait(run);
  list_flats(run, &stored);
  list_tables(run, &stored, true);
  char *config = cohort_config_write(run->settings->expanded);
  const char *const program = run->settings->program, *slot = NULL;
  if (run->updater) slot = cohort_updater_evaluated_slot(run->updater);
  char evaluated[PATH_ROOM], *evaluated_text = slot ? cohort_run_evaluated_text(run->spaces.space[0]->name) : NULL;
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
  char *scores = table_digest(run);
  if (run->task.table) texts[count++] = (cohort_stored_text){"scores", scores};
  cohort_stored_number numbers[NUMBERS];
  const cohort_checkpoint checkpoint = describe(run, &stored, texts, count, numbers);
  deal(run, &stored, true);
  const cohort_status status = cohort_checkpoint_save(run->comm, directory, name, &checkpoint, bytes_written, error);
  free(best);
  free(evaluated_text);
  free(config);
  free(scores);
  release(run, &stored);
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
  stored_run stored;
  list_flats(run, &stored);
  list_tables(run, &stored, false);
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
  if (status == COHORT_DONE && *found) status = take_tables(run, &stored, error);
  if (status == COHORT_DONE && *found) {
    spread(run, &stored);
    for (int s = 0; s < run->spaces.trained; s++) cohort_updater_loaded(cohort_run_player(run, s));
    run->begun = true;
    run->step = numbers[0].value;
    run->samples = numbers[1].value;
    run->best = (cohort_run_best){numbers[4].value, number_of(numbers[5].value)};
  }
  release(run, &stored);
  return status;
}

static cohort_status read_table(cohort_run *run, const char *path, cohort_error *error) {
  const int64_t elements = run->task.table_rows * run->task.table_columns;
  char *found = NULL, *wanted = table_digest(run);
  cohort_flat_contents contents = {0};
  cohort_status status = cohort_checkpoint_text(path, "scores", &found, error);
  if (status == COHORT_DONE && strcmp(found, wanted) != 0)
    status =
        cohort_fail(error, COHORT_BAD_DATA,
                    "%s: its stored reference is about other data; take the run's data, or reference: computed", path);
  if (status == COHORT_DONE) status = cohort_checkpoint_read_flat(path, table_flat, table_view, &contents, error);
  if (status == COHORT_DONE && contents.elements != elements)
    status =
        cohort_fail(error, COHORT_BAD_DATA, "%s: its stored reference has %lld numbers, not %lld; start another run",
                    path, (long long)contents.elements, (long long)elements);
  if (status == COHORT_DONE) memcpy(run->task.table, contents.data, (size_t)elements * sizeof(float));
  cohort_flat_release(&contents);
  free(found);
  free(wanted);
  return status;
}

/* A file of the same run brings what its reference said. */
cohort_status cohort_run_take_table(cohort_run *run, const char *path, cohort_error *error) {
  const cohort_status status = run->comm->rank == 0 ? read_table(run, path, error) : COHORT_DONE;
  COHORT_TRY(cohort_comm_agree_error(run->comm, status, error));
  cohort_comm_broadcast(run->comm, 0, run->task.table,
                        (size_t)(run->task.table_rows * run->task.table_columns) * sizeof(float));
  return COHORT_DONE;
}
