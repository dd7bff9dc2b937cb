/* The world over MPI: exchange, posted transfers, waits, abort. It is the one file through which messages pass; an
 * error of MPI ends the job with one line. Between two ranks messages keep their order within a channel. Tickets and
 * requests are reused: after the first step nothing is allocated.
 *
 * Open MPI yields the core whenever it is asked and has nothing (mpi_yield_when_idle, which mpirun sets itself on a
 * full host): beside busy processes that is a slice for each of them. So who sends a host-mate a message of an exchange
 * also counts it in shared memory, and a rank asks MPI only once the messages that it waits for have been counted; else
 * every PROGRESS_SECONDS, in case MPI has something of its own to do. */
#include "mpi/world.h"

#include <limits.h>
#include <math.h>
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "mpi/hosts.h"
#include "mpi/watchdog.h"

/* START_SECONDS: what the watchdog allows until the settings say; before it runs, MPI_START_SECONDS end a start that
 * hangs. */
enum {
  SLICE_BYTES = 1 << 30,
  HOST_BYTES = 256,
  START_SECONDS = 60,
  MPI_START_SECONDS = 600,
  SPINS = 1000,
  LOAD_SPINS = 20000, /* of looks that are one load: some ten microseconds */
  CROWDED_SPINS = 2
};
static const double PROGRESS_SECONDS = 20e-3;
enum { TAG_EXCHANGE = 1, TAG_NEVER, TAG_CHANNELS };

typedef struct ticket {
  bool used;
  int requests, capacity; /* grown on demand, so a steady state allocates nothing */
  MPI_Request *request;
  MPI_Status *status; /* [capacity]: nobody reads it, but MPICH's MPI_STATUSES_IGNORE is an address that gcc warns of */
} ticket;

typedef struct world {
  int tickets;
  ticket *ticket; /* by number; grown on demand */
  int *host;      /* [size] */
  int local_rank, local_size;
  char *hosts; /* size x HOST_BYTES */
  cohort_watchdog *watchdog;
  cohort_shared_memory *counts; /* rank r's part: messages of exchanges that it has sent, [size] by receiver; or NULL */
  uint64_t *awaited;            /* [size] by sender: those that this rank has waited for */
  double progressed;            /* when MPI was asked last */
} world;

static int slices(size_t bytes) { return (int)((bytes + SLICE_BYTES - 1) / SLICE_BYTES); }

/* An error of MPI is a lost rank or network: nobody can go on, so all end. */
static void require(cohort_comm *comm, int code, const char *what) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  char line[MPI_MAX_ERROR_STRING + 128];
  snprintf(line, sizeof line, "rank %d: %s: %s; a rank or the network was lost", comm->rank, what, text);
  const world *const state = comm->implementation;
  cohort_watchdog_report(state->watchdog, line);
  comm->abort(comm, COHORT_RANK_LOST);
}

/* One tag a channel: MPI keeps the order of messages between two ranks and of one tag, both of sends and of receives
 * posted, so the slices of a message and the messages of the lists match in order. */
static int start(cohort_comm *comm, const cohort_message *message, int tag, bool receive, MPI_Request *request) {
  int posted = 0;
  for (size_t first = 0; first < message->bytes; first += SLICE_BYTES) {
    const size_t left = message->bytes - first;
    const int bytes = (int)(left < SLICE_BYTES ? left : SLICE_BYTES);
    char *const data = (char *)message->data + first;
    if (receive) {
      require(comm, MPI_Irecv(data, bytes, MPI_BYTE, message->rank, tag, MPI_COMM_WORLD, &request[posted]), "receive");
    } else {
      require(comm, MPI_Isend(data, bytes, MPI_BYTE, message->rank, tag, MPI_COMM_WORLD, &request[posted]), "send");
    }
    posted++;
  }
  return posted;
}

/* Those of this host may sleep while they wait for this. */
static void ring_all(cohort_comm *comm, int messages, const cohort_message *message) {
  for (int i = 0; i < messages; i++)
    if (message[i].bytes) cohort_comm_ring(comm, message[i].rank);
}

/* The count of messages of exchanges from `from` to `to`, or NULL when they do not share memory. */
static _Atomic uint64_t *count_of(const world *state, int from, int to) {
  char *const part = state->counts && from != to ? state->counts->part[from] : NULL;
  return part ? (_Atomic uint64_t *)(void *)part + to : NULL;
}

static void count_sent(const cohort_comm *comm, int sends, const cohort_message *send) {
  for (int i = 0; i < sends; i++) {
    _Atomic uint64_t *const count = count_of(comm->implementation, comm->rank, send[i].rank);
    if (count && send[i].bytes) (void)atomic_fetch_add_explicit(count, 1, memory_order_release);
  }
}

/* An unused ticket with room for this many requests. */
static int take_ticket(world *state, int requests) {
  int number = 0;
  while (number < state->tickets && state->ticket[number].used) number++;
  if (number == state->tickets) {
    state->ticket = cohort_reallocate(state->ticket, (size_t)(number + 1) * sizeof *state->ticket);
    state->ticket[state->tickets++] = (ticket){0};
  }
  ticket *const own = &state->ticket[number];
  if (requests > own->capacity) {
    own->request = cohort_reallocate(own->request, (size_t)requests * sizeof *own->request);
    own->status = cohort_reallocate(own->status, (size_t)requests * sizeof *own->status);
    own->capacity = requests;
  }
  own->used = true;
  return number;
}

static int start_all(cohort_comm *comm, int tag, int sends, const cohort_message *send, int receives,
                     const cohort_message *receive) {
  world *const state = comm->implementation;
  int needed = 0;
  for (int i = 0; i < receives; i++) needed += slices(receive[i].bytes);
  for (int i = 0; i < sends; i++) needed += slices(send[i].bytes);
  const int number = take_ticket(state, needed);
  MPI_Request *const request = state->ticket[number].request;
  int posted = 0;
  for (int i = 0; i < receives; i++) {
    posted += start(comm, &receive[i], tag, true, request + posted);
    comm->bytes_received += receive[i].bytes;
  }
  for (int i = 0; i < sends; i++) {
    posted += start(comm, &send[i], tag, false, request + posted);
    comm->bytes_sent += send[i].bytes;
    comm->messages += send[i].bytes > 0;
  }
  state->ticket[number].requests = posted;
  if (tag == TAG_EXCHANGE) count_sent(comm, sends, send);
  ring_all(comm, sends, send);
  return number;
}

/* Looks before a wait gives the core away. */
static int spins(const cohort_comm *comm, int usual) { return comm->crowded ? CROWDED_SPINS : usual; }

static void finish(cohort_comm *comm, int number, const char *what) {
  ticket *const own = &((world *)comm->implementation)->ticket[number];
  const int most = spins(comm, SPINS);
  int done = own->requests == 0;
  for (int looks = 0; !done; looks++) {
    if (looks >= most) cohort_comm_give_way(comm); /* MPI's own wait would never sleep */
    require(comm, MPI_Testall(own->requests, own->request, &done, own->status), what);
  }
  own->used = false;
}

/* To look for a message that never comes is what makes MPI look at all that do. */
static void progress(cohort_comm *comm) {
  world *const state = comm->implementation;
  const double now = cohort_clock_seconds();
  const bool alone = comm->hosts == 1 && !comm->flights;
  if (alone && now - fmax(state->progressed, comm->waits_since) < PROGRESS_SECONDS) return;
  state->progressed = now;
  int there = 0;
  require(comm, MPI_Iprobe(MPI_ANY_SOURCE, TAG_NEVER, MPI_COMM_WORLD, &there, MPI_STATUS_IGNORE), "wait");
}

static void await_counted(cohort_comm *comm, int receives, const cohort_message *receive) {
  const world *const state = comm->implementation;
  const int most = spins(comm, LOAD_SPINS);
  for (int i = 0; i < receives; i++) {
    const _Atomic uint64_t *const count = count_of(state, receive[i].rank, comm->rank);
    if (!count || !receive[i].bytes) continue;
    const uint64_t wanted = ++state->awaited[receive[i].rank];
    for (int looks = 0; atomic_load_explicit(count, memory_order_acquire) < wanted; looks++) {
      if (looks < most) continue;
      progress(comm);
      cohort_comm_give_way(comm);
    }
  }
}

static void world_exchange(cohort_comm *comm, int sends, const cohort_message *send, int receives,
                           const cohort_message *receive) {
  const double before = cohort_clock_seconds();
  cohort_comm_wait_begins(comm, before);
  const int number = start_all(comm, TAG_EXCHANGE, sends, send, receives, receive);
  await_counted(comm, receives, receive);
  finish(comm, number, "exchange");
  ring_all(comm, receives, receive); /* a large message's sender waits until it has been taken */
  cohort_comm_wait_ends(comm);
  comm->seconds += cohort_clock_seconds() - before;
}

static int world_post(cohort_comm *comm, cohort_channel channel, int sends, const cohort_message *send, int receives,
                      const cohort_message *receive) {
  cohort_comm_count(comm, cohort_clock_seconds());
  comm->flights++;
  return start_all(comm, TAG_CHANNELS + (int)channel, sends, send, receives, receive);
}

static void land(cohort_comm *comm) {
  cohort_comm_count(comm, cohort_clock_seconds());
  comm->flights--;
}

static bool world_test(cohort_comm *comm, int number) {
  ticket *const own = &((world *)comm->implementation)->ticket[number];
  int done = 1;
  if (own->requests) require(comm, MPI_Testall(own->requests, own->request, &done, own->status), "transfer");
  if (!done) return false;
  own->used = false;
  land(comm);
  return true;
}

static void world_wait(cohort_comm *comm, int number) {
  const double before = cohort_clock_seconds();
  cohort_comm_wait_begins(comm, before);
  finish(comm, number, "transfer");
  land(comm);
  cohort_comm_wait_ends(comm);
  comm->seconds += cohort_clock_seconds() - before;
}

static void world_idle(cohort_comm *comm) {
  progress(comm);
  cohort_comm_give_way(comm);
}

static void world_await(cohort_comm *comm, const _Atomic uint64_t *flag, uint64_t value) {
  const int most = spins(comm, LOAD_SPINS);
  for (int i = 0; i < most; i++)
    if (atomic_load_explicit(flag, memory_order_acquire) >= value) return;
  const double before = cohort_clock_seconds();
  cohort_comm_wait_begins(comm, before);
  while (atomic_load_explicit(flag, memory_order_acquire) < value) world_idle(comm);
  cohort_comm_wait_ends(comm);
  comm->seconds += cohort_clock_seconds() - before;
}

static void world_abort(cohort_comm *comm, int status) {
  const world *const state = comm->implementation;
  cohort_watchdog_end(state->watchdog, status);
  fflush(NULL);
  MPI_Abort(MPI_COMM_WORLD, status);
  _exit(status);
}

/* The value of an environment variable that holds a number above 0, else 0. */
static long environment_number(const char *name) {
  const char *const text = getenv(name);
  if (!text || !*text) return 0;
  char *end = NULL;
  const long value = strtol(text, &end, 10);
  return *end == '\0' && value > 0 ? value : 0;
}

/* How many ranks the launcher started: 1 when there is none, 0 when it does not say. A batch script of Slurm carries
 * SLURM_NTASKS too, but only srun sets the number of tasks of a step. */
static long launched_ranks(void) {
  const long by_mpirun = environment_number("OMPI_COMM_WORLD_SIZE");
  if (by_mpirun > 0) return by_mpirun;
  const long by_srun = getenv("SLURM_PROCID") ? environment_number("SLURM_STEP_NUM_TASKS") : 0;
  if (by_srun > 0) return by_srun;
  const long by_pmi = getenv("PMI_RANK") ? environment_number("PMI_SIZE") : 0;
  if (by_pmi > 0) return by_pmi;
  return getenv("PMIX_RANK") || getenv("PMI_RANK") ? 0 : 1;
}

static void gather_hosts(cohort_comm *comm, world *state) {
  const size_t size = (size_t)comm->size;
  state->hosts = cohort_allocate(size * HOST_BYTES);
  char *const mine = state->hosts + (size_t)comm->rank * HOST_BYTES;
  if (gethostname(mine, HOST_BYTES - 1) != 0) snprintf(mine, HOST_BYTES, "unknown");
  size_t *const offsets = cohort_allocate(2 * size * sizeof *offsets);
  size_t *const bytes = offsets + size;
  for (size_t i = 0; i < size; i++) {
    offsets[i] = i * HOST_BYTES;
    bytes[i] = HOST_BYTES;
  }
  cohort_comm_gather_all(comm, state->hosts, offsets, bytes);
  free(offsets);
  for (int i = 0; i < comm->size; i++) {
    if (strcmp(state->hosts + (size_t)i * HOST_BYTES, mine) != 0) continue;
    state->local_size++;
    if (i < comm->rank) state->local_rank++;
  }
}

/* Opens the watchdog first, so that it is there for the errors of the first messages. */
static void start_watchdog(cohort_comm *comm, world *state) {
  const size_t size = (size_t)comm->size;
  cohort_contact *const contacts = cohort_allocate(size * sizeof *contacts);
  state->watchdog = cohort_watchdog_open(comm->rank, comm->size, &contacts[comm->rank]);
  gather_hosts(comm, state);
  size_t *const offsets = cohort_allocate(2 * size * sizeof *offsets);
  for (size_t i = 0; i < size; i++) {
    offsets[i] = i * sizeof *contacts;
    offsets[size + i] = sizeof *contacts;
  }
  cohort_comm_gather_all(comm, contacts, offsets, offsets + size);
  cohort_watchdog_limit(state->watchdog, START_SECONDS, NULL);
  cohort_watchdog_start(state->watchdog, contacts, state->hosts, HOST_BYTES);
  comm->watched = cohort_watchdog_wait(state->watchdog);
  cohort_comm_phase(comm, "start", -1);
  cohort_comm_name(comm, "exchange");
  free(offsets);
  free(contacts);
}

void cohort_world_watch(const cohort_comm *comm, double seconds, const char *log) {
  if (comm->exchange != world_exchange) return;
  const world *const state = comm->implementation;
  cohort_watchdog_limit(state->watchdog, seconds, log);
}

/* A write to a rank that is gone is an error that MPI reports, not a death. A handler, as children would inherit
 * SIG_IGN. */
static void survive_broken_pipes(int number) { (void)number; }

static void start_hangs(int number) {
  (void)number;
  static const char line[] =
      "cohort: error: MPI: it did not start within 600 s; a rank was lost or stopped; start again\n";
  if (write(STDERR_FILENO, line, sizeof line - 1) < 0) { /* the status says it too */
  }
  _exit(COHORT_RANK_LOST);
}

/* Ends the process when MPI takes too long to start; 0 seconds: it has started. */
static void limit_start(unsigned seconds) {
  struct sigaction action = {.sa_handler = seconds ? start_hangs : SIG_DFL};
  (void)sigemptyset(&action.sa_mask);
  if (seconds) (void)sigaction(SIGALRM, &action, NULL);
  (void)alarm(seconds);
  if (!seconds) (void)sigaction(SIGALRM, &action, NULL);
}

/* Open MPI asks before it sends more than 64 KiB through TCP, and the answer waits behind the data that is on its way
 * on the same connection: parts that go both ways at once reach half of the link. Parts of up to 4 MiB go at once; who
 * has set these has the last word. */
static void send_at_once(void) {
  static const char *const names[] = {"OMPI_MCA_btl_tcp_eager_limit", "OMPI_MCA_btl_tcp_max_send_size"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) (void)setenv(names[i], "4194304", 0);
}

void cohort_world_library(char out[64]) {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  (void)MPI_Get_library_version(text, &length);
  (void)snprintf(out, 64, "%.*s", (int)strcspn(text, ",\n"), text);
}

cohort_status cohort_world_open(cohort_comm *comm, cohort_error *error) {
  const long expected = launched_ranks();
  if (expected == 1) {
    *comm = cohort_comm_alone();
    return COHORT_DONE;
  }
  struct sigaction survive = {.sa_handler = survive_broken_pipes, .sa_flags = SA_RESTART};
  (void)sigemptyset(&survive.sa_mask);
  (void)sigaction(SIGPIPE, &survive, NULL);
  send_at_once();
  limit_start(MPI_START_SECONDS);
  int provided = 0;
  if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
    return cohort_fail(error, COHORT_RANK_LOST, "MPI: it did not start; check the launcher with a small MPI program");
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  cohort_comm opened = {.exchange = world_exchange,
                        .post = world_post,
                        .test = world_test,
                        .wait = world_wait,
                        .await = world_await,
                        .idle = world_idle,
                        .abort = world_abort};
  MPI_Comm_rank(MPI_COMM_WORLD, &opened.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &opened.size);
  if (provided < MPI_THREAD_FUNNELED) {
    MPI_Finalize();
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "MPI: this library does not allow threads; use one built with threads");
  }
  if (expected > 0 && opened.size != expected) {
    const int size = opened.size;
    MPI_Finalize(); /* else every task would believe to be the whole job and write the same run */
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "MPI: the launcher started %ld tasks but MPI sees %d; use srun --mpi=pmix or this MPI's mpirun",
                       expected, size);
  }
  world *const state = cohort_allocate(sizeof *state);
  opened.implementation = state;
  start_watchdog(&opened, state);
  state->host = cohort_allocate((size_t)opened.size * sizeof *state->host);
  opened.hosts = cohort_hosts_number(&opened, state->hosts, HOST_BYTES, state->host);
  opened.host = state->host;
  limit_start(0);
  *comm = opened;
  cohort_comm_bells_open(comm);
  state->awaited = cohort_allocate((size_t)comm->size * sizeof *state->awaited);
  cohort_shared_memory *counts = NULL;
  if (cohort_shared_memory_create(comm, (size_t)comm->size * sizeof(uint64_t), "counts", &counts, NULL) == COHORT_DONE)
    state->counts = counts;
  comm->bytes_received = comm->bytes_sent = comm->messages = 0;
  comm->seconds = 0;
  return COHORT_DONE;
}

void cohort_world_close(cohort_comm *comm) {
  if (comm->exchange != world_exchange) return;
  world *const state = comm->implementation;
  cohort_comm_name(comm, "end of MPI");
  cohort_comm_bells_close(comm);
  cohort_shared_memory_destroy(state->counts);
  cohort_comm_wait_begins(comm, cohort_clock_seconds());
  MPI_Finalize();
  cohort_watchdog_close(state->watchdog);
  for (int i = 0; i < state->tickets; i++) {
    free(state->ticket[i].request);
    free(state->ticket[i].status);
  }
  free(state->ticket);
  free(state->awaited);
  free(state->host);
  free(state->hosts);
  free(state);
  *comm = cohort_comm_alone();
}

void cohort_world_local(const cohort_comm *comm, int *local_rank, int *local_size) {
  const world *const state = comm->exchange == world_exchange ? comm->implementation : NULL;
  *local_rank = state ? state->local_rank : 0;
  *local_size = state ? state->local_size : 1;
}

const char *cohort_world_host(const cohort_comm *comm, int rank) {
  const world *const state = comm->exchange == world_exchange ? comm->implementation : NULL;
  return state ? state->hosts + (size_t)rank * HOST_BYTES : "";
}

char *cohort_world_hosts(cohort_comm *comm) {
  if (comm->rank != 0) return NULL;
  if (comm->exchange != world_exchange) {
    char name[HOST_BYTES] = "";
    if (gethostname(name, sizeof name - 1) != 0) snprintf(name, sizeof name, "unknown");
    return cohort_copy_text(name);
  }
  const world *const state = comm->implementation;
  const size_t size = (size_t)comm->size;
  char *const joined = cohort_allocate(size * (HOST_BYTES + 1));
  char *end = joined;
  for (size_t i = 0; i < size; i++) {
    if (i > 0) *end++ = ',';
    end = stpcpy(end, state->hosts + i * HOST_BYTES);
  }
  return joined;
}
