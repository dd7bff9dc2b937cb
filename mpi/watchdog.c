/* A thread that tells the other ranks of signs of life by UDP, and ends the job when one is silent or all wait. It
 * touches no MPI and waits for no file, so it speaks when everything else hangs. A rank that was stopped as a whole
 * does not count its own sleep as the others' silence.
 *
 * A few messages a tick; ranks that were not heard of are asked, all of them only when something is wrong. */
#include "mpi/watchdog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <math.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "mpi/siphash.h"

/* PATIENCE: times the limit, where silence or waiting alone proves nothing. WAY_OUT: seconds of the limit that a
 * launcher may take to end a stopped rank once another has ended (mpirun: 2.1). */
static const double WAY_OUT = 2.5;
enum { NAME_BYTES = 24, TEXT_BYTES = 1024, PATIENCE = 10, FIRST_ROUNDS = 20, SENT_AT_ONCE = 32, NAMED_RANKS = 12 };
enum { QUESTION = 1, ANSWER = 2, FAREWELL = 3 /* the sender has ended the job */ };

/* What a rank tells of itself. Job's ranks run one binary, so it travels as it lies in memory. The network may show it
 * to anybody: `hash` is that of all that follows it, under the job's key, which never travels this way, so that none
 * but the job's ranks can make a message; each rank counts what it sends, so that none can be sent again. */
typedef struct sign {
  uint64_t hash;
  uint64_t number; /* from 1; each of a rank's messages has a higher one */
  int32_t kind, from, to;
  int32_t waits;
  double waited; /* seconds */
  int64_t step;
  char phase[NAME_BYTES], collective[NAME_BYTES];
} sign;

typedef struct peer {
  double heard; /* when, 0: never */
  sign last;    /* its number: none below it, and itself no more, is taken */
} peer;

struct cohort_watchdog {
  cohort_wait wait; /* written by the rank's own thread */
  int rank, size;
  int socket, wake;
  cohort_contact *contact;
  const char *hosts;
  size_t stride;
  pthread_t thread;
  bool started;
  _Atomic double limit;
  _Atomic(char *) log;
  atomic_bool closing;
  _Atomic int end_status;   /* 0: nobody ends */
  _Atomic double end_since; /* set before end_status */
  /* Of the thread alone: */
  peer *peer;
  int round;
  uint64_t numbered; /* messages */
  double resumed;    /* when this process last came back from being suspended or starved */
};

static void own_addresses(cohort_contact *mine) {
  struct ifaddrs *list = NULL;
  if (getifaddrs(&list) != 0) return;
  for (const struct ifaddrs *i = list; i && mine->addresses < COHORT_CONTACT_ADDRESSES; i = i->ifa_next) {
    const bool usable = (i->ifa_flags & IFF_UP) && !(i->ifa_flags & IFF_LOOPBACK);
    if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !usable) continue;
    struct sockaddr_in address;
    memcpy(&address, i->ifa_addr, sizeof address);
    mine->address[mine->addresses++] = address.sin_addr.s_addr;
  }
  freeifaddrs(list);
}

cohort_watchdog *cohort_watchdog_open(int rank, int size, cohort_contact *mine) {
  cohort_watchdog *own = cohort_allocate(sizeof *own);
  memset(mine, 0, sizeof *mine);
  own->rank = rank;
  own->size = size;
  own->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  own->socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  own->peer = cohort_allocate((size_t)size * sizeof *own->peer);
  if (getrandom(mine->key, sizeof mine->key, 0) != sizeof mine->key)
    mine->key[0] = (uint64_t)getpid() ^ (uint64_t)(cohort_clock_seconds() * 1e9);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_ANY)}};
  socklen_t length = sizeof address;
  if (own->socket < 0 || bind(own->socket, (struct sockaddr *)&address, sizeof address) != 0 ||
      getsockname(own->socket, (struct sockaddr *)&address, &length) != 0)
    return own;
  mine->port = address.sin_port;
  own_addresses(mine);
  return own;
}

cohort_wait *cohort_watchdog_wait(cohort_watchdog *watchdog) { return &watchdog->wait; }

static void copy_name(char out[NAME_BYTES], const char *name) {
  if (name) (void)snprintf(out, NAME_BYTES, "%s", name);
}

/* Seconds that this rank has waited by now, 0 when it does not. Time in which the process did not run does not count.
 */
static double waited(const cohort_watchdog *own, double now) {
  const double since = atomic_load_explicit(&own->wait.since, memory_order_acquire);
  return since > 0 ? now - fmax(since, own->resumed) : 0;
}

static uint64_t hash_of(const cohort_watchdog *own, const sign *message) {
  const size_t skipped = sizeof message->hash;
  return cohort_siphash(own->contact[0].key, (const char *)message + skipped, sizeof *message - skipped);
}

static sign describe(cohort_watchdog *own, int kind, int to, double now) {
  sign out;
  memset(&out, 0, sizeof out); /* the gaps too, which the hash covers */
  out.number = ++own->numbered;
  out.kind = kind;
  out.from = own->rank;
  out.to = to;
  out.waited = waited(own, now);
  out.waits = out.waited > 0;
  out.step = atomic_load_explicit(&own->wait.step, memory_order_relaxed);
  copy_name(out.phase, atomic_load_explicit(&own->wait.phase, memory_order_relaxed));
  copy_name(out.collective, atomic_load_explicit(&own->wait.collective, memory_order_relaxed));
  out.hash = hash_of(own, &out);
  return out;
}

static void send_to(const cohort_watchdog *own, const sign *message, uint32_t address, uint16_t port) {
  const struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = port, .sin_addr = {address}};
  (void)sendto(own->socket, message, sizeof *message, 0, (const struct sockaddr *)&to, sizeof to);
}

/* From a rank of this job, to this one, and not seen before. */
static bool is_genuine(const cohort_watchdog *own, const sign *message, ssize_t bytes) {
  if (bytes != (ssize_t)sizeof *message || message->hash != hash_of(own, message)) return false;
  if (message->to != own->rank || message->from == own->rank) return false;
  if (message->from < 0 || message->from >= own->size) return false;
  return message->number > own->peer[message->from].last.number;
}

/* Notes all signs of life that have come and answers questions. An error that an earlier send caused comes out of
 * recvfrom, once each. */
static void receive_all(cohort_watchdog *own) {
  for (;;) {
    sign message;
    struct sockaddr_in from = {0};
    socklen_t length = sizeof from;
    const ssize_t bytes = recvfrom(own->socket, &message, sizeof message, 0, (struct sockaddr *)&from, &length);
    if (bytes < 0 && (errno == EAGAIN || errno == EBADF)) return;
    if (!is_genuine(own, &message, bytes)) continue;
    /* A rank that was stopped may find this when it is woken to be ended: it has nobody left to wait for. */
    if (message.kind == FAREWELL && atomic_load(&own->limit) > 0) _exit(COHORT_RANK_LOST);
    const double now = cohort_clock_seconds();
    message.phase[NAME_BYTES - 1] = message.collective[NAME_BYTES - 1] = '\0';
    own->peer[message.from] = (peer){.heard = now, .last = message};
    if (message.kind != QUESTION) continue;
    const sign answer = describe(own, ANSWER, message.from, now);
    send_to(own, &answer, from.sin_addr.s_addr, from.sin_port);
  }
}

static const char *host_of(const cohort_watchdog *own, int rank) { return own->hosts + (size_t)rank * own->stride; }

static void tell(cohort_watchdog *own, int kind, int rank, double now) {
  const cohort_contact *to = &own->contact[rank];
  if (!to->port || own->socket < 0) return;
  const sign message = describe(own, kind, rank, now);
  if (strcmp(host_of(own, rank), host_of(own, own->rank)) == 0)
    send_to(own, &message, htonl(INADDR_LOOPBACK), to->port);
  for (int i = 0; i < to->addresses; i++) send_to(own, &message, to->address[i], to->port);
}

/* Asks all ranks that were not heard since `before`. Each round begins at another rank, and answers are taken in
 * between, so that a short queue loses nobody for ever. */
static void ask_all(cohort_watchdog *own, double before, double now) {
  int sent = 0;
  own->round++;
  for (int i = 0; i < own->size; i++) {
    const int rank = (own->rank + own->round + i) % own->size;
    if (rank == own->rank || own->peer[rank].heard > before) continue;
    tell(own, QUESTION, rank, now);
    if (++sent % SENT_AT_ONCE == 0) receive_all(own);
  }
}

static bool is_late(const cohort_watchdog *own, int rank, double limit, double now) {
  if (rank == own->rank) return false;
  const double heard = own->peer[rank].heard;
  if (!(heard > 0)) return waited(own, now) >= PATIENCE * limit;
  return now - fmax(heard, own->resumed) >= 0.375 * limit;
}

static bool waits_too(const cohort_watchdog *own, int rank, double limit) {
  return rank == own->rank || (own->peer[rank].last.waits && own->peer[rank].last.waited >= PATIENCE * limit);
}

typedef struct report {
  const cohort_watchdog *own;
  const char *text;
} report;

/* Standard error may be a full pipe and the log on a file server that is gone: nobody may wait for them. */
static void *write_report(void *argument) {
  const report *own = argument;
  char line[TEXT_BYTES + 32];
  const int length = snprintf(line, sizeof line, "cohort: error: %s\n", own->text);
  if (write(STDERR_FILENO, line, (size_t)length) < 0) { /* the log may still take it */
  }
  const char *const path = atomic_load(&own->own->log);
  const int file = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666) : -1;
  if (file < 0) return NULL;
  if (write(file, line, (size_t)length) < 0) { /* standard error has it */
  }
  (void)close(file);
  return NULL;
}

void cohort_watchdog_report(cohort_watchdog *watchdog, const char *text) {
  const report own = {watchdog, text};
  pthread_t writer;
  struct timespec until;
  (void)clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec++;
  if (pthread_create(&writer, NULL, write_report, (void *)&own) == 0)
    (void)pthread_timedjoin_np(writer, NULL, &until);
  else
    (void)write_report((void *)&own);
}

/* "step 7, evaluation" */
static void describe_place(char *out, size_t room, const sign *mine) {
  const bool plain = !mine->phase[0] || strcmp(mine->phase, "step") == 0;
  if (mine->step < 0)
    (void)snprintf(out, room, "start");
  else
    (void)snprintf(out, room, "step %lld%s%s", (long long)mine->step, plain ? "" : ", ", plain ? "" : mine->phase);
}

static _Noreturn void give_up(cohort_watchdog *own, double limit, double now, bool all_wait) {
  const sign mine = describe(own, ANSWER, own->rank, now);
  char place[64], names[TEXT_BYTES / 2] = "", text[TEXT_BYTES];
  describe_place(place, sizeof place, &mine);
  size_t used = 0;
  int late = 0;
  for (int rank = 0; rank < own->size; rank++) {
    if (rank == own->rank || (!all_wait && !is_late(own, rank, limit, now))) continue;
    if (late++ >= NAMED_RANKS || used > sizeof names - 96) continue;
    const sign *last = &own->peer[rank].last;
    const char *const comma = used ? ", " : "";
    if (all_wait)
      used += (size_t)snprintf(names + used, 96, "%srank %d in %s of step %lld", comma, rank, last->collective,
                               (long long)last->step);
    else
      used += (size_t)snprintf(names + used, 96, "%srank %d (host %.40s)", comma, rank, host_of(own, rank));
  }
  char more[32] = "";
  if (late > NAMED_RANKS) (void)snprintf(more, sizeof more, " and %d more", late - NAMED_RANKS);
  if (all_wait)
    (void)snprintf(
        text, sizeof text,
        "%s: rank %d has waited %.1f s in %s and all others wait too: %s%s; a message was lost; check the network "
        "between the hosts and start again",
        place, own->rank, mine.waited, mine.collective, names, more);
  else
    (void)snprintf(
        text, sizeof text,
        "%s: rank %d has waited %.1f s in %s; no sign of life from %s%s; it died, was stopped or cut off: check its "
        "host and start again to resume from the last checkpoint",
        place, own->rank, mine.waited, mine.collective, names, more);
  cohort_watchdog_report(own, text);
  for (int rank = 0; rank < own->size; rank++)
    if (rank != own->rank) tell(own, FAREWELL, rank, now);
  _exit(COHORT_RANK_LOST);
}

static void look(cohort_watchdog *own, double limit, double tick, double now) {
  const double wait = waited(own, now);
  if (limit <= 0 || wait < limit / 8) {
    /* Whoever answers once in the beginning can be judged by silence later. */
    if (own->round < FIRST_ROUNDS) ask_all(own, 0, now);
    return;
  }
  ask_all(own, now - tick, now);
  if (wait < fmax(limit / 2, limit - WAY_OUT)) return;
  bool all_wait = wait >= PATIENCE * limit;
  for (int rank = 0; rank < own->size; rank++) {
    if (is_late(own, rank, limit, now)) give_up(own, limit, now, false);
    all_wait = all_wait && waits_too(own, rank, limit);
  }
  if (all_wait) give_up(own, limit, now, true);
}

static void *watch(void *argument) {
  cohort_watchdog *const own = argument;
  double last = cohort_clock_seconds(), next = last;
  while (!atomic_load(&own->closing)) {
    const double limit = atomic_load(&own->limit);
    const double tick = limit > 0 ? fmin(fmax(limit / 16, 0.05), 2) : 2;
    struct pollfd ready[] = {{.fd = own->socket, .events = POLLIN}, {.fd = own->wake, .events = POLLIN}};
    (void)poll(ready, 2, 1 + (int)(1000 * fmax(0, fmin(tick, next - cohort_clock_seconds()))));
    const double now = cohort_clock_seconds();
    if (now - last > tick + fmax(limit / 4, 0.5)) own->resumed = now;
    last = now;
    if (own->socket >= 0) receive_all(own);
    uint64_t woken;
    if (read(own->wake, &woken, sizeof woken) < 0) { /* nobody has called */
    }
    const int status = atomic_load(&own->end_status);
    if (status && now - atomic_load(&own->end_since) > 5) _exit(status);
    if (now < next) continue;
    next = now + tick;
    look(own, limit, tick, now);
  }
  return NULL;
}

void cohort_watchdog_start(cohort_watchdog *watchdog, const cohort_contact *contacts, const char *hosts,
                           size_t stride) {
  watchdog->contact = cohort_allocate((size_t)watchdog->size * sizeof *contacts);
  memcpy(watchdog->contact, contacts, (size_t)watchdog->size * sizeof *contacts);
  watchdog->hosts = hosts;
  watchdog->stride = stride;
  sigset_t all, before; /* signals are the main thread's */
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  watchdog->started = pthread_create(&watchdog->thread, NULL, watch, watchdog) == 0;
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void wake(cohort_watchdog *own) {
  const uint64_t one = 1;
  if (write(own->wake, &one, sizeof one) < 0) { /* it looks by itself within two seconds */
  }
}

void cohort_watchdog_limit(cohort_watchdog *watchdog, double seconds, const char *log) {
  free(atomic_exchange(&watchdog->log, NULL));
  atomic_store(&watchdog->log, log ? cohort_copy_text(log) : NULL);
  atomic_store(&watchdog->limit, seconds);
  wake(watchdog);
}

void cohort_watchdog_end(cohort_watchdog *watchdog, int status) {
  atomic_store(&watchdog->end_since, cohort_clock_seconds());
  atomic_store(&watchdog->end_status, status);
  wake(watchdog);
}

void cohort_watchdog_close(cohort_watchdog *watchdog) {
  atomic_store(&watchdog->closing, true);
  wake(watchdog);
  if (watchdog->started) (void)pthread_join(watchdog->thread, NULL);
  if (watchdog->socket >= 0) (void)close(watchdog->socket);
  (void)close(watchdog->wake);
  free(atomic_load(&watchdog->log));
  free(watchdog->contact);
  free(watchdog->peer);
  free(watchdog);
}
