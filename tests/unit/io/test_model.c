/* Released models on disk: safetensors, GGUF and config.json, whole and damaged. */
#include <math.h>

#include "io/model/files.h"
#include "io/model/gguf.h"
#include "io/model/numbers.h"
#include "io/model/safetensors.h"
#include "model_blocks.h"
#include "scratch.h"

static const char llama[] =
    "{\"model_type\": \"llama\", \"hidden_size\": 4, \"intermediate_size\": 6, \"num_hidden_layers\": 1,\n"
    " \"num_attention_heads\": 2, \"vocab_size\": 3, \"tie_word_embeddings\": true}";

static cohort_status read_card(const char *text, cohort_model_card *card, cohort_error *error) {
  char *directory = scratch_create(), *path = scratch_text(directory, "config.json", text);
  *error = (cohort_error){0};
  const cohort_status status = cohort_card_read(path, card, error);
  if (status != COHORT_DONE) CU_ASSERT_EQUAL(strncmp(error->text, path, strlen(path)), 0);
  free(path);
  scratch_remove(directory);
  return status;
}

/* `what` takes the place of the text `of` in a good config; the error must say `said`. */
static void refuses(const char *of, const char *what, const char *said) {
  const char *at = strstr(llama, of);
  CU_ASSERT_PTR_NOT_NULL_FATAL(at);
  char *text = cohort_format_text("%.*s%s%s", (int)(at - llama), llama, what, at + strlen(of));
  cohort_model_card card;
  cohort_error error;
  CU_ASSERT_EQUAL(read_card(text, &card, &error), COHORT_BAD_DATA);
  if (!strstr(error.text, said)) printf("    %s\n    lacks: %s\n", error.text, said);
  CU_ASSERT_PTR_NOT_NULL(strstr(error.text, said));
  free(text);
}

static void configs_are_read(void) {
  cohort_model_card card;
  cohort_error error;
  CU_ASSERT_EQUAL(read_card(llama, &card, &error), COHORT_DONE);
  CU_ASSERT(card.architecture == COHORT_ARCHITECTURE_LLAMA && card.key_heads == 2 && card.head_width == 2);
  CU_ASSERT(card.context == 2048 && card.epsilon == 1e-6 && card.rope_theta == 10000 && card.tied);
  CU_ASSERT_EQUAL(
      read_card("{\"model_type\": \"gpt2\", \"n_embd\": 8, \"n_layer\": 1, \"n_head\": 2, \"vocab_size\": 3,"
                "\"activation_function\": \"gelu\"}",
                &card, &error),
      COHORT_DONE);
  CU_ASSERT(card.exact_gelu && card.feed_forward == 32 && card.context == 1024 && card.bias == COHORT_CARD_BIAS_ALL);
}

static void configs_are_refused_by_name(void) {
  refuses("\"llama\"", "\"gemma2\"", "model_type \"gemma2\" is not known");
  refuses("\"hidden_size\": 4, ", "", "width, 0");
  refuses("\"hidden_size\": 4", "\"hidden_size\": -4", "hidden_size: expected a whole number");
  refuses("\"hidden_size\": 4", "\"hidden_size\": \"4\"", "hidden_size: expected a whole number");
  refuses("\"vocab_size\": 3", "\"vocab_size\": 3, \"vocab_size\": 4", "duplicate");
  refuses("\"vocab_size\": 3", "\"vocab_size\": 3, \"use_sliding_window\": true", "sliding window");
  refuses("\"vocab_size\": 3", "\"vocab_size\": 3, \"hidden_act\": \"gelu\"", "hidden_act gelu");
  refuses("\"vocab_size\": 3", "\"vocab_size\": 3, \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4.0}",
          "rope type yarn");
  refuses("\"vocab_size\": 3", "\"vocab_size\": 3, \"quantization_config\": {}", "quantized");
  refuses("\"vocab_size\": 3", "\"vocab_size\": 3, \"num_key_value_heads\": 3", "cannot share 3");
  refuses("true}", "true", ":2:");
}

/* Model files of the config above, drawn by their names. */
static float value_of(int tensor, int64_t element) { return (float)sin(tensor * 100.0 + (double)element); }

static const cohort_model_tensor tensors[] = {
    {"embedding.weight", 2, {3, 4}},
    {"layer0.attention_norm.gain", 1, {4}},
    {"layer0.attention.query.weight", 2, {4, 4}},
    {"layer0.attention.key.weight", 2, {4, 4}},
    {"layer0.attention.value.weight", 2, {4, 4}},
    {"layer0.attention.output.weight", 2, {4, 4}},
    {"layer0.feed_forward_norm.gain", 1, {4}},
    {"layer0.feed_forward.gate.weight", 2, {6, 4}},
    {"layer0.feed_forward.up.weight", 2, {6, 4}},
    {"layer0.feed_forward.down.weight", 2, {4, 6}},
    {"norm.gain", 1, {4}},
};
enum { TENSORS = sizeof tensors / sizeof *tensors };

static int64_t count_of(int t) { return tensors[t].size[0] * (tensors[t].axes > 1 ? tensors[t].size[1] : 1); }

static cohort_status give(void *argument, int t, float *out, cohort_error *error) {
  (void)argument, (void)error;
  for (int64_t e = 0; e < count_of(t); e++) out[e] = value_of(t, e);
  return COHORT_DONE;
}

static cohort_model_card card_of(void) {
  cohort_model_card card;
  cohort_error error;
  CU_ASSERT_EQUAL_FATAL(read_card(llama, &card, &error), COHORT_DONE);
  return card;
}

static void write_model(const char *folder, bool bf16, int64_t shard) {
  const cohort_model_card card = card_of();
  const cohort_model_export source = {
      .card = &card, .bf16 = bf16, .shard = shard, .tensors = TENSORS, .tensor = tensors, .read = give};
  cohort_error error = {0};
  const cohort_status status = cohort_model_files_write(folder, &source, &error);
  if (status != COHORT_DONE) printf("    %s\n", error.text);
  CU_ASSERT_EQUAL_FATAL(status, COHORT_DONE);
}

static cohort_status read_model(const char *folder, float tolerance, cohort_error *error) {
  cohort_model_files *files = NULL;
  float room[64];
  *error = (cohort_error){0};
  cohort_status status = cohort_model_files_open(folder, &files, error);
  for (int t = 0; t < TENSORS && status == COHORT_DONE; t++) {
    status = cohort_model_files_read(files, tensors[t].name, tensors[t].axes, tensors[t].size, room, NULL, error);
    for (int64_t e = 0; e < count_of(t) && status == COHORT_DONE && tolerance >= 0; e++)
      CU_ASSERT(fabsf(room[e] - value_of(t, e)) <= tolerance * fabsf(value_of(t, e)));
  }
  if (status == COHORT_DONE) status = cohort_model_files_check_rest(files, error);
  cohort_model_files_close(files);
  return status;
}

static void folders_round_trip(void) {
  cohort_error error;
  for (int form = 0; form < 4; form++) {
    char *directory = scratch_create(), *folder = cohort_format_text("%s/m", directory);
    write_model(folder, form % 2, form < 2 ? INT64_C(1) << 30 : 200);
    CU_ASSERT(cohort_model_files_are(folder));
    const cohort_status status = read_model(folder, form % 2 ? 0x1p-8F : 0, &error);
    if (status != COHORT_DONE) printf("    %s\n", error.text);
    CU_ASSERT_EQUAL(status, COHORT_DONE);
    char *index = cohort_format_text("%s/model.safetensors.index.json", folder);
    CU_ASSERT_EQUAL(access(index, F_OK) == 0, form >= 2);
    free(index);
    free(folder);
    scratch_remove(directory);
  }
}

/* One file with this header and so many bytes of data. */
static cohort_status read_header(const char *header, size_t data, cohort_error *error) {
  char *directory = scratch_create();
  const size_t length = strlen(header);
  unsigned char *bytes = cohort_allocate(8 + length + data + 1);
  for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(length >> 8 * i);
  memcpy(bytes + 8, header, length);
  char *path = scratch_file(directory, "model.safetensors", bytes, 8 + length + data);
  cohort_tensor_set set = {0};
  *error = (cohort_error){0};
  cohort_status status = cohort_safetensors_add(&set, path, error);
  if (status == COHORT_DONE) status = cohort_tensor_set_finish(&set, error);
  if (status != COHORT_DONE) CU_ASSERT_EQUAL(strncmp(error->text, path, strlen(path)), 0);
  cohort_tensor_set_release(&set);
  free(bytes);
  free(path);
  scratch_remove(directory);
  return status;
}

static void headers_that_lie_are_refused(void) {
  static const struct {
    const char *header, *said;
    size_t data;
  } cases[] = {
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "cut short", 4},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "belong to none", 12},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", "do not fit its shape", 8},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}", "impossible shape", 0},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}", "impossible shape", 8},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", "makes no sense", 8},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", "makes no sense", 8},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9223372036854775807]}}", "makes no sense", 8},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
       "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
       "overlaps", 12},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
       "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}",
       "gap", 12},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
       "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
       "duplicate", 8},
      {"[]", "no JSON object", 0},
      {"{", ":1:", 0},
  };
  cohort_error error;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    CU_ASSERT_EQUAL(read_header(cases[i].header, cases[i].data, &error), COHORT_BAD_DATA);
    if (!strstr(error.text, cases[i].said)) printf("    %s\n    lacks: %s\n", error.text, cases[i].said);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, cases[i].said));
  }
  CU_ASSERT_EQUAL(read_header("{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"I64\",\"shape\":[1],"
                              "\"data_offsets\":[0,8]}}",
                              8, &error),
                  COHORT_DONE);
}

/* What is missing, of another shape or type, or too much, is named. */
static void tensors_that_do_not_fit_are_named(void) {
  static const struct {
    const char *from, *to, *said;
  } cases[] = {
      {"model.norm.weight", "model.horm.weight", "has no tensor model.norm.weight"},
      {"model.embed_tokens.weight\":{\"dtype\":\"F32\",\"shape\":[3,4]",
       "model.embed_tokens.weight\":{\"dtype\":\"F32\",\"shape\":[4,3]", "has shape [4, 3]"},
      {"model.norm.weight\":{\"dtype\":\"F32\"", "model.norm.weight\":{\"dtype\":\"I32\"", "of type I32"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *directory = scratch_create(), *folder = cohort_format_text("%s/m", directory);
    write_model(folder, false, INT64_C(1) << 30);
    char *path = cohort_format_text("%s/model.safetensors", folder);
    size_t bytes = 0;
    char *content = scratch_read(path, &bytes), *at = memmem(content, bytes, cases[i].from, strlen(cases[i].from));
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    memcpy(at, cases[i].to, strlen(cases[i].to));
    free(scratch_file(folder, "model.safetensors", content, bytes));
    cohort_error error;
    CU_ASSERT_EQUAL(read_model(folder, -1, &error), COHORT_BAD_DATA);
    if (!strstr(error.text, cases[i].said)) printf("    %s\n    lacks: %s\n", error.text, cases[i].said);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, cases[i].said));
    free(content);
    free(path);
    free(folder);
    scratch_remove(directory);
  }
}

/* A small GGUF, byte by byte. */
typedef struct gguf_bytes {
  unsigned char data[4096];
  size_t count;
} gguf_bytes;

static void put(gguf_bytes *to, const void *data, size_t bytes) {
  memcpy(to->data + to->count, data, bytes);
  to->count += bytes;
}
static void put_number(gguf_bytes *to, uint64_t value, int bytes) {
  for (int b = 0; b < bytes; b++) put(to, &(unsigned char){(unsigned char)(value >> 8 * b)}, 1);
}
static void put_text(gguf_bytes *to, const char *text) {
  put_number(to, strlen(text), 8);
  put(to, text, strlen(text));
}
static void put_key(gguf_bytes *to, const char *key, uint32_t value) {
  put_text(to, key);
  put_number(to, 4, 4);
  put_number(to, value, 4);
}

static gguf_bytes make_gguf(void) {
  static const char *const names[TENSORS] = {
      "token_embd.weight",   "blk.0.attn_norm.weight",   "blk.0.attn_q.weight",   "blk.0.attn_k.weight",
      "blk.0.attn_v.weight", "blk.0.attn_output.weight", "blk.0.ffn_norm.weight", "blk.0.ffn_gate.weight",
      "blk.0.ffn_up.weight", "blk.0.ffn_down.weight",    "output_norm.weight"};
  gguf_bytes out = {.count = 0};
  put(&out, "GGUF", 4);
  put_number(&out, 3, 4);
  put_number(&out, TENSORS, 8);
  put_number(&out, 7, 8);
  put_text(&out, "general.architecture");
  put_number(&out, 8, 4);
  put_text(&out, "llama");
  put_key(&out, "llama.block_count", 1);
  put_key(&out, "llama.embedding_length", 4);
  put_key(&out, "llama.attention.head_count", 2);
  put_key(&out, "llama.context_length", 16);
  put_key(&out, "llama.feed_forward_length", 6);
  put_text(&out, "some.list");
  put_number(&out, 9, 4);
  put_number(&out, 8, 4);
  put_number(&out, 2, 8);
  put_text(&out, "a");
  put_text(&out, "bc");
  uint64_t offset = 0;
  for (int t = 0; t < TENSORS; t++) {
    put_text(&out, names[t]);
    put_number(&out, (uint64_t)tensors[t].axes, 4);
    for (int a = tensors[t].axes - 1; a >= 0; a--) put_number(&out, (uint64_t)tensors[t].size[a], 8);
    put_number(&out, 0, 4);
    put_number(&out, offset, 8);
    offset += ((uint64_t)count_of(t) * 4 + 31) / 32 * 32;
  }
  for (int t = 0; t < TENSORS; t++) {
    while (out.count % 32) put(&out, "", 1);
    for (int64_t e = 0; e < count_of(t); e++) {
      /* Queries and keys as llama.cpp stores them: a head's two halves in turns; heads of two rows stay as they are. */
      const float value = value_of(t, e);
      put(&out, &value, sizeof value);
    }
  }
  return out;
}

static cohort_status read_gguf(const unsigned char *data, size_t bytes, float tolerance, cohort_error *error) {
  char *directory = scratch_create(), *path = scratch_file(directory, "m.gguf", data, bytes);
  const cohort_status status = read_model(path, tolerance, error);
  if (status != COHORT_DONE) CU_ASSERT_EQUAL(strncmp(error->text, path, strlen(path)), 0);
  free(path);
  scratch_remove(directory);
  return status;
}

static void gguf_is_read(void) {
  const gguf_bytes good = make_gguf();
  cohort_error error;
  const cohort_status status = read_gguf(good.data, good.count, 0, &error);
  if (status != COHORT_DONE) printf("    %s\n", error.text);
  CU_ASSERT_EQUAL(status, COHORT_DONE);
  for (size_t bytes = 0; bytes < good.count; bytes++)
    CU_ASSERT_EQUAL(read_gguf(good.data, bytes, -1, &error), COHORT_BAD_DATA);
}

static void damaged_files_are_refused(void) {
  const gguf_bytes good = make_gguf();
  char *directory = scratch_create(), *folder = cohort_format_text("%s/m", directory);
  write_model(folder, false, INT64_C(1) << 30);
  char *path = cohort_format_text("%s/model.safetensors", folder);
  size_t bytes = 0;
  char *content = scratch_read(path, &bytes);
  uint64_t state = 14;
  int bad = 0;
  cohort_error error;
  for (int i = 0; i < 1500; i++) {
    size_t length = 0;
    unsigned char *data = i % 2 ? mutate(&state, content, bytes, "{}[]\":,0129", &length)
                                : mutate(&state, good.data, good.count, "\1\2\4\377", &length);
    if (i % 2) {
      free(scratch_file(folder, "model.safetensors", data, length));
      bad += read_model(folder, -1, &error) != COHORT_DONE;
    } else {
      bad += read_gguf(data, length, -1, &error) != COHORT_DONE;
    }
    free(data);
  }
  CU_ASSERT(bad > 700);
  for (size_t length = 0; length < bytes; length += 3) {
    free(scratch_file(folder, "model.safetensors", content, length));
    CU_ASSERT_EQUAL(read_model(folder, -1, &error), COHORT_BAD_DATA);
  }
  free(content);
  free(path);
  free(folder);
  scratch_remove(directory);
}

static void numbers_are_exact(void) {
  CU_ASSERT_EQUAL(cohort_half_to_float(0x3C00), 1);
  CU_ASSERT_EQUAL(cohort_half_to_float(0xC000), -2);
  CU_ASSERT_EQUAL(cohort_half_to_float(0x0001), 0x1p-24F);
  CU_ASSERT_EQUAL(cohort_half_to_float(0x83FF), -0x3FFp-24F);
  CU_ASSERT_EQUAL(cohort_half_to_float(0x7BFF), 65504);
  CU_ASSERT(isinf(cohort_half_to_float(0x7C00)) && isnan(cohort_half_to_float(0x7C01)));
  CU_ASSERT_EQUAL(cohort_float_to_bf16(1.00390625F), 0x3F80); /* ties to even */
  CU_ASSERT_EQUAL(cohort_float_to_bf16(1.01171875F), 0x3F82);
  CU_ASSERT_EQUAL(cohort_float_to_bf16(NAN) & 0x7FC0, 0x7FC0);
  unsigned char block[34] = {0x00, 0x38, 0xFF}; /* scale 0.5 */
  float out[32];
  cohort_widen_q8_0(block, 1, out);
  CU_ASSERT(out[0] == -0.5F && out[1] == 0);
  block[2] = 0xA1;
  cohort_widen_q4_0(block, 1, out);
  CU_ASSERT(out[0] == -3.5F && out[16] == 1 && out[1] == -4);
  const unsigned char minimum[20] = {0x00, 0x38, 0x00, 0xBC, 0xA1}; /* scale 0.5, least -1 */
  cohort_widen_q4_1(minimum, 1, out);
  CU_ASSERT(out[0] == -0.5F && out[16] == 4 && out[1] == -1);
}

/* What gguf's own package makes of every type's blocks, to the bit. */
static void blocks_are_ggufs(void) {
  static const struct {
    const char *name;
    void (*widen)(const unsigned char *, int64_t, float *);
  } types[] = {{"Q8_0", cohort_widen_q8_0}, {"Q4_0", cohort_widen_q4_0}, {"Q4_1", cohort_widen_q4_1},
               {"Q5_0", cohort_widen_q5_0}, {"Q5_1", cohort_widen_q5_1}, {"Q4_K", cohort_widen_q4_k},
               {"Q5_K", cohort_widen_q5_k}, {"Q6_K", cohort_widen_q6_k}};
  float out[256];
  int checked = 0;
  for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++)
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
      if (strcmp(types[t].name, blocks[b].name) != 0) continue;
      types[t].widen(blocks[b].block, 1, out);
      CU_ASSERT_EQUAL(memcmp(out, blocks[b].bits, (size_t)blocks[b].elements * sizeof *out), 0);
      checked++;
    }
  CU_ASSERT_EQUAL(checked, 8);
}

static void cards_are_documents(void) {
  cohort_model_card card = card_of(), back;
  cohort_error error;
  card.rope = COHORT_CARD_ROPE_LLAMA3;
  card.rope_factor = 32, card.rope_low = 1, card.rope_high = 4, card.rope_context = 8192;
  card.epsilon = 1e-5;
  cohort_document *model = cohort_card_document(&card);
  CU_ASSERT_EQUAL(cohort_card_of_document(model->children[0], "x", &back, &error), COHORT_DONE);
  CU_ASSERT(back.epsilon == card.epsilon && back.rope_context == 8192 && back.rope == card.rope && back.key_heads == 2);
  CU_ASSERT(back.architecture == card.architecture && back.vocabulary == 3 && back.feed_forward == 6 && back.tied);
  cohort_document_destroy(model);
}

int main(void) {
  const check checks[] = {
      {"configs are read", configs_are_read},
      {"configs are refused by name", configs_are_refused_by_name},
      {"numbers are exact", numbers_are_exact},
      {"blocks are GGUF's", blocks_are_ggufs},
      {"folders round trip", folders_round_trip},
      {"headers that lie are refused", headers_that_lie_are_refused},
      {"tensors that do not fit are named", tensors_that_do_not_fit_are_named},
      {"GGUF is read", gguf_is_read},
      {"damaged files are refused", damaged_files_are_refused},
      {"cards are documents", cards_are_documents},
  };
  return check_run("model", checks, sizeof checks / sizeof *checks);
}
