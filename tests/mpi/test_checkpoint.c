/* Run by mpirun: a checkpoint saved by all ranks has the bytes of one saved by a single rank, loads on all, and a
 * damaged one is refused on all. Argument: an empty directory. Exit status 0 when all holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/checkpoint.h"
#include "mpi/world.h"

enum { ELEMENTS = 3000017 };

static const cohort_stored_tensor tensors[] = {{"first", 2, {1000, 2000}, 0}, {"second", 1, {1000017}, 2000000}};

typedef struct state {
  float *data;
  cohort_stored_flat flat;
  cohort_stored_number number;
  cohort_checkpoint checkpoint;
} state;

static float value_at(int64_t i) { return (float)((i * 2654435761) % 1000003) * 1e-3f; }

static void make_state(state *out, const cohort_comm *comm) {
  *out = (state){
      .flat = {"/model/flat/parameters", "/model/parameters", COHORT_STORED_FLOAT32, ELEMENTS, 2, tensors, 0, 0, NULL},
      .number = {"position", 77}};
  cohort_checkpoint_slice(ELEMENTS, comm->size, comm->rank, &out->flat.first, &out->flat.count);
  out->data = cohort_allocate((size_t)(out->flat.count + 1) * sizeof *out->data);
  for (int64_t i = 0; i < out->flat.count; i++) out->data[i] = value_at(out->flat.first + i);
  out->flat.slice = out->data;
  out->checkpoint =
      (cohort_checkpoint){.step = 5, .seed = 1, .numbers = 1, .number = &out->number, .flats = 1, .flat = &out->flat};
}

static bool same_files(const char *a, const char *b) {
  FILE *const left = fopen(a, "rb"), *const right = fopen(b, "rb");
  bool same = left && right;
  for (int c = 0; same && c != EOF;) {
    c = fgetc(left);
    same = c == fgetc(right);
  }
  if (left) fclose(left);
  if (right) fclose(right);
  return same;
}

static void damage(const char *path) {
  FILE *const file = fopen(path, "r+b");
  fseek(file, 5000000, SEEK_SET);
  const int old = fgetc(file);
  fseek(file, 5000000, SEEK_SET);
  fputc(old ^ 1, file);
  fclose(file);
}

static int failures;

static void expect(const cohort_comm *comm, bool holds, const char *what, const char *detail) {
  if (holds) return;
  failures++;
  fprintf(stderr, "rank %d of %d: failed: %s %s\n", comm->rank, comm->size, what, detail);
}

int main(int count, char **arguments) {
  cohort_comm comm, alone = cohort_comm_alone();
  cohort_error error = {0};
  if (count != 2 || cohort_world_open(&comm, &error) != COHORT_DONE) {
    fprintf(stderr, "usage: test_checkpoint DIRECTORY\n%s\n", error.text);
    return 1;
  }
  const char *const directory = arguments[1];
  char *const path = cohort_format_text("%s/step_00000005.h5", directory);
  char *const single = cohort_format_text("%s/single.h5", directory);
  state all, one;
  make_state(&all, &comm);
  make_state(&one, &alone);
  uint64_t bytes = 0;
  cohort_status status = cohort_checkpoint_save(&comm, directory, NULL, &all.checkpoint, &bytes, &error);
  expect(&comm, status == COHORT_DONE, "save", error.text);
  expect(&comm, bytes == (uint64_t)all.flat.count * 4, "each rank writes its own slice", "");
  if (comm.rank == 0) {
    status = cohort_checkpoint_save(&alone, directory, "single.h5", &one.checkpoint, NULL, &error);
    expect(&comm, status == COHORT_DONE && same_files(path, single), "the file is that of one rank", error.text);
  }
  memset(all.data, 0, (size_t)all.flat.count * sizeof *all.data);
  all.number.value = 0;
  bool found = false;
  char *taken = NULL;
  const cohort_log silent = {0};
  status = cohort_checkpoint_resume(&comm, &silent, directory, &all.checkpoint, &found, &taken, &error);
  expect(&comm, status == COHORT_DONE && found && all.number.value == 77, "resume", error.text);
  for (int64_t i = 0; i < all.flat.count; i++) {
    if (all.data[i] != value_at(all.flat.first + i)) {
      expect(&comm, false, "the values come back", "");
      break;
    }
  }
  if (comm.rank == 0) damage(path);
  cohort_comm_barrier(&comm);
  status = cohort_checkpoint_load(&comm, path, &all.checkpoint, &error);
  expect(&comm, status == COHORT_BAD_DATA && strstr(error.text, "/model/flat/parameters"), "damage is refused",
         error.text);
  const int64_t failed = cohort_comm_agree(&comm, failures);
  if (comm.rank == 0) printf("test_checkpoint: %d ranks, %s\n", comm.size, failed ? "FAILED" : "all holds");
  free(taken);
  free(path);
  free(single);
  free(all.data);
  free(one.data);
  cohort_world_close(&comm);
  return failed != 0;
}
