/* Who owns a run directory. At most one living job does: by flock, else by the highest numbered file that nobody but
 * its maker can have made. Taking it costs a few small files; asking whether it is still one's own, one small read. */
#include "io/run_lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/file.h"

enum { WORD = 72, TRIES = 8 };
static const char free_turn[] = "free\n";

/* What a lock says of its owner. A word that is not known is "-". */
typedef struct owner {
  char host[WORD], machine[WORD], boot[WORD], space[WORD]; /* of process numbers */
  long long process;
  unsigned long long started; /* in ticks after the boot */
  char job[WORD];             /* of Slurm */
  long long restart;          /* of the job */
  long long since;            /* seconds since 1970 */
  char token[WORD];
} owner;

/* ---- words about processes ---- */

static void keep_word(char out[WORD], const char *text) {
  size_t used = 0;
  for (; text && *text && *text != '\n' && used < WORD - 1; text++)
    out[used++] = *text > ' ' && *text < 127 ? *text : '_';
  out[used] = '\0';
  if (!used) memcpy(out, "-", 2);
}

static void read_word(char out[WORD], const char *path) {
  char text[WORD] = "";
  FILE *const file = fopen(path, "re");
  if (file) {
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    (void)fclose(file);
  }
  keep_word(out, text);
}

/* When a process of this boot began, in ticks; 0 when there is none, or it has ended and waits to be buried. */
static unsigned long long start_of(long long process) {
  char path[64], text[1024] = "", state = 'Z';
  unsigned long long started = 0;
  (void)snprintf(path, sizeof path, "/proc/%lld/stat", process);
  FILE *const file = fopen(path, "re");
  if (!file) return 0;
  text[fread(text, 1, sizeof text - 1, file)] = '\0';
  (void)fclose(file);
  const char *const after = strrchr(text, ')'); /* the name before it may hold anything */
  if (!after || sscanf(after + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                       &state, &started) != 2)
    return 0;
  return state == 'Z' || state == 'X' ? 0 : started;
}

static owner describe_self(void) {
  owner own = {.process = getpid(), .since = (long long)time(NULL)};
  char text[256] = "", space[WORD] = "";
  uint64_t drawn[2] = {(uint64_t)own.since, (uint64_t)own.process};
  if (gethostname(text, sizeof text - 1) != 0) text[0] = '\0';
  keep_word(own.host, text);
  read_word(own.machine, "/etc/machine-id");
  read_word(own.boot, "/proc/sys/kernel/random/boot_id");
  const ssize_t length = readlink("/proc/self/ns/pid", space, sizeof space - 1);
  keep_word(own.space, length > 0 ? space : NULL);
  own.started = start_of(own.process);
  const char *const job = getenv("SLURM_JOB_ID"), *const cluster = getenv("SLURM_CLUSTER_NAME");
  const char *const restart = getenv("SLURM_RESTART_COUNT");
  (void)snprintf(text, sizeof text, "%s/%s", cluster ? cluster : "", job ? job : "");
  keep_word(own.job, job ? text : NULL);
  own.restart = restart ? strtoll(restart, NULL, 10) : 0;
  (void)getrandom(drawn, sizeof drawn, 0);
  (void)snprintf(own.token, sizeof own.token, "%016" PRIx64 "%016" PRIx64, drawn[0], drawn[1]);
  return own;
}

static void print(const owner *own, char out[COHORT_LOCK_BYTES]) {
  (void)snprintf(out, COHORT_LOCK_BYTES,
                 "host %s process %lld started %llu machine %.40s boot %.40s space %.40s job %.60s restart %lld "
                 "since %lld token %.40s\n",
                 own->host, own->process, own->started, own->machine, own->boot, own->space, own->job, own->restart,
                 own->since, own->token);
}

static bool parse(const char *text, owner *out) {
  *out = (owner){.process = 0};
  return sscanf(text,
                "host %71s process %lld started %llu machine %71s boot %71s space %71s job %71s restart %lld since "
                "%lld token %71s",
                out->host, &out->process, &out->started, out->machine, out->boot, out->space, out->job, &out->restart,
                &out->since, out->token) == 10;
}

/* Whether this boot of the machine began after the owner did. */
static bool booted_since(const owner *other) {
  struct timespec up;
  if (clock_gettime(CLOCK_BOOTTIME, &up) != 0) return false;
  return (long long)time(NULL) - (long long)up.tv_sec > other->since;
}

/* Whether the other has certainly ended. What cannot be known is no. */
static bool has_ended(const owner *other, const owner *self) {
  if (strcmp(self->job, "-") != 0 && strcmp(self->job, other->job) == 0 && self->restart > other->restart) return true;
  if (strcmp(self->host, other->host) != 0 || strcmp(self->machine, other->machine) != 0) return false;
  if (strcmp(self->boot, "-") == 0) return false;
  if (strcmp(self->boot, other->boot) != 0) return booted_since(other);
  if (strcmp(self->space, other->space) != 0 || !self->started) return false;
  if (kill((pid_t)other->process, 0) != 0 && errno == ESRCH) return true;
  return start_of(other->process) != other->started;
}

/* ---- the file RUN/lock ---- */

static bool read_line(int file, char out[COHORT_LOCK_BYTES]) {
  const ssize_t bytes = pread(file, out, COHORT_LOCK_BYTES - 1, 0);
  out[bytes > 0 ? bytes : 0] = '\0';
  return bytes >= 0;
}

/* In place: flock holds the file, not its name. */
static bool write_line(int file, const char *text) {
  const size_t bytes = strlen(text);
  return pwrite(file, text, bytes, 0) == (ssize_t)bytes && ftruncate(file, (off_t)bytes) == 0 && fsync(file) == 0;
}

static cohort_status in_use(const char *directory, const char *line, const char *turn, cohort_error *error) {
  owner other;
  char who[3 * WORD] = "", hint[512] = "";
  if (parse(line, &other)) {
    char when[32] = "";
    struct tm parts;
    const time_t since = (time_t)other.since;
    if (gmtime_r(&since, &parts)) (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &parts);
    (void)snprintf(who, sizeof who, ": process %lld on %s, since %s", other.process, other.host, when);
  }
  if (turn)
    (void)snprintf(hint, sizeof hint,
                   " (this file system has no locks, so the run is taken to be alive; if it is not, remove %s)", turn);
  return cohort_fail(error, COHORT_BAD_CONFIG, "%s: in use by another run%s; wait for it, or set run to another path%s",
                     directory, who, hint);
}

/* ---- turns, where there is no flock ---- */

/* The highest N of RUN/lock.N, 0: there is none. */
static cohort_status highest_turn(const char *directory, long long *out, cohort_error *error) {
  DIR *const folder = opendir(directory);
  *out = 0;
  if (!folder) return cohort_fail(error, COHORT_BAD_DATA, "%s: cannot be read: %s", directory, strerror(errno));
  errno = 0;
  for (struct dirent *entry; (entry = readdir(folder)); errno = 0) {
    char *end = NULL;
    if (strncmp(entry->d_name, "lock.", 5) != 0) continue;
    const long long number = strtoll(entry->d_name + 5, &end, 10);
    if (*end == '\0' && number > *out) *out = number;
  }
  const int fault = errno;
  (void)closedir(folder);
  return fault ? cohort_fail(error, COHORT_BAD_DATA, "%s: cannot be read: %s", directory, strerror(fault))
               : COHORT_DONE;
}

static char *turn_path(const char *directory, long long number) {
  return cohort_format_text("%s/lock.%lld", directory, number);
}

/* COHORT_DONE when nobody has this turn any more. */
static cohort_status judge_turn(const char *directory, long long number, const owner *self, cohort_error *error) {
  if (number == 0) return COHORT_DONE;
  char *const path = turn_path(directory, number);
  char line[COHORT_LOCK_BYTES] = "";
  owner other;
  const int file = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  const int fault = errno;
  const bool read = file >= 0 && read_line(file, line);
  if (file >= 0) (void)close(file);
  const bool over = (file < 0 && fault == ENOENT) || strncmp(line, free_turn, sizeof free_turn - 1) == 0 ||
                    (read && parse(line, &other) && has_ended(&other, self));
  const cohort_status status = over ? COHORT_DONE : in_use(directory, line, path, error);
  free(path);
  return status;
}

/* Makes RUN/lock.N; *made tells whether it was there already. */
static cohort_status make_turn(const char *path, const char *line, bool *made, cohort_error *error) {
  const int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  *made = file >= 0;
  if (file < 0) return errno == EEXIST ? COHORT_DONE : cohort_file_refused(path, errno, error);
  const bool good = write_line(file, line);
  const int fault = errno;
  (void)close(file);
  if (good) return COHORT_DONE;
  (void)unlink(path);
  return cohort_file_refused(path, fault, error);
}

static void remove_turns(const char *directory, long long below) {
  for (long long number = below - 1; number > 0 && number >= below - TRIES; number--) {
    char *const path = turn_path(directory, number);
    (void)unlink(path);
    free(path);
  }
}

/* A folder may be shown as it was a moment ago: after the own file is made it is looked at anew, and one that is not
 * the highest gives way. The highest number never goes away, so none is given twice. */
static cohort_status take_turn(const owner *self, cohort_run_lock *out, cohort_error *error) {
  for (int i = 0; i < TRIES; i++) {
    long long number = 0, after = 0;
    bool made = false;
    COHORT_TRY(highest_turn(out->directory, &number, error));
    COHORT_TRY(judge_turn(out->directory, number, self, error));
    char *const path = turn_path(out->directory, number + 1);
    cohort_status status = make_turn(path, out->owner, &made, error);
    if (made && status == COHORT_DONE) status = highest_turn(out->directory, &after, error);
    if (made && status == COHORT_DONE && after == number + 1) {
      remove_turns(out->directory, after);
      out->turn = path;
      return COHORT_DONE;
    }
    if (made) (void)unlink(path);
    free(path);
    COHORT_TRY(status);
  }
  return in_use(out->directory, "", NULL, error);
}

/* ---- */

static bool has_no_locks(int code) { return code == ENOSYS || code == ENOLCK || code == EOPNOTSUPP || code == EINVAL; }

static cohort_status take(const char *name, const owner *self, cohort_run_lock *out, cohort_error *error) {
  char line[COHORT_LOCK_BYTES] = "";
  out->descriptor = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (out->descriptor < 0) return cohort_file_refused(name, errno, error);
  if (flock(out->descriptor, LOCK_EX | LOCK_NB) == 0) {
    long long number = 0; /* of a job on a host that has no flock here */
    COHORT_TRY(highest_turn(out->directory, &number, error));
    COHORT_TRY(judge_turn(out->directory, number, self, error));
  } else if (errno == EWOULDBLOCK) {
    (void)read_line(out->descriptor, line);
    return in_use(out->directory, line, NULL, error);
  } else if (has_no_locks(errno)) {
    COHORT_TRY(take_turn(self, out, error));
  } else {
    return cohort_fail(error, COHORT_NO_RESOURCE, "%s: cannot be locked: %s", name, strerror(errno));
  }
  return write_line(out->descriptor, out->owner) ? COHORT_DONE : cohort_file_refused(name, errno, error);
}

cohort_status cohort_run_lock_take(const char *directory, cohort_run_lock *out, cohort_error *error) {
  const owner self = describe_self();
  *out = (cohort_run_lock){.descriptor = -1, .directory = cohort_copy_text(directory)};
  print(&self, out->owner);
  char *const name = cohort_format_text("%s/lock", directory);
  const cohort_status status = take(name, &self, out, error);
  free(name);
  if (status != COHORT_DONE) cohort_run_lock_release(out);
  return status;
}

cohort_status cohort_run_lock_check(const cohort_run_lock *lock, cohort_error *error) {
  if (!lock || !lock->directory) return COHORT_DONE;
  char line[COHORT_LOCK_BYTES] = "";
  char *const name = cohort_format_text("%s/lock", lock->directory);
  const int file = open(name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  const bool read = file >= 0 && read_line(file, line);
  const int fault = errno;
  if (file >= 0) (void)close(file);
  cohort_status status = COHORT_DONE;
  owner other;
  if (!read && fault != ENOENT) { /* a lock that was removed is no other job's */
    status = cohort_fail(error, COHORT_NO_RESOURCE, "%s: cannot be read: %s", name, strerror(fault));
  } else if (read && strcmp(line, lock->owner) != 0) {
    char who[2 * WORD] = "";
    if (parse(line, &other)) (void)snprintf(who, sizeof who, ", process %lld on %s", other.process, other.host);
    status = cohort_fail(error, COHORT_RANK_LOST,
                         "%s: was taken over by another start of the run%s; this one writes nothing more",
                         lock->directory, who);
  }
  free(name);
  return status;
}

void cohort_run_lock_release(cohort_run_lock *lock) {
  cohort_error ignored;
  if (lock->turn && cohort_run_lock_check(lock, &ignored) == COHORT_DONE) {
    const int file = open(lock->turn, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file >= 0) {
      (void)write_line(file, free_turn);
      (void)close(file);
    }
  }
  if (lock->descriptor >= 0) (void)close(lock->descriptor);
  free(lock->turn);
  free(lock->directory);
  *lock = (cohort_run_lock){.descriptor = -1};
}
