/* Sums of passes. Every range leaves a float64 record with its piece; the owners' records travel in one exchange a pass
 * and are joined along one tree, the pieces of a tensor first, then the tensors of a group: no bit depends on who owns
 * what. Cost: a record a piece, as many numbers as sums (columns, for a sum over columns). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "update/updater_state.h"

static int64_t columns_of(const cohort_space_tensor *tensor) {
  const cohort_shape shape = tensor->declared.shape;
  return shape.axes && shape.size[0] ? tensor->elements / shape.size[0] : 1;
}

static int64_t length_of(const cohort_pass_sum *sum, const cohort_space_tensor *tensor) {
  return sum->over == COHORT_OWNER_COLUMN ? columns_of(tensor) : 1;
}

static int64_t record_length(const cohort_update_group *group, const cohort_space_tensor *tensor, int pass) {
  int64_t length = 0;
  for (int i = 0; i < group->sums; i++)
    if (group->functions->sums[i].pass == pass) length += length_of(&group->functions->sums[i], tensor);
  return length;
}

static void lay_out(const cohort_updater *updater, cohort_update_sums *sums, int pass) {
  const cohort_space *space = updater->options.space;
  cohort_pass_records *own = &sums->pass[pass];
  own->at = cohort_allocate((size_t)(space->pieces + 1) * sizeof *own->at);
  for (int p = 0; p < space->pieces; p++) {
    const int tensor = space->piece[p].tensor;
    const cohort_update_group *group = &sums->groups->group[sums->groups->of_tensor[tensor]];
    own->at[p + 1] = own->at[p] + record_length(group, &space->tensor[tensor], pass);
  }
  own->any = own->at[space->pieces] > 0;
  own->values = cohort_allocate((size_t)(own->at[space->pieces] + 1) * sizeof *own->values);
}

/* Sums of one pass stand one after another in its records. */
static void find_places(const cohort_updater *updater, cohort_update_sums *sums) {
  const cohort_space *space = updater->options.space;
  sums->place = cohort_allocate((size_t)(space->tensors + 1) * COHORT_MAX_SUMS * sizeof *sums->place);
  for (int t = 0; t < space->tensors && sums->groups->count; t++) {
    const cohort_update_group *group = &sums->groups->group[sums->groups->of_tensor[t]];
    int64_t next[COHORT_MAX_PASSES] = {0};
    for (int i = 0; i < group->sums; i++) {
      const cohort_pass_sum *sum = &group->functions->sums[i];
      sums->place[t * COHORT_MAX_SUMS + i] = next[sum->pass];
      next[sum->pass] += length_of(sum, &space->tensor[t]);
    }
  }
}

void cohort_update_sums_create(const cohort_updater *updater, const cohort_parameter_groups *groups,
                               cohort_update_sums *sums) {
  sums->groups = groups;
  find_places(updater, sums);
  int64_t most = 0;
  for (int pass = 0; pass < sums->groups->passes; pass++) {
    lay_out(updater, sums, pass);
    const int64_t all = sums->pass[pass].at[updater->options.space->pieces];
    if (all > most) most = all;
  }
  sums->packed = cohort_allocate((size_t)(most + 1) * sizeof(double));
  sums->space = cohort_allocate((size_t)(sums->groups->count + 1) * COHORT_MAX_SUMS * sizeof(double));
  sums->tensor = cohort_allocate((size_t)(updater->options.space->tensors + 1) * sizeof(double));
}

void cohort_update_sums_release(cohort_update_sums *sums) {
  for (int pass = 0; pass < COHORT_MAX_PASSES; pass++) {
    free(sums->pass[pass].at);
    free(sums->pass[pass].values);
  }
  free(sums->packed);
  free(sums->place);
  free(sums->space);
  free(sums->tensor);
}

/* Calls for every sum of `pass` and every tensor of its group. */
typedef void sum_function(const cohort_updater *updater, cohort_update_sums *sums, int group, int sum, int tensor,
                          int64_t place);

static void each_sum(const cohort_updater *updater, cohort_update_sums *sums, int pass, sum_function *function) {
  for (int t = 0; t < updater->options.space->tensors; t++) {
    const int g = sums->groups->of_tensor[t];
    const cohort_update_group *group = &sums->groups->group[g];
    for (int i = 0; i < group->sums; i++)
      if (group->functions->sums[i].pass == pass)
        function(updater, sums, g, i, t, sums->place[t * COHORT_MAX_SUMS + i]);
  }
}

static double nothing(const cohort_pass_sum *sum) { return sum->largest ? -INFINITY : 0; }

static double join(const cohort_pass_sum *sum, double a, double b) {
  if (!sum->largest) return a + b;
  return a > b || isnan(a) ? a : b;
}

static void clear(const cohort_updater *updater, cohort_update_sums *sums, int group, int i, int t, int64_t place) {
  const cohort_pass_sum *sum = &sums->groups->group[group].functions->sums[i];
  const cohort_space_tensor *tensor = &updater->options.space->tensor[t];
  const cohort_pass_records *own = &sums->pass[sum->pass];
  for (int p = tensor->first_piece; p < tensor->first_piece + tensor->pieces; p++)
    for (int64_t c = 0; c < length_of(sum, tensor); c++) own->values[own->at[p] + place + c] = nothing(sum);
}

void cohort_update_sums_clear(const cohort_updater *updater, cohort_update_sums *sums, int pass) {
  if (sums->pass[pass].any) each_sum(updater, sums, pass, clear);
}

double *cohort_update_sum_at(const cohort_updater *updater, const cohort_update_sums *sums, int group, int i, int piece,
                             int pass) {
  const cohort_pass_sum *sum = &sums->groups->group[group].functions->sums[i];
  if (sum->over == COHORT_OWNER_SPACE && pass > sum->pass) return &sums->space[group * COHORT_MAX_SUMS + i];
  const int tensor = updater->options.space->piece[piece].tensor;
  const int first = updater->options.space->tensor[tensor].first_piece;
  const cohort_pass_records *of_pass = &sums->pass[sum->pass];
  return of_pass->values + of_pass->at[pass > sum->pass ? first : piece] + sums->place[tensor * COHORT_MAX_SUMS + i];
}

void cohort_update_share(cohort_updater *updater, const int64_t *at, int64_t each, double *values, double *packed) {
  const cohort_space *space = updater->options.space;
  cohort_shards *shards = updater->shards;
  cohort_comm *comm = updater->options.comm;
  if (comm->size == 1) return;
  const cohort_shard_group *members = shards->members;
  size_t *offsets = shards->place, *bytes = shards->place + comm->size;
  size_t next = 0;
  for (int r = 0; r < comm->size; r++) offsets[r] = bytes[r] = 0;
  for (int h = 0; h < members->count; h++) {
    const int rank = members->rank[h];
    offsets[rank] = next * sizeof(double);
    for (int p = 0; p < space->pieces; p++) {
      if (shards->owner[p] != h) continue;
      const int64_t first = at ? at[p] : p * each, length = at ? at[p + 1] - at[p] : each;
      memcpy(packed + next, values + first, (size_t)length * sizeof(double));
      next += (size_t)length;
    }
    bytes[rank] = next * sizeof(double) - offsets[rank];
  }
  cohort_comm_gather_all(comm, packed, offsets, bytes);
  next = 0;
  for (int h = 0; h < members->count; h++)
    for (int p = 0; p < space->pieces; p++) {
      if (shards->owner[p] != h) continue;
      const int64_t first = at ? at[p] : p * each, length = at ? at[p + 1] - at[p] : each;
      memcpy(values + first, packed + next, (size_t)length * sizeof(double));
      next += (size_t)length;
    }
}

/* The tree over a tensor's pieces, neighbours first; the first record is left with the tensor's. */
static void join_pieces(const cohort_updater *updater, cohort_update_sums *sums, int group, int i, int t,
                        int64_t place) {
  const cohort_pass_sum *sum = &sums->groups->group[group].functions->sums[i];
  const cohort_space_tensor *tensor = &updater->options.space->tensor[t];
  const cohort_pass_records *own = &sums->pass[sum->pass];
  const int64_t length = length_of(sum, tensor);
  for (int width = 1; width < tensor->pieces; width *= 2)
    for (int p = 0; p + width < tensor->pieces; p += 2 * width) {
      double *a = own->values + own->at[tensor->first_piece + p] + place;
      const double *b = own->values + own->at[tensor->first_piece + p + width] + place;
      for (int64_t c = 0; c < length; c++) a[c] = join(sum, a[c], b[c]);
    }
}

/* The tree over the tensors of a group. */
static void join_tensors(const cohort_updater *updater, cohort_update_sums *sums, int g, int i) {
  const cohort_space *space = updater->options.space;
  const cohort_pass_sum *sum = &sums->groups->group[g].functions->sums[i];
  double *value = sums->tensor;
  int count = 0;
  for (int t = 0; t < space->tensors; t++)
    if (sums->groups->of_tensor[t] == g && space->tensor[t].pieces)
      value[count++] = *cohort_update_sum_at(updater, sums, g, i, space->tensor[t].first_piece, sum->pass);
  for (int width = 1; width < count; width *= 2)
    for (int t = 0; t + width < count; t += 2 * width) value[t] = join(sum, value[t], value[t + width]);
  sums->space[g * COHORT_MAX_SUMS + i] = count ? value[0] : nothing(sum);
}

void cohort_update_sums_join(cohort_updater *updater, cohort_update_sums *sums, int pass) {
  const cohort_pass_records *own = &sums->pass[pass];
  if (!own->any) return;
  cohort_comm_name(updater->options.comm, "sums of an update");
  cohort_update_share(updater, own->at, 0, own->values, sums->packed);
  each_sum(updater, sums, pass, join_pieces);
  for (int g = 0; g < sums->groups->count; g++)
    for (int i = 0; i < sums->groups->group[g].sums; i++) {
      const cohort_pass_sum *sum = &sums->groups->group[g].functions->sums[i];
      if (sum->pass == pass && sum->over == COHORT_OWNER_SPACE) join_tensors(updater, sums, g, i);
    }
}
