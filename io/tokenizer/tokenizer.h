/* Text to tokens and back: bytes (vocabulary 256), or byte-level BPE (Sennrich et al. 2016; GPT-2's pre-tokenisation
 * pattern through PCRE2) with the ranks of merges as in GPT-2. Training is deterministic: the most frequent pair, ties
 * by the smaller (left, right) ids. */
#ifndef COHORT_IO_TOKENIZER_H
#define COHORT_IO_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct cohort_tokenizer cohort_tokenizer;

cohort_tokenizer *cohort_tokenizer_bytes(void);
/* vocabulary: 257 to 32768 tokens, of which the last is <|end|>. A text too small for it gives an error. Speed: 4.4 MB
 * and 1024 tokens in a few seconds at most. `progress` (may be NULL) is called with the share done. */
cohort_status cohort_tokenizer_train(const char *text, size_t length, int vocabulary,
                                     void (*progress)(void *argument, double share), void *argument,
                                     cohort_tokenizer **out, cohort_error *error);
cohort_status cohort_tokenizer_read(const char *path, cohort_tokenizer **out, cohort_error *error); /* JSON */
cohort_status cohort_tokenizer_write(const cohort_tokenizer *tokenizer, const char *path, cohort_error *error);
void cohort_tokenizer_destroy(cohort_tokenizer *tokenizer);

int cohort_tokenizer_vocabulary(const cohort_tokenizer *tokenizer);
int cohort_tokenizer_end(const cohort_tokenizer *tokenizer); /* the id of <|end|>, or -1 */
uint64_t cohort_tokenizer_digest(const cohort_tokenizer *tokenizer);
/* Tokens of the text, owned by the caller. Any bytes are accepted. */
int32_t *cohort_tokenizer_encode(const cohort_tokenizer *tokenizer, const char *text, size_t length, int64_t *count);
/* The text of tokens, NUL-terminated, owned by the caller; ids outside the vocabulary are skipped. */
char *cohort_tokenizer_decode(const cohort_tokenizer *tokenizer, const int32_t *tokens, int64_t count, size_t *length);

#endif
