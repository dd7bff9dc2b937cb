#include "train/space.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { TENSOR_ALIGNMENT = 16, BLOCKS = 2000, SMALLEST_BLOCK = 64 };

static int64_t block_of(int64_t parameters) {
  int64_t block = SMALLEST_BLOCK;
  while (block * BLOCKS < parameters) block *= 2;
  return block;
}

static void cut_into_pieces(cohort_space *space) {
  const int64_t block = block_of(space->parameters);
  for (int t = 0; t < space->tensors; t++) space->pieces += (int)((space->tensor[t].elements + block - 1) / block);
  space->piece = cohort_allocate((size_t)space->pieces * sizeof *space->piece);
  int next = 0;
  for (int t = 0; t < space->tensors; t++) {
    cohort_space_tensor *tensor = &space->tensor[t];
    tensor->first_piece = next;
    for (int64_t done = 0; done < tensor->elements; done += block) {
      const int64_t left = tensor->elements - done;
      space->piece[next++] = (cohort_piece){t, tensor->offset + done, left < block ? left : block};
    }
    tensor->pieces = next - tensor->first_piece;
  }
}

cohort_status cohort_space_create(const cohort_graph *graph, int number, const char *name, cohort_space **out,
                                  cohort_error *error) {
  cohort_space *space = cohort_allocate(sizeof *space);
  (void)strncpy(space->name, name, sizeof space->name - 1);
  const int declared = cohort_graph_parameters(graph);
  space->tensor = cohort_allocate((size_t)(declared + 1) * sizeof *space->tensor);
  for (int i = 0; i < declared; i++) {
    const cohort_parameter_tensor *parameter = cohort_graph_parameter_at(graph, i, NULL);
    if (parameter->space != number) continue;
    cohort_space_tensor *tensor = &space->tensor[space->tensors++];
    tensor->declared = *parameter;
    tensor->offset = space->elements;
    tensor->elements = cohort_shape_elements(parameter->shape);
    space->parameters += tensor->elements;
    space->elements += (int64_t)cohort_round_up((size_t)tensor->elements, TENSOR_ALIGNMENT);
  }
  cut_into_pieces(space);
  void *values = NULL;
  const cohort_status status =
      cohort_memory_create((size_t)space->elements * sizeof(float), "parameters", &values, error);
  if (status != COHORT_DONE) {
    cohort_space_destroy(space);
    return status;
  }
  space->values = values;
  *out = space;
  return COHORT_DONE;
}

void cohort_space_destroy(cohort_space *space) {
  if (!space) return;
  cohort_memory_release(space->values);
  free(space->piece);
  free(space->tensor);
  free(space);
}

void cohort_space_initialise(cohort_space *space, cohort_random_key key) {
  for (int t = 0; t < space->tensors; t++) {
    const cohort_space_tensor *tensor = &space->tensor[t];
    const cohort_random_key own = cohort_random_key_derive_name(key, tensor->declared.name);
    const double scale = tensor->declared.scale;
    float *values = space->values + tensor->offset;
    for (int64_t e = 0; e < tensor->elements; e++) {
      double value = 0;
      switch (tensor->declared.initial) {
        case COHORT_INITIAL_ZERO:
          value = 0;
          break;
        case COHORT_INITIAL_ONE:
          value = 1;
          break;
        case COHORT_INITIAL_NORMAL:
          value = scale * cohort_random_normal_at(own, 0, (uint64_t)e);
          break;
        case COHORT_INITIAL_UNIFORM:
          value = scale * (2 * cohort_random_uniform(cohort_random_word(own, 0, (uint64_t)e)) - 1);
          break;
      }
      values[e] = (float)value;
    }
  }
}

/* Whole tensors: the costliest first, each to the rank with the least so far; equal costs in order of the table. */
static void deal_whole_tensors(const cohort_space *space, int ranks, const cohort_cut *cut, const double *cost,
                               int *owner) {
  double *load = cohort_allocate((size_t)ranks * sizeof *load);
  bool *dealt = cohort_allocate((size_t)space->tensors + 1);
  for (;;) {
    int costliest = -1;
    for (int t = 0; t < space->tensors; t++)
      if (cut[t] != COHORT_CUT_ELEMENT && !dealt[t] && (costliest < 0 || cost[t] > cost[costliest])) costliest = t;
    if (costliest < 0) break;
    int rank = 0;
    for (int r = 1; r < ranks; r++)
      if (load[r] < load[rank]) rank = r;
    dealt[costliest] = true;
    load[rank] += cost[costliest];
    const cohort_space_tensor *tensor = &space->tensor[costliest];
    for (int p = 0; p < tensor->pieces; p++) owner[tensor->first_piece + p] = rank;
  }
  free(dealt);
  free(load);
}

static void deal_elements(const cohort_space *space, int ranks, const cohort_cut *cut, int *owner) {
  int64_t total = 0;
  for (int p = 0; p < space->pieces; p++)
    if (cut[space->piece[p].tensor] == COHORT_CUT_ELEMENT) total += space->piece[p].elements;
  int64_t before = 0;
  for (int p = 0; p < space->pieces; p++) {
    const cohort_piece *piece = &space->piece[p];
    if (cut[piece->tensor] != COHORT_CUT_ELEMENT) continue;
    owner[p] = (int)((2 * before + piece->elements) * ranks / (2 * total));
    before += piece->elements;
  }
}

cohort_shards *cohort_shards_create(const cohort_space *space, int ranks, const cohort_cut *cut, const double *cost) {
  cohort_shards *shards = cohort_allocate(sizeof *shards);
  shards->space = space;
  shards->ranks = ranks;
  shards->owner = cohort_allocate((size_t)(space->pieces + 1) * sizeof *shards->owner);
  deal_whole_tensors(space, ranks, cut, cost, shards->owner);
  deal_elements(space, ranks, cut, shards->owner);
  shards->ranges = cohort_allocate((size_t)ranks * sizeof *shards->ranges);
  shards->range = cohort_allocate((size_t)ranks * sizeof *shards->range);
  shards->elements = cohort_allocate((size_t)ranks * sizeof *shards->elements);
  shards->message = cohort_allocate(2 * (size_t)ranks * sizeof *shards->message);
  shards->packed = cohort_allocate((size_t)(space->pieces + 1) * sizeof *shards->packed);
  shards->part = cohort_allocate(2 * (size_t)ranks * sizeof *shards->part);
  for (int r = 0; r < ranks; r++) {
    cohort_range *range = cohort_allocate((size_t)(space->pieces + 1) * sizeof *range);
    int count = 0;
    for (int p = 0; p < space->pieces; p++) {
      if (shards->owner[p] != r) continue;
      const cohort_piece *piece = &space->piece[p];
      if (count && range[count - 1].offset + range[count - 1].elements == piece->offset)
        range[count - 1].elements += piece->elements;
      else
        range[count++] = (cohort_range){piece->offset, piece->elements};
      shards->elements[r] += piece->elements;
    }
    shards->range[r] = range;
    shards->ranges[r] = count;
  }
  return shards;
}

void cohort_shards_destroy(cohort_shards *shards) {
  if (!shards) return;
  for (int r = 0; r < shards->ranks; r++) free(shards->range[r]);
  free(shards->range);
  free(shards->ranges);
  free(shards->elements);
  free(shards->message);
  free(shards->packed);
  free(shards->part);
  free(shards->owner);
  free(shards);
}

/* Exchanges the values of pieces: packed by owner, each owner's in order of pieces. */
static void share_pieces(const cohort_space *space, const cohort_shards *shards, cohort_comm *comm, double *values) {
  size_t *offsets = shards->part, *bytes = shards->part + comm->size;
  size_t next = 0;
  for (int r = 0; r < comm->size; r++) {
    offsets[r] = next * sizeof(double);
    for (int p = 0; p < space->pieces; p++)
      if (shards->owner[p] == r) shards->packed[next++] = values[p];
    bytes[r] = next * sizeof(double) - offsets[r];
  }
  cohort_comm_gather_all(comm, shards->packed, offsets, bytes);
  next = 0;
  for (int r = 0; r < comm->size; r++)
    for (int p = 0; p < space->pieces; p++)
      if (shards->owner[p] == r) values[p] = shards->packed[next++];
}

double cohort_space_sum(const cohort_space *space, const cohort_shards *shards, cohort_comm *comm, double *values) {
  if (comm->size > 1) share_pieces(space, shards, comm, values);
  /* The tree: neighbours first. */
  for (int width = 1; width < space->pieces; width *= 2)
    for (int p = 0; p + width < space->pieces; p += 2 * width) values[p] += values[p + width];
  return space->pieces ? values[0] : 0;
}

/* Elements that a rank sends at a time: enough to cost no latency, few enough to stay in the caches. */
enum { WINDOW = 1 << 19 };

static int64_t largest_window(const cohort_shards *shards) {
  int64_t largest = 0;
  for (int r = 0; r < shards->ranks; r++)
    if (shards->elements[r] > largest) largest = shards->elements[r];
  return largest < WINDOW ? largest : WINDOW;
}

int64_t cohort_space_gather_room(const cohort_shards *shards) {
  return shards->ranks > 1 ? shards->ranks * largest_window(shards) : 0;
}

/* Elements of a rank's shard in the window that begins at its element `first`. */
static int64_t window_of(const cohort_shards *shards, int rank, int64_t first, int64_t window) {
  const int64_t left = shards->elements[rank] - first;
  return left < 0 ? 0 : left < window ? left : window;
}

/* Copies elements [first, first + count) of a rank's shard between the vector and the packed window. */
static void copy_window(const cohort_shards *shards, int rank, int64_t first, int64_t count, float *vector,
                        float *packed, bool pack) {
  int64_t before = 0;
  for (int i = 0; i < shards->ranges[rank] && before < first + count; i++) {
    const cohort_range range = shards->range[rank][i];
    const int64_t begin = before > first ? before : first;
    before += range.elements;
    const int64_t end = before < first + count ? before : first + count;
    if (end <= begin) continue;
    float *own = vector + range.offset + range.elements - (before - begin), *other = packed + (begin - first);
    memcpy(pack ? other : own, pack ? own : other, (size_t)(end - begin) * sizeof *own);
  }
}

void cohort_space_gather(const cohort_shards *shards, cohort_comm *comm, float *vector, float *staging) {
  if (comm->size == 1) return;
  cohort_comm_name(comm, "gather");
  const int64_t window = largest_window(shards);
  int64_t longest = 0;
  for (int r = 0; r < comm->size; r++)
    if (shards->elements[r] > longest) longest = shards->elements[r];
  cohort_message *send = shards->message, *receive = send + comm->size;
  for (int64_t first = 0; first < longest; first += window) {
    const int64_t mine = window_of(shards, comm->rank, first, window);
    copy_window(shards, comm->rank, first, mine, vector, staging, true);
    int messages = 0;
    for (int r = 0; r < comm->size; r++) {
      if (r == comm->rank) continue;
      float *to = staging + (messages + 1) * window;
      send[messages] = (cohort_message){r, staging, (size_t)mine * sizeof(float)};
      receive[messages++] = (cohort_message){r, to, (size_t)window_of(shards, r, first, window) * sizeof(float)};
    }
    comm->exchange(comm, messages, send, messages, receive);
    for (int i = 0; i < messages; i++)
      copy_window(shards, receive[i].rank, first, (int64_t)(receive[i].bytes / sizeof(float)), vector, receive[i].data,
                  false);
  }
}
