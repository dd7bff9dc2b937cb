/* The inside of a row table, for row_table.c and row_table_store.c. */
#ifndef COHORT_STATE_ROW_TABLE_STATE_H
#define COHORT_STATE_ROW_TABLE_STATE_H

#include "base/memory.h"
#include "state/row_table.h"

struct cohort_row_table {
  cohort_comm *comm;
  char *name;
  int columns;
  cohort_row_column column[COHORT_MAX_ROW_COLUMNS]; /* names owned */
  int64_t rows, room;                               /* held; there is room for */
  int64_t *id;                                      /* [rows], in the order of their first write */
  char *values[COHORT_MAX_ROW_COLUMNS];             /* [rows][elements] */
  int64_t places, *place;                           /* a hash: row of an id, -1: free; `places` is a power of two */
  int64_t *counts;                                  /* [4][ranks]: of an exchange */
  cohort_message *message;                          /* [2][ranks] */
  cohort_scratch order, wanted, packed, given;      /* of an exchange */
};

/* Bytes of a row of one column. */
size_t cohort_row_bytes(const cohort_row_table *table, int column);
/* The row of an id of this rank, zero when it is new. */
int64_t cohort_row_table_touch(cohort_row_table *table, int64_t id);
/* sent[r] units of `bytes` go to rank r, one rank's after another's; received[r] come. Collective. */
void cohort_row_table_exchange(cohort_row_table *table, void *out, const int64_t *sent, void *in,
                               const int64_t *received, size_t bytes);

#endif
