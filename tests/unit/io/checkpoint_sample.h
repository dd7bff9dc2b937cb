/* A small state of four datasets for the checkpoint tests, saved and loaded by ranks that are threads. */
#ifndef COHORT_TESTS_CHECKPOINT_SAMPLE_H
#define COHORT_TESTS_CHECKPOINT_SAMPLE_H

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "check.h"
#include "io/checkpoint.h"

enum { FLATS = 4, NUMBERS = 3, TEXTS = 3, MOST_RANKS = 4 };

static const cohort_stored_tensor model_tensors[] = {{"embedding", 2, {3, 1000}, 0},
                                                     {"layer0.weight", 3, {7, 11, 13}, 3000},
                                                     {"layer0.gain", 0, {0}, 4001},
                                                     {"head", 1, {6000}, 4002}};
static const cohort_stored_tensor row_tensors[] = {{"rows", 1, {1500}, 0}};

typedef struct sample {
  cohort_checkpoint checkpoint;
  cohort_stored_flat flat[FLATS];
  cohort_stored_tensor tensor[4]; /* of the model; a test may change them */
  cohort_stored_number number[NUMBERS];
  cohort_stored_text text[TEXTS];
} sample;

/* The bits of element i of a flat dataset into out[8 bytes]: plain numbers, with a NaN and a -0 among them. */
static inline void put_element(const cohort_stored_flat *flat, int which, int64_t step, int64_t i, void *out) {
  const double value = i == 17 ? NAN : i == 18 ? -0.0 : sin((double)(i * 7 + which * 1000 + step)) * 3;
  const float single = (float)value;
  const int64_t integer = i * 1000003 - which - step;
  if (flat->type == COHORT_STORED_FLOAT32) memcpy(out, &single, sizeof single);
  if (flat->type == COHORT_STORED_FLOAT64) memcpy(out, &value, sizeof value);
  if (flat->type == COHORT_STORED_INT64) memcpy(out, &integer, sizeof integer);
}

static inline size_t element_bytes(const cohort_stored_flat *flat) {
  return flat->type == COHORT_STORED_FLOAT32 ? 4 : 8;
}

static inline void make_sample(sample *out, const cohort_comm *comm, int64_t step) {
  *out = (sample){
      .number = {{"epoch", step / 10}, {"position", -step}, {"draws", INT64_MAX - step}},
      .text = {{"kind", "supervised"}, {"config", "run: x\nseed: 1\n"}, {"kernels", "f32_avx2"}},
      .flat = {
          {.flat_path = "/model/flat/parameters", .view_path = "/model/parameters", .elements = 10002, .tensors = 4},
          {.flat_path = "/model/flat/main/m", .view_path = "/model/main/m", .elements = 10002, .tensors = 4},
          {.flat_path = "/model/flat/main/sums",
           .view_path = "/model/main/sums",
           .type = COHORT_STORED_FLOAT64,
           .elements = 10002,
           .tensors = 4},
          {.flat_path = "/loop/flat/rows",
           .view_path = "/loop/rows",
           .type = COHORT_STORED_INT64,
           .elements = 1500,
           .tensors = 1,
           .tensor = row_tensors}}};
  memcpy(out->tensor, model_tensors, sizeof model_tensors);
  for (int i = 0; i < FLATS; i++) {
    cohort_stored_flat *const flat = &out->flat[i];
    if (!flat->tensor) flat->tensor = out->tensor;
    cohort_checkpoint_slice(flat->elements, comm->size, comm->rank, &flat->first, &flat->count);
    flat->slice = cohort_allocate((size_t)(flat->elements + 1) * 8); /* whole, so that a test may change `elements` */
    for (int64_t k = 0; k < flat->count; k++) {
      put_element(flat, i, step, flat->first + k, (char *)flat->slice + (size_t)k * element_bytes(flat));
    }
  }
  out->checkpoint = (cohort_checkpoint){.step = step,
                                        .seed = UINT64_C(0xfedcba9876543210),
                                        .texts = TEXTS,
                                        .text = out->text,
                                        .numbers = NUMBERS,
                                        .number = out->number,
                                        .flats = FLATS,
                                        .flat = out->flat};
}

static inline void release_sample(sample *used) {
  for (int i = 0; i < FLATS; i++) free(used->flat[i].slice);
}

static inline bool holds_step(const sample *loaded, int64_t step) {
  bool same = loaded->checkpoint.step == step && loaded->checkpoint.seed == UINT64_C(0xfedcba9876543210);
  same = same && loaded->number[0].value == step / 10 && loaded->number[1].value == -step;
  same = same && loaded->number[2].value == INT64_MAX - step;
  for (int i = 0; i < FLATS; i++) {
    const cohort_stored_flat *const flat = &loaded->flat[i];
    for (int64_t k = 0; k < flat->count; k++) {
      double wanted = 0;
      put_element(flat, i, step, flat->first + k, &wanted);
      same = same && memcmp(&wanted, (char *)flat->slice + (size_t)k * element_bytes(flat), element_bytes(flat)) == 0;
    }
  }
  return same;
}

/* ---- collective calls on threads ---- */

typedef struct job {
  const char *directory, *name, *path;
  int64_t step;
  void (*change)(sample *); /* before a save or load; may be NULL */
  const cohort_log *log;
  bool found, right[MOST_RANKS];
  cohort_status status[MOST_RANKS];
  cohort_error error[MOST_RANKS];
  uint64_t bytes[MOST_RANKS];
  char taken[512];
} job;

static inline cohort_status save_on_rank(cohort_comm *comm, void *argument) {
  job *const work = argument;
  sample state;
  make_sample(&state, comm, work->step);
  if (work->change) work->change(&state);
  const cohort_status status = cohort_checkpoint_save(comm, work->directory, work->name, &state.checkpoint,
                                                      &work->bytes[comm->rank], &work->error[comm->rank]);
  work->status[comm->rank] = status;
  release_sample(&state);
  return status;
}

static inline cohort_status load_on_rank(cohort_comm *comm, void *argument) {
  job *const work = argument;
  sample state;
  make_sample(&state, comm, 999983); /* other values, to be replaced */
  if (work->change) work->change(&state);
  const cohort_status status = cohort_checkpoint_load(comm, work->path, &state.checkpoint, &work->error[comm->rank]);
  work->status[comm->rank] = status;
  work->right[comm->rank] = status == COHORT_DONE && holds_step(&state, work->step);
  release_sample(&state);
  return status;
}

static inline cohort_status resume_on_rank(cohort_comm *comm, void *argument) {
  job *const work = argument;
  sample state;
  make_sample(&state, comm, 999983);
  if (work->change) work->change(&state);
  char *path = NULL;
  bool found = false;
  const cohort_log log = comm->rank == 0 && work->log ? *work->log : (cohort_log){0};
  const cohort_status status =
      cohort_checkpoint_resume(comm, &log, work->directory, &state.checkpoint, &found, &path, &work->error[comm->rank]);
  work->status[comm->rank] = status;
  work->right[comm->rank] = status == COHORT_DONE && found && holds_step(&state, work->step);
  if (comm->rank == 0) {
    work->found = found;
    snprintf(work->taken, sizeof work->taken, "%s", path ? path : "");
  }
  free(path);
  release_sample(&state);
  return status;
}

static inline bool same_everywhere(const job *work, int ranks) {
  bool same = true;
  for (int i = 1; i < ranks; i++) {
    same = same && work->status[i] == work->status[0] && strcmp(work->error[i].text, work->error[0].text) == 0;
  }
  return same;
}

static inline void save(int ranks, const char *directory, const char *name, int64_t step) {
  job work = {.directory = directory, .name = name, .step = step};
  CU_ASSERT_EQUAL(cohort_comm_run_threads(ranks, save_on_rank, &work), COHORT_DONE);
  if (work.status[0] != COHORT_DONE) printf("\n%s\n", work.error[0].text);
}

/* ---- files ---- */

static inline char *make_directory(void) {
  char *const path = cohort_copy_text("/tmp/test_checkpoint_XXXXXX");
  CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(path));
  return path;
}

static inline int count_entries(const char *directory) {
  int count = 0;
  DIR *const open_directory = opendir(directory);
  for (struct dirent *entry = readdir(open_directory); entry; entry = readdir(open_directory)) {
    count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
  }
  closedir(open_directory);
  return count;
}

static inline void remove_directory(char *path) {
  DIR *const open_directory = opendir(path);
  for (struct dirent *entry = readdir(open_directory); entry; entry = readdir(open_directory)) {
    unlinkat(dirfd(open_directory), entry->d_name, 0);
  }
  closedir(open_directory);
  rmdir(path);
  free(path);
}

static inline char *read_bytes(const char *path, size_t *size) {
  FILE *const file = fopen(path, "rb");
  if (!file) return NULL;
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  char *const bytes = cohort_allocate(*size + 1);
  *size = fread(bytes, 1, *size, file);
  fclose(file);
  return bytes;
}

static inline void write_bytes(const char *path, const char *bytes, size_t size) {
  FILE *const file = fopen(path, "wb");
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  fwrite(bytes, 1, size, file);
  fclose(file);
}

static inline void flip_byte(const char *path, size_t at) {
  FILE *const file = fopen(path, "r+b");
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  fseek(file, (long)at, SEEK_SET);
  const int old = fgetc(file);
  fseek(file, (long)at, SEEK_SET);
  fputc(old ^ 0x10, file);
  fclose(file);
}

#endif
