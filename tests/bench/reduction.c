/* mpirun -n RANKS --bind-to core bench_reduction [ROUNDS]: how fast ranks of a node come to hold the sum of a vector
 * that each of them has.
 *
 * Cohort's way is that of a step with `sharding: none`: bucket by bucket, in the memory where gradients lie; and
 * beside it the same with what a step takes along, the squares for the norm. Open MPI's is MPI_Allreduce, out of place
 * and in place. Rounds take turns, all memory is warm, a time is the slowest rank's, figures are medians; GB/s are
 * bytes of the vector a second. Exit status 1 when the sums differ. */
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/lanes.h"
#include "base/memory.h"
#include "base/random.h"
#include "mpi/world.h"
#include "state/collective.h"

/* TENSOR: elements of a tensor, about what layers have. AT_ONCE: bytes of the runs that one time is taken of, so that
 * short ones can be timed. */
enum { TENSOR = 1 << 20, ROUNDS = 9, MOST_ROUNDS = 1000, MOST_RUNS = 16, AT_ONCE = 64000000, WAYS = 4 };
enum { OWN, WITH_SQUARES, OUT_OF_PLACE, IN_PLACE };

typedef struct bench {
  cohort_comm comm;
  int64_t elements, padded;
  cohort_space *space;
  cohort_shard_group *members;
  cohort_shards *shards;
  cohort_vector rows;
  cohort_collective *collective[2]; /* OWN, WITH_SQUARES */
  int64_t *place;
  float *from, *to; /* MPI's */
} bench;

static void make_space(bench *own) {
  cohort_graph *graph = cohort_graph_create();
  const int64_t tensors = (own->elements + TENSOR - 1) / TENSOR;
  for (int64_t t = 0; t < tensors; t++) {
    char name[32];
    (void)snprintf(name, sizeof name, "t%lld", (long long)t);
    const int64_t left = own->elements - t * TENSOR;
    (void)cohort_graph_parameter(graph, 0, name, cohort_shape_of(1, left < TENSOR ? left : TENSOR), COHORT_ROLE_VECTOR,
                                 COHORT_INITIAL_ZERO, 0);
  }
  own->space = cohort_space_create(graph, 0, "model");
  own->padded = own->space->elements;
  cohort_graph_destroy(graph);
  cohort_cut *cut = cohort_allocate((size_t)tensors * sizeof *cut);
  double *cost = cohort_allocate((size_t)tensors * sizeof *cost);
  for (int64_t t = 0; t < tensors; t++) cut[t] = COHORT_CUT_ELEMENT;
  const cohort_link none = {0};
  own->shards =
      cohort_shards_create(own->space, own->members, cut, cost, cohort_shard_sizes_of(0, &none, own->comm.size));
  free(cost);
  free(cut);
}

static cohort_status open_bench(bench *own, cohort_error *error) {
  COHORT_TRY(cohort_shard_group_create(&own->comm, false, &own->members, error));
  make_space(own);
  const size_t bytes = (size_t)own->padded * sizeof(float);
  COHORT_TRY(cohort_vector_create(&own->comm, own->padded, "rows", &own->rows, error));
  void *memory = NULL;
  COHORT_TRY(cohort_memory_create(bytes, "what MPI sums", &memory, error));
  own->from = memory;
  COHORT_TRY(cohort_memory_create(bytes, "MPI's sum", &memory, error));
  own->to = memory;
  own->place = cohort_allocate((size_t)own->shards->buckets * sizeof *own->place);
  for (int b = 0; b < own->shards->buckets; b++) own->place[b] = own->shards->bucket[b].offset;
  const cohort_subtree node = {0, own->comm.rank}; /* a lane a rank */
  cohort_collective_options plan = {.comm = &own->comm,
                                    .shards = own->shards,
                                    .lanes = own->comm.size,
                                    .nodes = 1,
                                    .node = &node,
                                    .rows = own->rows.shared,
                                    .vectors = 1,
                                    .allreduce = true,
                                    .team = {1}};
  COHORT_TRY(cohort_collective_create(&plan, &own->collective[OWN], error));
  plan.squares = true;
  return cohort_collective_create(&plan, &own->collective[WITH_SQUARES], error);
}

static void close_bench(bench *own) {
  for (int way = OWN; way <= WITH_SQUARES; way++) cohort_collective_destroy(own->collective[way]);
  cohort_vector_release(&own->rows);
  cohort_memory_release(own->from);
  cohort_memory_release(own->to);
  free(own->place);
  cohort_shards_destroy(own->shards);
  cohort_shard_group_destroy(own->members);
  cohort_space_destroy(own->space);
}

static void fill(const bench *own, float *values) {
  const cohort_random_key key = cohort_random_key_from_seed(1 + (uint64_t)own->comm.rank);
  for (int64_t e = 0; e < own->elements; e += 256) {
    const double uniform = cohort_random_uniform(cohort_random_word(key, 1, (uint64_t)e));
    for (int64_t i = e; i < own->elements && i < e + 256; i++) values[i] = (float)(uniform - 0.5) / (float)(i - e + 1);
  }
}

static void sum_own(bench *own, cohort_collective *collective) {
  const int64_t vector = 0;
  uint64_t number = 0;
  for (int b = 0; b < own->shards->buckets; b++) {
    const cohort_bucket_rows rows = {&own->place[b], &vector};
    number = cohort_collective_reduce_scatter(collective, b, &rows, 1, own->rows.values, own->padded);
  }
  cohort_collective_sum_wait(collective, number);
}

static void run_once(bench *own, int way) {
  const int count = (int)own->elements;
  if (way <= WITH_SQUARES) sum_own(own, own->collective[way]);
  if (way == OUT_OF_PLACE) MPI_Allreduce(own->from, own->to, count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
  if (way == IN_PLACE) MPI_Allreduce(MPI_IN_PLACE, own->to, count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

/* Seconds of one of `runs`, of the slowest rank. In place a run sums what the one before has left. */
static double time_way(bench *own, int way, int runs) {
  fill(own, way <= WITH_SQUARES ? own->rows.values : way == OUT_OF_PLACE ? own->from : own->to);
  MPI_Barrier(MPI_COMM_WORLD);
  const double start = cohort_clock_seconds();
  for (int i = 0; i < runs; i++) run_once(own, way);
  double seconds = (cohort_clock_seconds() - start) / runs;
  MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return seconds;
}

/* After as many runs in place. The order of additions differs from three ranks on. */
static bool same_sums(const bench *own) {
  bool same = true;
  for (int64_t e = 0; e < own->elements; e++)
    same &= fabsf(own->rows.values[e] - own->to[e]) <= 1e-5f * fabsf(own->to[e]) + (own->comm.size > 2 ? 1e-5f : 0);
  MPI_Allreduce(MPI_IN_PLACE, &same, 1, MPI_C_BOOL, MPI_LAND, MPI_COMM_WORLD);
  return same;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, ascending);
  return count & 1 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

static bool measure(bench *own, int rounds) {
  const double bytes = (double)own->elements * sizeof(float);
  const int fitting = (int)(AT_ONCE / bytes), runs = fitting < 1 ? 1 : fitting < MOST_RUNS ? fitting : MOST_RUNS;
  static double seconds[WAYS][MOST_ROUNDS];
  for (int round = -1; round < rounds; round++) /* the first touches all memory */
    for (int way = 0; way < WAYS; way++) {
      const double time = time_way(own, way, runs);
      if (round >= 0) seconds[way][round] = time;
    }
  const bool same = same_sums(own);
  double rate[WAYS];
  for (int way = 0; way < WAYS; way++) rate[way] = 1e-9 * bytes / median(seconds[way], rounds);
  if (own->comm.rank == 0) {
    printf("| %6.1f | %8.2f | %8.2f | %8.2f | %8.2f | %6.2f | %6.2f |%s\n", bytes / 1e6, rate[OWN], rate[WITH_SQUARES],
           rate[OUT_OF_PLACE], rate[IN_PLACE], rate[OWN] / rate[OUT_OF_PLACE], rate[OWN] / rate[IN_PLACE],
           same ? "" : " the sums differ");
    (void)fflush(stdout);
  }
  return same;
}

int main(int count, char **argument) {
  static const int64_t sizes[] = {125000, 500000, 2000000, 8250000, 33500000, 124500000}; /* elements */
  const int wanted = count > 1 ? atoi(argument[1]) : ROUNDS;
  const int rounds = wanted < 1 ? 1 : wanted < MOST_ROUNDS ? wanted : MOST_ROUNDS;
  bench own = {0};
  cohort_error error = {0};
  cohort_status status = cohort_world_open(&own.comm, &error);
  if (status == COHORT_DONE && own.comm.size < 2)
    status = cohort_fail(&error, COHORT_BAD_CONFIG, "start it by mpirun on two ranks or more");
  if (status == COHORT_DONE && own.comm.rank == 0)
    printf(
        "| MB | own, GB/s | with squares | MPI_Allreduce | in place | ratio | to in place "
        "|\n|---|---|---|---|---|---|---|\n");
  bool same = true;
  for (size_t i = 0; status == COHORT_DONE && i < sizeof sizes / sizeof *sizes; i++) {
    own.elements = sizes[i];
    status = open_bench(&own, &error);
    if (status == COHORT_DONE) same &= measure(&own, rounds);
    if (status == COHORT_DONE) close_bench(&own);
  }
  if (status != COHORT_DONE) (void)fprintf(stderr, "bench_reduction: %s\n", error.text);
  cohort_world_close(&own.comm);
  return status == COHORT_DONE ? !same : (int)status;
}
