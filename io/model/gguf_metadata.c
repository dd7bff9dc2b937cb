/* Reads the first part of a GGUF. Invariant: a cursor never passes the end of the file, and once it would, all is
 * refused. Costs the bytes of the first part, and keys squared for names that stand twice. */
#include "io/model/gguf_metadata.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

enum { MOST_KEYS = 1 << 14, MOST_TENSORS = 1 << 18, LONGEST_NAME = 1 << 16 };

/* Bytes of a value that has a fixed size. */
static const size_t widths[COHORT_GGUF_TYPES] = {
    [COHORT_GGUF_U8] = 1,  [COHORT_GGUF_I8] = 1,  [COHORT_GGUF_U16] = 2, [COHORT_GGUF_I16] = 2,
    [COHORT_GGUF_U32] = 4, [COHORT_GGUF_I32] = 4, [COHORT_GGUF_F32] = 4, [COHORT_GGUF_BOOL] = 1,
    [COHORT_GGUF_U64] = 8, [COHORT_GGUF_I64] = 8, [COHORT_GGUF_F64] = 8};

/* Where reading stands; `bad` once more was asked for than is there. */
typedef struct cursor {
  const unsigned char *at, *end;
  bool bad;
} cursor;

static const unsigned char *take(cursor *own, uint64_t bytes) {
  if (own->bad || bytes > (uint64_t)(own->end - own->at)) {
    own->bad = true;
    return NULL;
  }
  const unsigned char *found = own->at;
  own->at += bytes;
  return found;
}

static uint64_t take_number(cursor *own, int bytes) {
  const unsigned char *found = take(own, (uint64_t)bytes);
  uint64_t number = 0;
  for (int i = bytes - 1; found && i >= 0; i--) number = number << 8 | found[i];
  return number;
}

static cohort_gguf_text take_text(cursor *own) {
  const uint64_t length = take_number(own, 8);
  const unsigned char *found = take(own, length);
  return (cohort_gguf_text){(const char *)found, found ? (size_t)length : 0};
}

static void take_value(cursor *own, cohort_gguf_value *out) {
  if (out->type == COHORT_GGUF_TEXT) {
    out->data = own->at;
    (void)take_text(own);
  } else if (out->type != COHORT_GGUF_ARRAY) {
    out->data = take(own, widths[out->type]);
  } else {
    const uint64_t element = take_number(own, 4);
    out->count = take_number(own, 8);
    out->element = (cohort_gguf_type)element;
    out->data = own->at;
    if (own->bad || element >= COHORT_GGUF_TYPES || element == COHORT_GGUF_ARRAY || out->count > 1U << 30) {
      own->bad = true;
    } else if (element == COHORT_GGUF_TEXT) {
      for (uint64_t i = 0; i < out->count && !own->bad; i++) (void)take_text(own);
    } else {
      (void)take(own, out->count * widths[element]);
    }
  }
}

static bool same_text(cohort_gguf_text a, cohort_gguf_text b) {
  return a.length == b.length && memcmp(a.text, b.text, a.length) == 0;
}

static cohort_status fail_damaged(const cohort_gguf *own, cohort_error *error) {
  return cohort_fail(error, COHORT_BAD_DATA, "%s: is cut short or damaged: its table does not fit the file", own->path);
}

static cohort_status read_values(cohort_gguf *own, cursor *in, cohort_error *error) {
  own->value = cohort_allocate((size_t)(own->values + 1) * sizeof *own->value);
  for (uint64_t v = 0; v < own->values; v++) {
    cohort_gguf_value *out = &own->value[v];
    out->key = take_text(in);
    const uint64_t type = take_number(in, 4);
    if (in->bad || type >= COHORT_GGUF_TYPES || out->key.length > LONGEST_NAME) return fail_damaged(own, error);
    out->type = (cohort_gguf_type)type;
    take_value(in, out);
    if (in->bad) return fail_damaged(own, error);
    for (uint64_t before = 0; before < v; before++)
      if (same_text(own->value[before].key, out->key))
        return cohort_fail(error, COHORT_BAD_DATA, "%s: key %.*s stands twice", own->path, (int)out->key.length,
                           out->key.text);
  }
  return COHORT_DONE;
}

static cohort_status read_tensors(cohort_gguf *own, cursor *in, cohort_error *error) {
  own->tensor = cohort_allocate((size_t)(own->tensors + 1) * sizeof *own->tensor);
  for (uint64_t t = 0; t < own->tensors; t++) {
    cohort_gguf_tensor *out = &own->tensor[t];
    out->name = take_text(in);
    const uint64_t axes = take_number(in, 4);
    if (in->bad || axes > 4 || out->name.length == 0 || out->name.length > 256) return fail_damaged(own, error);
    out->axes = (int)axes;
    for (int a = 0; a < out->axes; a++) out->size[a] = take_number(in, 8);
    out->type = (uint32_t)take_number(in, 4);
    out->offset = take_number(in, 8);
    if (in->bad) return fail_damaged(own, error);
  }
  const double unit = cohort_gguf_number(own, "general.alignment", 32);
  if (!(unit >= 1 && unit <= 1 << 20) || ((uint64_t)unit & ((uint64_t)unit - 1)) != 0)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: general.alignment %g is no power of two", own->path, unit);
  const uint64_t at = (uint64_t)(in->at - own->file), align = (uint64_t)unit;
  own->begin = (at + align - 1) / align * align;
  for (uint64_t t = 0; t < own->tensors; t++) {
    if (own->begin > own->length || own->tensor[t].offset > own->length - own->begin || own->tensor[t].offset % align)
      return cohort_fail(error, COHORT_BAD_DATA, "%s: tensor %.*s lies outside the file, which is cut short or damaged",
                         own->path, (int)own->tensor[t].name.length, own->tensor[t].name.text);
    own->tensor[t].offset += own->begin;
  }
  return COHORT_DONE;
}

static cohort_status map_file(cohort_gguf *own, cohort_error *error) {
  const int file = open(own->path, O_RDONLY | O_CLOEXEC);
  struct stat found;
  if (file < 0 || fstat(file, &found) != 0) {
    const int fault = errno;
    if (file >= 0) (void)close(file);
    return cohort_fail(error, COHORT_BAD_DATA, "%s: cannot be read: %s", own->path, strerror(fault));
  }
  own->length = (uint64_t)found.st_size;
  void *mapped = own->length ? mmap(NULL, own->length, PROT_READ, MAP_PRIVATE, file, 0) : MAP_FAILED;
  (void)close(file);
  if (mapped == MAP_FAILED) return cohort_fail(error, COHORT_BAD_DATA, "%s: is empty, or no file", own->path);
  own->file = mapped;
  return COHORT_DONE;
}

static cohort_status read_first_part(cohort_gguf *own, cohort_error *error) {
  cursor in = {own->file, own->file + own->length, false};
  const uint64_t magic = take_number(&in, 4), version = take_number(&in, 4);
  if (in.bad || magic != 0x46554747)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: is no GGUF file: it does not begin with GGUF", own->path);
  if (version != 2 && version != 3)
    return cohort_fail(error, COHORT_BAD_DATA, "%s: is GGUF of version %" PRIu64 "; 2 and 3, little-endian, are read",
                       own->path, version);
  own->tensors = take_number(&in, 8);
  own->values = take_number(&in, 8);
  if (in.bad || own->values > MOST_KEYS || own->tensors > MOST_TENSORS) {
    own->values = own->tensors = 0;
    return fail_damaged(own, error);
  }
  COHORT_TRY(read_values(own, &in, error));
  return read_tensors(own, &in, error);
}

cohort_status cohort_gguf_open(const char *path, cohort_gguf *out, cohort_error *error) {
  *out = (cohort_gguf){.path = path};
  cohort_status status = map_file(out, error);
  if (status == COHORT_DONE) status = read_first_part(out, error);
  if (status != COHORT_DONE) cohort_gguf_close(out);
  return status;
}

void cohort_gguf_close(cohort_gguf *gguf) {
  if (gguf->file) (void)munmap((void *)(uintptr_t)gguf->file, gguf->length);
  free(gguf->value);
  free(gguf->tensor);
  *gguf = (cohort_gguf){0};
}

const cohort_gguf_value *cohort_gguf_find(const cohort_gguf *gguf, const char *key) {
  for (uint64_t v = 0; v < gguf->values; v++)
    if (cohort_gguf_text_is(gguf->value[v].key, key)) return &gguf->value[v];
  return NULL;
}

static double number_at(cohort_gguf_type type, const unsigned char *data) {
  union {
    uint8_t u8;
    int8_t i8;
    uint16_t u16;
    int16_t i16;
    uint32_t u32;
    int32_t i32;
    uint64_t u64;
    int64_t i64;
    float f32;
    double f64;
  } of;
  if (type == COHORT_GGUF_TEXT || type == COHORT_GGUF_ARRAY) return 0;
  memcpy(&of, data, widths[type]);
  switch (type) {
    case COHORT_GGUF_U8:
    case COHORT_GGUF_BOOL:
      return of.u8;
    case COHORT_GGUF_I8:
      return of.i8;
    case COHORT_GGUF_U16:
      return of.u16;
    case COHORT_GGUF_I16:
      return of.i16;
    case COHORT_GGUF_U32:
      return of.u32;
    case COHORT_GGUF_I32:
      return of.i32;
    case COHORT_GGUF_U64:
      return (double)of.u64;
    case COHORT_GGUF_I64:
      return (double)of.i64;
    case COHORT_GGUF_F32:
      return of.f32;
    default:
      return of.f64;
  }
}

double cohort_gguf_number(const cohort_gguf *gguf, const char *key, double otherwise) {
  const cohort_gguf_value *found = cohort_gguf_find(gguf, key);
  if (!found || found->type == COHORT_GGUF_TEXT || found->type == COHORT_GGUF_ARRAY) return otherwise;
  return number_at(found->type, found->data);
}

double cohort_gguf_element(const cohort_gguf_value *array, uint64_t index) {
  return number_at(array->element, array->data + index * widths[array->element]);
}

static cohort_gguf_text text_at(const unsigned char *data) {
  uint64_t length = 0;
  for (int i = 7; i >= 0; i--) length = length << 8 | data[i];
  return (cohort_gguf_text){(const char *)data + 8, (size_t)length};
}

cohort_gguf_text cohort_gguf_text_of(const cohort_gguf *gguf, const char *key) {
  const cohort_gguf_value *found = cohort_gguf_find(gguf, key);
  return found && found->type == COHORT_GGUF_TEXT ? text_at(found->data) : (cohort_gguf_text){NULL, 0};
}

bool cohort_gguf_text_is(cohort_gguf_text text, const char *other) {
  return text.text && text.length == strlen(other) && memcmp(text.text, other, text.length) == 0;
}

cohort_gguf_text *cohort_gguf_texts(const cohort_gguf *gguf, const char *key, uint64_t *count) {
  const cohort_gguf_value *found = cohort_gguf_find(gguf, key);
  if (!found || found->type != COHORT_GGUF_ARRAY || found->element != COHORT_GGUF_TEXT) return NULL;
  cohort_gguf_text *out = cohort_allocate((size_t)(found->count + 1) * sizeof *out);
  const unsigned char *at = found->data;
  for (uint64_t i = 0; i < found->count; i++) {
    out[i] = text_at(at);
    at += 8 + out[i].length;
  }
  *count = found->count;
  return out;
}
