/* The catalogue's descriptor. A method is one file in src/method/FAMILY/ that exports descriptors; everything else
 * (config validation, `cohort methods`, reference pages, probe, checkpoint layout, contract tests) is made from them.
 *
 * Method code is pure: no allocation, file, message, global or random source of its own; what it needs comes through
 * its arguments. To add one: copy template.c of the family to a new name, fill the descriptor, write the function. A
 * file src/method/FAMILY/KEY.c exports `const cohort_method *const cohort_FAMILY_KEY[]`, NULL-ended. What a family is:
 * see method/family.h. */
#ifndef COHORT_METHOD_METHOD_H
#define COHORT_METHOD_METHOD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/parameter.h"
#include "base/status.h"
#include "graph/graph.h"
#include "kernel/operation.h"

/* CMake defines COHORT_FILE for every file of a family: its name without ".c". A method that is named as its file may
 * say so, and a copy of the file is then another method without an edit. */
#define COHORT_QUOTE_(word) #word
#define COHORT_QUOTE(word) COHORT_QUOTE_(word)
#define COHORT_FILE_KEY COHORT_QUOTE(COHORT_FILE)

/* The list of descriptors that a file exports: COHORT_METHOD_FILE(loss, COHORT_FILE) = {&method, NULL}; */
#define COHORT_METHOD_FILE_(family, file) const cohort_method *const cohort_##family##_##file[]
#define COHORT_METHOD_FILE(family, file) COHORT_METHOD_FILE_(family, file)

/* What a number of a state belongs to: who updates that, keeps it. Element and row states lie where the piece lies;
 * states of columns, tensors and the space are the same on all ranks, unless the method is cut by tensors: then the
 * tensor's owner alone has those of its tensor. */
typedef enum {
  COHORT_OWNER_ELEMENT, /* like the parameter tensor */
  COHORT_OWNER_ROW,     /* one per row (first axis) of the tensor */
  COHORT_OWNER_COLUMN,  /* one per column (all other axes) */
  COHORT_OWNER_TENSOR,  /* one per tensor */
  COHORT_OWNER_SPACE,   /* one for all tensors that the method serves; of an aggregator, of a driver */
  COHORT_OWNER_CLIENT,  /* one like the parameters for each client of a federation (method/federated/federated.h) */
} cohort_owner;

typedef enum {
  COHORT_STATE_REAL,    /* of the variant's type */
  COHORT_STATE_FLOAT64, /* whatever the variant */
  COHORT_STATE_INTEGER, /* int64_t */
} cohort_state_type;

enum { COHORT_MAX_STATES = 8 };

/* A table of states ends with a name of NULL. Fill it by name: what is left out is a real per element, from zero. */
typedef struct cohort_state {
  const char *name;
  cohort_owner owner;
  cohort_state_type type;
  /* Numbers that each owner has, one after another: histories, factor matrices; NULL: one; 0: with these settings it is
   * not kept. `shape` is the tensor's; of an aggregator's state the number of objectives, on one axis. */
  int64_t (*size)(const void *config, cohort_shape shape);
  const char *initial_parameter; /* filled with this parameter of the method at start; NULL: zeros */
  bool shares;                   /* at start an owner's numbers are equal, with sum 1; of losses */
  bool from_weights;             /* a copy of the parameters as they are before the first step; element states alone */
  bool scratch;                  /* of one step alone: neither saved nor counted as state */
  const char *meaning;
} cohort_state;

/* At these settings the method must equal another: run by the contract test. */
typedef struct cohort_identity {
  const char *settings; /* "momentum=0 nesterov=false" */
  const char *method;   /* key of the same family; NULL ends the list */
  const char *method_settings;
} cohort_identity;

typedef struct cohort_method {
  const char *family, *key;
  const char *summary; /* one line */
  const char *title;   /* of the paper, as in the catalogue; NULL when folklore */
  const char *source;  /* paper, section or equation, year */
  const char *formula; /* the rule, in plain text */
  size_t config_size;
  const cohort_parameter *parameters; /* NULL: none */
  const cohort_state *states;         /* NULL: none */
  unsigned
      needs; /* of the run: bits of the family (COHORT_NEEDS_...); what cannot be had is refused before it starts */
  cohort_cut cut;
  const cohort_identity *identities; /* NULL: none */
  /* Rules between parameters; NULL: none. */
  cohort_status (*check)(const void *config, cohort_error *error);
  const void *functions; /* the family's table: cohort_optimizer, cohort_loss ... */
} cohort_method;

#endif
