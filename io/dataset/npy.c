/* The .npy format (numpy.lib.format): \x93NUMPY, version, length of the header, a Python dictionary, the numbers. The
 * header is read by its few words alone. Its shape must stand for exactly the bytes that follow, so nothing larger than
 * the file is ever taken. One pass over the numbers. */
#include "io/dataset/npy.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { MOST_AXES = 8, MOST_HEADER = 1 << 16 };

typedef enum { FLOAT16, FLOAT32, FLOAT64, BOOLEAN, INT8, UINT8, INT16, UINT16, INT32, UINT32, INT64 } number;

static const struct {
  const char *name;
  size_t bytes;
  cohort_array_type type;
} numbers[] = {[FLOAT16] = {"<f2", 2, COHORT_ARRAY_FLOAT32}, [FLOAT32] = {"<f4", 4, COHORT_ARRAY_FLOAT32},
               [FLOAT64] = {"<f8", 8, COHORT_ARRAY_FLOAT64}, [BOOLEAN] = {"|b1", 1, COHORT_ARRAY_INT32},
               [INT8] = {"|i1", 1, COHORT_ARRAY_INT32},      [UINT8] = {"|u1", 1, COHORT_ARRAY_INT32},
               [INT16] = {"<i2", 2, COHORT_ARRAY_INT32},     [UINT16] = {"<u2", 2, COHORT_ARRAY_INT32},
               [INT32] = {"<i4", 4, COHORT_ARRAY_INT32},     [UINT32] = {"<u4", 4, COHORT_ARRAY_INT64},
               [INT64] = {"<i8", 8, COHORT_ARRAY_INT64}};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

typedef struct header {
  char type[16];
  int number; /* of numbers; -1: none of these */
  bool fortran, has_order, has_shape;
  int axes;
  int64_t size[MOST_AXES];
} header;

static void skip_spaces(const char **at) { *at += strspn(*at, " \t\n"); }

static bool take(const char **at, const char *word) {
  skip_spaces(at);
  const size_t length = strlen(word);
  if (strncmp(*at, word, length) != 0) return false;
  *at += length;
  return true;
}

/* A text in single or double quotes. */
static bool take_text(const char **at, char *out, size_t room) {
  skip_spaces(at);
  const char quote = **at;
  if (quote != '\'' && quote != '"') return false;
  const char *const end = strchr(*at + 1, quote);
  const size_t length = end ? (size_t)(end - *at - 1) : 0;
  if (!end || length >= room) return false;
  memcpy(out, *at + 1, length);
  out[length] = '\0';
  *at = end + 1;
  return true;
}

static bool take_shape(const char **at, header *out) {
  out->axes = 0;
  out->has_shape = true;
  if (!take(at, "(")) return false;
  while (!take(at, ")")) {
    skip_spaces(at);
    if (**at < '0' || **at > '9' || out->axes == MOST_AXES) return false;
    char *end = NULL;
    const unsigned long long size = strtoull(*at, &end, 10);
    if (end - *at > 15) return false;
    out->size[out->axes++] = (int64_t)size;
    *at = end;
    if (!take(at, ",")) return take(at, ")");
  }
  return true;
}

static bool take_pair(const char **at, header *out) {
  char key[16];
  if (!take_text(at, key, sizeof key) || !take(at, ":")) return false;
  if (strcmp(key, "descr") == 0) return take_text(at, out->type, sizeof out->type);
  if (strcmp(key, "shape") == 0) return take_shape(at, out);
  if (strcmp(key, "fortran_order") != 0) return false;
  out->has_order = true;
  out->fortran = take(at, "True");
  return out->fortran || take(at, "False");
}

static bool read_dictionary(const char *text, header *out) {
  const char *at = text;
  if (!take(&at, "{")) return false;
  while (!take(&at, "}")) {
    if (!take_pair(&at, out)) return false;
    if (!take(&at, ",") && !take(&at, "}")) return false;
    if (at[-1] == '}') break;
  }
  skip_spaces(&at);
  return *at == '\0' && out->type[0] && out->has_order && out->has_shape;
}

static double half_to_double(unsigned bits) {
  const unsigned exponent = bits >> 10 & 31, fraction = bits & 1023, sign = bits >> 15;
  uint32_t word = sign << 31;
  float out;
  if (exponent == 31) {
    word |= 0x7F800000u | fraction << 13;
  } else if (exponent) {
    word |= (exponent + 112) << 23 | fraction << 13;
  } else {
    const float tiny = (float)fraction * 0x1p-24f;
    return sign ? -tiny : tiny;
  }
  memcpy(&out, &word, sizeof out);
  return out;
}

static uint64_t little(const unsigned char *at, size_t bytes) {
  uint64_t out = 0;
  for (size_t b = 0; b < bytes; b++) out |= (uint64_t)at[b] << 8 * b;
  return out;
}

static void store(const unsigned char *at, int kind, cohort_array *out, int64_t i) {
  const uint64_t bits = little(at, numbers[kind].bytes);
  const uint32_t low = (uint32_t)bits;
  switch ((number)kind) {
    case FLOAT16:
      ((float *)out->data)[i] = (float)half_to_double(low);
      break;
    case FLOAT32:
      memcpy((float *)out->data + i, &low, sizeof low);
      break;
    case FLOAT64:
      memcpy((double *)out->data + i, &bits, sizeof bits);
      break;
    case BOOLEAN:
      ((int32_t *)out->data)[i] = bits != 0;
      break;
    case INT8:
      ((int32_t *)out->data)[i] = (int8_t)bits;
      break;
    case INT16:
      ((int32_t *)out->data)[i] = (int16_t)bits;
      break;
    case UINT8:
    case UINT16:
    case INT32:
      ((int32_t *)out->data)[i] = (int32_t)low;
      break;
    case UINT32:
    case INT64:
      ((int64_t *)out->data)[i] = (int64_t)bits;
      break;
  }
}

/* The place in Fortran's order (first axis fastest) of element i in C's order. */
static int64_t fortran_place(const header *own, int64_t i) {
  int64_t stride = 1, place = 0, index[MOST_AXES] = {0};
  for (int a = own->axes - 1; a >= 0; a--) {
    index[a] = i % own->size[a];
    i /= own->size[a];
  }
  for (int a = 0; a < own->axes; a++) {
    place += index[a] * stride;
    stride *= own->size[a];
  }
  return place;
}

/* Cuts the content into header and numbers; NULL or what is wrong. */
static const char *cut(const unsigned char *data, size_t bytes, header *out, size_t *start) {
  static const unsigned char magic[] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
  *out = (header){.number = -1};
  if (bytes < 12 || memcmp(data, magic, sizeof magic) != 0) return "it does not begin as an .npy file does";
  if (data[6] < 1 || data[6] > 3) return "its version is not 1, 2 or 3";
  const size_t first = data[6] == 1 ? 10 : 12, length = (size_t)little(data + 8, first - 8);
  if (length > MOST_HEADER || length > bytes - first) return "it is cut off inside its header";
  char *const text = cohort_format_text("%.*s", (int)length, (const char *)data + first);
  const bool good = read_dictionary(text, out);
  free(text);
  *start = first + length;
  if (!good) return "its header does not say descr, fortran_order and shape (of up to 8 axes)";
  for (int n = 0; n < NUMBERS; n++)
    if (strcmp(numbers[n].name, out->type) == 0) out->number = n;
  return NULL;
}

cohort_status cohort_npy_read(const char *path, const char *name, const unsigned char *data, size_t bytes,
                              cohort_arrays *out, cohort_error *error) {
  header own;
  size_t start = 0;
  const char *const fault = cut(data, bytes, &own, &start);
  if (fault) return cohort_fail(error, COHORT_BAD_DATA, "%s: %s.npy is damaged: %s", path, name, fault);
  if (own.number < 0)
    return cohort_fail(error, COHORT_BAD_DATA,
                       "%s: %s.npy has type %s; little-endian floats (f2, f4, f8), integers (i1 to i8, u1 to u4) and "
                       "booleans are read; convert it with astype",
                       path, name, own.type);
  double elements = 1;
  for (int a = 0; a < own.axes; a++) elements *= (double)own.size[a];
  if (elements == 0) return cohort_fail(error, COHORT_BAD_DATA, "%s: %s.npy is empty", path, name);
  const size_t each = numbers[own.number].bytes;
  if (elements * (double)each != (double)(bytes - start))
    return cohort_fail(error, COHORT_BAD_DATA, "%s: %s.npy is damaged: its shape stands for %.0f bytes, but %zu follow",
                       path, name, elements * (double)each, bytes - start);
  cohort_array *const array = cohort_arrays_add(out, name, numbers[own.number].type, own.axes, own.size);
  const int64_t count = cohort_array_elements(array);
  for (int64_t i = 0; i < count; i++)
    store(data + start + (size_t)(own.fortran ? fortran_place(&own, i) : i) * each, own.number, array, i);
  return COHORT_DONE;
}
