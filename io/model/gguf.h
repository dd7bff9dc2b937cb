/* GGUF, version 2 and 3 (https://github.com/ggml-org/ggml, docs/gguf.md): metadata, a table of tensors, their bytes.
 * Read alone. */
#ifndef COHORT_IO_MODEL_GGUF_H
#define COHORT_IO_MODEL_GGUF_H

#include "io/model/card.h"
#include "io/model/tensor_file.h"

/* The model and its tensors. F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K can be read; tensors of
 * other types stand in the set by their names. COHORT_BAD_DATA: no GGUF, cut short or damaged, names twice, another
 * architecture, or what gpt has not.
 */
cohort_status cohort_gguf_read(const char *path, cohort_model_card *card, cohort_tensor_set *set, cohort_error *error);

/* FOLDER/tokenizer.json from the file's own tokenizer, with its chat template in tokenizer_config.json. */
cohort_status cohort_gguf_write_tokenizer(const char *path, const char *folder, cohort_error *error);

#endif
