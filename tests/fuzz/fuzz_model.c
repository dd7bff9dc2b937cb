/* Released models: a safetensors file's or a GGUF's table lies inside the file, whatever it promised, and every tensor
 * can be read. */
#include "fuzz/fuzz.h"
#include "io/model/gguf.h"
#include "io/model/safetensors.h"

/* Written byte by byte. */
typedef struct writing {
  unsigned char data[1024];
  size_t at;
} writing;

static void number(writing *to, uint64_t value, int bytes) {
  for (int b = 0; b < bytes; b++) to->data[to->at++] = (unsigned char)(value >> 8 * b);
}

static void text(writing *to, const char *words) {
  number(to, strlen(words), 8);
  memcpy(to->data + to->at, words, strlen(words));
  to->at += strlen(words);
}

static void key(writing *to, const char *name, uint32_t value) {
  text(to, name);
  number(to, 4, 4);
  number(to, value, 4);
}

static void tensor(writing *to, const char *name, int axes, uint64_t rows, uint64_t columns, uint64_t offset) {
  text(to, name);
  number(to, (uint64_t)axes, 4);
  number(to, columns, 8);
  if (axes > 1) number(to, rows, 8);
  number(to, 0, 4);
  number(to, offset, 8);
}

static writing gguf_seed(void) {
  writing out = {.at = 0};
  number(&out, 0x46554747, 4);
  number(&out, 3, 4);
  number(&out, 2, 8);
  number(&out, 7, 8);
  text(&out, "general.architecture");
  number(&out, 8, 4);
  text(&out, "llama");
  key(&out, "llama.block_count", 1);
  key(&out, "llama.embedding_length", 4);
  key(&out, "llama.attention.head_count", 2);
  key(&out, "llama.context_length", 8);
  key(&out, "llama.feed_forward_length", 4);
  text(&out, "list");
  number(&out, 9, 4);
  number(&out, 8, 4);
  number(&out, 2, 8);
  text(&out, "a");
  text(&out, "bc");
  tensor(&out, "token_embd.weight", 2, 2, 4, 0);
  tensor(&out, "output_norm.weight", 1, 1, 4, 32);
  out.at = (out.at + 31) / 32 * 32 + 48;
  return out;
}

static fuzz_end run(const fuzz_try *at, int seed, const unsigned char *data, size_t length, uint64_t *state) {
  (void)state;
  const fuzz_file file = fuzz_file_create(at);
  fuzz_file_set(at, &file, data, length);
  cohort_tensor_set set = {0};
  cohort_model_card card;
  cohort_error error = {0};
  cohort_status status =
      seed == 0 ? cohort_gguf_read(file.path, &card, &set, &error) : cohort_safetensors_add(&set, file.path, &error);
  if (status != COHORT_DONE) fuzz_refusal(at, status, COHORT_BAD_DATA, &error, file.path);
  for (int t = 0; t < set.tensors; t++) { /* every byte is there to be read */
    const cohort_file_tensor *tensor = &set.tensor[t];
    fuzz_must(at, tensor->offset + tensor->bytes <= length, "tensors lie in the file");
    if (tensor->type >= COHORT_TENSOR_TYPES) continue;
    float *room = cohort_allocate((size_t)cohort_file_tensor_elements(tensor) * sizeof *room + 1);
    fuzz_must(
        at, cohort_file_tensor_read(&set, tensor, 0, cohort_file_tensor_elements(tensor), room, &error) == COHORT_DONE,
        "tensors can be read");
    free(room);
  }
  cohort_tensor_set_release(&set);
  (void)close(file.descriptor);
  return status == COHORT_DONE ? FUZZ_READ : FUZZ_REFUSED;
}

int main(int count, char **word) {
  static const char header[] =
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
      "\"b\":{\"dtype\":\"BF16\",\"shape\":[1,2],\"data_offsets\":[8,12]}}";
  unsigned char safetensors[8 + sizeof header - 1 + 12] = {sizeof header - 1};
  memcpy(safetensors + 8, header, sizeof header - 1);
  const writing gguf = gguf_seed();
  const fuzz_seed seeds[] = {{gguf.data, gguf.at}, {safetensors, sizeof safetensors}};
  const fuzz_reader reader = {"fuzz_model", "{}[]\":,0129\1\2\3\4\10\377", 2, seeds, run};
  return fuzz_main(count, word, &reader);
}
