/* Checkpoints on ranks that are threads: same file on any number of ranks, every damage found, older ones kept.
 * With the arguments "write FILE" it only writes a sample, for check_checkpoint_h5py.py. */
#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
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

/* The bits of element i of a flat dataset: plain numbers, with a NaN and a -0 among them. */
static void put_element(const cohort_stored_flat *flat, int which, int64_t step, int64_t i, void *out) {
  const double value = i == 17 ? NAN : i == 18 ? -0.0 : sin((double)(i * 7 + which * 1000 + step)) * 3;
  if (flat->type == COHORT_STORED_FLOAT32) *(float *)out = (float)value;
  if (flat->type == COHORT_STORED_FLOAT64) *(double *)out = value;
  if (flat->type == COHORT_STORED_INT64) *(int64_t *)out = i * 1000003 - which - step;
}

static size_t element_bytes(const cohort_stored_flat *flat) { return flat->type == COHORT_STORED_FLOAT32 ? 4 : 8; }

static void make_sample(sample *out, const cohort_comm *comm, int64_t step) {
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

static void release_sample(sample *used) {
  for (int i = 0; i < FLATS; i++) free(used->flat[i].slice);
}

static bool holds_step(const sample *loaded, int64_t step) {
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

static cohort_status save_on_rank(cohort_comm *comm, void *argument) {
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

static cohort_status load_on_rank(cohort_comm *comm, void *argument) {
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

static cohort_status resume_on_rank(cohort_comm *comm, void *argument) {
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

static bool same_everywhere(const job *work, int ranks) {
  bool same = true;
  for (int i = 1; i < ranks; i++) {
    same = same && work->status[i] == work->status[0] && strcmp(work->error[i].text, work->error[0].text) == 0;
  }
  return same;
}

static void save(int ranks, const char *directory, const char *name, int64_t step) {
  job work = {.directory = directory, .name = name, .step = step};
  CU_ASSERT_EQUAL(cohort_comm_run_threads(ranks, save_on_rank, &work), COHORT_DONE);
  if (work.status[0] != COHORT_DONE) printf("\n%s\n", work.error[0].text);
}

/* ---- files ---- */

static char *make_directory(void) {
  char *const path = cohort_copy_text("/tmp/test_checkpoint_XXXXXX");
  CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(path));
  return path;
}

static int count_entries(const char *directory) {
  int count = 0;
  DIR *const open_directory = opendir(directory);
  for (struct dirent *entry = readdir(open_directory); entry; entry = readdir(open_directory)) {
    count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
  }
  closedir(open_directory);
  return count;
}

static void remove_directory(char *path) {
  DIR *const open_directory = opendir(path);
  for (struct dirent *entry = readdir(open_directory); entry; entry = readdir(open_directory)) {
    unlinkat(dirfd(open_directory), entry->d_name, 0);
  }
  closedir(open_directory);
  rmdir(path);
  free(path);
}

static char *read_bytes(const char *path, size_t *size) {
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

static void write_bytes(const char *path, const char *bytes, size_t size) {
  FILE *const file = fopen(path, "wb");
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  fwrite(bytes, 1, size, file);
  fclose(file);
}

static void flip_byte(const char *path, size_t at) {
  FILE *const file = fopen(path, "r+b");
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  fseek(file, (long)at, SEEK_SET);
  const int old = fgetc(file);
  fseek(file, (long)at, SEEK_SET);
  fputc(old ^ 0x10, file);
  fclose(file);
}

/* ---- the tests ---- */

static void slices_cover_in_whole_blocks(void) {
  const int64_t sizes[] = {0, 1, 1023, 1024, 1025, 10002, 4096, 1000003};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    for (int ranks = 1; ranks <= 9; ranks++) {
      int64_t next = 0, least = INT64_MAX, most = 0;
      for (int rank = 0; rank < ranks; rank++) {
        int64_t first = -1, count = -1;
        cohort_checkpoint_slice(sizes[s], ranks, rank, &first, &count);
        CU_ASSERT_EQUAL(first, next);
        CU_ASSERT_TRUE(first % COHORT_SLICE_BLOCK == 0 || count == 0);
        next = first + count;
        const int64_t blocks = (count + COHORT_SLICE_BLOCK - 1) / COHORT_SLICE_BLOCK;
        least = blocks < least ? blocks : least;
        most = blocks > most ? blocks : most;
      }
      CU_ASSERT_EQUAL(next, sizes[s]);
      CU_ASSERT_TRUE(most - least <= 1);
    }
  }
}

static void any_ranks_save_any_ranks_load(void) {
  char *const directory = make_directory();
  char *const path = cohort_format_text("%s/step_00000120.h5", directory);
  char *first_bytes = NULL;
  size_t first_size = 0;
  for (int savers = 1; savers <= MOST_RANKS; savers++) {
    save(savers, directory, NULL, 120);
    CU_ASSERT_EQUAL(count_entries(directory), 2); /* the file and `latest`, nothing hidden */
    for (int loaders = 1; loaders <= MOST_RANKS; loaders++) {
      job work = {.path = path, .step = 120};
      CU_ASSERT_EQUAL(cohort_comm_run_threads(loaders, load_on_rank, &work), COHORT_DONE);
      for (int i = 0; i < loaders; i++) CU_ASSERT_TRUE(work.right[i]);
    }
    size_t size = 0;
    char *const bytes = read_bytes(path, &size);
    if (!first_bytes) {
      first_bytes = bytes;
      first_size = size;
      sleep(1); /* a time of day in the file would show */
      continue;
    }
    CU_ASSERT_EQUAL(size, first_size);
    CU_ASSERT_TRUE(size == first_size && memcmp(bytes, first_bytes, size) == 0);
    free(bytes);
  }
  free(first_bytes);
  free(path);
  remove_directory(directory);
}

static void latest_is_moved_but_for_named_files(void) {
  char *const directory = make_directory();
  save(2, directory, NULL, 7);
  save(2, directory, "final.h5", 9);
  char *const latest = cohort_format_text("%s/latest", directory);
  size_t size = 0;
  char *const text = read_bytes(latest, &size);
  CU_ASSERT_STRING_EQUAL(text, "step_00000007.h5\n");
  CU_ASSERT_EQUAL(count_entries(directory), 3);
  free(text);
  free(latest);
  remove_directory(directory);
}

static cohort_status load_status(const char *path, int ranks, job *work) {
  *work = (job){.path = path, .step = 3};
  const cohort_status status = cohort_comm_run_threads(ranks, load_on_rank, work);
  CU_ASSERT_TRUE(same_everywhere(work, ranks));
  return status;
}

/* Every byte of the file is covered by the seal, the structure's digest or a dataset's digest. */
static void every_flipped_byte_is_found(void) {
  char *const directory = make_directory();
  char *const path = cohort_format_text("%s/step_00000003.h5", directory);
  save(2, directory, NULL, 3);
  size_t size = 0;
  char *const bytes = read_bytes(path, &size);
  int accepted = 0, named = 0, tries = 0;
  for (size_t at = 0; at < size; at += at < 200 ? 1 : at < 12000 ? 61 : 397) {
    flip_byte(path, at);
    job work;
    const cohort_status status = load_status(path, tries % 8 == 0 ? 3 : 1, &work);
    accepted += status != COHORT_BAD_DATA;
    CU_ASSERT_PTR_NOT_NULL(strstr(work.error[0].text, path));
    CU_ASSERT_PTR_NULL(strchr(work.error[0].text, '\n'));
    named += strstr(work.error[0].text, "/flat/") != NULL;
    flip_byte(path, at);
    tries++;
  }
  CU_ASSERT_EQUAL(accepted, 0);
  CU_ASSERT_TRUE(named > tries / 4); /* most of the file is data */
  job work;
  CU_ASSERT_EQUAL(load_status(path, 2, &work), COHORT_DONE); /* every flip was undone */
  free(bytes);
  free(path);
  remove_directory(directory);
}

/* Where the first element of a dataset lies, found by its bytes. */
static void a_flip_in_the_data_names_the_dataset(void) {
  char *const directory = make_directory();
  char *const path = cohort_format_text("%s/step_00000003.h5", directory);
  save(3, directory, NULL, 3);
  size_t size = 0;
  char *const bytes = read_bytes(path, &size);
  cohort_comm alone = cohort_comm_alone();
  sample state;
  make_sample(&state, &alone, 3);
  for (int i = 0; i < FLATS; i++) {
    const cohort_stored_flat *const flat = &state.flat[i];
    const char *const place = memmem(bytes, size, flat->slice, (size_t)flat->elements * element_bytes(flat));
    CU_ASSERT_PTR_NOT_NULL_FATAL(place);
    flip_byte(path, (size_t)(place - bytes) + 4001);
    job work;
    CU_ASSERT_EQUAL(load_status(path, 4, &work), COHORT_BAD_DATA);
    CU_ASSERT_PTR_NOT_NULL(strstr(work.error[0].text, flat->flat_path));
    flip_byte(path, (size_t)(place - bytes) + 4001);
  }
  release_sample(&state);
  free(bytes);
  free(path);
  remove_directory(directory);
}

static void every_truncation_is_refused(void) {
  char *const directory = make_directory();
  char *const path = cohort_format_text("%s/step_00000003.h5", directory);
  save(2, directory, NULL, 3);
  size_t size = 0;
  char *const bytes = read_bytes(path, &size);
  const size_t special[] = {0, 1, 15, 16, 63, 64, 4095, 4096, 4097, size - 1};
  job work;
  for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
    write_bytes(path, bytes, special[i]);
    CU_ASSERT_EQUAL(load_status(path, 2, &work), COHORT_BAD_DATA);
  }
  for (size_t length = 0; length < size; length += 2048) {
    write_bytes(path, bytes, length);
    CU_ASSERT_EQUAL(load_status(path, 1, &work), COHORT_BAD_DATA);
  }
  for (size_t from = 0; from < size; from += 16384) { /* the size is right, but the tail never reached the disk */
    char *const torn = cohort_allocate(size);
    memcpy(torn, bytes, from);
    write_bytes(path, torn, size);
    CU_ASSERT_EQUAL(load_status(path, 1, &work), COHORT_BAD_DATA);
    free(torn);
  }
  char *const longer = cohort_allocate(size + 1);
  memcpy(longer, bytes, size);
  write_bytes(path, longer, size + 1);
  CU_ASSERT_EQUAL(load_status(path, 1, &work), COHORT_BAD_DATA);
  free(longer);
  unlink(path);
  CU_ASSERT_EQUAL(load_status(path, 2, &work), COHORT_BAD_DATA);
  CU_ASSERT_EQUAL(load_status(directory, 2, &work), COHORT_BAD_DATA);
  free(bytes);
  free(path);
  remove_directory(directory);
}

static void other_shape(sample *state) {
  state->tensor[1].size[0] = 11;
  state->tensor[1].size[1] = 7;
}
static void other_name(sample *state) { state->tensor[3].name = "classifier"; }
static void fewer_tensors(sample *state) { state->flat[0].tensors = 3; }
static void other_type(sample *state) { state->flat[1].type = COHORT_STORED_FLOAT64; }
static void other_slot(sample *state) { state->flat[1].flat_path = "/model/flat/main/v"; }
static void fewer_slots(sample *state) { state->checkpoint.flats = 3; }
static void other_number(sample *state) { state->number[1].name = "client"; }
static void other_count(sample *state) {
  state->flat[3].elements = 1400;
  state->flat[3].tensors = 0;
}

static void another_model_is_refused_by_name(void) {
  const struct {
    void (*change)(sample *);
    const char *named;
  } cases[] = {{other_shape, "/model/parameters/layer0.weight has shape [7, 11, 13], the model wants [11, 7, 13]"},
               {other_name, "/model/parameters/classifier is missing"},
               {fewer_tensors, "/model/parameters/head is not in the model"},
               {other_type, "/model/flat/main/m holds float32, wanted is float64"},
               {other_slot, "/model/flat/main/v is missing"},
               {fewer_slots, "/loop/flat/rows is not part of this run"},
               {other_number, "/sampler has no `client`"},
               {other_count, "/loop/rows/rows is not in the model"}};
  char *const directory = make_directory();
  char *const path = cohort_format_text("%s/step_00000003.h5", directory);
  save(2, directory, NULL, 2); /* an older one, which is no way out: it is of the same other model */
  save(2, directory, NULL, 3);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    job work = {.path = path, .step = 3, .change = cases[i].change};
    CU_ASSERT_EQUAL(cohort_comm_run_threads(1, load_on_rank, &work), COHORT_BAD_DATA);
    CU_ASSERT_PTR_NOT_NULL(strstr(work.error[0].text, cases[i].named));
    CU_ASSERT_PTR_NOT_NULL(strstr(work.error[0].text, path));
    if (!strstr(work.error[0].text, cases[i].named)) printf("\n%s\n", work.error[0].text);
    job resumed = {.directory = directory, .step = 3, .change = cases[i].change};
    CU_ASSERT_EQUAL(cohort_comm_run_threads(2, resume_on_rank, &resumed), COHORT_BAD_DATA);
    CU_ASSERT_PTR_NOT_NULL(strstr(resumed.error[1].text, cases[i].named));
  }
  free(path);
  remove_directory(directory);
}

static void resume_falls_back_with_one_warning(void) {
  char *const directory = make_directory();
  job empty = {.directory = directory};
  CU_ASSERT_EQUAL(cohort_comm_run_threads(2, resume_on_rank, &empty), COHORT_DONE);
  CU_ASSERT_FALSE(empty.found);
  const int64_t steps[] = {9998, 9999, 10000, 123456789};
  for (int i = 0; i < 4; i++) save(1 + i, directory, NULL, steps[i]);
  for (int damaged = 0; damaged <= 4; damaged++) {
    FILE *const lines = tmpfile();
    const cohort_log log = {.file = lines, .speaks = true};
    const int64_t wanted = damaged < 4 ? steps[3 - damaged] : 0;
    job work = {.directory = directory, .step = wanted, .log = &log};
    const cohort_status status = cohort_comm_run_threads(3, resume_on_rank, &work);
    CU_ASSERT_TRUE(same_everywhere(&work, 3));
    CU_ASSERT_EQUAL(status, damaged < 4 ? COHORT_DONE : COHORT_BAD_DATA);
    for (int i = 0; i < 3 && damaged < 4; i++) CU_ASSERT_TRUE(work.right[i]);
    int newlines = 0;
    rewind(lines);
    for (int c = fgetc(lines); c != EOF; c = fgetc(lines)) newlines += c == '\n';
    CU_ASSERT_EQUAL(newlines, damaged < 4 ? damaged : 3);
    fclose(lines);
    if (damaged == 4) break;
    char *const path = cohort_format_text("%s/step_%08" PRId64 ".h5", directory, steps[3 - damaged]);
    flip_byte(path, 30000);
    free(path);
  }
  remove_directory(directory);
}

static void a_missing_latest_means_the_newest(void) {
  char *const directory = make_directory();
  save(1, directory, NULL, 9999);
  save(1, directory, NULL, 10000);
  char *const latest = cohort_format_text("%s/latest", directory);
  const char *const contents[] = {"", "../../etc/passwd\n", "step_00009999.h5"};
  const int64_t expected[] = {10000, 10000, 9999};
  for (int i = 0; i < 3; i++) {
    write_bytes(latest, contents[i], strlen(contents[i]));
    job work = {.directory = directory, .step = expected[i]};
    CU_ASSERT_EQUAL(cohort_comm_run_threads(2, resume_on_rank, &work), COHORT_DONE);
    CU_ASSERT_TRUE(work.right[0] && work.right[1]);
  }
  free(latest);
  remove_directory(directory);
}

static bool has_step(const char *directory, int64_t step) {
  char *const path = cohort_format_text("%s/step_%08" PRId64 ".h5", directory, step);
  const bool found = access(path, F_OK) == 0;
  free(path);
  return found;
}

static void prune_keeps_the_newest_by_number(void) {
  char *const directory = make_directory();
  const int64_t steps[] = {9998, 9999, 10000, 99999999, 100000000};
  for (int i = 0; i < 5; i++) {
    char *const path = cohort_format_text("%s/step_%08" PRId64 ".h5", directory, steps[i]);
    write_bytes(path, "x", 1);
    free(path);
  }
  const char *const others[] = {".step_00000001.h5.tmp", "step_abc.h5", "final.h5", "step_00000001.h5.old"};
  for (int i = 0; i < 4; i++) {
    char *const path = cohort_format_text("%s/%s", directory, others[i]);
    write_bytes(path, "x", 1);
    free(path);
  }
  cohort_checkpoint_prune(directory, 3, 9998);
  CU_ASSERT_TRUE(has_step(directory, 9998)); /* the best */
  CU_ASSERT_FALSE(has_step(directory, 9999));
  CU_ASSERT_TRUE(has_step(directory, 10000));
  CU_ASSERT_TRUE(has_step(directory, 99999999) && has_step(directory, 100000000));
  CU_ASSERT_EQUAL(count_entries(directory), 4 + 3); /* the leftover of a killed save is gone, strangers stay */
  cohort_checkpoint_prune(directory, 1, -1);
  CU_ASSERT_TRUE(has_step(directory, 100000000));
  CU_ASSERT_EQUAL(count_entries(directory), 1 + 3);
  cohort_checkpoint_prune(directory, 2, -1);
  CU_ASSERT_EQUAL(count_entries(directory), 1 + 3);
  remove_directory(directory);
}

/* A save that failed: the same error everywhere, nothing new, the older checkpoint whole. */
static void check_failed_save(const char *directory, int ranks, const job *work, int entries) {
  CU_ASSERT_EQUAL(work->status[0], COHORT_NO_RESOURCE);
  CU_ASSERT_TRUE(same_everywhere(work, ranks));
  CU_ASSERT_EQUAL(count_entries(directory), entries);
  job resumed = {.directory = directory, .step = 5};
  CU_ASSERT_EQUAL(cohort_comm_run_threads(2, resume_on_rank, &resumed), COHORT_DONE);
  CU_ASSERT_TRUE(resumed.right[0] && resumed.right[1]);
}

/* A limit on the file's size stops the ranks whose slices lie beyond it, at 32 places of the file. */
static void a_write_that_fails_on_some_ranks(void) {
  char *const directory = make_directory();
  char *const path = cohort_format_text("%s/step_00000005.h5", directory);
  save(2, directory, NULL, 5);
  struct stat facts;
  CU_ASSERT_EQUAL_FATAL(stat(path, &facts), 0);
  struct rlimit old;
  getrlimit(RLIMIT_FSIZE, &old);
  signal(SIGXFSZ, SIG_IGN);
  fflush(NULL);
  for (int i = 0; i < 32; i++) {
    const struct rlimit limit = {.rlim_cur = (rlim_t)(facts.st_size * i / 32), .rlim_max = old.rlim_max};
    const int ranks = 1 + i % MOST_RANKS;
    job work = {.directory = directory, .step = 6};
    setrlimit(RLIMIT_FSIZE, &limit);
    cohort_comm_run_threads(ranks, save_on_rank, &work);
    setrlimit(RLIMIT_FSIZE, &old);
    check_failed_save(directory, ranks, &work, 2);
  }
  signal(SIGXFSZ, SIG_DFL);
  save(3, directory, NULL, 6);
  CU_ASSERT_EQUAL(count_entries(directory), 3);
  free(path);
  remove_directory(directory);
}

/* Needs the right to mount; without it the test above has to do. */
static void a_full_disk(void) {
  char *const directory = make_directory();
  if (mount("none", directory, "tmpfs", 0, "size=2M") != 0) {
    printf("(no right to mount: not run) ");
    remove_directory(directory);
    return;
  }
  save(2, directory, NULL, 5);
  char *const filler = cohort_format_text("%s/filler", directory);
  char *const zeros = cohort_allocate(1 << 21);
  for (size_t bytes = 1 << 20; bytes < (1 << 21); bytes += 1 << 18) {
    write_bytes(filler, zeros, bytes);
    job work = {.directory = directory, .step = 6};
    cohort_comm_run_threads(3, save_on_rank, &work);
    check_failed_save(directory, 3, &work, 3);
    CU_ASSERT_PTR_NOT_NULL(strstr(work.error[2].text, directory));
  }
  unlink(filler);
  save(2, directory, NULL, 6);
  free(zeros);
  free(filler);
  umount2(directory, MNT_DETACH);
  remove_directory(directory);
}

static void a_directory_that_is_not_there(void) {
  job work = {.directory = "/tmp/test_checkpoint_absent/x", .step = 6};
  CU_ASSERT_EQUAL(cohort_comm_run_threads(2, save_on_rank, &work), COHORT_NO_RESOURCE);
  CU_ASSERT_TRUE(same_everywhere(&work, 2));
}

/* ---- looking into files ---- */

static void one_element(sample *state) { ((float *)state->flat[1].slice)[3500] += 0.5f; }
static void one_number(sample *state) { state->number[1].value++; }
static void other_texts(sample *state) { state->text[1].text = "run: y\nranks: 4\n"; }
static void minus_zero(sample *state) { ((float *)state->flat[0].slice)[18] = 0.0f; }

/* What a call writes to standard output, owned by the caller. */
static char *compare_output(const char *a, const char *b, bool *equal) {
  FILE *const file = tmpfile();
  fflush(stdout);
  const int kept = dup(STDOUT_FILENO);
  dup2(fileno(file), STDOUT_FILENO);
  cohort_error error = {0};
  const cohort_status status = cohort_checkpoint_compare(a, b, equal, &error);
  fflush(stdout);
  dup2(kept, STDOUT_FILENO);
  close(kept);
  CU_ASSERT_EQUAL(status, COHORT_DONE);
  char *const text = cohort_allocate(4096);
  rewind(file);
  text[fread(text, 1, 4095, file)] = '\0';
  fclose(file);
  return text;
}

static void compare_names_the_first_difference(void) {
  const struct {
    void (*change)(sample *);
    bool equal;
    const char *named;
  } cases[] = {{NULL, true, "same bits"},
               {other_texts, true, "same bits"},
               {one_element, false, "/model/main/m/layer0.weight: 1 of 1001 elements, max |a-b| = 0.5"},
               {minus_zero, false, "/model/parameters/embedding: 1 of 3000 elements, max |a-b| = 0"},
               {one_number, false, "/sampler position: -3 against -2"},
               {other_name, false, "/model/parameters/head is only in the first file"},
               {other_slot, false, "/model/flat/main/m is only in the first file"}};
  char *const directory = make_directory();
  char *const a = cohort_format_text("%s/a.h5", directory);
  char *const b = cohort_format_text("%s/b.h5", directory);
  save(1, directory, "a.h5", 3);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    job work = {.directory = directory, .name = "b.h5", .step = 3, .change = cases[i].change};
    CU_ASSERT_EQUAL(cohort_comm_run_threads(1, save_on_rank, &work), COHORT_DONE);
    bool equal = !cases[i].equal;
    char *const text = compare_output(a, b, &equal);
    CU_ASSERT_EQUAL(equal, cases[i].equal);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, cases[i].named));
    if (!strstr(text, cases[i].named)) printf("\n%s", text);
    free(text);
  }
  cohort_error error = {0};
  bool equal = false;
  flip_byte(b, 60000);
  CU_ASSERT_EQUAL(cohort_checkpoint_compare(a, b, &equal, &error), COHORT_BAD_DATA);
  free(a);
  free(b);
  remove_directory(directory);
}

static char long_text[200001];
static void long_config(sample *state) { state->text[1].text = long_text; }

static void texts_and_one_dataset(void) {
  char *const directory = make_directory();
  char *const path = cohort_format_text("%s/a.h5", directory);
  memset(long_text, 'c', sizeof long_text - 1); /* beyond what fits into an object's header */
  job work = {.directory = directory, .name = "a.h5", .step = 3, .change = long_config};
  CU_ASSERT_EQUAL(cohort_comm_run_threads(3, save_on_rank, &work), COHORT_DONE);
  CU_ASSERT_EQUAL(work.bytes[0] + work.bytes[1] + work.bytes[2], 10002u * 16 + 1500 * 8);
  cohort_error error = {0};
  char *text = NULL;
  CU_ASSERT_EQUAL_FATAL(cohort_checkpoint_text(path, "config", &text, &error), COHORT_DONE);
  CU_ASSERT_STRING_EQUAL(text, long_text);
  free(text);
  CU_ASSERT_EQUAL(cohort_checkpoint_text(path, "nothing", &text, &error), COHORT_BAD_DATA);
  cohort_flat_contents contents = {0};
  CU_ASSERT_EQUAL_FATAL(cohort_checkpoint_read_flat(path, "/model/flat/main/m", "/model/main/m", &contents, &error),
                        COHORT_DONE);
  CU_ASSERT_EQUAL(contents.elements, 10002);
  CU_ASSERT_EQUAL_FATAL(contents.tensors, 4);
  for (int i = 0; i < 4; i++) {
    CU_ASSERT_STRING_EQUAL(contents.tensor[i].name, model_tensors[i].name);
    CU_ASSERT_EQUAL(contents.tensor[i].offset, model_tensors[i].offset);
    CU_ASSERT_EQUAL(contents.tensor[i].axes, model_tensors[i].axes ? model_tensors[i].axes : 1);
  }
  CU_ASSERT_EQUAL(contents.tensor[1].size[2], 13);
  const cohort_stored_flat flat = {.type = COHORT_STORED_FLOAT32};
  for (int64_t i = 0; i < contents.elements; i++) {
    float wanted = 0;
    put_element(&flat, 1, 3, i, &wanted);
    if (memcmp(&wanted, &contents.data[i], sizeof wanted) != 0) CU_FAIL_FATAL("read_flat gives other bits");
  }
  cohort_flat_release(&contents);
  CU_ASSERT_EQUAL(cohort_checkpoint_read_flat(path, "/model/flat/main/sums", "/model/main/sums", &contents, &error),
                  COHORT_BAD_DATA);
  CU_ASSERT_EQUAL(cohort_checkpoint_read_flat(path, "/x", "/y", &contents, &error), COHORT_BAD_DATA);
  free(path);
  remove_directory(directory);
}

static int write_sample(const char *path) {
  const char *const slash = strrchr(path, '/');
  char *const directory = slash ? cohort_format_text("%.*s", (int)(slash - path), path) : cohort_copy_text(".");
  job work = {.directory = directory, .name = slash ? slash + 1 : path, .step = 120};
  const cohort_status status = cohort_comm_run_threads(3, save_on_rank, &work);
  if (status != COHORT_DONE) fprintf(stderr, "%s\n", work.error[0].text);
  free(directory);
  return (int)status;
}

int main(int count, char **arguments) {
  if (count == 3 && strcmp(arguments[1], "write") == 0) return write_sample(arguments[2]);
  static const check checks[] = {{"slices cover in whole blocks", slices_cover_in_whole_blocks},
                                 {"any ranks save, any ranks load", any_ranks_save_any_ranks_load},
                                 {"latest is moved but for named files", latest_is_moved_but_for_named_files},
                                 {"every flipped byte is found", every_flipped_byte_is_found},
                                 {"a flip in the data names the dataset", a_flip_in_the_data_names_the_dataset},
                                 {"every truncation is refused", every_truncation_is_refused},
                                 {"another model is refused by name", another_model_is_refused_by_name},
                                 {"resume falls back with one warning", resume_falls_back_with_one_warning},
                                 {"a missing latest means the newest", a_missing_latest_means_the_newest},
                                 {"prune keeps the newest by number", prune_keeps_the_newest_by_number},
                                 {"a write that fails on some ranks", a_write_that_fails_on_some_ranks},
                                 {"a full disk", a_full_disk},
                                 {"a directory that is not there", a_directory_that_is_not_there},
                                 {"compare names the first difference", compare_names_the_first_difference},
                                 {"texts and one dataset", texts_and_one_dataset}};
  return check_run("checkpoint", checks, sizeof checks / sizeof *checks);
}
