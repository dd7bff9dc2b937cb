/* Signals and the time limit. Invariant: a handler only reads and writes atomics and calls what POSIX allows it
 * (write, clock_gettime, _exit). Costs nothing until a signal comes. */
#include "train/session/signals.h"

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/status.h"

enum { ECHO_NANOSECONDS = 100000000, NANOSECONDS = 1000000000 };

static _Atomic(_Atomic int *) raised; /* NULL: the run does not train */
static atomic_bool starts, speaks;
static _Atomic int64_t first; /* nanoseconds of the first signal; 0: none yet */

static int64_t now(void) {
  struct timespec clock = {0};
  (void)clock_gettime(CLOCK_MONOTONIC, &clock);
  return (int64_t)clock.tv_sec * NANOSECONDS + clock.tv_nsec;
}

static void end_start(void) {
  static const char line[] = "stopped by a signal before a step was trained; start again\n";
  if (atomic_load(&speaks) && write(STDERR_FILENO, line, sizeof line - 1) < 0) { /* the status says it too */
  }
  _exit(COHORT_STOPPED);
}

static void raise_flag(int number) {
  _Atomic int *flag = atomic_load(&raised);
  if (flag) atomic_store(flag, number);
}

static void on_signal(int number) {
  if (atomic_load(&starts)) end_start();
  int64_t none = 0;
  const int64_t moment = now();
  if (!atomic_compare_exchange_strong(&first, &none, moment) && moment - none > ECHO_NANOSECONDS) _exit(128 + number);
  raise_flag(number);
}

static void handle(int number, void (*handler)(int)) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  (void)sigemptyset(&action.sa_mask);
  (void)sigaction(number, &action, NULL);
}

void cohort_signals_catch(bool speaking) {
  atomic_store(&speaks, speaking);
  atomic_store(&first, 0);
  atomic_store(&starts, true);
  handle(SIGTERM, on_signal);
  handle(SIGINT, on_signal);
  handle(SIGUSR1, on_signal);
  /* A full file-size limit is then an error of write, which is reported, and not a death. */
  (void)signal(SIGXFSZ, SIG_IGN);
}

static void set_timer(double seconds) {
  const double most = 1e8; /* years */
  const double wait = seconds < most ? seconds : most;
  const struct itimerval timer = {.it_value = {(time_t)wait, (suseconds_t)((wait - (double)(time_t)wait) * 1e6)}};
  (void)setitimer(ITIMER_REAL, &timer, NULL);
}

void cohort_signals_train(_Atomic int *flag, double seconds) {
  atomic_store(&raised, flag);
  atomic_store(&starts, false);
  if (!(seconds > 0)) return;
  handle(SIGALRM, raise_flag);
  set_timer(seconds > 1e-3 ? seconds : 1e-3); /* a timer of 0 is none */
}

void cohort_signals_release(void) {
  set_timer(0);
  atomic_store(&raised, NULL);
}
