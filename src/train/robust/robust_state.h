/* What robust.c (what is held and kept), robust_join.c (a round over ranks) and robust_block.c (loops over coordinates)
 * share. For these files. */
#ifndef COHORT_TRAIN_ROBUST_ROBUST_STATE_H
#define COHORT_TRAIN_ROBUST_ROBUST_STATE_H

#include "base/memory.h"
#include "train/robust/robust.h"
#include "update/algebra.h"

/* Rows of clients at a slice of the coordinates. */
typedef struct cohort_robust_rows {
  const cohort_algebra *algebra;
  size_t real;
  int clients;
  const char **row;     /* [clients], each at the slice's first coordinate */
  const char **history; /* the same of sums of earlier changes; NULL: none */
  const char *last;     /* the last joined change; NULL: none */
  bool *finite;         /* [clients] */
  double *share;        /* [clients + 1]: the last joined change's is the last */
  const int *leaf;      /* [clients]: which client stands at a leaf of the tree */
} cohort_robust_rows;

struct cohort_robust_join {
  cohort_robust_options options;
  const cohort_robust *functions; /* or NULL */
  size_t real;
  int64_t block;              /* coordinates of one */
  cohort_item_order blocks;   /* a rank's are its slice */
  cohort_items *loops, *sums; /* over blocks, without and with sums of `summed` numbers */
  int64_t summed;
  cohort_row_table *table; /* or NULL */
  char *last, *next;       /* what it is, what it becomes; or NULL */
  double **room;           /* [threads][room_numbers]: of a loop */
  int64_t room_numbers;
  /* Of a round. */
  cohort_robust_crowd crowd;
  cohort_robust_rows rows;
  int own;                     /* clients of this rank */
  int *own_of;                 /* [clients]: which of them; -1 */
  char *own_row, *own_history; /* [own][elements] */
  char *forged;                /* [elements], at this rank's slice */
  int *seen;                   /* clients whose change is finite: */
  cohort_robust_round view;    /* all that the method sees */
  bool combining;
  char *joined; /* [elements] */
  cohort_scratch own_of_room, own_row_room, own_history_room, id_room, row_room, coming_room, message_room, forged_room,
      client_room, number_room, view_room, places_room;
};

/* Numbers of a thread's memory, and coordinates that it looks at together. */
int64_t cohort_robust_room(int clients);
int64_t cohort_robust_tile(int clients);

/* Loops over n <= tile coordinates from `at` of the slice on; `room` is a thread's memory. */

/* products [rows][rows], of the clients and, where there is one, the last joined change; added to what is there unless
 * `first`. */
void cohort_robust_multiply(const cohort_robust_rows *rows, int64_t at, int64_t n, bool first, double *room,
                            double *products);
/* squares [clients] alone. */
void cohort_robust_square(const cohort_robust_rows *rows, int64_t at, int64_t n, bool first, double *squares);
/* out[n], of the rows' type: from mean and deviation of the rows that are no forger's. */
void cohort_robust_forge(const cohort_robust_rows *rows, const cohort_robust_forgery *forgery, int64_t at, int64_t n,
                         double *room, char *out);
/* out[n] = the sum of share times row along the tree over leaves, then the last joined change by its share. */
void cohort_robust_sum(const cohort_robust_rows *rows, int64_t at, int64_t n, double *room, char *out);
/* out[n] by the method's `combine` over the clients whose share is not 0. */
void cohort_robust_combine(const cohort_robust_rows *rows, const cohort_robust *functions,
                           const cohort_robust_round *round, int64_t at, int64_t n, double *room, char *out);
/* Adds |out - m|^2 and |m|^2 for the mean m of the finite rows. */
void cohort_robust_measure(const cohort_robust_rows *rows, int64_t at, int64_t n, const char *out, double *room,
                           double sums[2]);

#endif
