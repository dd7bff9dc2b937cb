/* The HDF5 side of a checkpoint, used by one rank: makes the file with all its datasets in place but empty, and reads
 * back what is where. The data are written and read by all ranks at the offsets given here (docs: checkpoint layout).
 *
 * /format has the attributes version, step, seed, the texts, and `digests` (lines "DIGEST FLAT_PATH", in the order
 * written); a flat dataset has the attributes `digest` and `view`; /sampler has the numbers. */
#ifndef COHORT_IO_CHECKPOINT_STRUCTURE_H
#define COHORT_IO_CHECKPOINT_STRUCTURE_H

#include "io/checkpoint.h"
#include "io/checkpoint_seal.h"

typedef struct cohort_flat_entry {
  char *path, *view_path;
  cohort_stored_type type;
  int64_t elements;
  cohort_region region;
  uint64_t digest;
  int tensors;
  cohort_stored_tensor *tensor; /* by offset; names owned */
} cohort_flat_entry;

typedef struct cohort_structure {
  int64_t version, step;
  uint64_t seed;
  int texts, numbers, flats;
  cohort_stored_text *text;     /* by name; owned, as all below */
  cohort_stored_number *number; /* by name */
  cohort_flat_entry *flat;      /* in the order written */
} cohort_structure;

size_t cohort_stored_bytes(cohort_stored_type type); /* of an element */
const char *cohort_stored_type_name(cohort_stored_type type);

/* Writes everything but the data, sealed, into the empty file `descriptor`; region[i] receives where flat i lies. */
cohort_status cohort_structure_create(int descriptor, const char *path, const cohort_checkpoint *checkpoint,
                                      const uint64_t *digest, cohort_region *region, cohort_error *error);
/* Verifies the seal, then reads everything but the data. */
cohort_status cohort_structure_read(const char *path, cohort_structure *out, cohort_error *error);
void cohort_structure_release(cohort_structure *structure);

const cohort_flat_entry *cohort_structure_flat(const cohort_structure *structure, const char *path);
/* "[3, 4]" into out[128]. */
void cohort_stored_shape_text(int axes, const int64_t *size, char out[128]);

#endif
