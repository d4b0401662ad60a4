"""Tasks that are none of ours, in the shapes that lm-eval's own tasks have, on forty local items.

Each is called after the task of the harness whose metric block it repeats; only documents and
prompts are made up. What scores them is the harness.
"""

import json
from pathlib import Path
from typing import Any

ITEMS = 40
COMMON = """
dataset_path: json
dataset_kwargs: {data_files: {test: ITEMS_FILE}}
test_split: test
"""
CHOICE = """
output_type: multiple_choice
doc_to_text: "{{text}}"
doc_to_target: label
"""
WRITTEN = """
output_type: generate_until
doc_to_text: "{{text}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["."], do_sample: false, temperature: 0.0}
"""
ROLLING = """
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
"""
MEAN = "aggregation: mean, higher_is_better: true"

TASKS = {
    "mrpc": f'{CHOICE}\ndoc_to_choice: ["no", "yes"]\nmetric_list: [metric: acc, metric: f1]',
    "cola": f'{CHOICE}\ndoc_to_choice: ["no", "yes"]\nmetric_list: [metric: mcc]',
    "hellaswag": f"""{CHOICE}
doc_to_choice: endings
metric_list:
  - {{metric: acc, {MEAN}}}
  - {{metric: acc_norm, {MEAN}}}
  - {{metric: acc_bytes, {MEAN}}}
  - metric: brier_score""",
    "truthfulqa_mc1": f"""{CHOICE}
doc_to_target: 0
doc_to_choice: endings
metric_list: [{{metric: acc, {MEAN}}}]""",
    "truthfulqa_mc2": f"""{CHOICE}
doc_to_target: 0
doc_to_choice: endings
process_results: !function scoring.mass_on_the_truth
metric_list: [{{metric: acc, {MEAN}}}]""",
    "crows_pairs": f"""{CHOICE}
doc_to_target: 0
doc_to_choice: ["more", "less"]
process_results: !function scoring.stereotypes
metric_list:
  - {{metric: likelihood_diff, aggregation: mean, higher_is_better: false}}
  - {{metric: pct_stereotype, aggregation: mean, higher_is_better: false}}""",
    "lambada": """
output_type: loglikelihood
doc_to_text: "{{text}}"
doc_to_target: " {{answer}}"
metric_list:
  - {metric: perplexity, aggregation: perplexity, higher_is_better: false}
  - {metric: acc, aggregation: mean, higher_is_better: true}""",
    "wikitext": f"""{ROLLING}
metric_list: [metric: word_perplexity, metric: byte_perplexity, metric: bits_per_byte]""",
    "pile": ROLLING,
    "words": f"{ROLLING}\nmetric_list: [metric: word_perplexity]",
    "gsm8k": f"""{WRITTEN}
metric_list: [{{metric: exact_match, {MEAN}}}]
filter_list:
  - name: strict-match
    filter: [{{function: regex, regex_pattern: "#### ([0-9]+)"}}, {{function: take_first}}]
  - name: flexible-extract
    filter: [{{function: regex, regex_pattern: "([0-9]+)"}}, {{function: take_first}}]""",
    "wmt": f"{WRITTEN}\nmetric_list: [metric: bleu, metric: ter, metric: chrf]",
    "drop": f"""{WRITTEN}
process_results: !function scoring.words_in_common
metric_list:
  - {{metric: em, {MEAN}}}
  - {{metric: f1, {MEAN}}}""",
    "humaneval": f"""{WRITTEN}
process_results: !function scoring.passes
metric_list: [{{metric: pass@1, {MEAN}}}]""",
    "bbq": f"""{CHOICE}
doc_to_choice: ["no", "yes"]
process_results: !function scoring.numpy_numbers
metric_list: [{{metric: acc, {MEAN}}}]""",
    # Scores that a function of the task's own makes of all items.
    **{
        f"own_{name}": f"""{CHOICE}
doc_to_choice: ["no", "yes"]
process_results: !function scoring.{logged}
metric_list:
  - {{metric: score, aggregation: !function scoring.{name}, higher_is_better: true}}"""
        for name, logged in (("mean", "one"), ("best", "one"), ("weighted_f1", "pair"))
    },
    "undefined": f"""{CHOICE}
doc_to_choice: ["no", "yes"]
process_results: !function scoring.not_a_number
metric_list: [{{metric: acc, {MEAN}}}]""",
    "stories": f"""{CHOICE}
doc_to_choice: ["no", "yes"]
metric_list: [{{metric: acc, {MEAN}}}]
metadata: {{version: 1.0, items_share: story}}""",
    "blocks": f"""{CHOICE}
doc_to_choice: ["no", "yes"]
metric_list: [{{metric: acc, {MEAN}}}]
metadata: {{version: 1.0, items_in_blocks_of: 15}}""",
    **dict.fromkeys(
        ("short", "brief", "tail"),
        f'{CHOICE}\ndoc_to_choice: ["no", "yes"]\nprocess_docs: !function scoring.a_few',
    ),
}
GROUPS = {
    # Of 40 and 10 items each; the outer group's average is over the leaves (lm-eval flattens it).
    "by_size": """
task: [bbq, brief]
aggregate_metric_list: [{metric: acc, weight_by_size: true}]""",
    "unweighted": """
task: [hellaswag, short]
aggregate_metric_list:
  - {metric: acc_norm, weight_by_size: false}
  - {metric: acc, weight_by_size: false}""",
    "outer": """
task:
  - group: inner
    task: [mrpc, stories]
    aggregate_metric_list: [{metric: acc, weight_by_size: true}]
  - tail
aggregate_metric_list: [{metric: acc, weight_by_size: true}]""",
    "filtered": """
task: [gsm8k]
aggregate_metric_list:
  - {metric: exact_match, filter_list: [strict-match, flexible-extract], weight_by_size: true}""",
}
SCORING = '''
import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask
from sklearn.metrics import f1_score


def mass_on_the_truth(doc, results):
    mass = np.exp([likelihood for likelihood, _ in results])
    return {"acc": mass[0] / mass.sum()}


def stereotypes(doc, results):
    (more, _), (less, _) = results
    return {"likelihood_diff": abs(more - less), "pct_stereotype": float(more > less)}


def words_in_common(doc, results):
    said, gold = set(results[0].split()), {str(doc["answer"])}
    return {"em": float(said == gold), "f1": 2 * len(said & gold) / (len(said) + len(gold))}


def passes(doc, results):
    return {"pass@1": float(str(doc["answer"]) in results[0])}


def numpy_numbers(doc, results):
    return {"acc": np.argmax([likelihood for likelihood, _ in results]) == doc["label"]}


def not_a_number(doc, results):
    return {"acc": float("nan")}


def one(doc, results):
    return {"score": results[0][0] - results[1][0]}


def mean(values):
    return float(np.mean(values))


def best(values):
    return max(values)


def pair(doc, results):
    return {"score": (doc["label"], int(results[1] > results[0]))}


def weighted_f1(pairs):
    gold, predicted = zip(*pairs)
    return f1_score(gold, predicted, average="weighted")


def a_few(documents):
    return documents.select(range(10))


class Reading(ConfigurableTask):
    """As SQuAD 2: a task in Python, whose scores are made of all answers at once."""

    VERSION = 3
    DATASET_PATH = "json"

    def __init__(self, config=None):
        super().__init__(config={"metadata": {"version": 3}})

    def download(self, dataset_kwargs=None, **kwargs):
        super().download({"data_files": {"test": "ITEMS_FILE"}})

    def has_test_docs(self):
        return True

    def test_docs(self):
        return self.dataset["test"]

    def doc_to_text(self, doc):
        return doc["text"]

    def doc_to_target(self, doc):
        return f" {doc['answer']}"

    def construct_requests(self, doc, ctx, chat_template=None, apply_chat_template=False, **kwargs):
        return [
            Instance(
                request_type="generate_until",
                doc=doc,
                arguments=(ctx, {"until": ["\\n"]}),
                idx=0,
                **kwargs,
            )
        ]

    def process_results(self, doc, results):
        pair = ({"prediction_text": results[0]}, {"answers": [str(doc["answer"])]})
        return {"exact": pair, "f1": pair}

    def aggregation(self):
        def share(pairs):
            said = [p["prediction_text"].strip() in r["answers"] for p, r in pairs]
            return 100 * sum(said) / len(said)

        return {"exact": share, "f1": share}

    def higher_is_better(self):
        return {"exact": True, "f1": True}
'''


def write_tasks(folder: Path) -> Path:
    """The folder with the tasks' YAMLs, their functions and their items."""
    folder.mkdir(parents=True)
    data = folder / "items.jsonl"
    data.write_text("".join(json.dumps(item(number)) + "\n" for number in range(ITEMS)))
    for name, text in TASKS.items():
        common = COMMON.replace("ITEMS_FILE", str(data))
        (folder / f"{name}.yaml").write_text(f"task: {name}\n{common}{text}\n")
    for name, text in GROUPS.items():
        (folder / f"{name}.yaml").write_text(f"group: {name}\n{text}\n")
    (folder / "squadv2.yaml").write_text("task: squadv2\nclass: !function scoring.Reading\n")
    (folder / "scoring.py").write_text(SCORING.replace("ITEMS_FILE", str(data)))
    return folder


def item(number: int) -> dict[str, Any]:
    return {
        "text": f"Story {number // 4}, sentence {number}: " + "it rains " * (1 + number % 5),
        "story": f"s{number // 4}",
        "label": number * number % 3 % 2,
        "answer": number,
        "endings": ["sun", "a long while of rain", f"snow {number}"],
    }


def scored(
    model: Any, folder: Path, include: Path, tasks: list[str], bare: bool = False, **options: Any
) -> Path:
    """What `lm_eval --output_path FOLDER --log_samples` does after it has parsed its options.

    `bare` is the model argument that `cft_heldout` asks for.
    """
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    bos = {"add_bos_token": False} if bare else {}
    tracker = EvaluationTracker(output_path=str(folder))
    results = simple_evaluate(
        model=model,
        tasks=tasks,
        task_manager=TaskManager(include_path=str(include), include_defaults=False),
        evaluation_tracker=tracker,
        bootstrap_iters=0,
        model_args={"pretrained": f"canned/{folder.name}", **bos},
        **options,
    )
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for task in results["configs"]:
        tracker.save_results_samples(task_name=task, samples=samples[task])
    return folder
