/* The one table of foreign names. Invariant: what a row says to write exists (tests/unit/train/test_keys.c). A look-up
 * reads the table once or twice, and happens after a fault alone. */
#include "base/foreign.h"

#include <stdio.h>
#include <string.h>

#include "base/document.h"

/* A name may have several rows: the first that the table at hand can follow counts. */
const cohort_foreign cohort_foreign_names[] = {
    /* Keys of the first edition. */
    {"cohort", "federated", "clients_per_round", "federated.clients_per_round", NULL},
    {"clients", "federated", "population.dirichlet.clients", "federated.population.dirichlet.clients", NULL},
    {"alpha", "federated", "population.dirichlet.alpha", "federated.population.dirichlet.alpha", NULL},
    {"alpha", "", NULL, "lora.alpha or federated.population.dirichlet.alpha", NULL},
    /* Adapters. */
    {"lora_alpha", NULL, "alpha", "lora.alpha", NULL},
    {"lora_r", NULL, "rank", "lora.rank", NULL},
    {"lora_rank", NULL, "rank", "lora.rank", NULL},
    {"r", "lora", "rank", "lora.rank", NULL},
    {"use_rslora", "lora", "scaling", "lora.scaling", NULL},
    {"use_dora", "lora", "dora", "lora.dora", NULL},
    {"lora_dropout", NULL, "dropout", "lora.dropout", NULL},
    {"freeze", NULL, "frozen", "groups.frozen", NULL},
    {"requires_grad", NULL, "frozen", "groups.frozen", NULL},
    {"target_modules", NULL, "targets", "lora.targets", NULL},
    /* The optimizer. */
    {"lr", NULL, "learning_rate", "optimizer.METHOD.learning_rate", NULL},
    {"learning_rate", NULL, NULL, "optimizer.METHOD.learning_rate", NULL},
    {"step_size", NULL, "learning_rate", "optimizer.METHOD.learning_rate", NULL},
    {"eta", NULL, "learning_rate", "optimizer.METHOD.learning_rate", NULL},
    {"server_lr", NULL, NULL, "federated.strategy.METHOD.learning_rate", NULL},
    {"client_lr", NULL, NULL, "federated.client.METHOD.learning_rate", NULL},
    {"betas", NULL, "beta1, beta2", "optimizer.METHOD.beta1 and optimizer.METHOD.beta2", NULL},
    {"b1", NULL, "beta1", "optimizer.METHOD.beta1", NULL},
    {"b2", NULL, "beta2", "optimizer.METHOD.beta2", NULL},
    {"momentum", NULL, "beta1", "optimizer.METHOD.momentum", NULL},
    {"beta", NULL, "momentum", NULL, NULL},
    {"mu", NULL, "momentum", NULL, NULL},
    {"wd", NULL, "weight_decay", "optimizer.METHOD.weight_decay", NULL},
    {"weight_decay", NULL, NULL, "optimizer.METHOD.weight_decay", NULL},
    {"l2", NULL, "weight_decay", "optimizer.METHOD.weight_decay", NULL},
    {"eps", NULL, "epsilon", "optimizer.METHOD.epsilon", NULL},
    {"layer_norm_epsilon", NULL, "epsilon", "model.METHOD.epsilon", NULL},
    {"rms_norm_eps", NULL, "epsilon", "model.METHOD.epsilon", NULL},
    {"optim", NULL, "optimizer", "optimizer", NULL},
    {"optimiser", NULL, "optimizer", "optimizer", NULL},
    {"max_grad_norm", NULL, "clip", "clip", NULL},
    {"grad_clip", NULL, "clip", "clip", NULL},
    {"gradient_clipping", NULL, "clip", "clip", NULL},
    {"gradient_clip_val", NULL, "clip", "clip", NULL},
    {"clip_grad_norm", NULL, "clip", "clip", NULL},
    /* The schedule. */
    {"lr_scheduler", NULL, "schedule", "schedule", NULL},
    {"lr_scheduler_type", NULL, "schedule", "schedule", NULL},
    {"scheduler", NULL, "schedule", "schedule", NULL},
    {"warmup_steps", NULL, "warmup", "schedule.METHOD.warmup", NULL},
    {"warmup_iters", NULL, "warmup", "schedule.METHOD.warmup", NULL},
    {"num_warmup_steps", NULL, "warmup", "schedule.METHOD.warmup", NULL},
    {"warmup_ratio", NULL, "warmup", "schedule.METHOD.warmup", "in steps"},
    {"warmup", NULL, NULL, "schedule.METHOD.warmup", NULL},
    {"min_lr", NULL, "floor", "schedule.METHOD.floor", "a factor on the learning rate"},
    {"eta_min", NULL, "floor", "schedule.METHOD.floor", "a factor on the learning rate"},
    /* The length of a run, its batch and its numbers. */
    {"max_steps", NULL, "steps", "steps", NULL},
    {"max_iters", NULL, "steps", "steps", NULL},
    {"num_steps", NULL, "steps", "steps", NULL},
    {"total_steps", NULL, "steps", "steps", NULL},
    {"train_steps", NULL, "steps", "steps", NULL},
    {"iterations", NULL, "steps", "steps", NULL},
    {"num_train_epochs", NULL, "steps", "steps", "epochs x training samples / batch"},
    {"num_epochs", NULL, "steps", "steps", "epochs x training samples / batch"},
    {"max_epochs", NULL, "steps", "steps", "epochs x training samples / batch"},
    {"epochs", NULL, "steps", "steps", "epochs x training samples / batch"},
    {"rounds", NULL, "steps", "steps", "a step of a federated run is a round"},
    {"num_rounds", NULL, "steps", "steps", "a step of a federated run is a round"},
    {"batch_size", NULL, "batch", "batch", NULL},
    {"batch_size", NULL, "local_batch", NULL, NULL},
    {"train_batch_size", NULL, "batch", "batch", NULL},
    {"global_batch_size", NULL, "batch", "batch", NULL},
    {"per_device_train_batch_size", NULL, "batch", "batch", "over all ranks"},
    {"micro_batch_size", NULL, "batch", "batch", "over all ranks"},
    {"random_seed", NULL, "seed", "seed", NULL},
    {"random_state", NULL, "seed", "seed", NULL},
    {"manual_seed", NULL, "seed", "seed", NULL},
    {"rng_seed", NULL, "seed", "seed", NULL},
    {"dtype", NULL, "precision", "precision", NULL},
    {"torch_dtype", NULL, "precision", "precision", NULL},
    {"mixed_precision", NULL, "precision", "precision", NULL},
    {"bf16", NULL, "precision", "precision", "precision: bf16"},
    {"fp16", NULL, "precision", "precision", "precision: bf16"},
    {"num_workers", NULL, "threads", "threads", NULL},
    {"num_threads", NULL, "threads", "threads", NULL},
    {"output_dir", NULL, "run", "run", NULL},
    {"out_dir", NULL, "run", "run", NULL},
    {"run_dir", NULL, "run", "run", NULL},
    {"logging_dir", NULL, "run", "run", NULL},
    {"save_steps", NULL, "every", "checkpoint.every", NULL},
    {"save_every", NULL, "every", "checkpoint.every", NULL},
    {"save_total_limit", NULL, "keep", "checkpoint.keep", NULL},
    {"eval_steps", NULL, "every", "evaluate.every", NULL},
    {"eval_every", NULL, "every", "evaluate.every", NULL},
    {"eval_interval", NULL, "every", "evaluate.every", NULL},
    {"eval", NULL, "evaluate", "evaluate", NULL},
    {"logging_steps", NULL, "log_every", "log_every", NULL},
    {"log_interval", NULL, "log_every", "log_every", NULL},
    {"pretrained", NULL, "model", "model", "the path of a Hugging Face folder, a run or a checkpoint"},
    {"model_name_or_path", NULL, "model", "model", "the path of a Hugging Face folder, a run or a checkpoint"},
    {"init_checkpoint", NULL, "init_from", "init_from", NULL},
    {"param_groups", NULL, "groups", "groups", NULL},
    {"zero_stage", NULL, "sharding", "sharding", "none, optimizer, gradients or parameters for ZeRO 0 to 3"},
    {"criterion", NULL, "loss", "loss", NULL},
    {"loss_fn", NULL, "loss", "loss", NULL},
    {"loss_function", NULL, "loss", "loss", NULL},
    {"arch", NULL, "model", "model", NULL},
    {"architecture", NULL, "model", "model", NULL},
    {"network", NULL, "model", "model", NULL},
    /* Models. */
    {"hidden_size", NULL, "width", "model.METHOD.width", NULL},
    {"hidden_size", NULL, "hidden", NULL, NULL},
    {"n_embd", NULL, "width", "model.METHOD.width", NULL},
    {"d_model", NULL, "width", "model.METHOD.width", NULL},
    {"embed_dim", NULL, "width", "model.METHOD.width", NULL},
    {"n_layer", NULL, "layers", "model.METHOD.layers", NULL},
    {"n_layers", NULL, "layers", "model.METHOD.layers", NULL},
    {"num_layers", NULL, "layers", "model.METHOD.layers", NULL},
    {"num_hidden_layers", NULL, "layers", "model.METHOD.layers", NULL},
    {"depth", NULL, "layers", "model.METHOD.layers", NULL},
    {"n_head", NULL, "heads", "model.METHOD.heads", NULL},
    {"n_heads", NULL, "heads", "model.METHOD.heads", NULL},
    {"num_heads", NULL, "heads", "model.METHOD.heads", NULL},
    {"num_attention_heads", NULL, "heads", "model.METHOD.heads", NULL},
    {"num_key_value_heads", NULL, "key_heads", "model.METHOD.key_heads", NULL},
    {"n_kv_heads", NULL, "key_heads", "model.METHOD.key_heads", NULL},
    {"kv_heads", NULL, "key_heads", "model.METHOD.key_heads", NULL},
    {"intermediate_size", NULL, "feed_forward", "model.METHOD.feed_forward", NULL},
    {"n_inner", NULL, "feed_forward", "model.METHOD.feed_forward", NULL},
    {"d_ff", NULL, "feed_forward", "model.METHOD.feed_forward", NULL},
    {"ffn_dim", NULL, "feed_forward", "model.METHOD.feed_forward", NULL},
    {"block_size", NULL, "context", "model.METHOD.context", NULL},
    {"n_positions", NULL, "context", "model.METHOD.context", NULL},
    {"n_ctx", NULL, "context", "model.METHOD.context", NULL},
    {"seq_len", NULL, "context", "model.METHOD.context", NULL},
    {"max_length", NULL, "context", "model.METHOD.context", NULL},
    {"max_position_embeddings", NULL, "context", "model.METHOD.context", NULL},
    {"head_dim", NULL, "head_width", "model.METHOD.head_width", NULL},
    {"attention_bias", NULL, "bias", "model.METHOD.bias", NULL},
    {"qkv_bias", NULL, "bias", "model.METHOD.bias", NULL},
    {"qk_norm", NULL, "query_key_norm", "model.METHOD.query_key_norm", NULL},
    {"tie_word_embeddings", NULL, "tied", "model.METHOD.tied", NULL},
    {"hidden_act", NULL, "activation", "model.METHOD.activation", NULL},
    {"activation_function", NULL, "activation", "model.METHOD.activation", NULL},
    {"resid_pdrop", NULL, "dropout", "model.METHOD.dropout", NULL},
    {"dropout_rate", NULL, "dropout", "model.METHOD.dropout", NULL},
    {"vocab_size", NULL, NULL, "data.tokenizer", "the tokenizer has the vocabulary"},
    /* The data. */
    {"dataset", NULL, "data", "data", NULL},
    {"dataset_mixer", NULL, "mix", "data.mix", NULL},
    {"chat_template", NULL, "chat", "data.chat", NULL},
    {"chat_template_path", NULL, "chat", "data.chat", NULL},
    {"truncation_mode", NULL, "truncation", "data.truncation", NULL},
    {"completion_only_loss", NULL, "scored", "data.scored", NULL},
    {"assistant_only_loss", NULL, "scored", "data.scored", NULL},
    {"train_file", NULL, "train", "data.train", NULL},
    {"validation_file", NULL, "validation", "data.validation", NULL},
    {"val", NULL, "validation", "data.validation", NULL},
    {"val_split", NULL, "validation_share", "data.validation_share", NULL},
    {"validation_split", NULL, "validation_share", "data.validation_share", NULL},
    {"random_crop", NULL, "crop", "data.crop", NULL},
    {"horizontal_flip", NULL, "flip", "data.flip", NULL},
    /* Federated training. */
    {"client_epochs", NULL, "local_epochs", "federated.local_epochs", NULL},
    {"epochs_per_round", NULL, "local_epochs", "federated.local_epochs", NULL},
    {"cohort_size", NULL, "clients_per_round", "federated.clients_per_round", NULL},
    {"num_clients_per_round", NULL, "clients_per_round", "federated.clients_per_round", NULL},
    {"min_fit_clients", NULL, "clients_per_round", "federated.clients_per_round", NULL},
    {"fraction_fit", NULL, "clients_per_round", "federated.clients_per_round", "a number of clients"},
    {"clients", NULL, NULL, "federated.population.dirichlet.clients", NULL},
    {"num_clients", NULL, "population.dirichlet.clients", "federated.population.dirichlet.clients", NULL},
    {"dirichlet_alpha", NULL, "population.dirichlet.alpha", "federated.population.dirichlet.alpha", NULL},
    {"local_lr", NULL, NULL, "federated.client.METHOD.learning_rate", NULL},
    /* Methods. */
    {"adamw_torch", NULL, "adamw", NULL, NULL},
    {"adamw_hf", NULL, "adamw", NULL, NULL},
    {"momentum", NULL, "sgd", NULL, "its parameter momentum"},
    {"gd", NULL, "sgd", NULL, NULL},
    {"resnet", NULL, "cnn", NULL, "kind: resnet"},
    {"lenet", NULL, "cnn", NULL, "kind: lenet"},
    {"gpt2", NULL, "gpt", NULL, "style: gpt2"},
    {"llama", NULL, "gpt", NULL, "style: llama"},
    {"transformer", NULL, "gpt", NULL, NULL},
    {"linear", NULL, "mlp", NULL, "layers: 0"},
    {"ce", NULL, "cross_entropy", NULL, NULL},
    {"nll", NULL, "cross_entropy", NULL, NULL},
    {"nll_loss", NULL, "cross_entropy", NULL, NULL},
    {"cross_entropy_loss", NULL, "cross_entropy", NULL, NULL},
    {"mse_loss", NULL, "mse", NULL, NULL},
    {"l2", NULL, "mse", NULL, NULL},
    {"cosine_annealing", NULL, "cosine", NULL, NULL},
    {"cosine_annealing_lr", NULL, "cosine", NULL, NULL},
    {"cosine_with_warmup", NULL, "cosine", NULL, "its parameter warmup"},
    {"constant_with_warmup", NULL, "warmup", NULL, NULL},
    {"linear_warmup", NULL, "warmup", NULL, NULL},
    {"fedopt", NULL, "fedadam", NULL, NULL},
    /* Losses on completions. */
    {"loss_type", NULL, "loss", "preference.METHOD.loss", NULL},
    {"loss_weights", NULL, "mix", "preference.dpo.mix", "a map, {sigmoid: 0.8, sft: 1}, with loss: mix"},
    {"f_divergence_type", NULL, "divergence", "preference.dpo.divergence", NULL},
    {"f_alpha_divergence_coef", NULL, "alpha", "preference.dpo.alpha", NULL},
    {"discopop_tau", NULL, "tau", "preference.dpo.tau", NULL},
    {"ld_alpha", NULL, "alpha", "preference.lddpo.alpha", NULL},
    {"cpo_alpha", NULL, "likelihood", "preference.cpo.likelihood", NULL},
    {"rpo_alpha", NULL, NULL, "preference.dpo.mix", "loss: mix, {sigmoid: 1, sft: rpo_alpha}"},
    {"simpo_gamma", NULL, "gamma", "preference.simpo.gamma", NULL},
    {"center_rewards_coefficient", NULL, "center", "preference.rm.center", NULL},
    {"slic", NULL, "dpo", NULL, "loss: hinge"},
    {"cdpo", NULL, "dpo", NULL, "its parameter label_smoothing"},
    {"robust", "preference", "rdpo", NULL, NULL},
    {"sigmoid", "preference", "dpo", NULL, NULL},
    {"hinge", "preference", "dpo", NULL, "loss: hinge"},
    {"sigmoid_norm", "preference", "dpo", NULL, "loss: sigmoidnorm"},
    {"exo_pair", "preference", "dpo", NULL, "loss: exopair"},
    {"nca_pair", "preference", "dpo", NULL, "loss: ncapair"},
    {"bco_pair", "preference", "dpo", NULL, "loss: bcopair"},
    {"sppo_hard", "preference", "dpo", NULL, "loss: sppohard"},
    {"apo_zero", "preference", "dpo", NULL, "loss: apozero"},
    {"apo_down", "preference", "dpo", NULL, "loss: apodown"},
    {"apo_zero_unpaired", "preference", "apozerounpaired", NULL, NULL},
    {"ld_dpo", "preference", "lddpo", NULL, NULL},
    {"aot_unpaired", "preference", "aot", NULL, "unpaired: true"},
    {"reward", "preference", "rm", NULL, NULL},
    {"bradley_terry", "preference", "rm", NULL, NULL},
    {.name = NULL},
};

static bool is_listed(const char *word, size_t length, const char *const *names, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (strlen(names[i]) == length && strncmp(names[i], word, length) == 0) return true;
  return false;
}

/* Whether the table has all of "beta1, beta2"; of a dotted key it has the first word. */
static bool has_keys(const char *keys, const char *const *names, size_t count) {
  if (!keys) return false;
  for (const char *word = keys; *word;) {
    if (!is_listed(word, strcspn(word, ".,"), names, count)) return false;
    word += strcspn(word, ",");
    word += strspn(word, ", ");
  }
  return true;
}

static bool is_meant(const cohort_foreign *row, const char *section, const char *name) {
  return cohort_same_letters(row->name, name) && (!row->section || strcmp(row->section, section) == 0);
}

bool cohort_foreign_hint(const char *section, const char *name, const char *const *names, size_t count, char *out,
                         size_t size) {
  const cohort_foreign *found = NULL;
  bool here = false;
  out[0] = '\0';
  for (const cohort_foreign *row = cohort_foreign_names; row->name && !here; row++) {
    if (!is_meant(row, section, name)) continue;
    here = has_keys(row->keys, names, count);
    if (here || (row->where && !found)) found = row;
  }
  if (!found) return false;
  (void)snprintf(out, size, "%s%s%s%s", here ? found->keys : found->where, found->note ? " (" : "",
                 found->note ? found->note : "", found->note ? ")" : "");
  return true;
}
