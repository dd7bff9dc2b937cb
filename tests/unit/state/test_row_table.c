/* Row tables: rows that travel and come home, ids that stand twice, and checkpoints of written rows alone, with the
 * same bits on any number of ranks. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/comm.h"
#include "check.h"
#include "state/row_table.h"

enum { BATCH = 60, WIDTH = 700, IDS = 37, ROUNDS = 3 };

static const cohort_row_column columns[] = {
    {"vector", COHORT_STORED_FLOAT32, WIDTH}, {"sum", COHORT_STORED_FLOAT64, 3}, {"count", COHORT_STORED_INT64, 1}};

/* What the ranks of one world leave for the test to look at. */
typedef struct outcome {
  _Atomic int wrong;
  char folder[64];
  float vector[IDS * WIDTH];
  double sum[IDS * 3];
  int64_t count[IDS];
  bool found[IDS];
} outcome;

static void expect(outcome *all, bool holds) {
  if (!holds) all->wrong++;
}

/* Position p of a batch: which id, and what it brings; floats whose sum depends on the order. */
static int64_t id_of(int round, int64_t position) { return (position * 7 + round) % 11 * 1000003 % IDS; }
static float value_of(int round, int64_t position, int64_t e) {
  return 1.0f / (float)(1 + (position * 31 + e * 17 + round * 5) % 101) * ((position + e) % 3 ? 1 : -1e3f);
}

/* This rank's positions of a batch: dealt like cards, or in one run. */
static int64_t deal(const cohort_comm *comm, int round, int64_t *position) {
  int64_t count = 0;
  for (int64_t p = 0; p < BATCH; p++)
    if ((round % 2 ? p % comm->size : p * comm->size / BATCH) == comm->rank) position[count++] = p;
  return count;
}

static void write_batch(cohort_comm *comm, cohort_row_table *table, int round, cohort_row_join join) {
  int64_t position[BATCH], id[BATCH], one[BATCH];
  const int64_t count = deal(comm, round, position);
  float *vector = calloc(BATCH * WIDTH, sizeof *vector);
  double sum[BATCH * 3];
  for (int64_t i = 0; i < count; i++) {
    id[i] = id_of(round, position[i]);
    one[i] = 1;
    for (int64_t e = 0; e < WIDTH; e++) vector[i * WIDTH + e] = value_of(round, position[i], e);
    for (int64_t e = 0; e < 3; e++) sum[i * 3 + e] = (double)value_of(round, position[i], e) / 3;
  }
  const void *const rows[] = {vector, round == 1 ? NULL : sum, one};
  cohort_row_table_write(table, count, id, position, rows, join);
  free(vector);
}

/* All ids, on the first rank alone, backwards; other ranks read one that is there or none. */
static void read_all(cohort_comm *comm, cohort_row_table *table, outcome *all) {
  int64_t id[IDS], other = comm->rank;
  float mine[WIDTH];
  double sum[3];
  int64_t count;
  if (comm->rank) {
    cohort_row_table_read(table, comm->rank % 2, &other, (void *[]){mine, sum, &count}, NULL);
    return;
  }
  for (int64_t i = 0; i < IDS; i++) id[i] = IDS - 1 - i;
  cohort_row_table_read(table, IDS, id, (void *[]){all->vector, all->sum, all->count}, all->found);
}

static cohort_status joins(cohort_comm *comm, void *argument) {
  outcome *all = argument;
  cohort_row_table *table = cohort_row_table_create(comm, "clients", 3, columns);
  static const cohort_row_join join[ROUNDS] = {COHORT_ROW_SUM, COHORT_ROW_ADD, COHORT_ROW_MEAN};
  for (int round = 0; round < ROUNDS; round++) write_batch(comm, table, round, join[round]);
  read_all(comm, table, all);
  cohort_row_table_destroy(table);
  return COHORT_DONE;
}

/* What one loop over all positions in their order gives. */
static void join_plainly(outcome *all) {
  static float vector[IDS][WIDTH];
  static double sum[IDS][3];
  int64_t count[IDS] = {0};
  bool found[IDS] = {false};
  memset(vector, 0, sizeof vector);
  memset(sum, 0, sizeof sum);
  for (int round = 0; round < ROUNDS; round++) {
    int64_t times[IDS] = {0};
    for (int64_t p = 0; p < BATCH; p++) {
      const int64_t id = id_of(round, p);
      const bool fresh = times[id]++ == 0 && round != 1;
      found[id] = true;
      for (int64_t e = 0; e < WIDTH; e++)
        vector[id][e] = fresh ? value_of(round, p, e) : vector[id][e] + value_of(round, p, e);
      for (int64_t e = 0; e < 3 && round != 1; e++)
        sum[id][e] = fresh ? (double)value_of(round, p, e) / 3 : sum[id][e] + (double)value_of(round, p, e) / 3;
      count[id] = fresh ? 1 : count[id] + 1;
    }
    for (int64_t id = 0; id < IDS && round == 2; id++) {
      if (!times[id]) continue;
      for (int64_t e = 0; e < WIDTH; e++) vector[id][e] /= (float)times[id];
      for (int64_t e = 0; e < 3; e++) sum[id][e] /= (double)times[id];
      count[id] /= times[id];
    }
  }
  for (int64_t i = 0; i < IDS; i++) {
    const int64_t id = IDS - 1 - i;
    memcpy(all->vector + i * WIDTH, vector[id], sizeof vector[id]);
    memcpy(all->sum + i * 3, sum[id], sizeof sum[id]);
    all->count[i] = count[id];
    all->found[i] = found[id];
  }
}

static bool same(const outcome *a, const outcome *b) {
  return memcmp(a->vector, b->vector, sizeof a->vector) == 0 && memcmp(a->sum, b->sum, sizeof a->sum) == 0 &&
         memcmp(a->count, b->count, sizeof a->count) == 0 && memcmp(a->found, b->found, sizeof a->found) == 0;
}

static void contributions_join_in_the_order_of_positions(void) {
  static outcome plain, dealt;
  join_plainly(&plain);
  for (int ranks = 1; ranks <= 5; ranks++) {
    memset(&dealt, 0, sizeof dealt);
    CU_ASSERT_EQUAL_FATAL(cohort_comm_run_threads(ranks, joins, &dealt), COHORT_DONE);
    CU_ASSERT(same(&plain, &dealt));
  }
}

static cohort_status last_wins(cohort_comm *comm, void *argument) {
  outcome *all = argument;
  cohort_row_table *table = cohort_row_table_create(comm, "slots", 1, &columns[2]);
  /* the same id from every rank, the highest position from the first; and an id far away */
  const int64_t id[] = {5, INT64_MAX}, position[] = {2 * (comm->size - comm->rank), 2 * comm->rank + 1};
  const int64_t value[] = {100 + comm->rank, comm->rank};
  cohort_row_table_write(table, 2, id, position, (const void *[]){value}, COHORT_ROW_LAST);
  int64_t got[3] = {-1, -1, -1}, *ids = NULL;
  bool found[3];
  cohort_row_table_read(table, 3, (const int64_t[]){INT64_MAX, 6, 5}, (void *[]){got}, found);
  expect(all, got[0] == comm->size - 1 && got[1] == 0 && got[2] == 100);
  expect(all, found[0] && !found[1] && found[2]);
  expect(all, cohort_row_table_ids(table, &ids) == 2 && ids[0] == 5 && ids[1] == INT64_MAX);
  free(ids);
  cohort_row_table_clear(table);
  cohort_row_table_read(table, 1, id, (void *[]){got}, found);
  expect(all, !found[0] && got[0] == 0 && cohort_row_table_ids(table, &ids) == 0);
  free(ids);
  cohort_row_table_destroy(table);
  return COHORT_DONE;
}

static void the_last_position_wins(void) {
  for (int ranks = 1; ranks <= 4; ranks++) {
    outcome all = {.wrong = 0};
    CU_ASSERT_EQUAL(cohort_comm_run_threads(ranks, last_wins, &all), COHORT_DONE);
    CU_ASSERT_EQUAL(all.wrong, 0);
  }
}

static cohort_checkpoint checkpoint_of(cohort_stored_flat *flat) {
  return (cohort_checkpoint){.step = 3, .flats = 4, .flat = flat};
}

static cohort_status save(cohort_comm *comm, void *argument) {
  outcome *all = argument;
  cohort_error error;
  cohort_stored_flat flat[4];
  cohort_row_table *table = cohort_row_table_create(comm, "clients", 3, columns);
  for (int round = 0; round < ROUNDS && all->found[0]; round++) write_batch(comm, table, round, COHORT_ROW_ADD);
  cohort_row_table_gather(table, flat);
  const cohort_checkpoint checkpoint = checkpoint_of(flat);
  char name[16];
  snprintf(name, sizeof name, "%d.h5", comm->size);
  expect(all, cohort_checkpoint_save(comm, all->folder, name, &checkpoint, NULL, &error) == COHORT_DONE);
  cohort_row_table_release(table, flat);
  read_all(comm, table, all);
  cohort_row_table_destroy(table);
  return COHORT_DONE;
}

static cohort_status load(cohort_comm *comm, void *argument) {
  outcome *all = argument;
  cohort_error error = {.text = ""};
  cohort_stored_flat flat[4];
  cohort_row_table *table = cohort_row_table_create(comm, "clients", 3, columns);
  if (comm->size % 2) write_batch(comm, table, 1, COHORT_ROW_SUM); /* gone with the load */
  cohort_row_table_expect(table, flat);
  cohort_checkpoint checkpoint = checkpoint_of(flat);
  char path[96];
  snprintf(path, sizeof path, "%s/3.h5", all->folder);
  expect(all, cohort_checkpoint_load(comm, path, &checkpoint, &error) == COHORT_DONE);
  expect(all, cohort_row_table_scatter(table, flat, &error) == COHORT_DONE);
  cohort_row_table_release(table, flat);
  read_all(comm, table, all);
  cohort_row_table_destroy(table);
  return COHORT_DONE;
}

/* `rows`: whether there are any. */
static void check_saves(bool rows) {
  static outcome saved, loaded;
  bool equal = false;
  cohort_error error;
  char path[2][96];
  memset(&saved, 0, sizeof saved);
  strcpy(saved.folder, "/tmp/row_table_XXXXXX");
  CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(saved.folder));
  for (int ranks = 1; ranks <= 3; ranks++) {
    saved.found[0] = rows;
    CU_ASSERT_EQUAL(cohort_comm_run_threads(ranks, save, &saved), COHORT_DONE);
    snprintf(path[ranks > 1], sizeof path[0], "%s/%d.h5", saved.folder, ranks);
    if (ranks == 1) continue;
    CU_ASSERT_EQUAL(cohort_checkpoint_compare(path[0], path[1], &equal, &error), COHORT_DONE);
    CU_ASSERT(equal);
  }
  CU_ASSERT_EQUAL(saved.wrong, 0);
  for (int ranks = 1; ranks <= 5; ranks++) {
    memset(&loaded, 0, sizeof loaded);
    strcpy(loaded.folder, saved.folder);
    CU_ASSERT_EQUAL(cohort_comm_run_threads(ranks, load, &loaded), COHORT_DONE);
    CU_ASSERT_EQUAL(loaded.wrong, 0);
    CU_ASSERT(same(&saved, &loaded));
  }
  for (int ranks = 1; ranks <= 3; ranks++) {
    snprintf(path[0], sizeof path[0], "%s/%d.h5", saved.folder, ranks);
    CU_ASSERT_EQUAL(unlink(path[0]), 0);
  }
  CU_ASSERT_EQUAL(rmdir(saved.folder), 0);
}

static void written_rows_are_saved(void) { check_saves(true); }
static void a_table_without_rows_is_saved(void) { check_saves(false); }

static cohort_status touch(cohort_comm *comm, void *argument) {
  outcome *all = argument;
  cohort_row_table *table = cohort_row_table_create(comm, "clients", 3, columns);
  write_batch(comm, table, 0, COHORT_ROW_ADD);
  int64_t *ids = NULL;
  const int64_t rows = cohort_row_table_ids(table, &ids);
  expect(all, rows > 5 && rows < IDS); /* the batch has some ids, several times each */
  if (comm->size == 1)
    expect(all, (int64_t)cohort_row_table_bytes(table) == rows * (int64_t)(WIDTH * 4 + 3 * 8 + 8 + 8));
  free(ids);
  cohort_row_table_destroy(table);
  return COHORT_DONE;
}

static void only_written_rows_take_memory(void) {
  for (int ranks = 1; ranks <= 2; ranks++) {
    outcome all = {.wrong = 0};
    CU_ASSERT_EQUAL(cohort_comm_run_threads(ranks, touch, &all), COHORT_DONE);
    CU_ASSERT_EQUAL(all.wrong, 0);
  }
}

static const check checks[] = {
    {"contributions join in the order of positions", contributions_join_in_the_order_of_positions},
    {"the last position wins", the_last_position_wins},
    {"written rows are saved", written_rows_are_saved},
    {"a table without rows is saved", a_table_without_rows_is_saved},
    {"only written rows take memory", only_written_rows_take_memory}};
int main(void) { return check_run("row table", checks, sizeof checks / sizeof *checks); }
