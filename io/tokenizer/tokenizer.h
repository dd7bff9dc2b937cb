/* Text to tokens and back. A tokenizer is
 * - bytes (vocabulary 256);
 * - Cohort's own: byte-level BPE (Sennrich et al. 2016) over GPT-2's words, trained by cohort_tokenizer_train;
 * - a tokenizer.json of Hugging Face with a BPE model: its normalizers, added tokens, pre-tokenizers, merges, template
 * and decoders, with the ids of the package `tokenizers` (docs/tokenizer.md has the table of what is read);
 * - made from the arrays that a GGUF file keeps.
 * All of them encode on one path. What is not known is refused by name.
 *
 * Any bytes are accepted: bytes that are not UTF-8 pass every step unchanged, no pattern matches across them, and they
 * become byte tokens, or the unknown token where a vocabulary has none. A tokenizer may be used by several threads at
 * once. */
#ifndef COHORT_IO_TOKENIZER_H
#define COHORT_IO_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct cohort_tokenizer cohort_tokenizer;

enum { COHORT_LARGEST_VOCABULARY = 1 << 20 };

cohort_tokenizer *cohort_tokenizer_bytes(void);
/* vocabulary: 257 to 32768 tokens, of which the last is <|end|>. A text too small for it gives an error. Speed: 4.4 MB
 * and 1024 tokens in a few seconds at most. `progress` (may be NULL) is called with the share done. */
cohort_status cohort_tokenizer_train(const char *text, size_t length, int vocabulary,
                                     void (*progress)(void *argument, double share), void *argument,
                                     cohort_tokenizer **out, cohort_error *error);

/* `path`: a file of Cohort's own, a tokenizer.json, or a folder with one. The ids of the beginning, end and padding
 * come from tokenizer_config.json, special_tokens_map.json, generation_config.json or config.json beside a
 * tokenizer.json, the first that names them. COHORT_BAD_DATA: `path` first, what is wrong, in one line. */
cohort_status cohort_tokenizer_read(const char *path, cohort_tokenizer **out, cohort_error *error);

/* A tokenizer as GGUF keeps it (tokenizer.ggml.*). Texts need not end with a NUL. */
typedef struct cohort_tokenizer_text {
  const char *text;
  size_t length;
} cohort_tokenizer_text;
typedef struct cohort_tokenizer_arrays {
  const char *model;                  /* "gpt2" (byte-level BPE with merges) or "llama" (SentencePiece with scores) */
  const char *pre;                    /* gpt2: tokenizer.ggml.pre, such as "smollm"; NULL is "default" */
  int count;                          /* of tokens */
  const cohort_tokenizer_text *token; /* [count] */
  const int32_t *type; /* [count] or NULL: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte */
  const float *score;  /* [count]; llama alone */
  int merges;          /* gpt2 alone */
  const cohort_tokenizer_text *merge; /* [merges]: two tokens with a space between */
  int begin, end, unknown, pad;       /* ids, -1: there is none */
  bool add_begin, add_end, add_space; /* what the template adds; llama: a space before the text */
} cohort_tokenizer_arrays;
/* `name` (the file) is what an error begins with. The result is a tokenizer.json: write gives one. */
cohort_status cohort_tokenizer_from_arrays(const char *name, const cohort_tokenizer_arrays *arrays,
                                           cohort_tokenizer **out, cohort_error *error);

/* In the form that it was read in: a tokenizer.json is written as it was, byte for byte. */
cohort_status cohort_tokenizer_write(const cohort_tokenizer *tokenizer, const char *path, cohort_error *error);
/* As a tokenizer.json that `tokenizers` loads, with the same ids; byte for byte where it came from one. Cohort's own
 * export <|end|> as a special token, which `tokenizers` then also finds in a text; they themselves never do. */
cohort_status cohort_tokenizer_export(const cohort_tokenizer *tokenizer, const char *path, cohort_error *error);
void cohort_tokenizer_destroy(cohort_tokenizer *tokenizer);

/* The largest id and one. A model's table may have more rows. */
int cohort_tokenizer_vocabulary(const cohort_tokenizer *tokenizer);
int cohort_tokenizer_begin(const cohort_tokenizer *tokenizer); /* -1: there is none */
int cohort_tokenizer_end(const cohort_tokenizer *tokenizer);   /* closes a completion; -1: there is none */
int cohort_tokenizer_pad(const cohort_tokenizer *tokenizer);   /* -1: there is none */
/* All ids that end a generated text (generation_config.json may name several), `end` among them; *count of them. */
const int *cohort_tokenizer_stops(const cohort_tokenizer *tokenizer, int *count);
/* The id of a token's text as the file has it ("<|im_end|>", "Ġthe"), or -1. */
int cohort_tokenizer_id(const cohort_tokenizer *tokenizer, const char *text, size_t length);
/* A token's text as the file has it, NUL-terminated, and its length (unless NULL); NULL: no token has this id. */
const char *cohort_tokenizer_token(const cohort_tokenizer *tokenizer, int id, size_t *length);
bool cohort_tokenizer_special(const cohort_tokenizer *tokenizer, int id);
uint64_t cohort_tokenizer_digest(const cohort_tokenizer *tokenizer);

typedef enum {
  COHORT_ENCODE_PLAIN = 1 << 0,    /* the texts of special tokens are text like any other */
  COHORT_ENCODE_TEMPLATE = 1 << 1, /* with what the file's template adds, such as the beginning */
} cohort_encode_flags;
/* Tokens of the text, owned by the caller. Special tokens are recognised, nothing is added. */
int32_t *cohort_tokenizer_encode(const cohort_tokenizer *tokenizer, const char *text, size_t length, int64_t *count);
int32_t *cohort_tokenizer_encode_as(const cohort_tokenizer *tokenizer, unsigned flags, const char *text, size_t length,
                                    int64_t *count);
/* The text of tokens, NUL-terminated, owned by the caller. Special tokens and ids outside the vocabulary are skipped.
 * Bytes that are no UTF-8 come as they are (`tokenizers` puts U+FFFD in their place). */
char *cohort_tokenizer_decode(const cohort_tokenizer *tokenizer, const int32_t *tokens, int64_t count, size_t *length);
/* The same with special tokens. */
char *cohort_tokenizer_decode_all(const cohort_tokenizer *tokenizer, const int32_t *tokens, int64_t count,
                                  size_t *length);
/* The text that a token, special or not, adds behind others: a decoder may take a space from the first of a text alone.
 */
char *cohort_tokenizer_decode_next(const cohort_tokenizer *tokenizer, int32_t token, size_t *length);

#endif
