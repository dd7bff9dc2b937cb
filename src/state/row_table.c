/* Row tables. A rank holds the rows whose id leaves its number as a remainder, in the order in which they were first
 * written, found through a hash of ids; what is not there is zero. A read sends ids to their holders and rows back; a
 * write sends ids, positions and rows, which the holder sorts by (id, position) before it joins them: so the order of
 * additions is the batch's, not that of arrival.
 *
 *   ids -> holders -> rows        read, two exchanges after one of counts
 *   ids, positions, rows -> holders: sorted, joined, kept        write, one exchange after one of counts
 *
 * Time and traffic follow the rows of a batch, memory the rows that were ever written. */
#include "state/row_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "state/row_table_state.h"

enum { FIRST_ROWS = 64 };

size_t cohort_row_bytes(const cohort_row_table *table, int column) {
  const cohort_row_column *own = &table->column[column];
  return (size_t)own->elements * (own->type == COHORT_STORED_FLOAT32 ? sizeof(float) : sizeof(int64_t));
}

cohort_row_table *cohort_row_table_create(cohort_comm *comm, const char *name, int columns,
                                          const cohort_row_column *column) {
  cohort_row_table *table = cohort_allocate(sizeof *table);
  table->comm = comm;
  table->name = cohort_copy_text(name);
  table->columns = columns;
  for (int c = 0; c < columns; c++) {
    table->column[c] = column[c];
    table->column[c].name = cohort_copy_text(column[c].name);
  }
  table->counts = cohort_allocate(4 * (size_t)comm->size * sizeof *table->counts);
  table->message = cohort_allocate(2 * (size_t)comm->size * sizeof *table->message);
  return table;
}

void cohort_row_table_destroy(cohort_row_table *table) {
  if (!table) return;
  for (int c = 0; c < table->columns; c++) {
    free((char *)(uintptr_t)table->column[c].name);
    free(table->values[c]);
  }
  free(table->name);
  free(table->id);
  free(table->place);
  free(table->counts);
  free(table->message);
  cohort_scratch_release(&table->order);
  cohort_scratch_release(&table->wanted);
  cohort_scratch_release(&table->packed);
  cohort_scratch_release(&table->given);
  free(table);
}

const char *cohort_row_table_name(const cohort_row_table *table) { return table->name; }
int cohort_row_table_columns(const cohort_row_table *table) { return table->columns; }
const cohort_row_column *cohort_row_table_column(const cohort_row_table *table, int column) {
  return &table->column[column];
}

void cohort_row_table_clear(cohort_row_table *table) {
  table->rows = 0;
  for (int64_t i = 0; i < table->places; i++) table->place[i] = -1;
}

double cohort_row_table_bytes(const cohort_row_table *table) {
  double bytes = sizeof(int64_t);
  for (int c = 0; c < table->columns; c++) bytes += (double)cohort_row_bytes(table, c);
  return bytes * (double)table->rows;
}

/* ---- rows of this rank ---- */

/* Where the hash of an id begins to look: the finaliser of MurmurHash3. */
static uint64_t mix(uint64_t id) {
  id ^= id >> 33;
  id *= UINT64_C(0xff51afd7ed558ccd);
  id ^= id >> 33;
  id *= UINT64_C(0xc4ceb9fe1a85ec53);
  return id ^ id >> 33;
}

/* The place that holds an id, or the free one where it belongs. */
static int64_t place_of(const cohort_row_table *table, int64_t id) {
  const uint64_t mask = (uint64_t)table->places - 1;
  uint64_t at = mix((uint64_t)id) & mask;
  while (table->place[at] >= 0 && table->id[table->place[at]] != id) at = (at + 1) & mask;
  return (int64_t)at;
}

static int64_t find(const cohort_row_table *table, int64_t id) {
  return table->places ? table->place[place_of(table, id)] : -1;
}

/* Twice as much room; half of the hash's places stay free. */
static void grow(cohort_row_table *table) {
  table->room = table->room ? 2 * table->room : FIRST_ROWS;
  table->places = 2 * table->room;
  table->id = cohort_reallocate(table->id, (size_t)table->room * sizeof *table->id);
  for (int c = 0; c < table->columns; c++)
    table->values[c] = cohort_reallocate(table->values[c], (size_t)table->room * cohort_row_bytes(table, c));
  table->place = cohort_reallocate(table->place, (size_t)table->places * sizeof *table->place);
  for (int64_t i = 0; i < table->places; i++) table->place[i] = -1;
  for (int64_t row = 0; row < table->rows; row++) table->place[place_of(table, table->id[row])] = row;
}

int64_t cohort_row_table_touch(cohort_row_table *table, int64_t id) {
  if (table->rows == table->room) grow(table);
  int64_t *place = &table->place[place_of(table, id)];
  if (*place >= 0) return *place;
  *place = table->rows;
  table->id[table->rows] = id;
  for (int c = 0; c < table->columns; c++) {
    const size_t bytes = cohort_row_bytes(table, c);
    memset(table->values[c] + (size_t)table->rows * bytes, 0, bytes);
  }
  return table->rows++;
}

/* ---- exchanges ---- */

/* Room of all, one after another: offsets[r] in units of `bytes`. */
static void list(cohort_row_table *table, char *out, const int64_t *sent, char *in, const int64_t *received,
                 size_t bytes) {
  cohort_message *send = table->message, *receive = send + table->comm->size;
  for (int r = 0; r < table->comm->size; r++) {
    send[r] = (cohort_message){r, out, (size_t)sent[r] * bytes};
    receive[r] = (cohort_message){r, in, (size_t)received[r] * bytes};
    out += send[r].bytes;
    in += receive[r].bytes;
  }
}

void cohort_row_table_exchange(cohort_row_table *table, void *out, const int64_t *sent, void *in,
                               const int64_t *received, size_t bytes) {
  const int size = table->comm->size;
  list(table, out, sent, in, received, bytes);
  cohort_comm_name(table->comm, "exchange of rows");
  table->comm->exchange(table->comm, size, table->message, size, table->message + size);
  cohort_comm_name(table->comm, "exchange");
}

/* How many rows go to, and come from, every rank; `order` receives the rows of this rank by holder. */
static int64_t count_rows(cohort_row_table *table, int64_t count, const int64_t *id, int64_t *order) {
  const int size = table->comm->size;
  int64_t *sent = table->counts, *received = sent + size, *next = received + size, *one = next + size;
  memset(sent, 0, (size_t)size * sizeof *sent);
  for (int64_t i = 0; i < count; i++) sent[id[i] % size]++;
  int64_t before = 0, total = 0;
  for (int r = 0; r < size; r++) {
    next[r] = before;
    before += sent[r];
    one[r] = 1;
  }
  for (int64_t i = 0; i < count; i++) order[next[id[i] % size]++] = i;
  cohort_row_table_exchange(table, sent, one, received, one, sizeof *sent);
  for (int r = 0; r < size; r++) total += received[r];
  return total;
}

/* Room for rows that go to others and come from them, of which a rank by itself has one: what goes is what comes. */
static char *take_room(cohort_row_table *table, int64_t go, int64_t come, size_t bytes, char **coming) {
  const bool alone = table->comm->size == 1;
  char *going = cohort_scratch_take(&table->packed, (size_t)(alone ? go : go + come) * bytes);
  *coming = alone ? going : going + (size_t)go * bytes;
  return going;
}

/* Bytes of a row in a message, where a column that is NULL does not travel. */
static size_t packed_bytes(const cohort_row_table *table, const void *const *rows, size_t head) {
  size_t bytes = head;
  for (int c = 0; c < table->columns; c++) bytes += rows[c] ? cohort_row_bytes(table, c) : 0;
  return bytes;
}

/* The rows that others have asked for; one byte before each says whether it is there. */
static void answer(const cohort_row_table *table, int64_t asked, const int64_t *wanted, const void *const *columns,
                   char *out) {
  for (int64_t i = 0; i < asked; i++) {
    const int64_t row = find(table, wanted[i]);
    *out++ = row >= 0;
    for (int c = 0; c < table->columns; c++) {
      if (!columns[c]) continue;
      const size_t bytes = cohort_row_bytes(table, c);
      if (row >= 0)
        memcpy(out, table->values[c] + (size_t)row * bytes, bytes);
      else
        memset(out, 0, bytes);
      out += bytes;
    }
  }
}

void cohort_row_table_read(cohort_row_table *table, int64_t count, const int64_t *id, void *const *out, bool *found) {
  const int size = table->comm->size;
  const void *columns[COHORT_MAX_ROW_COLUMNS];
  for (int c = 0; c < table->columns; c++) columns[c] = out[c];
  const size_t bytes = packed_bytes(table, columns, 1);
  int64_t *order = cohort_scratch_take(&table->order, 2 * (size_t)count * sizeof *order), *mine = order + count;
  const int64_t asked = count_rows(table, count, id, order);
  const int64_t *sent = table->counts, *received = sent + size;
  int64_t *wanted = cohort_scratch_take(&table->wanted, (size_t)asked * sizeof *wanted);
  char *coming, *going = take_room(table, asked, count, bytes, &coming);
  for (int64_t i = 0; i < count; i++) mine[i] = id[order[i]];
  cohort_row_table_exchange(table, mine, sent, wanted, received, sizeof *wanted);
  answer(table, asked, wanted, columns, going);
  if (size > 1) cohort_row_table_exchange(table, going, received, coming, sent, bytes);
  for (int64_t i = 0; i < count; i++) {
    const char *at = coming + (size_t)i * bytes;
    if (found) found[order[i]] = *at != 0;
    at++;
    for (int c = 0; c < table->columns; c++) {
      if (!out[c]) continue;
      memcpy((char *)out[c] + (size_t)order[i] * cohort_row_bytes(table, c), at, cohort_row_bytes(table, c));
      at += cohort_row_bytes(table, c);
    }
  }
}

/* A row that a write brings; `row` is its columns, one after another. */
typedef struct contribution {
  int64_t id, position;
  const char *row;
} contribution;

static int by_id_and_position(const void *a, const void *b) {
  const contribution *x = a, *y = b;
  if (x->id != y->id) return x->id < y->id ? -1 : 1;
  return (x->position > y->position) - (x->position < y->position);
}

/* row = row + value, or row / number; a column's type is that of its arithmetic. */
static void add(const cohort_row_column *column, char *row, const char *value) {
  for (int64_t e = 0; e < column->elements; e++) {
    if (column->type == COHORT_STORED_FLOAT32) {
      float a, b;
      memcpy(&a, row + (size_t)e * sizeof a, sizeof a);
      memcpy(&b, value + (size_t)e * sizeof b, sizeof b);
      a += b;
      memcpy(row + (size_t)e * sizeof a, &a, sizeof a);
    } else if (column->type == COHORT_STORED_FLOAT64) {
      double a, b;
      memcpy(&a, row + (size_t)e * sizeof a, sizeof a);
      memcpy(&b, value + (size_t)e * sizeof b, sizeof b);
      a += b;
      memcpy(row + (size_t)e * sizeof a, &a, sizeof a);
    } else {
      int64_t a, b;
      memcpy(&a, row + (size_t)e * sizeof a, sizeof a);
      memcpy(&b, value + (size_t)e * sizeof b, sizeof b);
      a += b;
      memcpy(row + (size_t)e * sizeof a, &a, sizeof a);
    }
  }
}

static void divide(const cohort_row_column *column, char *row, int64_t number) {
  for (int64_t e = 0; e < column->elements; e++) {
    if (column->type == COHORT_STORED_FLOAT32)
      ((float *)(void *)row)[e] /= (float)number;
    else if (column->type == COHORT_STORED_FLOAT64)
      ((double *)(void *)row)[e] /= (double)number;
    else
      ((int64_t *)(void *)row)[e] /= number;
  }
}

/* What the contributions [first, last) to one id make of its row. */
static void join_rows(cohort_row_table *table, const contribution *given, int64_t number, const void *const *columns,
                      cohort_row_join join) {
  const int64_t row = cohort_row_table_touch(table, given[0].id);
  size_t at = 0;
  for (int c = 0; c < table->columns; c++) {
    if (!columns[c]) continue;
    const size_t bytes = cohort_row_bytes(table, c);
    char *to = table->values[c] + (size_t)row * bytes;
    const int64_t first = join == COHORT_ROW_LAST ? number - 1 : 0;
    if (join != COHORT_ROW_ADD) memcpy(to, given[first].row + at, bytes);
    for (int64_t i = first + (join != COHORT_ROW_ADD); i < number; i++) add(&table->column[c], to, given[i].row + at);
    if (join == COHORT_ROW_MEAN && number > 1) divide(&table->column[c], to, number);
    at += bytes;
  }
}

void cohort_row_table_write(cohort_row_table *table, int64_t count, const int64_t *id, const int64_t *position,
                            const void *const *rows, cohort_row_join join) {
  enum { HEAD = 2 * sizeof(int64_t) };
  const int size = table->comm->size;
  const size_t bytes = packed_bytes(table, rows, HEAD);
  int64_t *order = cohort_scratch_take(&table->order, (size_t)count * sizeof *order);
  const int64_t brought = count_rows(table, count, id, order);
  char *coming, *going = take_room(table, count, brought, bytes, &coming);
  for (int64_t i = 0; i < count; i++) {
    char *at = going + (size_t)i * bytes;
    memcpy(at, &id[order[i]], sizeof *id);
    memcpy(at + sizeof *id, &position[order[i]], sizeof *position);
    at += HEAD;
    for (int c = 0; c < table->columns; c++) {
      if (!rows[c]) continue;
      memcpy(at, (const char *)rows[c] + (size_t)order[i] * cohort_row_bytes(table, c), cohort_row_bytes(table, c));
      at += cohort_row_bytes(table, c);
    }
  }
  if (size > 1) cohort_row_table_exchange(table, going, table->counts, coming, table->counts + size, bytes);
  contribution *given = cohort_scratch_take(&table->given, (size_t)brought * sizeof *given);
  for (int64_t i = 0; i < brought; i++) {
    const char *at = coming + (size_t)i * bytes;
    memcpy(&given[i].id, at, sizeof given[i].id);
    memcpy(&given[i].position, at + sizeof given[i].id, sizeof given[i].position);
    given[i].row = at + HEAD;
  }
  qsort(given, (size_t)brought, sizeof *given, by_id_and_position);
  for (int64_t first = 0, last; first < brought; first = last) {
    for (last = first + 1; last < brought && given[last].id == given[first].id;) last++;
    join_rows(table, given + first, last - first, rows, join);
  }
}
