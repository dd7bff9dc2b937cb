/* Checkpoints on ranks that are threads: same file on any number of ranks, every damage found, older ones kept.
 * With the arguments "write FILE" it only writes a sample, for check_checkpoint_h5py.py. */
#include <inttypes.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "checkpoint_sample.h"

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
               {other_type, "/model/flat/main/m holds float32, not float64"},
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

/* Files of the first edition name a reference's tensors with its scope before them. */
static void named_as_before(sample *state) {
  static const char *const names[] = {"reference.embedding", "reference.layer0.weight", "reference.layer0.gain",
                                      "reference.head"};
  state->flat[0].flat_path = "/reference/flat/parameters";
  state->flat[0].view_path = "/reference/parameters";
  for (int t = 0; t < 4; t++) state->tensor[t].name = names[t];
}

static void named_as_now(sample *state) {
  named_as_before(state);
  memcpy(state->tensor, model_tensors, sizeof model_tensors);
}

static void reference_of_the_first_edition(void) {
  char *const directory = make_directory();
  char *const path = cohort_format_text("%s/step_00000003.h5", directory);
  job saved = {.directory = directory, .step = 3, .change = named_as_before};
  CU_ASSERT_EQUAL_FATAL(cohort_comm_run_threads(2, save_on_rank, &saved), COHORT_DONE);
  cohort_flat_contents contents;
  CU_ASSERT_EQUAL_FATAL(
      cohort_checkpoint_read_flat(path, "/reference/flat/parameters", "/reference/parameters", &contents, NULL),
      COHORT_DONE);
  CU_ASSERT_EQUAL(contents.tensors, 4);
  for (int t = 0; t < contents.tensors; t++) CU_ASSERT_STRING_EQUAL(contents.tensor[t].name, model_tensors[t].name);
  cohort_flat_release(&contents);
  /* Other spaces keep their names as they are. */
  job work = {.path = path, .step = 3, .change = named_as_now};
  CU_ASSERT_EQUAL(cohort_comm_run_threads(1, load_on_rank, &work), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NOT_NULL(strstr(work.error[0].text, "/model/main/m/embedding is missing"));
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

/* A folder or a `latest` that cannot be read is an error on every rank, never an empty folder. Root reads all, so links
 * that lead in circles and files of the wrong kind stand for rights and for a broken file system. */
static void unreadable_is_not_none(void) {
  char *const directory = make_directory();
  char *const latest = cohort_format_text("%s/latest", directory);
  save(1, directory, NULL, 3);
  CU_ASSERT_EQUAL_FATAL(unlink(latest), 0);
  CU_ASSERT_EQUAL_FATAL(mkdir(latest, 0777), 0);
  char *const loop = cohort_format_text("%s/loop", directory), *const file = cohort_format_text("%s/file", directory);
  CU_ASSERT_EQUAL_FATAL(symlink("loop", loop), 0);
  write_bytes(file, "x", 1);
  const char *const places[] = {directory, loop, file}, *const named[] = {latest, loop, file};
  for (int i = 0; i < 3; i++) {
    cohort_error error = {0};
    int64_t step = 0;
    CU_ASSERT_EQUAL(cohort_checkpoint_last_step(places[i], &step, &error), COHORT_BAD_DATA);
    job work = {.directory = places[i]};
    CU_ASSERT_EQUAL(cohort_comm_run_threads(2, resume_on_rank, &work), COHORT_BAD_DATA);
    CU_ASSERT_TRUE(same_everywhere(&work, 2));
    CU_ASSERT_FALSE(work.found);
    CU_ASSERT_PTR_NOT_NULL(strstr(work.error[0].text, named[i]));
    CU_ASSERT_PTR_NOT_NULL(strstr(work.error[0].text, "cannot be read"));
  }
  cohort_checkpoint_prune(directory, 1, -1); /* deletes nothing that it cannot judge */
  CU_ASSERT_TRUE(access(loop, F_OK) != 0 && errno == ELOOP);
  CU_ASSERT_EQUAL(rmdir(latest), 0);
  CU_ASSERT_EQUAL(unlink(loop), 0);
  CU_ASSERT_EQUAL(unlink(file), 0);
  int64_t step = 0;
  cohort_error error = {0};
  CU_ASSERT_EQUAL(cohort_checkpoint_last_step(directory, &step, &error), COHORT_DONE);
  CU_ASSERT_EQUAL(step, -1);
  free(file);
  free(loop);
  free(latest);
  remove_directory(directory);
}

/* Links planted under a save's hidden names are replaced, not written through. */
static void a_save_follows_no_link(void) {
  char *const directory = make_directory();
  char *const victim = cohort_format_text("%s/victim", directory);
  write_bytes(victim, "mine", 4);
  const char *const names[] = {".latest.tmp", ".step_00000003.h5.tmp"};
  for (int i = 0; i < 2; i++) {
    char *const link = cohort_format_text("%s/%s", directory, names[i]);
    CU_ASSERT_EQUAL_FATAL(symlink(victim, link), 0);
    free(link);
  }
  save(2, directory, NULL, 3);
  CU_ASSERT_TRUE(has_step(directory, 3));
  size_t size = 0;
  char *const text = read_bytes(victim, &size);
  CU_ASSERT_TRUE(size == 4 && memcmp(text, "mine", 4) == 0);
  free(text);
  free(victim);
  remove_directory(directory);
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

/* kill -9 at 60 moments of a save: what is there afterwards is the checkpoint before or the new one, whole. */
static void a_kill_in_a_save_loses_nothing(void) {
  char *const directory = make_directory();
  save(1, directory, NULL, 1);
  int64_t last = 1;
  for (int i = 0; i < 60; i++) {
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
      job work = {.directory = directory, .step = last + 1};
      _exit((int)cohort_comm_run_threads(2, save_on_rank, &work));
    }
    usleep((useconds_t)(i * 400));
    if (i < 59) kill(child, SIGKILL); /* the last one may end, however slow the disk */
    waitpid(child, NULL, 0);
    job newer = {.directory = directory, .step = last + 1}, older = {.directory = directory, .step = last};
    CU_ASSERT_EQUAL(cohort_comm_run_threads(1, resume_on_rank, &newer), COHORT_DONE);
    CU_ASSERT_EQUAL(cohort_comm_run_threads(1, resume_on_rank, &older), COHORT_DONE);
    CU_ASSERT_TRUE(newer.right[0] != older.right[0]);
    if (newer.right[0]) last++;
    cohort_checkpoint_prune(directory, 2, -1);
    CU_ASSERT_TRUE(count_entries(directory) <=
                   4); /* two steps, `latest`, perhaps one that `latest` does not know yet */
  }
  CU_ASSERT_TRUE(last > 1);
  remove_directory(directory);
}

static void a_directory_that_is_not_there(void) {
  job work = {.directory = "/tmp/test_checkpoint_absent/x", .step = 6};
  CU_ASSERT_EQUAL(cohort_comm_run_threads(2, save_on_rank, &work), COHORT_NO_RESOURCE);
  CU_ASSERT_TRUE(same_everywhere(&work, 2));
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
                                 {"the reference of the first edition", reference_of_the_first_edition},
                                 {"resume falls back with one warning", resume_falls_back_with_one_warning},
                                 {"a missing latest means the newest", a_missing_latest_means_the_newest},
                                 {"unreadable is not none", unreadable_is_not_none},
                                 {"a save follows no link", a_save_follows_no_link},
                                 {"prune keeps the newest by number", prune_keeps_the_newest_by_number},
                                 {"a write that fails on some ranks", a_write_that_fails_on_some_ranks},
                                 {"a full disk", a_full_disk},
                                 {"a kill in a save loses nothing", a_kill_in_a_save_loses_nothing},
                                 {"a directory that is not there", a_directory_that_is_not_there}};
  return check_run("checkpoint", checks, sizeof checks / sizeof *checks);
}
