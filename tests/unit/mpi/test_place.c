/* What is read of made-up hardware, and what places of ranks mean (mpi/place.h). */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "mpi/place.h"

/* A rank with the processors [first, first + count) of a host of 16. */
static cohort_place at(const char *host, int first, int count, int threads) {
  cohort_place out = {.processors = count,
                      .cores = count,
                      .host_processors = 16,
                      .host_cores = 16,
                      .machine_processors = 16,
                      .threads = threads,
                      .started_by = COHORT_BY_MPIRUN,
                      .narrowed = count < 16};
  (void)snprintf(out.host, sizeof out.host, "%s", host);
  for (int p = first; p < first + count; p++) out.allowed[p / 64] |= UINT64_C(1) << (p % 64);
  return out;
}

/* Two packages of four cores of two hardware threads, numbered as Linux does: one of each core first. */
static const char two_packages[] = "pack:2 numa:1 core:4 pu:2(indexes=0,8,1,9,2,10,3,11,4,12,5,13,6,14,7,15)";

static void test_hardware(void) {
  cohort_place own = {0};
  int order[COHORT_PROCESSORS];
  own.allowed[0] = 0xf0f0; /* the second package's */
  CU_ASSERT_EQUAL(cohort_place_read(two_packages, &own, order), 8);
  CU_ASSERT_EQUAL(own.processors, 8);
  CU_ASSERT_EQUAL(own.cores, 4);
  CU_ASSERT_EQUAL(own.host_processors, 16);
  CU_ASSERT_EQUAL(own.host_cores, 8);
  CU_ASSERT(own.packages == 1 && own.package == 1 && own.nodes == 1 && own.node == 1);
  for (int i = 0; i < 4; i++) CU_ASSERT(order[i] == 4 + i && order[4 + i] == 12 + i);
  cohort_place part = {0};
  part.allowed[0] = 0x0308; /* of cores 3, 0 and 1 one thread each */
  CU_ASSERT_EQUAL(cohort_place_read(two_packages, &part, order), 3);
  CU_ASSERT_EQUAL(part.cores, 3);
  part.allowed[0] = 0x1001; /* 0 and 12 */
  CU_ASSERT_EQUAL(cohort_place_read(two_packages, &part, order), 2);
  CU_ASSERT_EQUAL(part.packages, 2);
}

static void test_this_machine(void) {
  cohort_place own = {0};
  int order[COHORT_PROCESSORS];
  memset(own.allowed, 0xff, sizeof own.allowed);
  CU_ASSERT(cohort_place_read(NULL, &own, order) >= 1);
  CU_ASSERT_EQUAL(own.processors, own.host_processors);
  CU_ASSERT_EQUAL(own.cores, own.host_cores);
}

static void test_shares(void) {
  const cohort_place free_ranks[] = {at("a", 0, 16, 1), at("a", 0, 16, 1), at("b", 0, 16, 1)};
  CU_ASSERT_EQUAL(cohort_place_share(free_ranks, 3, 0), 8);
  CU_ASSERT_EQUAL(cohort_place_share(free_ranks, 3, 2), 16);
  const cohort_place apart[] = {at("a", 0, 8, 8), at("a", 8, 8, 8), at("b", 0, 1, 1)};
  CU_ASSERT_EQUAL(cohort_place_share(apart, 3, 1), 8);
  CU_ASSERT_EQUAL(cohort_place_share(apart, 3, 2), 1);
  cohort_place many[20];
  for (int r = 0; r < 20; r++) many[r] = at("a", 0, 16, 1);
  CU_ASSERT_EQUAL(cohort_place_share(many, 20, 3), 1);
}

/* Bound only where nobody else of the job runs, on enough processors, of a set that was given. */
static void test_own(void) {
  const cohort_place places[] = {at("a", 0, 4, 4),  at("a", 4, 4, 5), at("a", 8, 4, 2),
                                 at("a", 11, 2, 2), at("b", 0, 4, 4), at("c", 0, 16, 4)};
  static const bool wanted[] = {true, false, false, false, true, false};
  for (int r = 0; r < 6; r++) CU_ASSERT_EQUAL(cohort_place_is_own(places, 6, r), wanted[r]);
}

static bool says(cohort_place_fault fault, const cohort_place *places, int ranks, bool chosen, const char *words) {
  char line[1024] = "";
  const bool found = cohort_place_complain(fault, places, ranks, chosen, line, sizeof line);
  if (!words) return !found;
  if (!found || !strstr(line, words)) fprintf(stderr, "said: %s\n", line);
  return found && strstr(line, words);
}

static void expect_only(cohort_place_fault fault, const cohort_place *places, int ranks, bool chosen,
                        const char *words) {
  for (int f = 0; f < COHORT_FAULTS; f++)
    CU_ASSERT(says((cohort_place_fault)f, places, ranks, chosen, f == (int)fault ? words : NULL));
}

static void test_complaints(void) {
  const cohort_place fine[] = {at("a", 0, 8, 8), at("a", 8, 8, 8), at("b", 0, 16, 16)};
  expect_only(COHORT_FAULTS, fine, 3, false, NULL);
  const cohort_place narrow[] = {at("a", 0, 1, 8), at("a", 1, 1, 8), at("b", 0, 1, 8)};
  expect_only(COHORT_FAULT_NARROW, narrow, 3, true,
              "rank 0 on a has 8 threads but was given 1 of 16 processors (and so "
              "for 2 more ranks); mpirun binds a rank to few cores by default");
  const cohort_place crowded[] = {at("b", 0, 16, 16), at("a", 0, 16, 9), at("a", 0, 16, 9)};
  expect_only(COHORT_FAULT_CROWDED, crowded, 3, true,
              "host a: 2 ranks with 18 threads together may use 16 of its 16 processors; start fewer ranks there, set "
              "threads=8");
  const cohort_place shared[] = {at("a", 0, 4, 4), at("a", 2, 4, 4), at("a", 6, 10, 2)};
  expect_only(COHORT_FAULT_SHARED, shared, 3, true,
              "rank 0 on a was given 4 processors that other ranks were given too: 8 threads on 6 (and so for 1 more "
              "ranks)");
  /* A package for two ranks, as mpirun binds from three ranks on, is enough for both. */
  const cohort_place package[] = {at("a", 0, 8, 4), at("a", 8, 8, 4), at("a", 0, 8, 4), at("a", 8, 8, 4)};
  expect_only(COHORT_FAULTS, package, 4, false, NULL);
  const cohort_place idle[] = {at("a", 0, 1, 1), at("a", 1, 1, 1)};
  expect_only(
      COHORT_FAULT_IDLE, idle, 2, false,
      "host a: mpirun lets its 2 ranks run on 2 of 16 processors, 2 threads in all; give mpirun --bind-to none, "
      "or --map-by slot:PE=8");
  expect_only(COHORT_FAULTS, idle, 2, true, NULL); /* one thread is what the config asks for */
  cohort_place slurm[] = {at("a", 0, 4, 4)};
  slurm->started_by = COHORT_BY_SRUN;
  expect_only(COHORT_FAULTS, slurm, 1, false, NULL);
  slurm->threads = 5;
  expect_only(COHORT_FAULT_NARROW, slurm, 1, true, "--cpus-per-task");
  const cohort_place unknown[] = {{.host = "a", .threads = 3}};
  expect_only(COHORT_FAULTS, unknown, 1, true, NULL);
}

static void test_numbers(void) {
  char out[16];
  cohort_place place = {0};
  cohort_place_numbers(&place, out, sizeof out);
  CU_ASSERT_STRING_EQUAL(out, "");
  place.allowed[0] = 0x10f;
  cohort_place_numbers(&place, out, sizeof out);
  CU_ASSERT_STRING_EQUAL(out, "0-3,8");
  place.allowed[0] = UINT64_C(0x5555555555555555);
  cohort_place_numbers(&place, out, sizeof out);
  CU_ASSERT_STRING_EQUAL(out, "0,2,4,6,8,10..");
  memset(place.allowed, 0xff, sizeof place.allowed);
  cohort_place_numbers(&place, out, sizeof out);
  CU_ASSERT_STRING_EQUAL(out, "0-1023");
}

static const check checks[] = {
    {"hardware", test_hardware},           {"this machine", test_this_machine},
    {"shares of processors", test_shares}, {"processors of a rank's own", test_own},
    {"complaints", test_complaints},       {"numbers of a set", test_numbers},
};

int main(void) { return check_run("place", checks, sizeof checks / sizeof *checks); }
