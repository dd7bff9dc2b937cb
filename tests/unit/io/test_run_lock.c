/* One owner of a run directory, with flock and without; who has ended and who may live; who has lost it writes no more.
 * The program has a flock of its own, which fails as where a file system has none. */
#include <errno.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "io/run_lock.h"
#include "scratch.h"

static bool has_flock;

int flock(int file, int operation) {
  if (has_flock) return (int)syscall(SYS_flock, file, operation);
  errno = ENOSYS;
  return -1;
}

static cohort_status take(const char *path, cohort_run_lock *out, cohort_error *error) {
  const cohort_status status = cohort_run_lock_take(path, out, error);
  CU_ASSERT_TRUE(status == COHORT_DONE ? out->descriptor >= 0 : out->descriptor == -1 && !out->directory);
  return status;
}

static void taken(const char *path) {
  cohort_run_lock lock;
  cohort_error error = {0};
  const cohort_status status = take(path, &lock, &error);
  if (status != COHORT_DONE) printf("    %s\n", error.text);
  CU_ASSERT_EQUAL(status, COHORT_DONE);
  CU_ASSERT_EQUAL(cohort_run_lock_check(&lock, &error), COHORT_DONE);
  cohort_run_lock_release(&lock);
}

static void refused(const char *path, const char *const *part, int parts) {
  cohort_run_lock lock;
  cohort_error error = {0};
  CU_ASSERT_EQUAL(take(path, &lock, &error), COHORT_BAD_CONFIG);
  for (int i = 0; i < parts; i++) {
    if (!strstr(error.text, part[i])) printf("    \"%s\" lacks \"%s\"\n", error.text, part[i]);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, part[i]));
  }
  cohort_run_lock_release(&lock);
}

static char *owner_text(long long process) {
  char host[65] = "";
  CU_ASSERT_EQUAL(gethostname(host, sizeof host - 1), 0);
  return cohort_format_text("process %lld on %s, since 20", process, host);
}

/* A process that owns the directory until it is killed. */
static pid_t hold(const char *path) {
  int ready[2];
  CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
  const pid_t other = fork();
  CU_ASSERT_TRUE_FATAL(other >= 0);
  if (other == 0) {
    cohort_run_lock lock;
    const char good = cohort_run_lock_take(path, &lock, NULL) == COHORT_DONE ? 'y' : 'n';
    if (write(ready[1], &good, 1) == 1) pause();
    _exit(1);
  }
  char good = 0;
  CU_ASSERT_EQUAL(read(ready[0], &good, 1), 1);
  CU_ASSERT_EQUAL(good, 'y');
  (void)close(ready[0]);
  (void)close(ready[1]);
  return other;
}

static void end(pid_t process) {
  CU_ASSERT_EQUAL(kill(process, SIGKILL), 0);
  CU_ASSERT_EQUAL(waitpid(process, NULL, 0), process);
}

static void the_living_owner_is_named(void) {
  for (int with = 0; with < 2; with++) {
    has_flock = with;
    char *const path = scratch_create();
    for (int i = 0; i < 3; i++) {
      const pid_t other = hold(path);
      char *const who = owner_text(other);
      refused(path, (const char *[]){path, "in use by another run", who, with ? "" : "no locks"}, 4);
      end(other);
      taken(path); /* a dead owner is none */
      taken(path); /* nor is one that has given it up */
      free(who);
    }
    scratch_remove(path);
  }
}

/* RUN/lock.N as somebody else would have written it: what `lock` wrote, with one word after `key` changed. */
static void plant(const char *path, const char *line, int number, const char *key, const char *word) {
  char *const name = cohort_format_text("lock.%d", number);
  const char *const at = strstr(line, key);
  CU_ASSERT_PTR_NOT_NULL_FATAL(at);
  const char *const value = at + strlen(key), *const rest = value + strcspn(value, " \n");
  char *const text = cohort_format_text("%.*s%s%s", (int)(value - line), line, word, rest);
  free(scratch_text(path, name, text));
  free(text);
  free(name);
}

/* Whose end can be known, and whose cannot, without flock. */
static void only_who_has_certainly_ended_is_passed(void) {
  const struct {
    const char *key, *word;
    bool ended;
  } cases[] = {{" restart ", "0", false}, /* nothing is changed: this very process */
               {"host ", "elsewhere", false}, {" process ", "4194304999", false}, /* no number of a process: kill says
                                                                                     EINVAL or ESRCH */
               {" started ", "1", true},                                          /* another process had its number */
               {" boot ", "x", false}, /* another boot, but this one is older than the owner */
               {" machine ", "x", false},     {" space ", "pid:[1]", false},      {" token ", "x", false}};
  has_flock = false;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *const path = scratch_create();
    cohort_run_lock lock;
    CU_ASSERT_EQUAL_FATAL(take(path, &lock, NULL), COHORT_DONE);
    char line[COHORT_LOCK_BYTES];
    memcpy(line, lock.owner, sizeof line);
    cohort_run_lock_release(&lock);
    plant(path, line, 7, cases[i].key, cases[i].word);
    if (i == 2) { /* a number that was one, of a process that is no more */
      const pid_t child = fork();
      if (child == 0) _exit(0);
      (void)waitpid(child, NULL, 0);
      char number[32];
      (void)snprintf(number, sizeof number, "%d", (int)child);
      plant(path, line, 7, cases[i].key, number);
      taken(path);
    } else if (cases[i].ended) {
      taken(path);
    } else {
      refused(path, (const char *[]){"remove", "lock.7"}, 2);
    }
    scratch_remove(path);
  }
}

static void an_earlier_boot_is_over(void) {
  has_flock = false;
  char *const path = scratch_create();
  cohort_run_lock lock;
  CU_ASSERT_EQUAL_FATAL(take(path, &lock, NULL), COHORT_DONE);
  plant(path, lock.owner, 7, " boot ", "x");
  size_t bytes = 0;
  char *const name = cohort_format_text("%s/lock.7", path), *const line = scratch_read(name, &bytes);
  cohort_run_lock_release(&lock);
  plant(path, line, 7, " since ", "1000000000");
  taken(path);
  free(line);
  free(name);
  scratch_remove(path);
}

static void a_later_start_of_the_same_job_takes_over(void) {
  has_flock = false;
  char *const path = scratch_create();
  cohort_run_lock first, second;
  cohort_error error = {0};
  setenv("SLURM_JOB_ID", "31", 1);
  setenv("SLURM_RESTART_COUNT", "2", 1);
  CU_ASSERT_EQUAL_FATAL(take(path, &first, NULL), COHORT_DONE);
  refused(path, (const char *[]){"in use"}, 1);
  setenv("SLURM_JOB_ID", "32", 1);
  setenv("SLURM_RESTART_COUNT", "3", 1);
  refused(path, (const char *[]){"in use"}, 1);
  setenv("SLURM_JOB_ID", "31", 1);
  CU_ASSERT_EQUAL(take(path, &second, NULL), COHORT_DONE);
  /* The first is an orphan now: it learns so, and giving up what it has no more changes nothing. */
  CU_ASSERT_EQUAL(cohort_run_lock_check(&first, &error), COHORT_RANK_LOST);
  char *const who = cohort_format_text("process %d on ", (int)getpid());
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, who));
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, path));
  cohort_run_lock_release(&first);
  refused(path, (const char *[]){"in use"}, 1);
  CU_ASSERT_EQUAL(cohort_run_lock_check(&second, &error), COHORT_DONE);
  cohort_run_lock_release(&second);
  unsetenv("SLURM_JOB_ID");
  unsetenv("SLURM_RESTART_COUNT");
  taken(path);
  free(who);
  scratch_remove(path);
}

/* What one of a crowd does: takes the directory, counts, waits for the others. */
static _Noreturn void rush(const char *path, _Atomic int *counts) {
  cohort_run_lock lock;
  counts[0]++;
  while (counts[0] % 8 != 0) {
  }
  const bool got = cohort_run_lock_take(path, &lock, NULL) == COHORT_DONE;
  counts[1] += got;
  counts[2]++;
  while (counts[2] % 8 != 0) usleep(100);
  _exit(0);
}

static void of_a_crowd_one_gets_it(void) {
  has_flock = false;
  _Atomic int *const counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CU_ASSERT_TRUE_FATAL(counts != MAP_FAILED);
  char *const path = scratch_create();
  for (int round = 0; round < 40; round++) { /* over the dead owner of the round before */
    counts[1] = 0;
    pid_t child[8];
    for (int c = 0; c < 8; c++) {
      child[c] = fork();
      if (child[c] == 0) rush(path, counts);
    }
    for (int c = 0; c < 8; c++) (void)waitpid(child[c], NULL, 0);
    CU_ASSERT_EQUAL(counts[1], 1);
  }
  (void)munmap((void *)counts, 4096);
  scratch_remove(path);
}

/* A file of a turn that says nothing is somebody's; one that is removed is nobody's; a lock of nothing is fine. */
static void odd_files(void) {
  has_flock = false;
  char *const path = scratch_create();
  free(scratch_text(path, "lock.3", ""));
  refused(path, (const char *[]){"lock.3"}, 1);
  free(scratch_text(path, "lock.3", "free\n"));
  taken(path);
  has_flock = true;
  free(scratch_text(path, "lock.9", "nonsense"));
  refused(path, (const char *[]){"lock.9"}, 1); /* of a host that has no flock there */
  char *const name = cohort_format_text("%s/lock.9", path), *const main_name = cohort_format_text("%s/lock", path);
  CU_ASSERT_EQUAL(unlink(name), 0);
  cohort_run_lock lock, none = {.descriptor = -1};
  CU_ASSERT_EQUAL_FATAL(take(path, &lock, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL(unlink(main_name), 0);
  CU_ASSERT_EQUAL(cohort_run_lock_check(&lock, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL(cohort_run_lock_check(&none, NULL), COHORT_DONE);
  CU_ASSERT_EQUAL(cohort_run_lock_check(NULL, NULL), COHORT_DONE);
  cohort_run_lock_release(&lock);
  cohort_run_lock_release(&none);
  free(main_name);
  free(name);
  scratch_remove(path);
}

int main(void) {
  static const check checks[] = {
      {"the living owner is named", the_living_owner_is_named},
      {"only who has certainly ended is passed", only_who_has_certainly_ended_is_passed},
      {"an earlier boot is over", an_earlier_boot_is_over},
      {"a later start of the same job takes over", a_later_start_of_the_same_job_takes_over},
      {"of a crowd one gets it", of_a_crowd_one_gets_it},
      {"odd files", odd_files},
  };
  return check_run("run_lock", checks, sizeof checks / sizeof *checks);
}
