/* Row tables in checkpoints: written rows alone, by ascending id. Which rank writes which elements is the checkpoint's
 * own rule (cohort_checkpoint_slice), who holds a row is the table's; fragments of rows travel between the two, packed
 * by pair of ranks in the order of ids. Every rank learns all ids, eight bytes a row; rows themselves go once. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "state/row_table_state.h"

static int ascending(const void *a, const void *b) {
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

int64_t cohort_row_table_ids(cohort_row_table *table, int64_t **id) {
  cohort_comm *comm = table->comm;
  size_t *offsets = cohort_allocate(2 * (size_t)comm->size * sizeof *offsets), *bytes = offsets + comm->size;
  int64_t *rows = cohort_allocate((size_t)comm->size * sizeof *rows), total = 0;
  for (int r = 0; r < comm->size; r++) {
    offsets[r] = (size_t)r * sizeof *rows;
    bytes[r] = sizeof *rows;
  }
  rows[comm->rank] = table->rows;
  cohort_comm_gather_all(comm, rows, offsets, bytes);
  for (int r = 0; r < comm->size; r++) {
    offsets[r] = (size_t)total * sizeof *rows;
    bytes[r] = (size_t)rows[r] * sizeof *rows;
    total += rows[r];
  }
  int64_t *all = cohort_allocate((size_t)(total + 1) * sizeof *all);
  if (table->rows) memcpy((char *)all + offsets[comm->rank], table->id, bytes[comm->rank]);
  cohort_comm_gather_all(comm, all, offsets, bytes);
  qsort(all, (size_t)total, sizeof *all, ascending);
  free(rows);
  free(offsets);
  *id = all;
  return total;
}

static void name_flat(const cohort_row_table *table, int column, cohort_stored_flat *flat) {
  const bool ids = column < 0;
  const char *name = ids ? "id" : table->column[column].name;
  cohort_stored_tensor *tensor = cohort_allocate(sizeof *tensor);
  *tensor = (cohort_stored_tensor){.name = name, .axes = ids || table->column[column].elements == 1 ? 1 : 2};
  tensor->size[1] = ids ? 0 : table->column[column].elements;
  if (tensor->axes == 1) tensor->size[1] = 0;
  *flat = (cohort_stored_flat){.flat_path = cohort_format_text("/%s/flat/%s", table->name, name),
                               .view_path = cohort_format_text("/%s", table->name),
                               .type = ids ? COHORT_STORED_INT64 : table->column[column].type,
                               .row = ids ? 1 : table->column[column].elements,
                               .tensors = 1,
                               .tensor = tensor};
}

void cohort_row_table_expect(cohort_row_table *table, cohort_stored_flat *flat) {
  for (int c = -1; c < table->columns; c++) name_flat(table, c, &flat[c + 1]);
}

void cohort_row_table_release(cohort_row_table *table, cohort_stored_flat *flat) {
  for (int i = 0; i <= table->columns; i++) {
    free((char *)(uintptr_t)flat[i].flat_path);
    free((char *)(uintptr_t)flat[i].view_path);
    free((cohort_stored_tensor *)(uintptr_t)flat[i].tensor);
    free(flat[i].slice);
    memset(&flat[i], 0, sizeof flat[i]);
  }
}

/* What one rank holds of a row and one rank's slice of a flat has. */
typedef struct fragment {
  int holder, writer;
  int64_t id;
  size_t in_row, in_slice, bytes;
} fragment;

/* Those of one column that this rank holds or has in its slice, by row and then by slice; returns how many. `out` NULL:
 * only counts. */
static int64_t list_fragments(const cohort_row_table *table, int column, int64_t rows, const int64_t *id,
                              fragment *out) {
  const int size = table->comm->size, me = table->comm->rank;
  const int64_t elements = table->column[column].elements;
  const size_t element = cohort_row_bytes(table, column) / (size_t)elements;
  int64_t fragments = 0, first = 0, count = 0;
  int writer = 0;
  cohort_checkpoint_slice(rows * elements, size, 0, &first, &count);
  for (int64_t at = 0; at < rows * elements;) {
    while (at >= first + count) cohort_checkpoint_slice(rows * elements, size, ++writer, &first, &count);
    const int64_t row = at / elements, row_end = (row + 1) * elements;
    const int64_t end = row_end < first + count ? row_end : first + count;
    const int holder = (int)(id[row] % size);
    if ((holder == me || writer == me) && out)
      out[fragments] = (fragment){holder,
                                  writer,
                                  id[row],
                                  (size_t)(at - row * elements) * element,
                                  (size_t)(at - first) * element,
                                  (size_t)(end - at) * element};
    fragments += holder == me || writer == me;
    at = end;
  }
  return fragments;
}

/* Where the holder has it; may move the values. */
static char *held_at(cohort_row_table *table, int column, const fragment *own) {
  const int64_t row = cohort_row_table_touch(table, own->id);
  return table->values[column] + (size_t)row * cohort_row_bytes(table, column) + own->in_row;
}

/* What this rank both holds and writes goes from the one place to the other. */
static void move_own(cohort_row_table *table, int column, int64_t fragments, const fragment *all, char *slice,
                     bool save) {
  const int me = table->comm->rank;
  for (int64_t i = 0; i < fragments; i++) {
    if (all[i].holder != me || all[i].writer != me) continue;
    char *held = held_at(table, column, &all[i]), *written = slice + all[i].in_slice;
    memcpy(save ? written : held, save ? held : written, all[i].bytes);
  }
}

/* Packs or unpacks what lies with this rank as the holder of rows, or as the writer of a slice, by the other side's
 * rank; what stays on this one is not among it. `bytes` [ranks] receives how many; memory NULL: nothing else is done.
 */
static void pack(cohort_row_table *table, int column, int64_t fragments, const fragment *all, bool as_holder,
                 bool packs, char *slice, int64_t *bytes, char *memory) {
  const int size = table->comm->size, me = table->comm->rank;
  size_t *next = cohort_allocate((size_t)(size + 1) * sizeof *next);
  for (int r = 0; r < size && memory; r++) next[r + 1] = next[r] + (size_t)bytes[r];
  if (!memory) memset(bytes, 0, (size_t)size * sizeof *bytes);
  for (int64_t i = 0; i < fragments; i++) {
    const fragment *own = &all[i];
    const int other = as_holder ? own->writer : own->holder;
    if ((as_holder ? own->holder : own->writer) != me || other == me) continue;
    if (!memory) {
      bytes[other] += (int64_t)own->bytes;
      continue;
    }
    char *place = slice + own->in_slice, *packed = memory + next[other];
    if (as_holder) place = held_at(table, column, own);
    memcpy(packs ? packed : place, packs ? place : packed, own->bytes);
    next[other] += own->bytes;
  }
  free(next);
}

/* Fragments of one column go from who holds rows to who writes slices, or (not `save`) back. */
static void move_column(cohort_row_table *table, int column, int64_t rows, const int64_t *id, char *slice, bool save) {
  const int size = table->comm->size;
  const int64_t fragments = list_fragments(table, column, rows, id, NULL);
  fragment *all = cohort_allocate((size_t)(fragments + 1) * sizeof *all);
  (void)list_fragments(table, column, rows, id, all);
  int64_t *sent = cohort_allocate(2 * (size_t)size * sizeof *sent), *received = sent + size;
  pack(table, column, fragments, all, save, true, slice, sent, NULL);
  pack(table, column, fragments, all, !save, false, slice, received, NULL);
  size_t going = 0, coming = 0;
  for (int r = 0; r < size; r++) {
    going += (size_t)sent[r];
    coming += (size_t)received[r];
  }
  move_own(table, column, fragments, all, slice, save);
  char *memory = cohort_allocate(going + coming + 1);
  pack(table, column, fragments, all, save, true, slice, sent, memory);
  cohort_row_table_exchange(table, memory, sent, memory + going, received, 1);
  pack(table, column, fragments, all, !save, false, slice, received, memory + going);
  free(memory);
  free(sent);
  free(all);
}

void cohort_row_table_gather(cohort_row_table *table, cohort_stored_flat *flat) {
  int64_t *id = NULL;
  const int64_t rows = cohort_row_table_ids(table, &id);
  cohort_row_table_expect(table, flat);
  for (int i = 0; i <= table->columns; i++) {
    flat[i].elements = rows * flat[i].row;
    flat[i].tensors = rows > 0; /* nothing can be seen of nothing */
    ((cohort_stored_tensor *)(uintptr_t)flat[i].tensor)->size[0] = rows;
    cohort_checkpoint_slice(flat[i].elements, table->comm->size, table->comm->rank, &flat[i].first, &flat[i].count);
    const size_t element = flat[i].type == COHORT_STORED_FLOAT32 ? sizeof(float) : sizeof(int64_t);
    flat[i].slice = cohort_allocate((size_t)(flat[i].count + 1) * element);
    if (i == 0)
      memcpy(flat[i].slice, id + flat[i].first, (size_t)flat[i].count * sizeof *id);
    else
      move_column(table, i - 1, rows, id, flat[i].slice, true);
  }
  free(id);
}

/* All ranks' slices of the ids. */
static int64_t *gather_ids(cohort_row_table *table, const cohort_stored_flat *flat) {
  cohort_comm *comm = table->comm;
  size_t *offsets = cohort_allocate(2 * (size_t)comm->size * sizeof *offsets), *bytes = offsets + comm->size;
  int64_t *id = cohort_allocate((size_t)(flat->elements + 1) * sizeof *id);
  for (int r = 0; r < comm->size; r++) {
    int64_t first, count;
    cohort_checkpoint_slice(flat->elements, comm->size, r, &first, &count);
    offsets[r] = (size_t)first * sizeof *id;
    bytes[r] = (size_t)count * sizeof *id;
  }
  memcpy(id + flat->first, flat->slice, (size_t)flat->count * sizeof *id);
  cohort_comm_gather_all(comm, id, offsets, bytes);
  free(offsets);
  return id;
}

cohort_status cohort_row_table_scatter(cohort_row_table *table, cohort_stored_flat *flat, cohort_error *error) {
  const int64_t rows = flat[0].elements;
  for (int c = 0; c < table->columns; c++)
    if (flat[c + 1].elements != rows * table->column[c].elements)
      return cohort_fail(error, COHORT_BAD_DATA,
                         "/%s/%s: has not as many rows as there are ids; use another checkpoint", table->name,
                         table->column[c].name);
  int64_t *id = gather_ids(table, &flat[0]);
  cohort_row_table_clear(table);
  for (int64_t i = 0; i < rows; i++) {
    if (id[i] < 0 || (i > 0 && id[i] <= id[i - 1])) {
      free(id);
      return cohort_fail(error, COHORT_BAD_DATA, "/%s/id: ids do not ascend at row %lld; use another checkpoint",
                         table->name, (long long)i);
    }
  }
  for (int c = 0; c < table->columns; c++) move_column(table, c, rows, id, flat[c + 1].slice, false);
  free(id);
  return COHORT_DONE;
}
