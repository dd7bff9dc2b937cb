/* Run directories: made, taken over, refused; whole files written at once. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "io/config.h"
#include "io/run_directory.h"
#include "scratch.h"

static cohort_document *config(const char *text) {
  cohort_document *out = NULL;
  CU_ASSERT_EQUAL_FATAL(cohort_config_parse(text, strlen(text), "c.yaml", &out, NULL), COHORT_DONE);
  return out;
}

static bool steps_may_change(const char *key) {
  return strcmp(key, "overwrite") == 0 || strcmp(key, "steps") == 0 || strcmp(key, "log.every") == 0;
}

/* As a version that knows one key more, `clip`, beside `steps`; other configs here are of no version. */
static cohort_document *with_clip(const cohort_document *before) {
  if (before->count != 1 || strcmp(before->names[0], "steps") != 0) return NULL;
  cohort_document *const out = cohort_document_copy(before);
  cohort_document *const zero = cohort_document_create(COHORT_SCALAR, NULL, 0, 0);
  cohort_document_set_text(zero, "0");
  cohort_document_set(out, "clip", zero);
  return out;
}

static const cohort_config_rules rules = {.may_change = steps_may_change, .complete = with_clip};

static cohort_status open_with(const char *path, const char *text, cohort_run_directory *out, cohort_error *error) {
  cohort_comm comm = cohort_comm_alone();
  cohort_document *const document = config(text);
  const cohort_status status = cohort_run_directory_open(&comm, path, document, &rules, out, error);
  cohort_document_destroy(document);
  return status;
}

static void opened(const char *path, const char *text, bool fresh) {
  cohort_run_directory directory;
  cohort_error error = {0};
  const cohort_status status = open_with(path, text, &directory, &error);
  if (status != COHORT_DONE) printf("    %s\n", error.text);
  CU_ASSERT_EQUAL_FATAL(status, COHORT_DONE);
  CU_ASSERT_EQUAL(directory.fresh, fresh);
  CU_ASSERT_STRING_EQUAL(directory.path, path);
  CU_ASSERT_TRUE(directory.lock.descriptor >= 0);
  cohort_run_directory_close(&directory);
  CU_ASSERT_PTR_NULL(directory.path);
  CU_ASSERT_EQUAL(directory.lock.descriptor, -1);
}

static void refused(const char *path, const char *text, cohort_status wanted, const char *const *part, int parts) {
  cohort_run_directory directory;
  cohort_error error = {0};
  CU_ASSERT_EQUAL(open_with(path, text, &directory, &error), wanted);
  CU_ASSERT_PTR_NULL(directory.path);
  CU_ASSERT_EQUAL(directory.lock.descriptor, -1);
  for (int i = 0; i < parts; i++) {
    if (!strstr(error.text, part[i])) printf("    \"%s\" lacks \"%s\"\n", error.text, part[i]);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, part[i]));
  }
}

/* The first row of metrics: from here on a run is there. */
static void begin_run(const char *path) { free(scratch_text(path, "metrics.csv", "step\n")); }

static bool is_directory(const char *parent, const char *name) {
  struct stat found;
  char *const path = cohort_format_text("%s/%s", parent, name);
  const bool is = stat(path, &found) == 0 && S_ISDIR(found.st_mode);
  free(path);
  return is;
}

static void made_with_parents(void) {
  char *const scratch = scratch_create(), *const path = cohort_format_text("%s/a/b/run", scratch);
  opened(path, "steps: 1\nmodel: {mlp: {sizes: [1, 2]}}\n", true);
  CU_ASSERT_TRUE(is_directory(path, "checkpoints"));
  CU_ASSERT_TRUE(is_directory(path, "plots"));
  CU_ASSERT_TRUE(is_directory(path, "tensorboard"));
  char *const name = cohort_format_text("%s/config.yaml", path);
  size_t length = 0;
  char *const text = scratch_read(name, &length);
  CU_ASSERT_STRING_EQUAL(text, "steps: 1\nmodel: {mlp: {sizes: [1, 2]}}\n");
  free(text);
  free(name);
  free(path);
  scratch_remove(scratch);
}

static void taken_over_with_allowed_changes(void) {
  char *const scratch = scratch_create(), *const path = cohort_format_text("%s/run", scratch);
  opened(path, "steps: 1\nseed: 7\nlog: {every: 2}\n", true);
  opened(path, "seed: 7\nlog: {every: 3}\nsteps: 2\n", false);
  char *const name = cohort_format_text("%s/config.yaml", path);
  size_t length = 0;
  char *const text = scratch_read(name, &length);
  CU_ASSERT_STRING_EQUAL(text, "seed: 7\nlog: {every: 3}\nsteps: 2\n");
  free(text);
  free(name);
  free(path);
  scratch_remove(scratch);
}

static void a_new_key_at_its_default_is_no_change(void) {
  char *const scratch = scratch_create(), *const path = cohort_format_text("%s/run", scratch);
  opened(path, "steps: 1\n", true);
  begin_run(path);
  refused(path, "steps: 1\nclip: 2\n", COHORT_BAD_CONFIG, (const char *[]){path, "\n  clip: 0 -> 2"}, 2);
  opened(path, "steps: 1\nclip: 0\n", false);
  free(path);
  scratch_remove(scratch);
}

static void forbidden_changes_are_all_listed(void) {
  char *const scratch = scratch_create(), *const path = cohort_format_text("%s/run", scratch);
  opened(path, "steps: 1\nseed: 7\nmodel: {size: 1, name: a}\n", true);
  begin_run(path);
  refused(path, "steps: 2\nseed: 8\nmodel: {size: 2, name: a}\nextra: x\n", COHORT_BAD_CONFIG,
          (const char *[]){path, "\n  seed: 7 -> 8", "\n  model.size: 1 -> 2", "\n  extra: (absent) -> x"}, 4);
  cohort_run_directory directory;
  cohort_error error = {0};
  CU_ASSERT_EQUAL(open_with(path, "steps: 2\nseed: 8\nmodel: {size: 1, name: a}\n", &directory, &error),
                  COHORT_BAD_CONFIG);
  CU_ASSERT_PTR_NULL(strstr(error.text, "steps"));                       /* allowed, so no reason */
  opened(path, "steps: 1\nseed: 7\nmodel: {size: 1, name: a}\n", false); /* the refusal changed nothing */
  free(path);
  scratch_remove(scratch);
}

static bool is_there(const char *path, const char *name) {
  char *const own = cohort_format_text("%s/%s", path, name);
  const bool there = access(own, F_OK) == 0;
  free(own);
  return there;
}

/* What a run writes goes, what somebody else has put there stays. */
static void overwritten(void) {
  static const char *const written[] = {
      "final.h5",    "timing.csv",         "summary.json",
      "log.txt",     "checkpoints/latest", "checkpoints/step_00000010.h5",
      "metrics.csv", "plots/loss.svg",     "tensorboard/events.out.tfevents.1.cohort"};
  char *const scratch = scratch_create(), *const path = cohort_format_text("%s/run", scratch);
  opened(path, "seed: 7\noverwrite: false\n", true);
  for (size_t i = 0; i < sizeof written / sizeof *written; i++) free(scratch_text(path, written[i], "1\n"));
  free(scratch_text(path, "notes.txt", "1\n"));
  free(scratch_text(path, "plots/notes.txt", "1\n"));
  refused(path, "seed: 8\noverwrite: false\n", COHORT_BAD_CONFIG, (const char *[]){"overwrite: true", "seed: 7 -> 8"},
          2);
  for (size_t i = 0; i < sizeof written / sizeof *written; i++) CU_ASSERT_TRUE(is_there(path, written[i]));
  opened(path, "seed: 8\noverwrite: true\n", true);
  for (size_t i = 0; i < sizeof written / sizeof *written; i++) CU_ASSERT_FALSE(is_there(path, written[i]));
  CU_ASSERT_TRUE(is_there(path, "notes.txt"));
  CU_ASSERT_TRUE(is_there(path, "plots/notes.txt"));
  /* The same command again: it goes on until the run has ended. */
  begin_run(path);
  opened(path, "seed: 8\noverwrite: true\n", false);
  CU_ASSERT_TRUE(is_there(path, "metrics.csv"));
  free(scratch_text(path, "summary.json", "{\n  \"outcome\": \"stopped\"\n}\n"));
  opened(path, "seed: 8\noverwrite: true\n", false);
  free(scratch_text(path, "summary.json", "{\n  \"outcome\": \"diverged\"\n}\n"));
  opened(path, "seed: 8\noverwrite: true\n", true);
  CU_ASSERT_FALSE(is_there(path, "metrics.csv"));
  free(path);
  scratch_remove(scratch);
}

/* A start that failed, of data or weights that were not there, leaves a config and no run. */
static void a_start_that_failed_binds_nothing(void) {
  char *const scratch = scratch_create(), *const path = cohort_format_text("%s/run", scratch);
  opened(path, "init_from: absent.h5\n", true);
  opened(path, "init_from: there.h5\n", false);
  begin_run(path);
  refused(path, "init_from: absent.h5\n", COHORT_BAD_CONFIG, (const char *[]){path, "there.h5 -> absent.h5"}, 2);
  free(path);
  scratch_remove(scratch);
}

static void in_use_by_another_process(void) {
  char *const scratch = scratch_create(), *const path = cohort_format_text("%s/run", scratch);
  int ready[2];
  CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
  const pid_t other = fork();
  CU_ASSERT_TRUE_FATAL(other >= 0);
  if (other == 0) {
    cohort_run_directory directory;
    const char good = open_with(path, "steps: 1\n", &directory, NULL) == COHORT_DONE ? 'y' : 'n';
    if (write(ready[1], &good, 1) == 1) pause();
    _exit(1);
  }
  char good = 0;
  CU_ASSERT_EQUAL(read(ready[0], &good, 1), 1);
  CU_ASSERT_EQUAL(good, 'y');
  refused(path, "steps: 1\n", COHORT_BAD_CONFIG, (const char *[]){path, "in use by another run"}, 2);
  CU_ASSERT_EQUAL(kill(other, SIGKILL), 0);
  CU_ASSERT_EQUAL(waitpid(other, NULL, 0), other);
  opened(path, "steps: 1\n", false); /* a dead owner's lock is none */
  close(ready[0]);
  close(ready[1]);
  free(path);
  scratch_remove(scratch);
}

static void impossible_places_are_refused(void) {
  char *const scratch = scratch_create(), *const file = scratch_text(scratch, "file", "x");
  char *const below = cohort_format_text("%s/below", file);
  refused(file, "a: 1\n", COHORT_BAD_CONFIG, (const char *[]){file}, 1);
  refused(below, "a: 1\n", COHORT_NO_RESOURCE, (const char *[]){below}, 1);
  refused("", "a: 1\n", COHORT_BAD_CONFIG, (const char *[]){"without a name"}, 1);
  refused("/proc/cohort/run", "a: 1\n", COHORT_NO_RESOURCE, (const char *[]){"/proc/cohort/run"}, 1);
  free(below);
  free(file);
  scratch_remove(scratch);
}

static void damaged_config_is_named(void) {
  char *const scratch = scratch_create();
  char *const name = scratch_text(scratch, "config.yaml", "steps: [1\n"), *const place =
                                                                              cohort_format_text("%s:", name);
  begin_run(scratch);
  refused(scratch, "steps: 1\n", COHORT_BAD_CONFIG, (const char *[]){place}, 1);
  free(place);
  free(name);
  scratch_remove(scratch);
}

static cohort_status on_rank(cohort_comm *comm, void *argument) {
  cohort_run_directory directory;
  cohort_error error = {0};
  cohort_document *const document = config("steps: 1\n");
  const cohort_status status = cohort_run_directory_open(comm, argument, document, &rules, &directory, &error);
  cohort_document_destroy(document);
  if (status != COHORT_DONE) return strstr(error.text, argument) ? status : COHORT_BUG;
  const bool good =
      (directory.lock.descriptor >= 0) == (comm->rank == 0) && directory.fresh && !strcmp(directory.path, argument);
  cohort_comm_barrier(comm);
  cohort_run_directory_close(&directory);
  return good ? COHORT_DONE : COHORT_STOPPED;
}

static void all_ranks_agree(void) {
  char *const scratch = scratch_create(), *const path = cohort_format_text("%s/run", scratch);
  char *const file = scratch_text(scratch, "file", "x");
  CU_ASSERT_EQUAL(cohort_comm_run_threads(3, on_rank, path), COHORT_DONE);
  CU_ASSERT_EQUAL(cohort_comm_run_threads(3, on_rank, file), COHORT_BAD_CONFIG);
  free(file);
  free(path);
  scratch_remove(scratch);
}

static void whole_files(void) {
  char *const scratch = scratch_create(), *const path = cohort_format_text("%s/f", scratch);
  char *const part = cohort_format_text("%s.part", path), *const below = cohort_format_text("%s/x", path);
  cohort_error error = {0};
  char *text = NULL;
  size_t length = 0;
  CU_ASSERT_FALSE(cohort_file_exists(path));
  CU_ASSERT_EQUAL(cohort_file_read(path, &text, &length, &error), COHORT_BAD_DATA);
  CU_ASSERT_PTR_NULL(text);
  const size_t sizes[] = {0, 1, 65534, 65535, 65536, 200001};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    char *const data = cohort_allocate(sizes[s] + 1);
    for (size_t i = 0; i < sizes[s]; i++) data[i] = (char)(i * 7);
    CU_ASSERT_EQUAL_FATAL(cohort_file_write(path, data, sizes[s], &error), COHORT_DONE);
    CU_ASSERT_FALSE(cohort_file_exists(part));
    CU_ASSERT_EQUAL_FATAL(cohort_file_read(path, &text, &length, &error), COHORT_DONE);
    CU_ASSERT_EQUAL(length, sizes[s]);
    CU_ASSERT_EQUAL(memcmp(text, data, sizes[s]), 0);
    CU_ASSERT_EQUAL(text[length], '\0');
    free(text);
    free(data);
  }
  CU_ASSERT_TRUE(cohort_file_exists(path));
  CU_ASSERT_EQUAL(cohort_file_write(below, "x", 1, &error), COHORT_NO_RESOURCE);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, below));
  CU_ASSERT_EQUAL(cohort_file_write(scratch, "x", 1, &error), COHORT_NO_RESOURCE); /* over a directory */
  free(below);
  free(part);
  free(path);
  scratch_remove(scratch);
}

/* No room, here a limit on the size of files: what stood there stays, and no temporary file is left. */
static void full_disk_keeps_the_old_file(void) {
  char *const scratch = scratch_create(), *const path = scratch_text(scratch, "f", "old");
  char *const part = cohort_format_text("%s.part", path);
  struct rlimit before, small;
  CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &before), 0);
  small = before;
  small.rlim_cur = 2;
  (void)signal(SIGXFSZ, SIG_IGN);
  CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &small), 0);
  cohort_error error = {0};
  const cohort_status status = cohort_file_write(path, "new", 3, &error);
  CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &before), 0);
  CU_ASSERT_EQUAL(status, COHORT_NO_RESOURCE);
  CU_ASSERT_FALSE(cohort_file_exists(part));
  size_t length = 0;
  char *const text = scratch_read(path, &length);
  CU_ASSERT_STRING_EQUAL(text, "old");
  free(text);
  free(part);
  free(path);
  scratch_remove(scratch);
}

/* Links that somebody has planted under the names that are written: what they point to stays as it is. */
static void planted_links_are_not_followed(void) {
  char *const scratch = scratch_create(), *const victim = scratch_text(scratch, "victim", "mine");
  char *const path = cohort_format_text("%s/f", scratch), *const part = cohort_format_text("%s/f.part", scratch);
  char *const lines = cohort_format_text("%s/log.txt", scratch), *const lock = cohort_format_text("%s/lock", scratch);
  cohort_error error = {0};
  size_t length = 0;
  CU_ASSERT_EQUAL_FATAL(symlink(victim, part), 0);
  CU_ASSERT_EQUAL_FATAL(symlink(victim, path), 0);
  CU_ASSERT_EQUAL(cohort_file_write(path, "new", 3, &error), COHORT_DONE);
  struct stat found;
  CU_ASSERT_TRUE(lstat(path, &found) == 0 && S_ISREG(found.st_mode));
  CU_ASSERT_EQUAL_FATAL(symlink(victim, lines), 0);
  FILE *file = NULL;
  CU_ASSERT_EQUAL(cohort_file_append(lines, &file, &error), COHORT_BAD_CONFIG);
  CU_ASSERT_PTR_NULL(file);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "log.txt: is a symbolic link"));
  const int created = cohort_file_create(lines);
  CU_ASSERT_TRUE(created >= 0 && write(created, "x", 1) == 1);
  (void)close(created);
  CU_ASSERT_EQUAL(cohort_file_append(lines, &file, &error), COHORT_DONE);
  if (file) (void)fclose(file);
  CU_ASSERT_EQUAL_FATAL(symlink(victim, lock), 0);
  refused(scratch, "a: 1\n", COHORT_BAD_CONFIG, (const char *[]){"lock: is a symbolic link"}, 1);
  const char *const folder[] = {"links", "links/plots"};
  for (int i = 0; i < 2; i++) {
    char *const own = cohort_format_text("%s/%s", scratch, folder[i]);
    CU_ASSERT_EQUAL_FATAL(mkdir(own, 0777), 0);
    free(own);
  }
  char *const run = cohort_format_text("%s/links", scratch), *const picture = cohort_format_text("%s/plots/p", run);
  CU_ASSERT_EQUAL_FATAL(symlink(victim, picture), 0);
  opened(run, "a: 1\n", true);
  CU_ASSERT_EQUAL(lstat(picture, &found), -1);
  free(picture);
  free(run);
  char *const text = scratch_read(victim, &length);
  CU_ASSERT_STRING_EQUAL(text, "mine");
  free(text);
  free(lock);
  free(lines);
  free(part);
  free(path);
  free(victim);
  scratch_remove(scratch);
}

/* Only what is not there is not there: a name that leads in circles is something. */
static void what_cannot_be_seen_exists(void) {
  char *const scratch = scratch_create(), *const loop = cohort_format_text("%s/loop", scratch);
  char *const below = cohort_format_text("%s/x", loop);
  CU_ASSERT_FALSE(cohort_file_exists(below));
  CU_ASSERT_EQUAL_FATAL(symlink("loop", loop), 0);
  CU_ASSERT_TRUE(cohort_file_exists(below));
  free(below);
  free(loop);
  scratch_remove(scratch);
}

/* A config.yaml that someone damaged: taken over when it still says the same, refused with a reason otherwise. */
static void mutated_configs(void) {
  const char seed[] = "steps: 1\nseed: 7\nmodel: {mlp: {sizes: [784, 10]}}\nname: \"a b\"\n";
  char *const scratch = scratch_create();
  uint64_t state = 3;
  int good = 0, bad = 0;
  begin_run(scratch);
  for (int i = 0; i < 300; i++) {
    size_t length = 0;
    unsigned char *const text = mutate(&state, seed, sizeof seed - 1, "\n :,{}[]\"#0", &length);
    char *const name = scratch_file(scratch, "config.yaml", text, length);
    cohort_run_directory directory;
    cohort_error error = {0};
    const cohort_status status = open_with(scratch, seed, &directory, &error);
    if (status == COHORT_DONE) {
      good++;
      cohort_run_directory_close(&directory);
    } else {
      bad++;
      CU_ASSERT_EQUAL(status, COHORT_BAD_CONFIG);
      CU_ASSERT_PTR_NOT_NULL(strstr(error.text, scratch));
      size_t kept = 0;
      char *const after = scratch_read(name, &kept);
      CU_ASSERT_TRUE(kept == length && memcmp(after, text, length) == 0);
      free(after);
    }
    free(name);
    free(text);
  }
  CU_ASSERT_TRUE(good > 10);
  CU_ASSERT_TRUE(bad > 100);
  scratch_remove(scratch);
}

int main(void) {
  static const check checks[] = {
      {"made with parents", made_with_parents},
      {"taken over with allowed changes", taken_over_with_allowed_changes},
      {"a new key at its default is no change", a_new_key_at_its_default_is_no_change},
      {"forbidden changes are all listed", forbidden_changes_are_all_listed},
      {"overwritten", overwritten},
      {"a start that failed binds nothing", a_start_that_failed_binds_nothing},
      {"in use by another process", in_use_by_another_process},
      {"impossible places are refused", impossible_places_are_refused},
      {"damaged config is named", damaged_config_is_named},
      {"all ranks agree", all_ranks_agree},
      {"whole files", whole_files},
      {"full disk keeps the old file", full_disk_keeps_the_old_file},
      {"planted links are not followed", planted_links_are_not_followed},
      {"what cannot be seen exists", what_cannot_be_seen_exists},
      {"mutated configs", mutated_configs},
  };
  return check_run("run_directory", checks, sizeof checks / sizeof *checks);
}
