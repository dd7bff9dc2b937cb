/* A child process between two pipes. Invariant: we never wait for it in a read or a write, so that whatever it does we
 * come back in time. Costs a copy of what is said. */
#include "io/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"

extern char **environ;

struct cohort_process {
  char *line;
  pid_t child;
  int to, from; /* our ends of its input and output */
  bool failed;  /* a question: it gets no time to end by itself */
};

static void close_both(const int ends[2]) {
  (void)close(ends[0]);
  (void)close(ends[1]);
}

static int spawn(const char *line, int input, int output, pid_t *child) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  char *const arguments[] = {(char *)"sh", (char *)"-c", (char *)(uintptr_t)line, NULL};
  sigset_t none, standard;
  (void)sigemptyset(&none);
  (void)sigemptyset(&standard);
  (void)sigaddset(&standard, SIGPIPE); /* which we survive, and it need not */
  (void)posix_spawn_file_actions_init(&actions);
  (void)posix_spawnattr_init(&attributes);
  (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  (void)posix_spawnattr_setpgroup(&attributes, 0);
  (void)posix_spawnattr_setsigmask(&attributes, &none);
  (void)posix_spawnattr_setsigdefault(&attributes, &standard);
  (void)posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  (void)posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  const int code = posix_spawn(child, "/bin/sh", &actions, &attributes, arguments, environ);
  (void)posix_spawnattr_destroy(&attributes);
  (void)posix_spawn_file_actions_destroy(&actions);
  return code;
}

cohort_status cohort_process_start(const char *line, cohort_process **out, cohort_error *error) {
  int input[2], output[2];
  if (pipe2(input, O_CLOEXEC) != 0)
    return cohort_fail(error, COHORT_NO_RESOURCE, "%s: no pipe to it: %s", line, strerror(errno));
  if (pipe2(output, O_CLOEXEC) != 0) {
    const int code = errno;
    close_both(input);
    return cohort_fail(error, COHORT_NO_RESOURCE, "%s: no pipe to it: %s", line, strerror(code));
  }
  pid_t child = 0;
  const int code = spawn(line, input[0], output[1], &child);
  (void)close(input[0]);
  (void)close(output[1]);
  if (code != 0) {
    (void)close(input[1]);
    (void)close(output[0]);
    return cohort_fail(error, COHORT_BAD_DATA, "%s: cannot be started: %s", line, strerror(code));
  }
  (void)fcntl(input[1], F_SETFL, O_NONBLOCK);
  (void)fcntl(output[0], F_SETFL, O_NONBLOCK);
  *out = cohort_allocate(sizeof **out);
  **out = (cohort_process){.line = cohort_copy_text(line), .child = child, .to = input[1], .from = output[0]};
  return COHORT_DONE;
}

/* Whether it ends by itself, now that its input has, within a second. */
static bool ends(pid_t child) {
  for (int waited = 0; waited < 100; waited++) {
    if (waitpid(child, NULL, WNOHANG) == child) return true;
    (void)poll(NULL, 0, 10);
  }
  return false;
}

void cohort_process_end(cohort_process *process) {
  if (!process) return;
  (void)close(process->to);
  (void)close(process->from);
  if (process->child > 0) {
    const bool ended = !process->failed && ends(process->child);
    (void)kill(-process->child, SIGKILL); /* what it has started, too */
    if (!ended) (void)waitpid(process->child, NULL, 0);
  }
  free(process->line);
  free(process);
}

/* A question under way. */
typedef struct exchange {
  const char *text;
  size_t bytes, sent;
  char *heard;
  size_t length, room;
  int64_t lines, wanted;
} exchange;

/* It has closed its output. */
static cohort_status fail_ended(cohort_process *own, const exchange *talk, cohort_error *error) {
  int how = 0;
  (void)kill(-own->child, SIGKILL); /* one that closed its output and lives; the status of one that is gone stays */
  (void)waitpid(own->child, &how, 0);
  own->child = 0;
  char status[48] = "closed its output";
  if (WIFEXITED(how)) (void)snprintf(status, sizeof status, "ended with status %d", WEXITSTATUS(how));
  return cohort_fail(error, COHORT_BAD_DATA, "%s: %s after %lld of %lld lines; run it by hand to see why", own->line,
                     status, (long long)talk->lines, (long long)talk->wanted);
}

/* A write that a broken pipe does not end the program with. */
static ssize_t write_quietly(int file, const char *text, size_t bytes) {
  const struct timespec at_once = {0};
  sigset_t broken, before;
  (void)sigemptyset(&broken);
  (void)sigaddset(&broken, SIGPIPE);
  (void)pthread_sigmask(SIG_BLOCK, &broken, &before);
  const ssize_t put = write(file, text, bytes);
  const int code = errno;
  if (put < 0 && code == EPIPE && !sigismember(&before, SIGPIPE)) (void)sigtimedwait(&broken, NULL, &at_once);
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = code;
  return put;
}

static void send_some(const cohort_process *own, exchange *talk) {
  const ssize_t put = write_quietly(own->to, talk->text + talk->sent, talk->bytes - talk->sent);
  if (put > 0) talk->sent += (size_t)put;
  if (put < 0 && errno != EAGAIN && errno != EINTR) talk->sent = talk->bytes; /* it reads no more; its end tells why */
}

/* False: there is no more to hear. */
static bool hear_some(const cohort_process *own, exchange *talk) {
  if (talk->room - talk->length < 4096)
    talk->heard = cohort_reallocate(talk->heard, talk->room = 2 * talk->room + 8192);
  const ssize_t got = read(own->from, talk->heard + talk->length, talk->room - talk->length - 1);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  for (ssize_t i = 0; i < got; i++) {
    char *c = &talk->heard[talk->length + (size_t)i];
    if (*c != '\n') continue;
    *c = '\0';
    talk->lines++;
  }
  talk->length += (size_t)got;
  return got > 0;
}

static cohort_status fail_more(const cohort_process *own, const exchange *talk, cohort_error *error) {
  return cohort_fail(error, COHORT_BAD_DATA, "%s: wrote more than a line for each of %lld", own->line,
                     (long long)(talk->wanted ? talk->wanted : talk->lines));
}

static cohort_status talk_until(cohort_process *own, exchange *talk, double timeout, const _Atomic int *stop,
                                cohort_error *error) {
  const double end = cohort_clock_seconds() + timeout;
  const bool open = hear_some(own, talk); /* what it says before it is asked belongs to no question */
  if (talk->length > 0) return fail_more(own, talk, error);
  if (!open) return fail_ended(own, talk, error);
  while (talk->lines < talk->wanted) {
    const double left = end - cohort_clock_seconds();
    if (stop && atomic_load(stop)) return cohort_fail(error, COHORT_STOPPED, "stopped");
    if (left <= 0)
      return cohort_fail(error, COHORT_BAD_DATA,
                         "%s: only %lld of %lld lines within %g s; give it more time (timeout), or run it by hand",
                         own->line, (long long)talk->lines, (long long)talk->wanted, timeout);
    struct pollfd ends[2] = {{.fd = own->from, .events = POLLIN},
                             {.fd = talk->sent < talk->bytes ? own->to : -1, .events = POLLOUT}};
    if (poll(ends, 2, left < 0.2 ? (int)(left * 1000) + 1 : 200) <= 0) continue;
    if (ends[1].revents) send_some(own, talk);
    if (ends[0].revents && !hear_some(own, talk)) return fail_ended(own, talk, error);
  }
  const bool more = talk->lines > talk->wanted || (talk->length > 0 && talk->heard[talk->length - 1] != '\0');
  return more ? fail_more(own, talk, error) : COHORT_DONE;
}

cohort_status cohort_process_ask(cohort_process *process, const char *text, size_t bytes, int64_t lines, double timeout,
                                 const _Atomic int *stop, char **answer, cohort_error *error) {
  exchange talk = {.text = text, .bytes = bytes, .wanted = lines};
  const cohort_status status = talk_until(process, &talk, timeout, stop, error);
  process->failed = status != COHORT_DONE;
  if (status == COHORT_DONE && talk.heard)
    *answer = talk.heard;
  else
    free(talk.heard);
  if (status == COHORT_DONE && !talk.heard) *answer = cohort_copy_text("");
  return status;
}
