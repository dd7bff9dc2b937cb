/* Settings: the faults of keys, sections and methods are found together; optimizers serve as servers. */
#include "check.h"
#include "io/config.h"
#include "train/settings.h"

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
  refused("stepz: 1\nmodel: mlpp\nloss: mes\nlosses: [mse, x]\naggregator: {pcgrad: {a: 1}}\n", 6,
          (const char *[]){"c.yaml:1:1: stepz", "steps: is missing", "did you mean 'mlp'", "did you mean 'mse'",
                           "c.yaml:4:15: losses", "c.yaml:5:23: aggregator.pcgrad.a"});
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

static void test_nothing_to_say(void) { refused("steps: 1\nmodel: mlp\noptimizer: null\ngroups: null\n", 0, NULL); }

static const check checks[] = {
    {"faults of all methods together", test_all_together},
    {"federated", test_federated},
    {"defaults", test_nothing_to_say},
};

int main(void) { return check_run("settings", checks, sizeof checks / sizeof *checks); }
