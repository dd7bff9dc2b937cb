/* Datasets in memory, read by every rank as a whole (they are small) or mapped. Values are read-only after loading. */
#ifndef COHORT_IO_DATASET_H
#define COHORT_IO_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* A further array of samples, by name: a class or group of each, or numbers. */
enum { COHORT_MAX_SAMPLE_COLUMNS = 8 };
/* The column that a file has which comes by client: whose a sample is. */
#define COHORT_CLIENT_COLUMN "client"
typedef struct cohort_column {
  const char *name; /* the caller's */
  int32_t *labels;  /* [count], or NULL */
  int64_t classes;  /* largest label + 1 */
  float *values;    /* [count, width], or NULL */
  int64_t width;
} cohort_column;

/* Samples with a dense input and a target. */
typedef struct cohort_samples {
  int64_t count;
  int axes; /* of one sample: 1 (vector) or 3 (height, width, channels) */
  int64_t size[3];
  float *input;               /* [count, size...], or NULL: bytes */
  const unsigned char *bytes; /* [count, size...]: each stands for the number byte / 255 */
  void *file;                 /* memory that bytes lie in */
  int32_t *labels;            /* [count] classes, or NULL */
  int64_t classes;            /* largest label + 1 */
  float *targets;             /* [count, target_size] real targets, or NULL */
  int64_t target_size;
  int columns;
  cohort_column column[COHORT_MAX_SAMPLE_COLUMNS];
  uint64_t digest; /* of the file's contents, for provenance and resume */
} cohort_samples;

/* IDX files (MNIST's format, .gz or plain): images [n, h, w] of bytes and labels [n]. The messages name the file and
 * what is wrong: magic, type, dimensions against length, counts that differ. */
cohort_status cohort_samples_read_idx(const char *images, const char *labels, cohort_samples *out, cohort_error *error);
/* How the axes of images stand in x. AUTO: [n, height, width, channels], but sizes that look like channels first are
 * refused; CHANNELS_FIRST: [n, channels, height, width], turned when read. */
typedef enum { COHORT_LAYOUT_AUTO, COHORT_LAYOUT_CHANNELS_LAST, COHORT_LAYOUT_CHANNELS_FIRST } cohort_layout;
/* Arrays x [n, features], [n, h, w] or [n, h, w, c] (real, or bytes) and y ([n] integer classes, or real [n] or [n, k])
 * of a file: HDF5, NumPy's .npz, or one of the two formats that come by client, told apart by its first bytes. */
cohort_status cohort_samples_read(const char *path, cohort_layout layout, cohort_samples *out, cohort_error *error);
cohort_status cohort_samples_read_hdf5(const char *path, cohort_layout layout, cohort_samples *out,
                                       cohort_error *error);
/* Further arrays of the same file, [n] integers from 0, or real [n] or [n, ...], which become columns under these names
 * (NULL-ended; they stay the caller's) and part of the digest. */
cohort_status cohort_samples_read_columns(const char *path, const char *const *names, cohort_samples *samples,
                                          cohort_error *error);
/* The column of this name, or NULL. */
const cohort_column *cohort_samples_column(const cohort_samples *samples, const char *name);
/* .npz: a zip archive with x.npy and y.npy, as numpy.savez and savez_compressed write it (members stored or deflated,
 * zip64 too). Types <f2 <f4 <f8, |b1, |u1 |i1 and <u2 <i2 <u4 <i4 <i8; order C or Fortran. What else may stand in such
 * a file, and every damage, is refused with the member's name. */
cohort_status cohort_samples_read_npz(const char *path, cohort_layout layout, cohort_samples *out, cohort_error *error);
/* Samples that come by client, and get the column COHORT_CLIENT_COLUMN, clients being numbered in the order of the
 * file. LEAF: a JSON file {"users", "num_samples", "user_data": {USER: {"x", "y"}}}, or a folder of such files, which
 * are read in the order of their names; x is a list of numbers, y a class or a number. TensorFlow Federated: HDF5 with
 * /examples/CLIENT/FIELD; x is the field pixels, image, features or x, y the field label, target or y. A client without
 * samples, fields that differ, counts that do not agree, and texts are refused. */
bool cohort_samples_are_leaf(const char *path);
bool cohort_samples_are_tff(const char *path);
cohort_status cohort_samples_read_leaf(const char *path, cohort_layout layout, cohort_samples *out,
                                       cohort_error *error);
cohort_status cohort_samples_read_tff(const char *path, cohort_layout layout, cohort_samples *out, cohort_error *error);
/* A line about classes below the largest label that no sample has, or NULL; owned by the caller. */
char *cohort_samples_empty_classes(const cohort_samples *samples);
/* The first row of a class; count: none. */
int64_t cohort_samples_first_row(const cohort_samples *samples, int32_t label);
void cohort_samples_release(cohort_samples *samples);
/* Digest over everything that training sees. */
uint64_t cohort_digest(const void *data, size_t bytes, uint64_t seed); /* XXH3, seed != 0 */

/* A text file: the bytes. A path that begins with '|' is a command whose output is the text ("|bible -f
 * gen1:1-rev22:21"); a command that fails or prints nothing is an error. Whoever calls this
 * with one has made sure that the user wants it run. */
bool cohort_text_is_command(const char *path); /* NULL is none */
cohort_status cohort_text_read(const char *path, char **text, size_t *length, cohort_error *error);

#endif
