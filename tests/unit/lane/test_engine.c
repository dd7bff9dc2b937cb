/* Sums over lanes: the same bits on any number of ranks and threads, and those of the tree written down recursively. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "check.h"
#include "kernel/kernel.h"
#include "lane/engine.h"

enum { TENSORS = 5, VECTORS = 2, SCALARS = 3, MOST_LANES = 64, MOST_RANKS = 8 };

typedef struct lane_bench {
  int lanes, threads, phases;
  int per_host;  /* ranks that share memory; 0: all */
  bool replicas; /* each host holds one */
  bool lockstep, separate, allreduce, quiet;
  int64_t bucket; /* elements */
  cohort_space *space;
  cohort_cut cut[TENSORS];
  float *expected; /* [VECTORS * elements] */
  double expected_scalars[SCALARS];
  _Atomic int wrong;               /* differences that any rank saw */
  _Atomic int touched[MOST_LANES]; /* runs of each lane's last phase */
  _Atomic int afters;
  uint64_t received[MOST_RANKS]; /* by one run with rows, scalars included */
  uint64_t messages[MOST_RANKS]; /* of which not from memory */
} lane_bench;

/* Values whose sum depends on the order of additions. */
static float row_value(int lane, int64_t element) {
  const cohort_random_key key = cohort_random_key_from_seed(7);
  const double uniform = cohort_random_uniform(cohort_random_word(key, (uint64_t)lane, (uint64_t)element));
  return (float)((uniform - 0.5) * ((element + lane) % 3 == 0 ? 1e4 : 1));
}

static double scalar_value(int lane, int scalar) { return 1.0 / (3 + lane * SCALARS + scalar) * (lane % 2 ? 1e9 : -1); }

/* The tree of base/lanes.h by its definition: lanes [start, start + width) that exist. */
static float tree_row(int lanes, int start, int width, int64_t element) {
  if (width == 1) return row_value(start, element);
  const float left = tree_row(lanes, start, width / 2, element);
  if (start + width / 2 >= lanes) return left;
  return left + tree_row(lanes, start + width / 2, width / 2, element);
}

static double tree_scalar(int lanes, int start, int width, int scalar) {
  if (width == 1) return scalar_value(start, scalar);
  const double left = tree_scalar(lanes, start, width / 2, scalar);
  if (start + width / 2 >= lanes) return left;
  return left + tree_scalar(lanes, start + width / 2, width / 2, scalar);
}

/* Rows without scratch of their own lie as the space does. */
static void run_lane(void *argument, int executor, int slot, int lane, int phase, const cohort_lane_row *row,
                     double *scalars) {
  lane_bench *bench = argument;
  (void)executor;
  (void)slot;
  /* In the first run the middle lane says that it left its work, which only its own rank sees happen. */
  if (phase == 0 && lane == bench->lanes / 2 && bench->touched[lane] == 0) scalars[COHORT_LANE_LEFT] = 1;
  if (phase < bench->phases - 1) return;
  bench->touched[lane]++;
  for (int v = 0; v < VECTORS; v++)
    for (int64_t e = 0; e < bench->space->elements; e++)
      row->base[v * row->vector + e] = row_value(lane, v * bench->space->elements + e);
  for (int s = 0; s < SCALARS; s++) scalars[s] = scalar_value(lane, s);
}

static void after(void *argument, int phase) {
  lane_bench *bench = argument;
  if (phase == 0) bench->afters++;
}

/* This rank's shard of the sum, or all of it. */
static void hold_sum(lane_bench *bench, const cohort_shards *shards, const float *sum) {
  for (int p = 0; p < bench->space->pieces; p++) {
    if (!cohort_shards_own(shards, p) && !bench->allreduce) continue;
    const cohort_piece *piece = &bench->space->piece[p];
    for (int v = 0; v < VECTORS; v++) {
      const int64_t at = v * bench->space->elements + piece->offset;
      if (memcmp(sum + at, bench->expected + at, (size_t)piece->elements * sizeof(float)) != 0) bench->wrong++;
    }
  }
}

/* Own pieces of a vector go to all who hold the rest of this copy. */
static void hold_gather(lane_bench *bench, cohort_comm *comm, const cohort_shards *shards, cohort_lane_engine *engine) {
  cohort_collective *collective = cohort_lane_engine_collective(engine);
  const cohort_vector *sum = cohort_lane_engine_sum(engine);
  float *all = cohort_allocate((size_t)bench->space->elements * sizeof *all);
  uint64_t number = 0;
  for (int b = 0; b < shards->buckets; b++)
    number = cohort_collective_all_gather(collective, sum, b, all + shards->bucket[b].offset);
  cohort_collective_all_gather_wait(collective, number);
  cohort_comm_barrier(comm); /* the next run writes where others read */
  for (int p = 0; p < bench->space->pieces; p++) {
    const cohort_piece *piece = &bench->space->piece[p];
    const size_t bytes = (size_t)piece->elements * sizeof *all;
    if (memcmp(all + piece->offset, bench->expected + piece->offset, bytes) != 0) bench->wrong++;
  }
  free(all);
}

/* The norm's sum over pieces counts each once, however many copies there are. */
static void hold_norm(lane_bench *bench, cohort_comm *comm, const cohort_shards *shards, const double *squares) {
  double *own = cohort_allocate((size_t)(bench->space->pieces + 1) * sizeof *own);
  double *all = cohort_allocate((size_t)(bench->space->pieces + 1) * sizeof *all);
  for (int p = 0; p < bench->space->pieces; p++) {
    const cohort_piece *piece = &bench->space->piece[p];
    const float *values = bench->expected + piece->offset;
    all[p] = cohort_kernels_float32(COHORT_ISA_SSE2)->dot(values, values, piece->elements);
    own[p] = cohort_shards_own(shards, p) ? squares[p] : NAN;
  }
  cohort_comm alone = cohort_comm_alone();
  const double expected = cohort_space_sum(bench->space, shards, &alone, all);
  if (cohort_space_sum(bench->space, shards, comm, own) != expected) bench->wrong++;
  free(all);
  free(own);
}

/* The sum of squares of each own piece: near the one in long double, and the kernels' bits whatever the rank. */
static void hold_squares(lane_bench *bench, const cohort_shards *shards, const double *squares) {
  for (int p = 0; p < bench->space->pieces; p++) {
    if (!cohort_shards_own(shards, p)) continue;
    const cohort_piece *piece = &bench->space->piece[p];
    const float *values = bench->expected + piece->offset;
    long double exact = 0;
    for (int64_t e = 0; e < piece->elements; e++) exact += (long double)values[e] * (long double)values[e];
    if (!(fabsl((long double)squares[p] - exact) <= 1e-14L * exact)) bench->wrong++;
    if (squares[p] != cohort_kernels_float32(COHORT_ISA_SSE2)->dot(values, values, piece->elements)) bench->wrong++;
  }
}

static cohort_status run_rank(cohort_comm *comm, void *argument) {
  lane_bench *bench = argument;
  cohort_error error;
  const double cost[TENSORS] = {5, 1, 9, 2, 2};
  cohort_shard_group *members = NULL;
  cohort_lane_engine *engine = NULL;
  cohort_status status = cohort_shard_group_create(comm, bench->replicas, &members, &error);
  if (status == COHORT_DONE) status = cohort_lane_engine_create(comm, bench->lanes, bench->threads, &engine, &error);
  if (status != COHORT_DONE) {
    cohort_shard_group_destroy(members);
    return status;
  }
  const cohort_shard_sizes sizes = {bench->bucket, 2 * bench->bucket};
  cohort_shards *shards = cohort_shards_create(bench->space, members, bench->cut, cost, sizes);
  const cohort_lane_rows rows = {.shards = shards,
                                 .vectors = VECTORS,
                                 .lockstep = bench->lockstep,
                                 .separate = bench->separate,
                                 .allreduce = bench->allreduce,
                                 .overlap = !bench->quiet};
  status = cohort_lane_engine_prepare(engine, &rows, &error);
  for (int again = 0; status == COHORT_DONE && again < 2; again++) { /* rows are free again after a run */
    const cohort_lane_work work = {.argument = bench,
                                   .phases = bench->phases,
                                   .lockstep = bench->lockstep,
                                   .vectors = VECTORS,
                                   .scalars = SCALARS,
                                   .run = run_lane,
                                   .after = after};
    double scalars[SCALARS], lane_scalars[MOST_LANES * SCALARS];
    float *sum = NULL;
    comm->bytes_received = comm->bytes_shared = 0;
    cohort_lane_engine_run(engine, &work, scalars, lane_scalars, &sum);
    bench->received[comm->rank] = comm->bytes_received + comm->bytes_shared;
    bench->messages[comm->rank] = comm->bytes_received;
    hold_sum(bench, shards, sum);
    hold_squares(bench, shards, cohort_lane_engine_squares(engine));
    if (!bench->separate && !bench->allreduce) hold_gather(bench, comm, shards, engine);
    hold_norm(bench, comm, shards, cohort_lane_engine_squares(engine));
    if (memcmp(scalars, bench->expected_scalars, sizeof scalars) != 0) bench->wrong++;
    if (cohort_lane_engine_left(engine) != (again == 0)) bench->wrong++;
    for (int lane = 0; lane < bench->lanes; lane++)
      for (int s = 0; s < SCALARS; s++)
        if (lane_scalars[lane * SCALARS + s] != scalar_value(lane, s)) bench->wrong++;
  }
  cohort_lane_engine_destroy(engine);
  cohort_shards_destroy(shards);
  cohort_shard_group_destroy(members);
  return status;
}

/* Five tensors of odd sizes; every second is cut whole. */
static void open_bench(lane_bench *bench) {
  static const int64_t sizes[TENSORS] = {700, 33, 1025, 1, 260};
  cohort_graph *graph = cohort_graph_create();
  for (int t = 0; t < TENSORS; t++) {
    const char name[] = {(char)('a' + t), 0};
    (void)cohort_graph_parameter(graph, 0, name, cohort_shape_of(1, sizes[t]), COHORT_ROLE_VECTOR, COHORT_INITIAL_ZERO,
                                 0);
    bench->cut[t] = t % 2 ? COHORT_CUT_TENSOR : COHORT_CUT_ELEMENT;
  }
  bench->space = cohort_space_create(graph, 0, "model");
  bench->bucket = bench->bucket ? bench->bucket : 512;
  cohort_graph_destroy(graph);
  bench->expected = cohort_allocate((size_t)(VECTORS * bench->space->elements) * sizeof(float));
}

static void close_bench(lane_bench *bench) {
  free(bench->expected);
  cohort_space_destroy(bench->space);
}

static void expect_lanes(lane_bench *bench, int lanes) {
  int width = 1;
  while (width < lanes) width *= 2;
  bench->lanes = lanes;
  for (int64_t e = 0; e < VECTORS * bench->space->elements; e++) bench->expected[e] = tree_row(lanes, 0, width, e);
  for (int s = 0; s < SCALARS; s++) bench->expected_scalars[s] = tree_scalar(lanes, 0, width, s);
}

static void hold_case(lane_bench *bench, int ranks, int threads) {
  bench->threads = threads;
  bench->wrong = 0;
  bench->afters = 0;
  for (int lane = 0; lane < bench->lanes; lane++) bench->touched[lane] = 0;
  CU_ASSERT_EQUAL(cohort_comm_run_threads_on_hosts(ranks, bench->per_host ? bench->per_host : ranks, run_rank, bench),
                  COHORT_DONE);
  CU_ASSERT_EQUAL(bench->wrong, 0);
  CU_ASSERT_EQUAL(bench->afters, 2 * ranks);
  for (int lane = 0; lane < bench->lanes; lane++) CU_ASSERT_EQUAL(bench->touched[lane], 2);
}

static void same_bits_as_the_tree(void) {
  lane_bench bench = {.phases = 1};
  open_bench(&bench);
  for (int lanes = 1; lanes <= 9; lanes++) {
    expect_lanes(&bench, lanes);
    for (int ranks = 1; ranks <= 8 && ranks <= lanes; ranks++)
      for (int threads = 1; threads <= 3; threads++) hold_case(&bench, ranks, threads);
  }
  close_bench(&bench);
}

/* Phases, lanes together, sums apart or everywhere, hosts of every size, buckets of one piece and of everything. */
static void same_bits_however_it_travels(void) {
  for (int64_t bucket = 64; bucket <= 4096; bucket *= 64)
    for (int way = 0; way < 16; way++) {
      const bool separate = way & 1 && way & 2;
      if (separate && way & 8) continue;
      lane_bench bench = {.phases = 2,
                          .lockstep = way & 1,
                          .separate = separate,
                          .allreduce = way & 8,
                          .quiet = way & 4,
                          .bucket = bucket};
      open_bench(&bench);
      expect_lanes(&bench, 7 + (way & 1));
      for (int ranks = 1; ranks <= 7; ranks++)
        for (bench.per_host = 1; bench.per_host <= ranks; bench.per_host++) hold_case(&bench, ranks, 1 + ranks % 2);
      close_bench(&bench);
    }
}

/* Every host holds a copy: hosts of every size, more lanes than ranks and as many, and numbers that lie across the
 * tree.
 */
static void same_bits_of_replicas(void) {
  static const int shapes[][2] = {{2, 1}, {4, 2}, {6, 3}, {6, 2}, {4, 1}, {8, 2}, {3, 1}, {3, 3}, {1, 1}};
  for (size_t shape = 0; shape < sizeof shapes / sizeof *shapes; shape++)
    for (int way = 0; way < 9; way++) {
      lane_bench bench = {.phases = 2,
                          .lockstep = way & 1,
                          .separate = way & 1 && way & 2,
                          .allreduce = way & 8,
                          .quiet = way & 4,
                          .bucket = way & 2 ? 64 : 1024,
                          .replicas = true,
                          .per_host = shapes[shape][1]};
      open_bench(&bench);
      for (int lanes = 8; lanes <= 11; lanes += 3) {
        expect_lanes(&bench, lanes);
        hold_case(&bench, shapes[shape][0], 1 + way % 2);
      }
      close_bench(&bench);
    }
}

/* What comes from the other hosts is a share of their sums and the rest of the whole sum, of what a rank owns; all else
 * is read inside the host. */
static void bytes_of_replicas(void) {
  lane_bench bench = {.phases = 1, .replicas = true, .per_host = 2};
  open_bench(&bench);
  expect_lanes(&bench, 8);
  hold_case(&bench, 8, 1);
  const uint64_t scalars = 8 * COHORT_MAX_SCALARS * sizeof(double);
  const uint64_t row = (uint64_t)(VECTORS * bench.space->parameters) * sizeof(float);
  for (int host = 0; host < 4; host++) {
    const uint64_t between = bench.messages[2 * host] + bench.messages[2 * host + 1];
    const uint64_t read = bench.received[2 * host] + bench.received[2 * host + 1] - between;
    CU_ASSERT(2 * between >= 3 * row && 2 * between <= 3 * row + 3 * row / 20 + 4 * scalars);
    CU_ASSERT(read >= row && read <= row + row / 20);
  }
  close_bench(&bench);
}

static void unequal_hosts_are_refused(void) {
  lane_bench bench = {.phases = 1, .replicas = true, .per_host = 2};
  open_bench(&bench);
  expect_lanes(&bench, 8);
  CU_ASSERT_EQUAL(cohort_comm_run_threads_on_hosts(5, 2, run_rank, &bench), COHORT_BAD_CONFIG);
  close_bench(&bench);
}

/* A holder whose lanes lie on both sides of a high node of the tree keeps more open sums than log2 of its lanes. */
static void many_open_sums(void) {
  lane_bench bench = {.phases = 1};
  open_bench(&bench);
  expect_lanes(&bench, 50);
  hold_case(&bench, 2, 1);
  hold_case(&bench, 1, 2);
  close_bench(&bench);
}

/* At 2 and 4 ranks nobody receives more than 4 times the row, nor more than its shard from each of the others. */
static void bytes_of(lane_bench *at) {
  lane_bench bench = *at;
  open_bench(&bench);
  const uint64_t row = (uint64_t)(VECTORS * bench.space->elements) * sizeof(float);
  for (int lanes = 7; lanes <= 8; lanes++)
    for (int ranks = 2; ranks <= 4; ranks += 2) {
      expect_lanes(&bench, lanes);
      hold_case(&bench, ranks, 1);
      const uint64_t ways = bench.allreduce ? 2 : 1, scalars = (uint64_t)lanes * COHORT_MAX_SCALARS * sizeof(double);
      uint64_t all = 0;
      for (int r = 0; r < ranks; r++) {
        CU_ASSERT(bench.received[r] <= 4 * row + scalars);
        all += bench.received[r];
      }
      CU_ASSERT(all > 0);
      /* Eight lanes are one node per rank: every element arrives at its owner from each of the others, once, and its
       * sum at each of them. */
      if (lanes == 8) {
        CU_ASSERT(all <= ways * (uint64_t)(ranks - 1) * row + (uint64_t)ranks * scalars);
        CU_ASSERT(all >= ways * (uint64_t)(ranks - 1) * row);
      }
    }
  close_bench(&bench);
}

static void bytes_are_bounded(void) {
  lane_bench bench = {.phases = 1};
  for (int way = 0; way < 2; way++)
    for (bench.per_host = 0; bench.per_host <= 2; bench.per_host++) {
      bench.allreduce = way;
      bytes_of(&bench);
    }
}

static void more_ranks_than_lanes(void) {
  lane_bench bench = {.phases = 1};
  open_bench(&bench);
  expect_lanes(&bench, 2);
  CU_ASSERT_EQUAL(cohort_comm_run_threads(3, run_rank, &bench), COHORT_BAD_CONFIG);
  close_bench(&bench);
}

int main(void) {
  static const check checks[] = {
      {"1 to 9 lanes on 1 to 8 ranks of 1 to 3 threads: the tree's bits", same_bits_as_the_tree},
      {"the same bits however it travels", same_bits_however_it_travels},
      {"the same bits when every host holds a copy", same_bits_of_replicas},
      {"bytes of copies", bytes_of_replicas},
      {"hosts of unequally many ranks hold no copies", unequal_hosts_are_refused},
      {"many open sums", many_open_sums},
      {"bytes are bounded", bytes_are_bounded},
      {"more ranks than lanes are refused", more_ranks_than_lanes},
  };
  return check_run("lane engine", checks, sizeof checks / sizeof *checks);
}
