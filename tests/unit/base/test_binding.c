/* Threads that are held to processors (base/team.h): where the system says they may run. */
#include <omp.h>
#include <sched.h>
#include <stdlib.h>

#include "base/team.h"
#include "check.h"

enum { THREADS = 4 };

/* Processors of this process, as many as a machine of the tests has; a thread of each team notes its set. */
static cohort_binding binding;

static cpu_set_t own_set(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CU_ASSERT_EQUAL(sched_getaffinity(0, sizeof set, &set), 0);
  return set;
}

static bool is_only(const cpu_set_t *set, int processor) {
  return CPU_COUNT(set) == 1 && CPU_ISSET((size_t)processor, set);
}

typedef struct notes {
  cpu_set_t set[THREADS];
  _Atomic int present, wanted;
} notes;

/* Each thread takes one tile, as it waits for the others. */
static void note(void *argument, int64_t tile) {
  (void)tile;
  notes *all = argument;
  const int thread = omp_get_thread_num();
  (void)sched_getaffinity(0, sizeof all->set[thread], &all->set[thread]);
  all->present++;
  while (all->present < all->wanted) (void)sched_yield();
}

static void expect_bound(const cohort_team *team, int first) {
  notes all = {.wanted = team->threads};
  cohort_team_run(team, team->threads, note, &all);
  for (int t = 1; t < team->threads; t++) CU_ASSERT(is_only(&all.set[t], binding.processor[first + t]));
}

static void test_unbound(void) {
  const cpu_set_t whole = own_set();
  const cohort_team team = {THREADS};
  notes all = {.wanted = THREADS};
  cohort_team_bind_thread(0, 1);
  cohort_team_run(&team, THREADS, note, &all);
  for (int t = 0; t < THREADS; t++) CU_ASSERT(CPU_EQUAL(&all.set[t], &whole));
}

/* Teams of changing sizes: threads that are started anew find their place. The caller stays free. */
static void test_bound(void) {
  const cpu_set_t whole = own_set();
  for (size_t p = 0; p < CPU_SETSIZE && binding.count < THREADS; p++)
    if (CPU_ISSET(p, &whole)) binding.processor[binding.count++] = (int)p;
  const int found = binding.count; /* on fewer processors than threads some serve two of them */
  for (; binding.count < THREADS; binding.count++)
    binding.processor[binding.count] = binding.processor[binding.count % found];
  cohort_team_bind(&binding);
  for (int round = 0; round < 3; round++)
    for (int threads = 2; threads <= THREADS; threads++) expect_bound(&(cohort_team){threads}, 0);
  const cpu_set_t after = own_set();
  CU_ASSERT(CPU_EQUAL(&after, &whole));
}

/* Two executors with a team of two each, as lanes run: the second's threads are its own half's. */
static void test_teams_within(void) {
  cpu_set_t inner[2];
#pragma omp parallel num_threads(2)
  {
    const int executor = omp_get_thread_num();
    if (executor) cohort_team_bind_thread(2 * executor, 2);
    notes all = {.wanted = 2};
    cohort_team_run(&(cohort_team){2}, 2, note, &all);
    inner[executor] = all.set[1];
  }
  for (int e = 0; e < 2; e++) CU_ASSERT(is_only(&inner[e], binding.processor[2 * e + 1]));
  expect_bound(&(cohort_team){THREADS}, 0);
}

static const check checks[] = {
    {"unbound", test_unbound}, {"bound", test_bound}, {"teams within a team", test_teams_within}};

int main(void) { return check_run("binding", checks, sizeof checks / sizeof *checks); }
