/* The arrays of the file against the table of the family: names, types, shapes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "probe/probe.h"

/* "shape" stands for all axes of one tensor. */
static const char all_axes[] = "shape";

/* An expected shape; axes that nothing decides yet have size -1. */
typedef struct expectation {
  int axes;
  int64_t size[COHORT_ARRAY_AXES + COHORT_MAX_AXES];
} expectation;

const char *cohort_probe_shape_text(int axes, const int64_t *size, char out[COHORT_PROBE_TEXT]) {
  size_t length = (size_t)snprintf(out, COHORT_PROBE_TEXT, "[");
  for (int a = 0; a < axes && length < COHORT_PROBE_TEXT - 24; a++)
    length += (size_t)snprintf(out + length, COHORT_PROBE_TEXT - length, "%s%lld", a ? ", " : "", (long long)size[a]);
  (void)snprintf(out + length, COHORT_PROBE_TEXT - length, "]");
  return out;
}

bool cohort_probe_bind(cohort_probe_state *probe, const char *symbol, int64_t size) {
  for (int s = 0; s < probe->symbols; s++)
    if (strcmp(probe->symbol[s].name, symbol) == 0) return probe->symbol[s].size == size;
  if (probe->symbols < COHORT_PROBE_SYMBOLS) probe->symbol[probe->symbols++] = (cohort_probe_size){symbol, size};
  return true;
}

int64_t cohort_probe_size_of(const cohort_probe_state *probe, const char *symbol) {
  for (int s = 0; s < probe->symbols; s++)
    if (strcmp(probe->symbol[s].name, symbol) == 0) return probe->symbol[s].size;
  return -1;
}

const char *cohort_probe_tensor_name(const char *pattern, const char *name) {
  const char *hole = strstr(pattern, "<t>");
  if (!hole) return strcmp(pattern, name) == 0 ? "" : NULL;
  const size_t length = (size_t)(hole - pattern);
  return strncmp(pattern, name, length) == 0 && name[length] ? name + length : NULL;
}

static bool is_pattern(const cohort_probe_array *entry) { return strstr(entry->name, "<t>") != NULL; }

static bool applies(const cohort_probe_state *probe, const cohort_probe_array *entry) {
  return cohort_array_applies(entry->when, probe->choice.method);
}

static const cohort_probe_array *entry_of(const cohort_probe_state *probe, const char *name) {
  for (const cohort_probe_array *entry = probe->inputs; entry->name; entry++)
    if (applies(probe, entry) && cohort_probe_tensor_name(entry->name, name)) return entry;
  return NULL;
}

/* "[steps, shape of w]" with the sizes that are known: "[steps=3, 4, 5]". */
static void describe_shape(const cohort_probe_state *probe, const cohort_probe_array *entry, const char *tensor,
                           const cohort_array *like, char out[COHORT_PROBE_TEXT]) {
  size_t length = (size_t)snprintf(out, COHORT_PROBE_TEXT, "[");
  for (int a = 0; entry->shape[a] && length < COHORT_PROBE_TEXT - 80; a++) {
    const char *symbol = entry->shape[a], *comma = a ? ", " : "";
    const int64_t size = cohort_probe_size_of(probe, symbol);
    if (strcmp(symbol, all_axes) == 0 && like) {
      char text[COHORT_PROBE_TEXT];
      cohort_probe_shape_text(like->axes, like->size, text);
      text[strlen(text) - 1] = '\0';
      length += (size_t)snprintf(out + length, COHORT_PROBE_TEXT - length, "%s%.60s", comma, text + 1);
    } else if (strcmp(symbol, all_axes) == 0) {
      length += (size_t)snprintf(out + length, COHORT_PROBE_TEXT - length, "%sshape of %.40s", comma, tensor);
    } else if (size >= 0) {
      length += (size_t)snprintf(out + length, COHORT_PROBE_TEXT - length, "%s%s=%lld", comma, symbol, (long long)size);
    } else {
      length += (size_t)snprintf(out + length, COHORT_PROBE_TEXT - length, "%s%s", comma, symbol);
    }
    if (length >= COHORT_PROBE_TEXT) length = COHORT_PROBE_TEXT - 1;
  }
  (void)snprintf(out + length, COHORT_PROBE_TEXT - length, "]");
}

/* The array whose axes are the tensor's: the pattern with the shape alone. */
static const cohort_array *tensor_array(const cohort_probe_state *probe, const char *tensor) {
  for (const cohort_probe_array *entry = probe->inputs; entry->name; entry++) {
    if (!applies(probe, entry) || !is_pattern(entry) || !entry->shape[0] || entry->shape[1]) continue;
    for (int i = 0; i < probe->in.count; i++) {
      const char *found = cohort_probe_tensor_name(entry->name, probe->in.items[i].name);
      if (found && strcmp(found, tensor) == 0) return &probe->in.items[i];
    }
  }
  return NULL;
}

static cohort_status misshapen(const cohort_probe_state *probe, const cohort_probe_array *entry,
                               const cohort_array *array, const char *why, cohort_error *error) {
  const char *tensor = cohort_probe_tensor_name(entry->name, array->name);
  const cohort_array *like = is_pattern(entry) ? tensor_array(probe, tensor) : NULL;
  char found[COHORT_PROBE_TEXT], wanted[COHORT_PROBE_TEXT];
  cohort_probe_shape_text(array->axes, array->size, found);
  describe_shape(probe, entry, tensor, like == array ? NULL : like, wanted);
  return cohort_fail(error, COHORT_BAD_DATA, "%s: array %s is %s, expected %s%s", probe->request->input, array->name,
                     found, wanted, why);
}

static int least_axes(const cohort_probe_state *probe) {
  return probe->family->least_axes ? probe->family->least_axes(probe->choice.method) : 1;
}

static const cohort_probe_symbol *symbol_of(const cohort_probe_state *probe, const char *symbol) {
  for (const cohort_probe_symbol *s = probe->family->symbols; s && s->name; s++)
    if (strcmp(s->name, symbol) == 0 && cohort_array_applies(s->when, probe->choice.method)) return s;
  return NULL;
}

/* The axes [at, at + count) that stand for "shape". */
static cohort_status check_tensor_axes(const cohort_probe_state *probe, const cohort_probe_array *entry,
                                       const cohort_array *array, int at, int count, cohort_error *error) {
  if (count < least_axes(probe) || count > COHORT_MAX_AXES) {
    char why[96];
    (void)snprintf(why, sizeof why, "; a tensor of %s has %d to %d axes", probe->choice.method->key, least_axes(probe),
                   (int)COHORT_MAX_AXES);
    return misshapen(probe, entry, array, why, error);
  }
  const cohort_array *like = tensor_array(probe, cohort_probe_tensor_name(entry->name, array->name));
  if (like && like != array && like->axes != count) return misshapen(probe, entry, array, "", error);
  for (int a = 0; a < count; a++) {
    if (array->size[at + a] < 1) return misshapen(probe, entry, array, " without empty axes", error);
    if (like && like != array && like->size[a] != array->size[at + a]) return misshapen(probe, entry, array, "", error);
  }
  return COHORT_DONE;
}

static cohort_status check_axis(cohort_probe_state *probe, const cohort_probe_array *entry, const cohort_array *array,
                                const char *symbol, int64_t size, cohort_error *error) {
  char *end = NULL;
  const long number = strtol(symbol, &end, 10);
  if (end != symbol && !*end) return size == number ? COHORT_DONE : misshapen(probe, entry, array, "", error);
  const cohort_probe_symbol *known = symbol_of(probe, symbol);
  const int least = known ? known->minimum : 1;
  const bool fixed = known && known->fixed;
  if (size < least || (fixed && size > least)) {
    char why[64];
    (void)snprintf(why, sizeof why, " with %s %s %d", symbol, fixed ? "equal to" : "at least", least);
    return misshapen(probe, entry, array, why, error);
  }
  return cohort_probe_bind(probe, symbol, size) ? COHORT_DONE : misshapen(probe, entry, array, "", error);
}

static cohort_status check_shape(cohort_probe_state *probe, const cohort_probe_array *entry, const cohort_array *array,
                                 cohort_error *error) {
  int axes = 0;
  bool whole_tensor = false;
  for (; entry->shape[axes]; axes++) whole_tensor = whole_tensor || strcmp(entry->shape[axes], all_axes) == 0;
  if (whole_tensor ? array->axes < axes - 1 : array->axes != axes) return misshapen(probe, entry, array, "", error);
  int at = 0;
  for (int a = 0; a < axes; a++) {
    if (strcmp(entry->shape[a], all_axes) != 0) {
      COHORT_TRY(check_axis(probe, entry, array, entry->shape[a], array->size[at], error));
      at++;
      continue;
    }
    const int count = array->axes - (axes - 1);
    COHORT_TRY(check_tensor_axes(probe, entry, array, at, count, error));
    at += count;
  }
  return COHORT_DONE;
}

static bool is_real(const cohort_array *array) {
  return array->type == COHORT_ARRAY_FLOAT32 || array->type == COHORT_ARRAY_FLOAT64;
}

static cohort_status check_type(const cohort_probe_state *probe, const cohort_probe_array *entry,
                                const cohort_array *array, cohort_error *error) {
  const bool real = is_real(array);
  if (real == (entry->kind == COHORT_ARRAY_OF_REAL)) return COHORT_DONE;
  return cohort_fail(error, COHORT_BAD_DATA, "%s: array %s holds %s, expected %s", probe->request->input, array->name,
                     real ? "real numbers" : "integers",
                     real ? "integers (int32 or int64)" : "real numbers (float32 or float64)");
}

/* Whole numbers written as reals serve as integers: their type then decides the arithmetic when nothing else does. */
static void take_whole(cohort_probe_state *probe, cohort_array *array) {
  const int64_t elements = cohort_array_elements(array);
  for (int64_t e = 0; e < elements; e++) {
    const double value = cohort_array_get(array, e);
    if (!(fabs(value) <= INT32_MAX) || value != trunc(value)) return;
  }
  int32_t *whole = cohort_allocate((size_t)elements * sizeof *whole + 1);
  for (int64_t e = 0; e < elements; e++) whole[e] = (int32_t)cohort_array_get(array, e);
  free(array->data);
  array->data = whole;
  probe->whole_type = array->type;
  array->type = COHORT_ARRAY_INT32;
}

/* Integers, like a mask of 0 and 1, serve as reals of the others' type. */
static void take_integers(cohort_array *array, cohort_array_type type) {
  const int64_t elements = cohort_array_elements(array);
  const bool single = type == COHORT_ARRAY_FLOAT32;
  void *reals = cohort_allocate((size_t)elements * (single ? sizeof(float) : sizeof(double)) + 1);
  for (int64_t e = 0; e < elements; e++) {
    const double value = cohort_array_get(array, e);
    if (single)
      ((float *)reals)[e] = (float)value;
    else
      ((double *)reals)[e] = value;
  }
  free(array->data);
  array->data = reals;
  array->type = type;
}

void cohort_probe_adapt(cohort_probe_state *probe) {
  const cohort_array *real = NULL;
  for (int i = 0; i < probe->in.count; i++) {
    cohort_array *array = &probe->in.items[i];
    const cohort_probe_array *entry = entry_of(probe, array->name);
    if (entry && entry->whole && is_real(array)) take_whole(probe, array);
    if (!real && is_real(array)) real = array;
  }
  for (int i = 0; real && i < probe->in.count; i++) {
    cohort_array *array = &probe->in.items[i];
    const cohort_probe_array *entry = entry_of(probe, array->name);
    if (entry && entry->kind == COHORT_ARRAY_OF_REAL && !is_real(array)) take_integers(array, real->type);
  }
}

static cohort_status refuse_extra(const cohort_probe_state *probe, const char *name, cohort_error *error) {
  char list[512] = "";
  size_t length = 0;
  for (const cohort_probe_array *entry = probe->inputs; entry->name && length < sizeof list - 64; entry++)
    if (applies(probe, entry))
      length += (size_t)snprintf(list + length, sizeof list - length, "%s%.48s", length ? ", " : "", entry->name);
  return cohort_fail(error, COHORT_BAD_DATA, "%s: array %s is not an input of %s %s; its inputs are %s",
                     probe->request->input, name, probe->family->name, probe->choice.method->key,
                     length ? list : "key=value words alone");
}

static cohort_status missing(const cohort_probe_state *probe, const cohort_probe_array *entry, const char *tensor,
                             cohort_error *error) {
  char wanted[COHORT_PROBE_TEXT], name[192];
  const char *hole = strstr(entry->name, "<t>");
  const bool fill = hole && tensor;
  (void)snprintf(name, sizeof name, "%.*s%.120s", fill ? (int)(hole - entry->name) : 64, entry->name,
                 fill ? tensor : "");
  describe_shape(probe, entry, tensor ? tensor : "<t>", fill ? tensor_array(probe, tensor) : NULL, wanted);
  return cohort_fail(error, COHORT_BAD_DATA, "%s: array %s is missing, expected %s: %s", probe->request->input, name,
                     wanted, entry->meaning);
}

static bool is_given(const cohort_probe_state *probe, const cohort_probe_array *entry, const char *tensor) {
  for (int i = 0; i < probe->in.count; i++) {
    const char *found = cohort_probe_tensor_name(entry->name, probe->in.items[i].name);
    if (found && (!tensor || strcmp(found, tensor) == 0)) return true;
  }
  return false;
}

/* Every tensor that one pattern names must stand in all the patterns that are required. */
static cohort_status check_patterns(const cohort_probe_state *probe, const cohort_probe_array *entry,
                                    cohort_error *error) {
  if (!is_given(probe, entry, NULL)) return missing(probe, entry, NULL, error);
  for (int i = 0; i < probe->in.count; i++) {
    const cohort_probe_array *other = entry_of(probe, probe->in.items[i].name);
    if (!is_pattern(other)) continue;
    const char *tensor = cohort_probe_tensor_name(other->name, probe->in.items[i].name);
    if (!is_given(probe, entry, tensor)) return missing(probe, entry, tensor, error);
  }
  return COHORT_DONE;
}

/* Of arrays with different values in `either`, those of one value. */
static cohort_status choose_either(const cohort_probe_state *probe, const char **chosen, cohort_error *error) {
  const cohort_probe_array *first = NULL;
  for (const cohort_probe_array *entry = probe->inputs; entry->name; entry++) {
    if (!applies(probe, entry) || !entry->either) continue;
    if (!first) first = entry;
    if (!is_given(probe, entry, NULL)) continue;
    if (*chosen && strcmp(*chosen, entry->either) != 0)
      return cohort_fail(error, COHORT_BAD_DATA,
                         "%s: array %s belongs to the %s problem, but others to the %s one; give one",
                         probe->request->input, entry->name, entry->either, *chosen);
    *chosen = entry->either;
  }
  return first && !*chosen ? missing(probe, first, NULL, error) : COHORT_DONE;
}

static cohort_status check_presence(const cohort_probe_state *probe, cohort_error *error) {
  for (int i = 0; i < probe->in.count; i++)
    if (!entry_of(probe, probe->in.items[i].name)) return refuse_extra(probe, probe->in.items[i].name, error);
  const char *chosen = NULL;
  COHORT_TRY(choose_either(probe, &chosen, error));
  for (const cohort_probe_array *entry = probe->inputs; entry->name; entry++) {
    if (!applies(probe, entry) || entry->optional) continue;
    if (entry->either && chosen && strcmp(entry->either, chosen) != 0) continue;
    if (is_pattern(entry))
      COHORT_TRY(check_patterns(probe, entry, error));
    else if (!is_given(probe, entry, NULL))
      return missing(probe, entry, NULL, error);
  }
  return COHORT_DONE;
}

/* A setting of the command line is a size that arrays must keep to; a default gives way to theirs. */
static void bind_settings(cohort_probe_state *probe, bool given) {
  const cohort_probe_setting *setting = probe->family->settings;
  for (int i = 0; setting && setting[i].name; i++) {
    if (!cohort_array_applies(setting[i].when, probe->choice.method) || probe->setting[i] <= 0) continue;
    if ((cohort_document_get(probe->settings, setting[i].name) != NULL) != given) continue;
    if (!cohort_probe_bind(probe, setting[i].name, probe->setting[i]))
      probe->setting[i] = cohort_probe_size_of(probe, setting[i].name);
  }
}

/* Symbols that are parameters of the method. */
static void bind_parameters(cohort_probe_state *probe) {
  for (const cohort_probe_symbol *s = probe->family->symbols; s && s->name; s++) {
    const int64_t size = s->parameter ? cohort_choice_integer(&probe->choice, s->name, -1) : -1;
    if (size >= 0 && cohort_array_applies(s->when, probe->choice.method)) (void)cohort_probe_bind(probe, s->name, size);
  }
}

/* Symbols of one size that no array has told: results alone have them. */
static void bind_fixed(cohort_probe_state *probe) {
  for (const cohort_probe_symbol *s = probe->family->symbols; s && s->name; s++)
    if (s->fixed && cohort_array_applies(s->when, probe->choice.method))
      (void)cohort_probe_bind(probe, s->name, s->minimum);
}

/* Tensors of other names than the method's. */
static cohort_status check_tensors(const cohort_probe_state *probe, cohort_error *error) {
  const cohort_method *method = probe->choice.method;
  const char *(*const tensor)(const cohort_method *, int) = probe->family->tensor;
  for (const cohort_probe_array *entry = probe->inputs; tensor && entry->name; entry++) {
    if (!applies(probe, entry) || !is_pattern(entry) || !tensor(method, 0)) continue;
    for (int t = 0; tensor(method, t); t++)
      if (!is_given(probe, entry, tensor(method, t))) return missing(probe, entry, tensor(method, t), error);
    for (int i = 0; i < probe->in.count; i++) {
      const char *found = cohort_probe_tensor_name(entry->name, probe->in.items[i].name);
      bool known = !found;
      for (int t = 0; !known && tensor(method, t); t++) known = strcmp(tensor(method, t), found) == 0;
      if (!known) return refuse_extra(probe, probe->in.items[i].name, error);
    }
  }
  return COHORT_DONE;
}

cohort_status cohort_probe_check(cohort_probe_state *probe, cohort_error *error) {
  bind_settings(probe, true);
  bind_parameters(probe);
  COHORT_TRY(check_presence(probe, error));
  COHORT_TRY(check_tensors(probe, error));
  for (const cohort_probe_array *entry = probe->inputs; entry->name; entry++)
    for (int i = 0; i < probe->in.count; i++) {
      const cohort_array *array = &probe->in.items[i];
      if (entry_of(probe, array->name) != entry) continue;
      COHORT_TRY(check_type(probe, entry, array, error));
      COHORT_TRY(check_shape(probe, entry, array, error));
    }
  bind_settings(probe, false);
  bind_fixed(probe);
  for (int i = 0; i < probe->in.count; i++)
    COHORT_TRY(cohort_probe_check_values(probe, entry_of(probe, probe->in.items[i].name), &probe->in.items[i], error));
  return COHORT_DONE;
}
