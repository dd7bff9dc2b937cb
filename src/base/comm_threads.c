/* Ranks as threads of one process. For each channel and pair of ranks there is a queue of messages that only one side
 * has posted; whoever posts the other side copies the bytes straight from memory to memory. So nothing is buffered, and
 * a transfer that would hang between processes without buffers hangs here too, unless a rank that it waits for has
 * ended: that is reported as a lost rank. */
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/comm.h"
#include "base/memory.h"

/* ALL_ENDED, ONE_ENDED: seconds after which a wait for memory is hopeless when all others, or some, have ended. */
enum { EXCHANGE = COHORT_CHANNELS, QUEUES = COHORT_CHANNELS + 1, SPINS = 1000, ALL_ENDED = 2, ONE_ENDED = 30 };

typedef struct ticket ticket;

/* A message as one side has posted it. */
typedef struct entry {
  ticket *ticket;
  cohort_message message;
  bool receive, open;
  struct entry *next;
} entry;

typedef struct queue {
  entry *first, *last;
} queue;

typedef struct rank_state {
  cohort_comm comm;
  struct world *world;
  pthread_t thread;
  jmp_buf leave; /* of the rank's own thread */
  cohort_status result;
  bool ended;
  pthread_cond_t changed; /* something this rank may wait for has happened */
  int copying;            /* messages that others copy from or to this rank's memory right now */
  ticket **ticket;        /* [tickets], by number; grown on demand */
  int tickets;
} rank_state;

struct ticket {
  rank_state *owner;
  bool used;
  int entries, open; /* posted, and of these not through */
  int capacity;
  entry *entry;
};

typedef struct world {
  pthread_mutex_t mutex; /* of everything but the messages' bytes */
  int size;
  int *host;
  _Atomic bool aborted;
  cohort_status abort_status;
  _Atomic int ended;
  _Atomic double last_end;
  cohort_rank_function function;
  void *argument;
  rank_state *ranks;
  queue *queues; /* [QUEUES][sender][receiver] */
} world;

static void wake_all(world *shared) {
  for (int rank = 0; rank < shared->size; rank++) pthread_cond_broadcast(&shared->ranks[rank].changed);
}

static void mark_aborted(world *shared, cohort_status status) {
  if (!shared->aborted || status > shared->abort_status) shared->abort_status = status;
  shared->aborted = true;
  wake_all(shared);
}

/* Ends the calling thread of a rank; the mutex is held and no one copies in its memory any more. */
static _Noreturn void leave(rank_state *self) {
  pthread_mutex_unlock(&self->world->mutex);
  if (pthread_equal(pthread_self(), self->thread)) longjmp(self->leave, 1);
  pthread_exit(NULL);
}

static void leave_if_aborted(rank_state *self) {
  if (!self->world->aborted) return; /* else no new copies begin */
  while (self->copying) pthread_cond_wait(&self->changed, &self->world->mutex);
  leave(self);
}

static void close_entry(entry *own) {
  own->open = false;
  own->ticket->open--;
}

/* Copies one message without holding the mutex; `waiting` is in no queue any more. */
static void copy(rank_state *self, entry *own, entry *waiting) {
  rank_state *const other = waiting->ticket->owner;
  const cohort_message *const from = own->receive ? &waiting->message : &own->message;
  const cohort_message *const to = own->receive ? &own->message : &waiting->message;
  if (from->bytes != to->bytes) {
    fprintf(stderr, "cohort: error: rank %d sends %zu bytes where rank %d expects %zu; report this\n", to->rank,
            from->bytes, from->rank, to->bytes);
    mark_aborted(self->world, COHORT_BUG);
  } else if (other->ended) {
    mark_aborted(self->world, COHORT_RANK_LOST);
  }
  leave_if_aborted(self);
  const cohort_message source = *from, target = *to;
  other->copying++;
  pthread_mutex_unlock(&self->world->mutex);
  memmove(target.data, source.data, target.bytes);
  pthread_mutex_lock(&self->world->mutex);
  other->copying--;
  close_entry(own);
  close_entry(waiting);
  pthread_cond_broadcast(&other->changed);
  leave_if_aborted(self);
}

static void post_entry(rank_state *self, int channel, entry *own) {
  world *const shared = self->world;
  const int me = self->comm.rank, other = own->message.rank, size = shared->size;
  const int sender = own->receive ? other : me, receiver = own->receive ? me : other;
  queue *const waiting = &shared->queues[(channel * size + sender) * size + receiver];
  entry *const first = waiting->first;
  if (first && first->receive != own->receive) {
    waiting->first = first->next;
    copy(self, own, first);
    return;
  }
  own->next = NULL;
  if (first)
    waiting->last->next = own;
  else
    waiting->first = own;
  waiting->last = own;
}

/* An unused ticket with room for this many messages. */
static int take_ticket(rank_state *self, int entries) {
  int number = 0;
  while (number < self->tickets && self->ticket[number]->used) number++;
  if (number == self->tickets) {
    self->ticket = cohort_reallocate(self->ticket, (size_t)(number + 1) * sizeof(ticket *));
    self->ticket[number] = cohort_allocate(sizeof(ticket));
    self->ticket[number]->owner = self;
    self->tickets++;
  }
  ticket *const own = self->ticket[number];
  if (entries > own->capacity) {
    own->entry = cohort_reallocate(own->entry, (size_t)entries * sizeof *own->entry);
    own->capacity = entries;
  }
  own->used = true;
  own->entries = own->open = 0;
  return number;
}

static void add_entries(ticket *own, int count, const cohort_message *message, bool receive) {
  for (int i = 0; i < count; i++) {
    if (!message[i].bytes) continue;
    own->entry[own->entries++] = (entry){.ticket = own, .message = message[i], .receive = receive, .open = true};
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

/* The mutex is held. */
static int begin(rank_state *self, int channel, int sends, const cohort_message *send, int receives,
                 const cohort_message *receive) {
  leave_if_aborted(self);
  const int number = take_ticket(self, sends + receives);
  ticket *const own = self->ticket[number];
  add_entries(own, receives, receive, true);
  add_entries(own, sends, send, false);
  own->open = own->entries;
  count_traffic(&self->comm, sends, send, receives, receive);
  for (int i = 0; i < own->entries; i++) post_entry(self, channel, &own->entry[i]);
  return number;
}

/* Ends the world when a message of the ticket is to or from a rank that has ended. */
static void leave_if_lost(rank_state *self, const ticket *own) {
  for (int i = 0; i < own->entries; i++) {
    if (own->entry[i].open && self->world->ranks[own->entry[i].message.rank].ended)
      mark_aborted(self->world, COHORT_RANK_LOST);
  }
  leave_if_aborted(self);
}

/* The mutex is held. */
static void finish(rank_state *self, ticket *own) {
  leave_if_aborted(self);
  while (own->open) {
    leave_if_lost(self, own);
    pthread_cond_wait(&self->changed, &self->world->mutex);
    leave_if_aborted(self);
  }
  own->used = false;
}

static void exchange_threads(cohort_comm *comm, int sends, const cohort_message *send, int receives,
                             const cohort_message *receive) {
  rank_state *const self = comm->implementation;
  const double start = cohort_clock_seconds();
  cohort_comm_wait_begins(comm, start);
  pthread_mutex_lock(&self->world->mutex);
  const int number = begin(self, EXCHANGE, sends, send, receives, receive);
  finish(self, self->ticket[number]);
  pthread_mutex_unlock(&self->world->mutex);
  cohort_comm_wait_ends(comm);
  comm->seconds += cohort_clock_seconds() - start;
}

static int post_threads(cohort_comm *comm, cohort_channel channel, int sends, const cohort_message *send, int receives,
                        const cohort_message *receive) {
  rank_state *const self = comm->implementation;
  cohort_comm_count(comm, cohort_clock_seconds());
  comm->flights++;
  pthread_mutex_lock(&self->world->mutex);
  const int number = begin(self, (int)channel, sends, send, receives, receive);
  pthread_mutex_unlock(&self->world->mutex);
  return number;
}

static void land(cohort_comm *comm) {
  cohort_comm_count(comm, cohort_clock_seconds());
  comm->flights--;
}

static bool test_threads(cohort_comm *comm, int number) {
  rank_state *const self = comm->implementation;
  pthread_mutex_lock(&self->world->mutex);
  leave_if_aborted(self);
  ticket *const own = self->ticket[number];
  const bool done = !own->open;
  if (done)
    own->used = false;
  else
    leave_if_lost(self, own);
  pthread_mutex_unlock(&self->world->mutex);
  if (done) land(comm);
  return done;
}

static void wait_threads(cohort_comm *comm, int number) {
  rank_state *const self = comm->implementation;
  const double start = cohort_clock_seconds();
  cohort_comm_wait_begins(comm, start);
  pthread_mutex_lock(&self->world->mutex);
  finish(self, self->ticket[number]);
  pthread_mutex_unlock(&self->world->mutex);
  land(comm);
  cohort_comm_wait_ends(comm);
  comm->seconds += cohort_clock_seconds() - start;
}

static void idle_threads(cohort_comm *comm) {
  rank_state *const self = comm->implementation;
  world *const shared = self->world;
  cohort_comm_give_way(comm);
  const int ended = shared->ended;
  if (!ended && !shared->aborted) return;
  const double since = comm->waits_since > shared->last_end ? comm->waits_since : shared->last_end;
  const bool lost = ended && cohort_clock_seconds() - since > (ended == shared->size - 1 ? ALL_ENDED : ONE_ENDED);
  pthread_mutex_lock(&shared->mutex);
  if (lost) mark_aborted(shared, COHORT_RANK_LOST);
  leave_if_aborted(self);
  pthread_mutex_unlock(&shared->mutex);
}

static void await_threads(cohort_comm *comm, const _Atomic uint64_t *flag, uint64_t value) {
  for (int i = 0; i < SPINS; i++)
    if (atomic_load_explicit(flag, memory_order_acquire) >= value) return;
  const double start = cohort_clock_seconds();
  cohort_comm_wait_begins(comm, start);
  while (atomic_load_explicit(flag, memory_order_acquire) < value) idle_threads(comm);
  cohort_comm_wait_ends(comm);
  comm->seconds += cohort_clock_seconds() - start;
}

static void abort_threads(cohort_comm *comm, int status) {
  rank_state *self = comm->implementation;
  pthread_mutex_lock(&self->world->mutex);
  mark_aborted(self->world, (cohort_status)status);
  leave_if_aborted(self);
  abort(); /* it has left */
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
  shared->last_end = cohort_clock_seconds();
  shared->ended++;
  wake_all(shared);
  pthread_mutex_unlock(&shared->mutex);
  return NULL;
}

static void prepare_rank(world *shared, int rank) {
  rank_state *self = &shared->ranks[rank];
  self->comm = (cohort_comm){.rank = rank,
                             .size = shared->size,
                             .hosts = shared->host[shared->size - 1] + 1,
                             .host = shared->host,
                             .one_process = true,
                             .exchange = exchange_threads,
                             .post = post_threads,
                             .test = test_threads,
                             .wait = wait_threads,
                             .await = await_threads,
                             .idle = idle_threads,
                             .abort = abort_threads,
                             .implementation = self};
  self->world = shared;
  pthread_cond_init(&self->changed, NULL);
}

static void release_rank(rank_state *self) {
  pthread_cond_destroy(&self->changed);
  for (int i = 0; i < self->tickets; i++) {
    free(self->ticket[i]->entry);
    free(self->ticket[i]);
  }
  free(self->ticket);
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
  return cohort_comm_run_threads_on_hosts(size, size, function, argument);
}

cohort_status cohort_comm_run_threads_on_hosts(int size, int per_host, cohort_rank_function function, void *argument) {
  world shared = {.size = size, .function = function, .argument = argument};
  const size_t ranks = (size_t)size;
  pthread_mutex_init(&shared.mutex, NULL);
  shared.host = cohort_allocate(ranks * sizeof *shared.host);
  for (int rank = 0; rank < size; rank++) shared.host[rank] = rank / per_host;
  shared.queues = cohort_allocate(QUEUES * ranks * ranks * sizeof *shared.queues);
  shared.ranks = cohort_allocate(ranks * sizeof *shared.ranks);
  for (int rank = 0; rank < size; rank++) prepare_rank(&shared, rank);
  run_all(&shared);
  cohort_status worst = shared.aborted ? shared.abort_status : COHORT_DONE;
  for (int rank = 0; rank < size; rank++) {
    if (shared.ranks[rank].result > worst) worst = shared.ranks[rank].result;
    release_rank(&shared.ranks[rank]);
  }
  free(shared.ranks);
  free(shared.queues);
  free(shared.host);
  pthread_mutex_destroy(&shared.mutex);
  return worst;
}
