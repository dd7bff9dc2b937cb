/* Runs a fusion of elementwise operations tile by tile. */
#include <string.h>

#include "kernel/elementwise_real.h"
#include "kernel/row_real.h"

/* A tile of each value in flight is to stay in the first cache. */
enum { TILE_BYTES = 8192, TILE = TILE_BYTES / sizeof(real) };

typedef struct fusion_work {
  const cohort_call *call;
  const cohort_fusion *fusion;
  cohort_row_function function[COHORT_FUSION_OPERATIONS];
  int64_t elements;
  int64_t unit;  /* elements that a thread takes at once; of sums: whole chunks of rows */
  int64_t chunk; /* elements of a chunk of sums */
  int64_t chunks;
  real *partial[COHORT_FUSION_SUMS]; /* [chunks][columns]; the output itself where there is one chunk */
  real *sum[COHORT_FUSION_SUMS];
} fusion_work;

typedef struct fusion_tile {
  _Alignas(64) char buffer[COHORT_FUSION_BUFFERS][TILE_BYTES];
  int64_t phase[COHORT_FUSION_SLOTS]; /* where in its period what lies in a repeated slot's buffer began; -1: none */
} fusion_tile;

static cohort_row_function find_function(const cohort_fusion *fusion, const cohort_fusion_operation *operation) {
  const int64_t form = operation->attributes.integers[0];
  if (operation->op == COHORT_OP_SUM) return NULL;
  if (operation->op == COHORT_OP_DROPOUT) return COHORT_VARIED(cohort_dropout_row);
  cohort_row_function found = COHORT_VARIED(cohort_unary_row)(operation->op);
  if (!found)
    found = COHORT_VARIED(cohort_binary_row)(operation->op, form, fusion->slot[operation->input[0]].type,
                                             fusion->slot[operation->output[0]].type);
  return found ? found : COHORT_VARIED(cohort_activation_row)(operation->op, form);
}

static inline size_t slot_bytes(const cohort_fusion_slot *slot) {
  return slot->type == COHORT_TYPE_INTEGER ? sizeof(int32_t) : sizeof(real);
}

/* Lays out elements [first, first + count) of a repeated value. */
static const void *lay_repeated(const cohort_fusion_slot *slot, const char *from, int64_t first, int64_t count,
                                char *buffer, int64_t *phase) {
  const size_t bytes = slot_bytes(slot);
  int64_t at = first % slot->period;
  if (at + count <= slot->period) return from + (size_t)at * bytes;
  if (*phase == at) return buffer;
  *phase = count == TILE ? at : -1;
  for (int64_t done = 0; done < count;) {
    const int64_t run = cohort_least(slot->period - at, count - done);
    memcpy(buffer + (size_t)done * bytes, from + (size_t)at * bytes, (size_t)run * bytes);
    done += run;
    at = 0;
  }
  return buffer;
}

static const void *lay_held(const cohort_fusion_slot *slot, const char *from, int64_t first, int64_t count,
                            char *buffer) {
  int64_t at = first / slot->period, end = (at + 1) * slot->period - first;
  for (int64_t i = 0; i < count; at++, end += slot->period) {
    const int64_t last = cohort_least(end, count);
    if (slot->type == COHORT_TYPE_INTEGER) {
      const int32_t value = ((const int32_t *)from)[at];
      for (; i < last; i++) ((int32_t *)buffer)[i] = value;
    } else {
      const real value = ((const real *)from)[at];
      for (; i < last; i++) ((real *)buffer)[i] = value;
    }
  }
  return buffer;
}

/* Where elements [first, first + count) of a value begin. */
static void *find(const fusion_work *work, int index, int64_t first, int64_t count, fusion_tile *tile) {
  const cohort_fusion_slot *slot = &work->fusion->slot[index];
  char *buffer = tile->buffer[slot->buffer];
  char *input = slot->kind == COHORT_SLOT_BUFFER || slot->kind == COHORT_SLOT_OUTPUT
                    ? NULL
                    : (char *)work->call->input[slot->tensor].data;
  switch (slot->kind) {
    case COHORT_SLOT_INPUT:
      return input + (size_t)first * slot_bytes(slot);
    case COHORT_SLOT_OUTPUT:
      return (char *)work->call->output[slot->tensor].data + (size_t)first * slot_bytes(slot);
    case COHORT_SLOT_BUFFER:
      return buffer;
    case COHORT_SLOT_REPEATED:
      return (void *)(uintptr_t)lay_repeated(slot, input, first, count, buffer, &tile->phase[index]);
    case COHORT_SLOT_HELD:
      return (void *)(uintptr_t)lay_held(slot, input, first, count, buffer);
    default:
      return input;
  }
}

static void run_link(const fusion_work *work, int index, int64_t first, int64_t count, fusion_tile *tile) {
  const cohort_fusion_operation *operation = &work->fusion->operation[index];
  cohort_row row;
  row.count = count;
  row.first = first;
  row.columns = operation->columns;
  row.key = work->call->random_key;
  row.attributes = &operation->attributes;
  for (int i = 0; i < operation->inputs; i++) {
    row.in[i] = find(work, operation->input[i], first, count, tile);
    row.step[i] = work->fusion->slot[operation->input[i]].kind != COHORT_SLOT_SCALAR;
  }
  for (int i = 0; i < operation->outputs; i++) row.out[i] = find(work, operation->output[i], first, count, tile);
  work->function[index](&row);
}

static void run_tile(const fusion_work *work, int64_t first, int64_t count, fusion_tile *tile) {
  const cohort_fusion *fusion = work->fusion;
  int sum = 0;
  for (int i = 0; i < fusion->operations; i++) {
    const cohort_fusion_operation *operation = &fusion->operation[i];
    if (operation->op != COHORT_OP_SUM) {
      run_link(work, i, first, count, tile);
      continue;
    }
    const int64_t chunk = first / work->chunk;
    COHORT_VARIED(cohort_sum_elements)
    (find(work, operation->input[0], first, count, tile), chunk * work->chunk, first, count, fusion->columns,
     work->partial[sum] + chunk * fusion->columns);
    sum++;
  }
}

/* A tile never crosses a chunk of sums. */
static void fusion_unit(void *argument, int64_t unit) {
  const fusion_work *work = argument;
  const int64_t last = cohort_least((unit + 1) * work->unit, work->elements);
  fusion_tile tile;
  for (int i = 0; i < work->fusion->slots; i++) tile.phase[i] = -1;
  for (int64_t first = unit * work->unit; first < last;) {
    const int64_t end = work->fusion->sums ? cohort_least(last, (first / work->chunk + 1) * work->chunk) : last;
    const int64_t count = cohort_least(TILE, end - first);
    run_tile(work, first, count, &tile);
    first += count;
  }
}

static void join_unit(void *argument, int64_t unit) {
  const fusion_work *work = argument;
  const int64_t columns = work->fusion->columns, blocks = cohort_ceil_divide(columns, COHORT_SUM_COLUMNS);
  const int64_t sum = unit / blocks, first = unit % blocks * COHORT_SUM_COLUMNS;
  COHORT_VARIED(cohort_sum_join)
  (work->partial[sum] + first, work->chunks, columns, cohort_least(COHORT_SUM_COLUMNS, columns - first),
   work->sum[sum] + first);
}

static void cut(const cohort_call *call, fusion_work *work) {
  const cohort_fusion *fusion = call->fusion;
  work->elements = call->planned ? fusion->elements / call->planned * call->rows : fusion->elements;
  work->unit = COHORT_TILE_ELEMENTS;
  work->chunks = 1;
  work->chunk = work->elements;
  if (!fusion->sums) return;
  work->chunk = cohort_sum_rows(fusion->elements / fusion->columns) * fusion->columns;
  work->chunks = cohort_ceil_divide(work->elements, work->chunk);
  work->unit = work->chunk * cohort_most(1, COHORT_TILE_ELEMENTS / work->chunk);
}

static void find_sums(const cohort_call *call, fusion_work *work) {
  const cohort_fusion *fusion = work->fusion;
  int sum = 0;
  for (int i = 0; i < fusion->operations; i++) {
    if (fusion->operation[i].op != COHORT_OP_SUM) continue;
    work->sum[sum] = call->output[fusion->slot[fusion->operation[i].output[0]].tensor].data;
    work->partial[sum] =
        work->chunks == 1 ? work->sum[sum] : (real *)call->workspace + sum * work->chunks * fusion->columns;
    sum++;
  }
}

void COHORT_VARIED(cohort_kernel_fusion)(const cohort_call *call) {
  fusion_work work = {.call = call, .fusion = call->fusion};
  cut(call, &work);
  find_sums(call, &work);
  for (int i = 0; i < work.fusion->operations; i++)
    work.function[i] = find_function(work.fusion, &work.fusion->operation[i]);
  cohort_tiles_run(call, cohort_ceil_divide(work.elements, work.unit), fusion_unit, &work);
  if (work.chunks > 1) {
    const int64_t blocks = cohort_ceil_divide(work.fusion->columns, COHORT_SUM_COLUMNS);
    cohort_tiles_run(call, work.fusion->sums * blocks, join_unit, &work);
  }
}

size_t COHORT_VARIED(cohort_workspace_fusion)(const cohort_call *call) {
  fusion_work work = {.call = NULL};
  cut(call, &work);
  return work.chunks == 1 ? 0 : cohort_workspace_reals(call->fusion->sums * work.chunks * call->fusion->columns);
}
