/* The table of a space: tensors one after another at multiples of 16 elements, cut into pieces of one size. Initial
 * values are functions of (key, name, element). A pass over the elements that are held. */
#include "state/space.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { TENSOR_ALIGNMENT = 16, BLOCKS = 2000, SMALLEST_BLOCK = 1024 };

static int64_t block_of(int64_t parameters) {
  int64_t block = SMALLEST_BLOCK;
  while (block * BLOCKS < parameters) block *= 2;
  return block;
}

/* A block, or as many whole rows as it holds, at least one. */
static int64_t piece_size(const cohort_space_tensor *tensor, cohort_cut cut, int64_t block) {
  if (cut != COHORT_CUT_ROW || !tensor->declared.shape.axes) return block;
  const int64_t row = tensor->elements / tensor->declared.shape.size[0];
  return row && row < block ? block / row * row : row ? row : block;
}

void cohort_space_cut(cohort_space *space, const cohort_cut *cut) {
  const int64_t block = block_of(space->parameters);
  int next = 0;
  space->pieces = 0;
  for (int t = 0; t < space->tensors; t++) {
    const int64_t size = piece_size(&space->tensor[t], cut ? cut[t] : COHORT_CUT_ELEMENT, block);
    space->pieces += (int)((space->tensor[t].elements + size - 1) / size);
  }
  free(space->piece);
  space->piece = cohort_allocate((size_t)(space->pieces + 1) * sizeof *space->piece);
  for (int t = 0; t < space->tensors; t++) {
    cohort_space_tensor *tensor = &space->tensor[t];
    const int64_t size = piece_size(tensor, cut ? cut[t] : COHORT_CUT_ELEMENT, block);
    tensor->first_piece = next;
    for (int64_t done = 0; done < tensor->elements; done += size) {
      const int64_t left = tensor->elements - done;
      space->piece[next++] = (cohort_piece){t, tensor->offset + done, left < size ? left : size};
    }
    tensor->pieces = next - tensor->first_piece;
  }
}

static void add_tensor(cohort_space *space, const cohort_parameter_tensor *declared) {
  cohort_space_tensor *tensor = &space->tensor[space->tensors++];
  tensor->declared = *declared;
  tensor->offset = space->elements;
  tensor->elements = cohort_shape_elements(declared->shape);
  space->parameters += tensor->elements;
  space->elements += (int64_t)cohort_round_up((size_t)tensor->elements, TENSOR_ALIGNMENT);
}

cohort_space *cohort_space_of(const char *name, int tensors, const cohort_parameter_tensor *tensor) {
  cohort_space *space = cohort_allocate(sizeof *space);
  (void)strncpy(space->name, name, sizeof space->name - 1);
  space->tensor = cohort_allocate((size_t)(tensors + 1) * sizeof *space->tensor);
  for (int t = 0; t < tensors; t++) add_tensor(space, &tensor[t]);
  cohort_space_cut(space, NULL);
  return space;
}

cohort_space *cohort_space_create(const cohort_graph *graph, int number, const char *name) {
  cohort_space *space = cohort_allocate(sizeof *space);
  (void)strncpy(space->name, name, sizeof space->name - 1);
  const int declared = cohort_graph_parameters(graph);
  space->tensor = cohort_allocate((size_t)(declared + 1) * sizeof *space->tensor);
  for (int i = 0; i < declared; i++) {
    const cohort_parameter_tensor *parameter = cohort_graph_parameter_at(graph, i, NULL);
    if (parameter->space != number) continue;
    add_tensor(space, parameter);
  }
  cohort_space_cut(space, NULL);
  return space;
}

void cohort_space_cut_like(cohort_space *space, const cohort_space *other) {
  free(space->piece);
  space->pieces = other->pieces;
  space->piece = cohort_allocate((size_t)(other->pieces + 1) * sizeof *space->piece);
  memcpy(space->piece, other->piece, (size_t)other->pieces * sizeof *space->piece);
  for (int t = 0; t < space->tensors; t++) {
    space->tensor[t].first_piece = other->tensor[t].first_piece;
    space->tensor[t].pieces = other->tensor[t].pieces;
  }
}

cohort_space *cohort_space_of_states(const cohort_graph *graph) {
  const int states = cohort_graph_states(graph);
  cohort_parameter_tensor *declared = cohort_allocate((size_t)(states + 1) * sizeof *declared);
  for (int i = 0; i < states; i++) declared[i] = *cohort_graph_state_at(graph, i, NULL, NULL);
  cohort_space *space = states ? cohort_space_of("state", states, declared) : NULL;
  free(declared);
  return space;
}

bool cohort_space_alike(const cohort_space *a, const cohort_space *b) {
  bool alike = a->pieces == b->pieces && a->elements == b->elements && a->tensors == b->tensors;
  for (int p = 0; alike && p < a->pieces; p++)
    alike = a->piece[p].offset == b->piece[p].offset && a->piece[p].elements == b->piece[p].elements &&
            a->piece[p].tensor == b->piece[p].tensor;
  return alike;
}

cohort_status cohort_space_hold(cohort_space *space, cohort_error *error) {
  COHORT_TRY(cohort_memory_create((size_t)space->elements * sizeof(float), "parameters", &space->memory, error));
  space->values = space->memory;
  return COHORT_DONE;
}

void cohort_space_destroy(cohort_space *space) {
  if (!space) return;
  cohort_memory_release(space->memory);
  free(space->piece);
  free(space->tensor);
  free(space);
}

static float draw(const cohort_parameter_tensor *declared, cohort_random_key key, int64_t element) {
  switch (declared->initial) {
    case COHORT_INITIAL_ZERO:
      return 0;
    case COHORT_INITIAL_ONE:
      return 1;
    case COHORT_INITIAL_NUMBER:
      return (float)declared->scale;
    case COHORT_INITIAL_NORMAL:
      return (float)(declared->scale * cohort_random_normal_at(key, 0, (uint64_t)element));
    case COHORT_INITIAL_UNIFORM:
      return (float)(declared->scale * (2 * cohort_random_uniform(cohort_random_word(key, 0, (uint64_t)element)) - 1));
  }
  return 0;
}

void cohort_space_initialise(cohort_space *space, cohort_random_key key, const bool *held) {
  for (int p = 0; p < space->pieces; p++) {
    if (held && !held[p]) continue;
    const cohort_piece *piece = &space->piece[p];
    const cohort_space_tensor *tensor = &space->tensor[piece->tensor];
    const cohort_random_key own = cohort_random_key_derive_name(key, tensor->declared.name);
    for (int64_t e = 0; e < piece->elements; e++)
      space->values[piece->offset + e] = draw(&tensor->declared, own, piece->offset - tensor->offset + e);
  }
}
