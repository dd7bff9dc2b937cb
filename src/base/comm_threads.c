/* Ranks as threads of one process. A sender publishes its list of messages and waits; receivers copy straight out of
 * its memory and tick the messages off. So nothing is buffered or allocated, and an exchange that would hang between
 * processes without buffers hangs here too, unless a rank it waits for has ended: that is reported as a lost rank. */
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/comm.h"
#include "base/memory.h"

struct world;

typedef struct rank_state {
  cohort_comm comm;
  struct world *world;
  pthread_t thread;
  jmp_buf leave; /* of the rank's own thread */
  cohort_status result;
  bool ended;
  pthread_cond_t changed; /* something this rank may wait for has happened */
  const cohort_message *sends;
  int send_count;
  int untaken;   /* published messages that no one has fully copied yet */
  int copying;   /* messages that others copy out of this rank's memory right now */
  int *taken_to; /* [size] by receiver: where in `sends` its next message may be */
  int *received; /* [size] by sender: where in this rank's list of receives its next message may be */
} rank_state;

typedef struct world {
  pthread_mutex_t mutex; /* of everything but the messages' bytes */
  int size;
  bool aborted;
  cohort_status abort_status;
  cohort_rank_function function;
  void *argument;
  rank_state *ranks;
} world;

/* Index of the first message with `rank` and with bytes at or after `start`; `count` when there is none. */
static int next_message(int rank, int start, int count, const cohort_message *messages) {
  int i = start;
  while (i < count && (messages[i].rank != rank || !messages[i].bytes)) i++;
  return i;
}

static void wake_all(world *shared) {
  for (int rank = 0; rank < shared->size; rank++) pthread_cond_broadcast(&shared->ranks[rank].changed);
}

static void mark_aborted(world *shared, cohort_status status) {
  if (!shared->aborted || status > shared->abort_status) shared->abort_status = status;
  shared->aborted = true;
  wake_all(shared);
}

/* Ends the calling thread of a rank; the mutex is held and no one copies out of its memory any more. */
static _Noreturn void leave(rank_state *self) {
  pthread_mutex_unlock(&self->world->mutex);
  if (pthread_equal(pthread_self(), self->thread)) longjmp(self->leave, 1);
  pthread_exit(NULL);
}

static void leave_if_aborted(rank_state *self) {
  if (!self->world->aborted) return;
  self->send_count = 0; /* no new copies begin */
  while (self->copying) pthread_cond_wait(&self->changed, &self->world->mutex);
  leave(self);
}

/* Copies one message without holding the mutex. */
static void take(rank_state *self, rank_state *sender, const cohort_message *send, const cohort_message *receive) {
  if (send->bytes != receive->bytes) {
    fprintf(stderr, "cohort: error: rank %d sends %zu bytes where rank %d expects %zu; report this\n",
            sender->comm.rank, send->bytes, self->comm.rank, receive->bytes);
    mark_aborted(self->world, COHORT_BUG);
    return;
  }
  const void *from = send->data;
  sender->copying++;
  pthread_mutex_unlock(&self->world->mutex);
  memcpy(receive->data, from, receive->bytes);
  pthread_mutex_lock(&self->world->mutex);
  sender->copying--;
  sender->untaken--;
  if (!sender->untaken || self->world->aborted) pthread_cond_broadcast(&sender->changed);
}

/* Takes all that is there; returns how many of this rank's receives are still open, or -1 when it took something (and
 * more may have come meanwhile). */
static int take_ready(rank_state *self, int receives, const cohort_message *receive) {
  world *shared = self->world;
  const int me = self->comm.rank;
  int open = 0;
  bool took = false;
  for (int rank = 0; rank < shared->size; rank++) {
    rank_state *sender = &shared->ranks[rank];
    for (;;) {
      const int to = self->received[rank] = next_message(rank, self->received[rank], receives, receive);
      if (to == receives) break;
      const int from = next_message(me, sender->taken_to[me], sender->send_count, sender->sends);
      if (shared->aborted || from >= sender->send_count) {
        open++;
        break;
      }
      self->received[rank] = to + 1;
      sender->taken_to[me] = from + 1;
      take(self, sender, &sender->sends[from], &receive[to]);
      took = true;
    }
  }
  return took ? -1 : open;
}

/* Whether an open message is to or from a rank that has ended. */
static bool waits_for_ended(const rank_state *self, int receives, const cohort_message *receive) {
  const world *shared = self->world;
  for (int rank = 0; rank < shared->size; rank++) {
    if (!shared->ranks[rank].ended) continue;
    if (next_message(rank, self->received[rank], receives, receive) < receives) return true;
    if (next_message(rank, self->taken_to[rank], self->send_count, self->sends) < self->send_count) return true;
  }
  return false;
}

static void publish(rank_state *self, int sends, const cohort_message *send) {
  const int size = self->world->size;
  memset(self->taken_to, 0, (size_t)size * sizeof *self->taken_to);
  memset(self->received, 0, (size_t)size * sizeof *self->received);
  self->sends = send;
  self->send_count = sends;
  self->untaken = 0;
  for (int i = 0; i < sends; i++) {
    if (!send[i].bytes) continue;
    self->untaken++;
    pthread_cond_broadcast(&self->world->ranks[send[i].rank].changed);
  }
}

static void count_traffic(cohort_comm *comm, int sends, const cohort_message *send, int receives,
                          const cohort_message *receive) {
  for (int i = 0; i < sends; i++) {
    comm->bytes_sent += send[i].bytes;
    comm->messages += send[i].bytes != 0;
  }
  for (int i = 0; i < receives; i++) comm->bytes_received += receive[i].bytes;
}

static void exchange_threads(cohort_comm *comm, int sends, const cohort_message *send, int receives,
                             const cohort_message *receive) {
  rank_state *self = comm->implementation;
  world *shared = self->world;
  const double start = cohort_clock_seconds();
  pthread_mutex_lock(&shared->mutex);
  leave_if_aborted(self);
  publish(self, sends, send);
  for (;;) {
    const int open = take_ready(self, receives, receive);
    leave_if_aborted(self);
    if (open < 0) continue;
    if (!open && !self->untaken) break;
    if (waits_for_ended(self, receives, receive)) {
      mark_aborted(shared, COHORT_RANK_LOST);
      leave_if_aborted(self);
    }
    pthread_cond_wait(&self->changed, &shared->mutex);
  }
  self->send_count = 0;
  self->sends = NULL;
  pthread_mutex_unlock(&shared->mutex);
  count_traffic(comm, sends, send, receives, receive);
  comm->seconds += cohort_clock_seconds() - start;
}

static void abort_threads(cohort_comm *comm, int status) {
  rank_state *self = comm->implementation;
  pthread_mutex_lock(&self->world->mutex);
  mark_aborted(self->world, (cohort_status)status);
  leave(self);
}

static void *run_rank(void *argument) {
  rank_state *self = argument;
  world *shared = self->world;
  pthread_mutex_lock(&shared->mutex);
  self->thread = pthread_self(); /* the creator may not have stored it yet */
  pthread_mutex_unlock(&shared->mutex);
  if (!setjmp(self->leave)) self->result = shared->function(&self->comm, shared->argument);
  pthread_mutex_lock(&shared->mutex);
  self->ended = true;
  wake_all(shared);
  pthread_mutex_unlock(&shared->mutex);
  return NULL;
}

static void prepare_rank(world *shared, int rank) {
  rank_state *self = &shared->ranks[rank];
  self->comm = (cohort_comm){
      .rank = rank, .size = shared->size, .exchange = exchange_threads, .abort = abort_threads, .implementation = self};
  self->world = shared;
  pthread_cond_init(&self->changed, NULL);
  self->taken_to = cohort_allocate((size_t)shared->size * sizeof(int));
  self->received = cohort_allocate((size_t)shared->size * sizeof(int));
}

static void release_rank(rank_state *self) {
  pthread_cond_destroy(&self->changed);
  free(self->taken_to);
  free(self->received);
}

static void run_all(world *shared) {
  pthread_t *threads = cohort_allocate((size_t)shared->size * sizeof(pthread_t));
  int started = 0;
  while (started < shared->size && !pthread_create(&threads[started], NULL, run_rank, &shared->ranks[started])) {
    started++;
  }
  if (started < shared->size) {
    pthread_mutex_lock(&shared->mutex);
    mark_aborted(shared, COHORT_NO_RESOURCE);
    pthread_mutex_unlock(&shared->mutex);
  }
  for (int rank = 0; rank < started; rank++) pthread_join(threads[rank], NULL);
  free(threads);
}

cohort_status cohort_comm_run_threads(int size, cohort_rank_function function, void *argument) {
  world shared = {.size = size, .function = function, .argument = argument};
  pthread_mutex_init(&shared.mutex, NULL);
  shared.ranks = cohort_allocate((size_t)size * sizeof *shared.ranks);
  for (int rank = 0; rank < size; rank++) prepare_rank(&shared, rank);
  run_all(&shared);
  cohort_status worst = shared.aborted ? shared.abort_status : COHORT_DONE;
  for (int rank = 0; rank < size; rank++) {
    if (shared.ranks[rank].result > worst) worst = shared.ranks[rank].result;
    release_rank(&shared.ranks[rank]);
  }
  free(shared.ranks);
  pthread_mutex_destroy(&shared.mutex);
  return worst;
}
