/* Ends a rank that waits for one which is gone. Every rank has a thread that watches the rank's own waits (base/comm.h,
 * cohort_wait). When a wait grows long, the thread asks the other ranks' threads over UDP whether they live; a rank
 * that computes, reads or writes answers all the same, one that died, was stopped or is cut off does not. So nothing is
 * sent while all goes well, and a long evaluation or save needs no bound. The thread calls neither MPI nor the
 * allocator. */
#ifndef COHORT_MPI_WATCHDOG_H
#define COHORT_MPI_WATCHDOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/comm.h"

typedef struct cohort_watchdog cohort_watchdog;

enum { COHORT_CONTACT_ADDRESSES = 4 };

/* How to reach a rank's thread; plain bytes that ranks exchange. */
typedef struct cohort_contact {
  uint64_t key[2];                            /* rank 0's is the job's: what is not hashed under it is ignored */
  uint32_t address[COHORT_CONTACT_ADDRESSES]; /* IPv4, network order */
  uint16_t port, addresses;                   /* port in network order */
} cohort_contact;

/* Opens the socket and fills `mine`. A machine without a network gets a watchdog that hears nobody (see limit). */
cohort_watchdog *cohort_watchdog_open(int rank, int size, cohort_contact *mine);
/* Starts the thread. `contacts` of all ranks; host name r at hosts + r * stride, which must outlive the watchdog. */
void cohort_watchdog_start(cohort_watchdog *watchdog, const cohort_contact *contacts, const char *hosts, size_t stride);
/* After MPI has ended. */
void cohort_watchdog_close(cohort_watchdog *watchdog);

/* The record that the watchdog reads. */
cohort_wait *cohort_watchdog_wait(cohort_watchdog *watchdog);

/* Seconds within which the job ends when one rank waits for another that does not answer: the wait lasts 2.5 s less,
 * but at least half of them, because the launcher needs time to end the others. 0: for ever. Ten times as long when a
 * rank has never been heard (UDP is blocked) or when all ranks answer that they wait too. Then a line goes to standard
 * error and to the file `log` (may be NULL; copied), and the process ends with COHORT_RANK_LOST. */
void cohort_watchdog_limit(cohort_watchdog *watchdog, double seconds, const char *log);

/* Writes "cohort: error: TEXT" to standard error and the log; gives up after a second when they hang. */
void cohort_watchdog_report(cohort_watchdog *watchdog, const char *text);

/* The process ends with this status within seconds, whatever the calling thread does meanwhile. */
void cohort_watchdog_end(cohort_watchdog *watchdog, int status);

#endif
