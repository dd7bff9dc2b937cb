/* Checkpoints: one parallel HDF5 file, written and read slice by slice; nothing in it depends on the number of ranks.
 *
 * Saved: write to a hidden name, flush, close, fsync, all ranks agree on success, rename, fsync of the folder, then
 * `latest` (through its own rename). A digest per flat dataset (XXH3 over fixed blocks, so any rank count computes the
 * same) is an attribute of the dataset and verified on load; a file whose digests do not fit is refused. */
#ifndef COHORT_IO_CHECKPOINT_H
#define COHORT_IO_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/comm.h"
#include "base/log.h"
#include "base/status.h"
#include "io/run_lock.h"

enum { COHORT_SLICE_BLOCK = 1024 }; /* elements; slices begin at multiples, and digests are over such blocks */

/* A tensor inside a flat dataset, shown as a virtual dataset. */
typedef struct cohort_stored_tensor {
  const char *name;
  int axes;
  int64_t size[6];
  int64_t offset; /* elements */
} cohort_stored_tensor;

typedef enum { COHORT_STORED_FLOAT32, COHORT_STORED_FLOAT64, COHORT_STORED_INT64 } cohort_stored_type;

/* One flat dataset, e.g. flat_path "/model/flat/parameters" with tensors shown under view_path "/model/parameters", or
 * "/model/flat/main/m" with "/model/main/m" (space, player, slot). */
typedef struct cohort_stored_flat {
  const char *flat_path, *view_path;
  cohort_stored_type type;
  int64_t elements;
  int tensors;
  const cohort_stored_tensor *tensor;
  int64_t first, count; /* this rank's slice: cohort_checkpoint_slice */
  void *slice;          /* the slice's elements; written from on save, filled on load */
  /* Above 0: rows of so many elements, and on load as many of them as the file has: elements, first, count and slice
   * are set by the load. A slice that was there is freed, the new one is the caller's to free. */
  int64_t row;
} cohort_stored_flat;

/* Text attributes of /format ("config", "kernels", "kind" ...) and integers of /sampler. */
typedef struct cohort_stored_text {
  const char *name;
  const char *text;
} cohort_stored_text;
typedef struct cohort_stored_number {
  const char *name;
  int64_t value;
} cohort_stored_number;

typedef struct cohort_checkpoint {
  int64_t step;
  uint64_t seed;
  int texts;
  const cohort_stored_text *text;
  int numbers;
  const cohort_stored_number *number; /* on load: names given, values filled; a missing one is an error */
  int flats;
  cohort_stored_flat *flat;
  bool part;                   /* on load: what else the file holds is not asked for */
  const cohort_run_lock *lock; /* of who saves: a rank whose run was taken over writes nothing; NULL: nobody's */
} cohort_checkpoint;

/* Rank `rank`'s slice of `elements`: contiguous, whole blocks, sizes as equal as blocks allow. */
void cohort_checkpoint_slice(int64_t elements, int ranks, int rank, int64_t *first, int64_t *count);

/* Collective. Writes directory/step_%08d.h5 and moves `latest`; name "final.h5"-like files: `name` not NULL gives the
 * file's name and leaves `latest` alone. On any fault on any rank all ranks return the same error, the hidden file is
 * removed and nothing else has changed; COHORT_RANK_LOST when another job owns the run now (io/run_lock.h).
 * bytes_written (may be NULL): by this rank. */
cohort_status cohort_checkpoint_save(cohort_comm *comm, const char *directory, const char *name,
                                     const cohort_checkpoint *checkpoint, uint64_t *bytes_written, cohort_error *error);

/* Collective. Loads one file into the slices; every digest is verified, shapes, names, types and counts must fit: else
 * COHORT_BAD_DATA, the same on all ranks, naming file, dataset and the difference. */
cohort_status cohort_checkpoint_load(cohort_comm *comm, const char *path, cohort_checkpoint *checkpoint,
                                     cohort_error *error);

/* Collective. Loads the newest whole checkpoint of a directory: `latest` first, then older ones by step; a damaged one
 * is said in one warning line and the next older is taken. found = false when the directory has none at all; when there
 * are some but none is whole, or the directory cannot be read: COHORT_BAD_DATA. path receives the file taken (owned by
 * the caller). */
cohort_status cohort_checkpoint_resume(cohort_comm *comm, const cohort_log *log, const char *directory,
                                       cohort_checkpoint *checkpoint, bool *found, char **path, cohort_error *error);

/* One rank. Deletes all but the newest `keep` step_*.h5 and the one of step `best` (-1: none), and leftovers of killed
 * saves (hidden names). Sorted by step number. */
void cohort_checkpoint_prune(const char *directory, int keep, int64_t best);

/* One rank: reads a text attribute of /format, e.g. the config; owned by the caller. */
cohort_status cohort_checkpoint_text(const char *path, const char *name, char **text, cohort_error *error);
/* One rank: whether the file holds a flat dataset. */
cohort_status cohort_checkpoint_has(const char *path, const char *flat_path, bool *has, cohort_error *error);
/* One rank: the digest of a flat dataset, as the file tells it. */
cohort_status cohort_checkpoint_digest(const char *path, const char *flat_path, uint64_t *digest, cohort_error *error);
/* The step that a file was saved at; -1 when it cannot be read. */
int64_t cohort_checkpoint_step(const char *path, cohort_error *error);
/* The step that `latest` of a directory names; -1 when there is none. COHORT_BAD_DATA when it cannot be read. */
cohort_status cohort_checkpoint_last_step(const char *directory, int64_t *step, cohort_error *error);

/* One rank: reads one flat dataset (float32) wholly, with its tensor table from the virtual datasets under view_path,
 * verified by digest; for init_from, eval, generate. Tensors' names, and `data`, are owned by the caller:
 * cohort_flat_release. */
typedef struct cohort_flat_contents {
  int tensors;
  cohort_stored_tensor *tensor;
  int64_t elements;
  float *data;
} cohort_flat_contents;
cohort_status cohort_checkpoint_read_flat(const char *path, const char *flat_path, const char *view_path,
                                          cohort_flat_contents *out, cohort_error *error);
void cohort_flat_release(cohort_flat_contents *contents);

/* For `cohort inspect`: prints /format, then names, shapes and a digest per tensor, as text or JSON; compare:
 * COHORT_DONE and *equal, else names the first tensor that differs and by how much (max |a-b| and how many elements).
 */
cohort_status cohort_checkpoint_print(const char *path, bool json, cohort_error *error);
cohort_status cohort_checkpoint_compare(const char *path_a, const char *path_b, bool *equal, cohort_error *error);

#endif
