/* Settings: the faults of keys, sections and methods are found together; optimizers serve as servers. */
#include "base/memory.h"
#include "check.h"
#include "io/config.h"
#include "train/run/settings.h"

static cohort_faults faults_of(const char *text) {
  cohort_document *document = NULL;
  cohort_error error = {0};
  CU_ASSERT_EQUAL_FATAL(cohort_config_parse(text, strlen(text), "c.yaml", &document, &error), COHORT_DONE);
  cohort_settings settings;
  cohort_faults faults = {0};
  cohort_settings_read(document, &settings, &faults);
  cohort_settings_release(&settings);
  cohort_document_destroy(document);
  return faults;
}

static void refused(const char *text, size_t count, const char *const *part) {
  cohort_faults faults = faults_of(text);
  if (faults.count != count) printf("    %s\n", faults.text ? faults.text : "no fault");
  CU_ASSERT_EQUAL(faults.count, count);
  for (size_t i = 0; i < count && part && faults.text; i++) {
    if (!strstr(faults.text, part[i])) printf("    \"%s\" lacks \"%s\"\n", faults.text, part[i]);
    CU_ASSERT_PTR_NOT_NULL(strstr(faults.text, part[i]));
  }
  cohort_faults_release(&faults);
}

static void test_all_together(void) {
  refused("steps: 1\nmodel: {mlp: {dropout: 2}}\noptimizer: {sam: {base: {adamw: {beta1: 1}}}}\n", 2,
          (const char *[]){"c.yaml:2:24: model.mlp.dropout", "c.yaml:3:41: optimizer.sam.base.adamw.beta1"});
  refused("stepz: 1\nmodel: mlpp\nloss: mes\nlosses: [mse, x]\naggregator: {pcgrad: {a: 1}}\n", 7,
          (const char *[]){"c.yaml:1:1: stepz", "steps: is missing", "c.yaml:3:1: loss: `losses` take",
                           "did you mean 'mlp'", "did you mean 'mse'", "c.yaml:4:15: losses",
                           "c.yaml:5:23: aggregator.pcgrad.a"});
  refused(
      "steps: 1\nmodel: mlp\ngroups: [{role: matrix, optimizer: {muon: {b: 1}}}]\nschedule: cosin\ndata: {trian: x}\n",
      3, (const char *[]){"groups.optimizer.muon.b", "did you mean 'cosine'", "c.yaml:5:8: data.trian"});
}

static void test_federated(void) {
  refused("steps: 1\nmodel: mlp\nfederated: {strategy: {fedadam: {beta1: 1}}, client: {sgd: {x: 1}}}\n", 2,
          (const char *[]){"federated.strategy.fedadam.beta1", "federated.client.sgd.x"});
  refused("steps: 1\nmodel: mlp\nfederated: {strategy: {lion: {beta1: 0.5}}}\n", 0, NULL);
  refused("steps: 1\nmodel: mlp\nfederated: {strategy: {lion: {beta1: 1}}}\n", 1,
          (const char *[]){"federated.strategy.lion.beta1"});
  refused("steps: 1\nmodel: mlp\nfederated: {strategy: fedadm}\n", 1, (const char *[]){"did you mean 'fedadam'"});
}

/* Nothing that is given is ignored. */
static void test_other_runs(void) {
  refused("steps: 1\nmodel: mlp\noptimizer: {sgd: {x: 1}}\nfederated: {clients_per_round: 4}\n", 2,
          (const char *[]){"c.yaml:3:1: optimizer: a federated run", "optimizer.sgd.x"});
  refused("steps: 1\nmodel: mlp\naggregator: pcgrad\npreference: dpo\nrival: 3\nevaluate: {stride: 2}\n", 4,
          (const char *[]){"c.yaml:3:1: aggregator: there is one", "c.yaml:4:1: preference: is for",
                           "c.yaml:5:1: rival: is for", "c.yaml:6:12: evaluate.stride: is for"});
  refused("steps: 1\nmodel: mlp\ntask: preference\nloss: mse\ndata: {train: a, pairs: 8, crop: 1, text: a}\n", 4,
          (const char *[]){"c.yaml:4:1: loss: task preference", "c.yaml:5:37: data.text", "c.yaml:5:18: data.pairs",
                           "c.yaml:5:28: data.crop"});
  refused("steps: 1\nmodel: mlp\ndata: {train_images: a, train_labels: a, train: a, test_labels: a}\n", 2,
          (const char *[]){"c.yaml:3:52: data.test_labels", "c.yaml:3:42: data.train:"});
  refused("steps: 1\nmodel: mlp\ntask: languag\ndata: {text: a}\n", 1, (const char *[]){"\"language\""});
  refused("steps: 1\nmodel: mlp\noptimizer: null\nfederated: {clients_per_round: 4}\n", 0, NULL);
  refused("steps: 1\nmodel: mlp\nlanes: 3\nfederated: {clients_per_round: 4}\n", 1,
          (const char *[]){"c.yaml:3:1: lanes: a federated run has a lane for each client"});
}

/* The expanded config names what the run uses, and is itself read without a fault. */
static void test_expanded(void) {
  static const char *const texts[] = {
      "steps: 1\nmodel: mlp\nfederated: {clients_per_round: 4}\n", "steps: 1\nmodel: gpt\ntask: preference\n",
      "steps: 1\nmodel: gpt\ntask: language\nlosses: [cross_entropy]\n", "steps: 1\nmodel: mlp\n"};
  static const bool has_optimizer[] = {false, true, true, true}, has_loss[] = {true, false, false, true};
  for (int i = 0; i < 4; i++) {
    cohort_document *document = NULL;
    cohort_error error = {0};
    CU_ASSERT_EQUAL_FATAL(cohort_config_parse(texts[i], strlen(texts[i]), "c.yaml", &document, &error), COHORT_DONE);
    cohort_settings settings;
    cohort_faults faults = {0};
    cohort_settings_read(document, &settings, &faults);
    CU_ASSERT_EQUAL(faults.count, 0);
    CU_ASSERT_EQUAL(cohort_document_get(settings.expanded, "optimizer") != NULL, has_optimizer[i]);
    CU_ASSERT_EQUAL(cohort_document_get(settings.expanded, "loss") != NULL, has_loss[i]);
    char *again = cohort_config_write(settings.expanded);
    refused(again, 0, NULL);
    free(again);
    cohort_settings_release(&settings);
    cohort_document_destroy(document);
  }
}

/* A foreign name is refused with the right one. */
static void says(const char *yaml, const char *wanted) {
  char *text = cohort_format_text("steps: 1\nmodel: mlp\n%s\n", yaml);
  refused(text, 1, &wanted);
  free(text);
}

static void test_foreign_names(void) {
  says("lr: 1", "c.yaml:3:1: lr: unknown key; write optimizer.METHOD.learning_rate");
  says("learning_rate: 1", "learning_rate: unknown key; write optimizer.METHOD.learning_rate");
  says("optimizer: {adamw: {lr: 1}}", "optimizer.adamw.lr: unknown key; write learning_rate");
  says("optimizer: {adamw: {betas: [0.9, 0.95]}}", "unknown key; write beta1, beta2");
  says("optimizer: {adamw: {eps: 1}}", "write epsilon");
  says("optimizer: {adamw: {momentum: 0.9}}", "write beta1");
  says("optimizer: {AdamW: {lr: 1}}", "no optimizer named 'AdamW'; did you mean 'adamw'?");
  says("optimizer: SGD", "did you mean 'sgd'?");
  says("optimizer: adamw_torch", "write adamw");
  says("batch_size: 8", "batch_size: unknown key; write batch");
  says("max_steps: 8", "write steps");
  says("num_train_epochs: 8", "write steps (epochs x training samples / batch)");
  says("epochs: 8", "write steps (epochs");
  says("max_grad_norm: 1", "write clip");
  says("output_dir: a", "write run");
  says("random_seed: 1", "write seed");
  says("warmup_steps: 8", "write schedule.METHOD.warmup");
  says("schedule: {cosine: {warmup_steps: 8}}", "schedule.cosine.warmup_steps: unknown key; write warmup");
  says("crop: 8", "crop: unknown key; write data.crop");
  says("alpha: 8", "alpha: unknown key; write lora.alpha or federated.population.dirichlet.alpha");
  says("n_layer: 8", "write model.METHOD.layers");
  says("federated: {cohort: 4}", "c.yaml:3:13: federated.cohort: unknown key; write clients_per_round");
  says("federated: {alpha: 4}", "federated.alpha: unknown key; write population.dirichlet.alpha");
  says("federated: {clients: 4}", "federated.clients: unknown key; write population.dirichlet.clients");
  says("federated: {batch_size: 4}", "federated.batch_size: unknown key; write local_batch");
  says("federated: {client_epochs: 4}", "federated.client_epochs: unknown key; write local_epochs");
  says("federated: {local_epochs: 4, local_steps: 3}", "federated.local_epochs: local_steps is given too");
  says("federated: {strategy: FedAdam}", "no federated strategy named 'FedAdam'; did you mean 'fedadam'?");
  says("zzzzzzzz: 1", "zzzzzzzz: unknown key; remove it (`cohort keys` lists all)");
  refused("steps: 1\nmodel: {gpt: {n_embd: 1, n_layer: 1, n_head: 1, num_key_value_heads: 1, intermediate_size: 1}}\n",
          5, (const char *[]){"write width", "write layers", "write heads", "write key_heads", "write feed_forward"});
  refused("steps: 1\nmodel: {mlp: {hidden_size: 1, numLayers: 1}}\n", 2,
          (const char *[]){"hidden_size: unknown key; write hidden", "numLayers: unknown key; write layers"});
}

/* "optimizer.sgd.learning_rate=0.1" over a config with another optimizer. */
static void test_another_method(void) {
  static const char *const optimizers[] = {"{adamw: {beta1: 0.8}}", "adamw"};
  for (int i = 0; i < 2; i++) {
    char *text = cohort_format_text("steps: 1\nmodel: mlp\noptimizer: %s\n", optimizers[i]);
    cohort_document *document = NULL;
    cohort_error error = {0};
    CU_ASSERT_EQUAL_FATAL(cohort_config_parse(text, strlen(text), "c.yaml", &document, &error), COHORT_DONE);
    CU_ASSERT_EQUAL_FATAL(cohort_config_override(document, "optimizer.sgd.learning_rate=0.1", &error), COHORT_DONE);
    cohort_settings settings;
    cohort_faults faults = {0};
    cohort_settings_read(document, &settings, &faults);
    static const char wanted[] =
        "the config has adamw, the command line sets sgd; to change the method, write "
        "'optimizer={sgd: {learning_rate: 0.1}}'";
    CU_ASSERT_EQUAL(faults.count, 1);
    CU_ASSERT(faults.text && strstr(faults.text, wanted));
    cohort_faults_release(&faults);
    cohort_settings_release(&settings);
    cohort_document_destroy(document);
    free(text);
  }
}

static void test_nothing_to_say(void) { refused("steps: 1\nmodel: mlp\noptimizer: null\ngroups: null\n", 0, NULL); }

/* What the whole run shows to be wrong is said at the key, or where it would stand. */
static void test_places(void) {
  static const char text[] = "steps: 1\nmodel: mlp\nbatch: 5\ndata: {train: x, crop: 1}\n";
  static const char *const keys[] = {"batch", "data.crop", "data.train_images", "lanes", "evaluate.stride"};
  static const char *const places[] = {
      "c.yaml:3:8: ", "c.yaml:4:24: ", "c.yaml:4:7: ", "c.yaml:1:1: ", "command line: "};
  cohort_document *document = NULL;
  cohort_error error = {0};
  CU_ASSERT_EQUAL_FATAL(cohort_config_parse(text, strlen(text), "c.yaml", &document, &error), COHORT_DONE);
  CU_ASSERT_EQUAL_FATAL(cohort_config_override(document, "evaluate.every=1", &error), COHORT_DONE);
  cohort_settings settings;
  cohort_faults faults = {0};
  cohort_settings_read(document, &settings, &faults);
  CU_ASSERT_EQUAL(faults.count, 0);
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    char *const wanted = cohort_format_text("%s5 is wrong", places[i]);
    CU_ASSERT_EQUAL(cohort_settings_fail(&settings, keys[i], &error, "%d is wrong", 5), COHORT_BAD_CONFIG);
    CU_ASSERT_STRING_EQUAL(error.text, wanted);
    free(wanted);
  }
  cohort_settings_release(&settings);
  cohort_document_destroy(document);
}

static const check checks[] = {
    {"faults of all methods together", test_all_together},
    {"federated", test_federated},
    {"keys of other runs", test_other_runs},
    {"expanded config", test_expanded},
    {"defaults", test_nothing_to_say},
    {"foreign names", test_foreign_names},
    {"places of what the whole run shows", test_places},
    {"another method on the command line", test_another_method},
};

int main(void) { return check_run("settings", checks, sizeof checks / sizeof *checks); }
