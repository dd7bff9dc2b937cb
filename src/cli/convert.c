/* `cohort convert`: released models and Cohort's own, both ways, on one rank. Nothing that is there is overwritten. */
#include "cli/convert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/command.h"
#include "io/file.h"

typedef struct convert_words {
  const char *from, *form, *base;
  cohort_convert_options options;
  bool merge;
} convert_words;

static cohort_status read_words(const cohort_command_line *line, convert_words *out, cohort_error *error) {
  *out = (convert_words){.options = {.shard = INT64_C(5) << 30}};
  for (int w = 0; w < line->count; w++) {
    const char *word = line->word[w], *value = w + 1 < line->count ? line->word[w + 1] : NULL;
    if (strcmp(word, "--merge") == 0) {
      out->merge = true;
    } else if (strcmp(word, "--bf16") == 0) {
      out->options.bf16 = true;
    } else if (strcmp(word, "--form") == 0 && value) {
      out->form = value;
      w++;
    } else if (strcmp(word, "--base") == 0 && value) {
      out->base = value;
      w++;
    } else if (strcmp(word, "--shard") == 0 && value) {
      char *end = NULL;
      const double megabytes = strtod(value, &end);
      if (end == value || *end || !(megabytes > 0 && megabytes < 1e9))
        return cohort_fail(error, COHORT_BAD_CONFIG, "convert: --shard %s: expected a number of megabytes", value);
      out->options.shard = (int64_t)(megabytes * 1e6);
      w++;
    } else if (word[0] == '-' || out->options.to) {
      return cohort_fail(error, COHORT_BAD_CONFIG, "convert: unexpected %s; see cohort convert --help", word);
    } else if (out->from) {
      out->options.to = word;
    } else {
      out->from = word;
    }
  }
  if (!out->options.to)
    return cohort_fail(error, COHORT_BAD_CONFIG, "convert: give FROM and TO; see cohort convert --help");
  return COHORT_DONE;
}

/* The form that TO is meant in. */
static const char *form_of(const convert_words *words) {
  const size_t length = strlen(words->options.to);
  if (words->form) return words->form;
  if (length > 3 && strcmp(words->options.to + length - 3, ".h5") == 0) return "hdf5";
  return cohort_model_files_are(words->from) || cohort_peft_is(words->from) ? "cohort" : "huggingface";
}

static cohort_status write_form(cohort_convert_source *source, const convert_words *words, const char *form,
                                cohort_error *error) {
  const bool apart = strcmp(form, "cohort") == 0 || strcmp(form, "peft") == 0;
  if (source->has_adapter && !words->merge && !apart)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "%s: has adapters; --merge adds them to the weights, --form peft writes them alone",
                       words->from);
  source->merge = words->merge && source->has_adapter;
  if (strcmp(form, "peft") == 0) return cohort_convert_to_peft(source, &words->options, error);
  if (strcmp(form, "cohort") == 0) return cohort_convert_to_cohort(source, &words->options, error);
  if (strcmp(form, "huggingface") == 0) return cohort_convert_to_huggingface(source, &words->options, error);
  if (strcmp(form, "hdf5") == 0) return cohort_convert_to_hdf5(source, &words->options, error);
  return cohort_fail(error, COHORT_BAD_CONFIG, "convert: --form %s: write cohort, huggingface, peft or hdf5", form);
}

static cohort_status run(const cohort_command_line *line, cohort_error *error) {
  convert_words words;
  COHORT_TRY(read_words(line, &words, error));
  if (cohort_file_exists(words.options.to))
    return cohort_fail(error, COHORT_BAD_CONFIG, "%s: is there already; name another, or remove it", words.options.to);
  cohort_convert_source source;
  COHORT_TRY(cohort_convert_open(words.from, words.base, &source, error));
  const char *form = form_of(&words);
  const cohort_status status = write_form(&source, &words, form, error);
  if (status == COHORT_DONE) {
    int64_t parameters = 0;
    for (int t = 0; t < source.tensors; t++) {
      int64_t elements = 1;
      for (int a = 0; a < source.tensor[t].axes; a++) elements *= source.tensor[t].size[a];
      parameters += elements;
    }
    printf("%s: %s, %lld parameters in %d tensors, as %s\n", words.options.to,
           cohort_architecture_name(source.card.architecture), (long long)parameters, source.tensors, form);
    if (source.lacks_tokenizer) printf("without a tokenizer: the file that %s names is not there\n", words.from);
  }
  cohort_convert_close(&source);
  return status;
}

const cohort_verb cohort_verb_convert = {
    .name = "convert",
    .synopsis = "FROM TO [--form cohort|huggingface|peft|hdf5] [--bf16] [--shard MB] [--merge] [--base MODEL]",
    .summary = "convert models: Hugging Face folders and GGUF to Cohort's own form, and back",
    .help =
        "FROM: a Hugging Face folder (config.json, safetensors), a .gguf file, a PEFT adapter's folder, plain HDF5, a "
        "run\n"
        "or a checkpoint's file. Models of GPT-2, Llama, SmolLM, Qwen2 and Qwen3. TO must not be there. Its form, "
        "unless "
        "--form\n"
        "says it: hdf5 for NAME.h5 (/parameters/<tensor>, as probe reads them); of a released model cohort, a folder "
        "that\n"
        "train (model: FOLDER), eval and generate take; of a run huggingface. --bf16: safetensors in BF16 instead of "
        "F32;\n"
        "--shard: files of at most so many megabytes; --merge: adds adapters to the weights; --form peft: a run's "
        "adapters\n"
        "alone; --base: the model of a PEFT adapter, where its own config names none that is here, or of which plain\n"
        "HDF5 (NAME.h5 with /parameters/<tensor>) has the weights.",
    .run = run,
};
