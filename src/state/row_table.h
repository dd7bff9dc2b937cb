/* A row table: columns keyed by an id (a sample, a completion, a client, a slot of replay), for what is kept of each
 * and is no parameter. Rows are dealt over ranks by id, come to who computes with them and go home again. A row that
 * was never written reads as zero and takes no memory: 10^6 clients of which 100 took part hold 100 rows. Nothing that
 * it holds, and no bit of a checkpoint, depends on the number of ranks.
 *
 * Intended usage, with one column of a float vector for each client and one whole number:
 *   static const cohort_row_column columns[] = {{"control", COHORT_STORED_FLOAT32, 7850},
 *                                               {"rounds", COHORT_STORED_INT64, 1}};
 *   cohort_row_table *table = cohort_row_table_create(comm, "clients", 2, columns);
 *   cohort_row_table_read(table, count, id, (void *[]){control, rounds}, found);    before the work
 *   cohort_row_table_write(table, count, id, position, (const void *[]){control, rounds}, COHORT_ROW_LAST);   after it
 *   cohort_row_table_destroy(table);
 * Arrays are [count][elements of the column], of the column's type, and stay the caller's. Reads, writes and everything
 * below that says so are collective, in the main thread: every rank calls them, with ids of its own choice or none. */
#ifndef COHORT_STATE_ROW_TABLE_H
#define COHORT_STATE_ROW_TABLE_H

#include "io/checkpoint.h"

enum { COHORT_MAX_ROW_COLUMNS = 16 };

typedef struct cohort_row_column {
  const char *name;
  cohort_stored_type type; /* float, double or int64_t */
  int64_t elements;        /* of a row */
} cohort_row_column;

/* What becomes of a row: v is what the write brings for its id, one after another in the order of positions. */
typedef enum {
  COHORT_ROW_LAST, /* the v of the highest position */
  COHORT_ROW_SUM,  /* v + v + ..., from the first on */
  COHORT_ROW_MEAN, /* their sum divided by their number; of int64_t towards zero */
  COHORT_ROW_ADD,  /* row + v + v + ... */
} cohort_row_join;

typedef struct cohort_row_table cohort_row_table;

/* `name` is the folder in checkpoints. Names are copied; `comm` stays the caller's. */
cohort_row_table *cohort_row_table_create(cohort_comm *comm, const char *name, int columns,
                                          const cohort_row_column *column);
void cohort_row_table_destroy(cohort_row_table *table); /* NULL is fine */
const char *cohort_row_table_name(const cohort_row_table *table);
int cohort_row_table_columns(const cohort_row_table *table);
const cohort_row_column *cohort_row_table_column(const cohort_row_table *table, int column);
/* Every row is as it was at the start. */
void cohort_row_table_clear(cohort_row_table *table);

/* Collective. out[column] receives the rows of these ids (>= 0, in any order, several times too); a column may be NULL
 * here when it is NULL on every rank. found[count] (or NULL): whether a row was ever written. */
void cohort_row_table_read(cohort_row_table *table, int64_t count, const int64_t *id, void *const *out, bool *found);

/* Collective. position[count]: the place in the whole batch, of which every number stands once among all ranks. An id
 * that stands several times is written once, its contributions joined in the order of positions, whichever ranks bring
 * them. A column that is NULL on every rank stays as it is. */
void cohort_row_table_write(cohort_row_table *table, int64_t count, const int64_t *id, const int64_t *position,
                            const void *const *rows, cohort_row_join join);

/* Collective. The ids of all rows that were ever written, ascending; owned by the caller; returns how many. */
int64_t cohort_row_table_ids(cohort_row_table *table, int64_t **id);
/* Of the rows that this rank holds. */
double cohort_row_table_bytes(const cohort_row_table *table);

/* Checkpoints: written rows alone, by ascending id, a slice a rank. One flat dataset for the ids, /NAME/id [rows], and
 * one a column, /NAME/COLUMN [rows, elements]. */
/* Collective. Before a save: fills flat[columns + 1]. What they point to is the table's until it is released. */
void cohort_row_table_gather(cohort_row_table *table, cohort_stored_flat *flat);
/* Before a load: the same datasets, whose number of rows the file will tell. */
void cohort_row_table_expect(cohort_row_table *table, cohort_stored_flat *flat);
/* Collective. After a load into them: the file's rows, and no others, are the table's. COHORT_BAD_DATA when the columns
 * have unequally many rows, or ids are negative or do not ascend. */
cohort_status cohort_row_table_scatter(cohort_row_table *table, cohort_stored_flat *flat, cohort_error *error);
/* Frees what gather, expect and a load have left in them. */
void cohort_row_table_release(cohort_row_table *table, cohort_stored_flat *flat);

#endif
