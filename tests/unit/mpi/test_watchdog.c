/* The watchdog against who listens and sends on its network: the key is not to be seen, forged and repeated messages
 * change nothing. Two ranks are processes; all that they send goes through this one, which can keep, change and repeat
 * it. Runs alone: its limits are short. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "check.h"
#include "mpi/siphash.h"
#include "mpi/watchdog.h"

/* Appendix A of the paper: key 00 01 .. 0f, message 00 01 .. 0e; and its authors' vectors of 0, 1 and 8 bytes. */
static void siphash_gives_the_papers_values(void) {
  unsigned char bytes[16];
  uint64_t key[2];
  for (int i = 0; i < 16; i++) bytes[i] = (unsigned char)i;
  memcpy(key, bytes, sizeof key);
  CU_ASSERT_EQUAL(cohort_siphash(key, bytes, 15), UINT64_C(0xa129ca6149be45e5));
  CU_ASSERT_EQUAL(cohort_siphash(key, bytes, 0), UINT64_C(0x726fdb47dd0e0e31));
  CU_ASSERT_EQUAL(cohort_siphash(key, bytes, 1), UINT64_C(0x74f839c593dc67fd));
  CU_ASSERT_EQUAL(cohort_siphash(key, bytes, 8), UINT64_C(0x93f5f5799a932462));
}

enum { RANKS = 2, ROOM = 512 };
static const double LIMIT = 2;

/* What the processes share. */
typedef struct shared {
  cohort_contact contact[RANKS];
  _Atomic int opened, go;
} shared;

typedef struct packet {
  char data[ROOM];
  size_t bytes;
} packet;

typedef struct stage {
  shared *shared;
  pid_t rank[RANKS];
  int socket[RANKS];  /* what rank r takes for the other one */
  packet last[RANKS]; /* that rank r has sent */
  int count[RANKS];
} stage;

static int open_socket(uint16_t *port) {
  const int own = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;
  CU_ASSERT_EQUAL_FATAL(bind(own, (struct sockaddr *)&address, sizeof address), 0);
  CU_ASSERT_EQUAL_FATAL(getsockname(own, (struct sockaddr *)&address, &length), 0);
  *port = address.sin_port;
  return own;
}

/* A rank that waits from the beginning (rank 0) or computes (rank 1), until it is ended. */
static _Noreturn void live(shared *common, int rank, uint16_t port) {
  static const char hosts[RANKS][8] = {"host", "host"};
  cohort_contact contact[RANKS];
  if (!freopen("/dev/null", "w", stderr)) _exit(1);
  cohort_watchdog *const own = cohort_watchdog_open(rank, RANKS, &common->contact[rank]);
  common->opened++;
  while (!common->go) usleep(1000);
  memcpy(contact, common->contact, sizeof contact);
  contact[1 - rank].port = port;
  contact[1 - rank].addresses = 0;
  cohort_watchdog_limit(own, LIMIT, NULL);
  cohort_watchdog_start(own, contact, hosts[0], sizeof hosts[0]);
  if (rank == 0) atomic_store(&cohort_watchdog_wait(own)->since, cohort_clock_seconds());
  for (;;) pause();
}

static stage begin(void) {
  stage own = {.shared = mmap(NULL, sizeof(shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)};
  CU_ASSERT_TRUE_FATAL(own.shared != MAP_FAILED);
  for (int r = 0; r < RANKS; r++) {
    uint16_t port;
    own.socket[r] = open_socket(&port);
    own.rank[r] = fork();
    CU_ASSERT_TRUE_FATAL(own.rank[r] >= 0);
    if (own.rank[r] == 0) live(own.shared, r, port);
  }
  while (own.shared->opened < RANKS) usleep(1000);
  own.shared->go = 1;
  return own;
}

static void send_to_rank(const stage *own, int rank, const packet *what) {
  const struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = own->shared->contact[rank].port, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  /* From the socket that the rank takes for the other one. */
  (void)sendto(own->socket[rank], what->data, what->bytes, 0, (const struct sockaddr *)&to, sizeof to);
}

/* Carries messages between the ranks for so long, and keeps the last of each. */
static void carry(stage *own, double seconds) {
  for (const double end = cohort_clock_seconds() + seconds; cohort_clock_seconds() < end;) {
    struct pollfd ready[RANKS] = {{.fd = own->socket[0], .events = POLLIN}, {.fd = own->socket[1], .events = POLLIN}};
    (void)poll(ready, RANKS, 20);
    for (int r = 0; r < RANKS; r++)
      for (packet next;;) {
        const ssize_t bytes = recv(own->socket[r], next.data, ROOM, 0);
        if (bytes < 0) break;
        next.bytes = (size_t)bytes;
        own->last[r] = next;
        own->count[r]++;
        send_to_rank(own, 1 - r, &next);
      }
  }
}

static bool lives(pid_t rank) { return waitpid(rank, NULL, WNOHANG) == 0; }

static void finish(stage *own) {
  for (int r = 0; r < RANKS; r++) {
    (void)kill(own->rank[r], SIGKILL);
    (void)waitpid(own->rank[r], NULL, 0);
    (void)close(own->socket[r]);
  }
  (void)munmap(own->shared, sizeof(shared));
}

static bool holds(const packet *what, const void *piece, size_t bytes) {
  return memmem(what->data, what->bytes, piece, bytes) != NULL;
}

/* One word of the message is its kind and one its number; the test need not know which: every 32-bit word is made
 * FAREWELL and every 64-bit word a high number, in all pairs. */
static void forge(stage *own, int rank) {
  const packet seen = own->last[1 - rank];
  const int32_t farewell = 3;
  for (size_t number = 0; number + sizeof(uint64_t) <= seen.bytes; number += sizeof(uint64_t)) {
    for (size_t kind = 0; kind + sizeof farewell <= seen.bytes; kind += sizeof farewell) {
      packet forged = seen;
      const uint64_t high = UINT64_MAX / 2 + kind;
      memcpy(forged.data + number, &high, sizeof high);
      memcpy(forged.data + kind, &farewell, sizeof farewell);
      send_to_rank(own, rank, &forged);
    }
    carry(own, 0.03);
  }
}

static void the_key_is_not_seen_and_forgeries_do_nothing(void) {
  stage own = begin();
  carry(&own, 1.5);
  CU_ASSERT_TRUE(own.count[0] > 3);
  CU_ASSERT_TRUE(own.count[1] > 3);
  for (int r = 0; r < RANKS; r++)
    for (int k = 0; k < RANKS; k++)
      for (int w = 0; w < 2; w++)
        CU_ASSERT_FALSE(holds(&own.last[r], &own.shared->contact[k].key[w], sizeof(uint64_t)));
  forge(&own, 0);
  forge(&own, 1);
  carry(&own, 0.2);
  CU_ASSERT_TRUE(lives(own.rank[0]));
  CU_ASSERT_TRUE(lives(own.rank[1]));
  finish(&own);
}

/* A dead rank's messages, sent again and again, are no sign of life. */
static void repeated_messages_are_no_sign_of_life(void) {
  stage own = begin();
  carry(&own, 3);
  CU_ASSERT_TRUE(lives(own.rank[0])); /* longer than the limit: rank 1 has answered */
  CU_ASSERT_EQUAL(kill(own.rank[1], SIGKILL), 0);
  const packet last = own.last[1];
  bool ended = false;
  int status = 0;
  for (const double end = cohort_clock_seconds() + 3 * LIMIT; !ended && cohort_clock_seconds() < end;) {
    send_to_rank(&own, 0, &last);
    usleep(20000);
    ended = waitpid(own.rank[0], &status, WNOHANG) == own.rank[0];
  }
  CU_ASSERT_TRUE(ended && WIFEXITED(status) && WEXITSTATUS(status) == COHORT_RANK_LOST);
  finish(&own);
}

int main(void) {
  static const check checks[] = {
      {"siphash gives the paper's values", siphash_gives_the_papers_values},
      {"the key is not seen and forgeries do nothing", the_key_is_not_seen_and_forgeries_do_nothing},
      {"repeated messages are no sign of life", repeated_messages_are_no_sign_of_life},
  };
  return check_run("watchdog", checks, sizeof checks / sizeof *checks);
}
