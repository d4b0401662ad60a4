"""Warnings about evaluations that were not made alike, and about tasks that a run lacks."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from axolotl_cft.cli.report import report
from axolotl_cft.evaluation.caveats import (
    condition_warnings,
    run_warnings,
    software_warnings,
)
from axolotl_cft.evaluation.results import Evaluation, read_run
from axolotl_cft.evaluation.software import evaluated_with
from axolotl_cft.evaluation.sources import ReportPlan, Training

GREEDY = {"until": ["."], "do_sample": False, "temperature": 0.0}
SAMPLED = {"until": ["."], "do_sample": True, "temperature": 1.0}


def machine(torch: str = "2.9.1+cu130", gpu: str = "NVIDIA H100 80GB HBM3") -> dict[str, Any]:
    """What the harness records of a machine with two GPUs, abridged."""
    lines = [
        f"PyTorch version: {torch}",
        "Is debug build: False",
        "CUDA used to build PyTorch: 13.0",
        "GPU models and configuration: ",
        *(f"GPU {index}: {gpu}" for index in range(2)),
        "",
        "Nvidia driver version: 580.82",
    ]
    return {"pretty_env_info": "\n".join(lines)}


ALIKE: dict[str, Any] = {
    **machine(),
    "results": {"cft_fiqa": {"acc,none": 0.5}, "cft_multifin": {"acc,none": 0.5}},
    "configs": {task: {"generation_kwargs": GREEDY} for task in ("cft_fiqa", "cft_multifin")},
    "config": {
        "model_args": "pretrained=m,dtype=float32",
        "model_dtype": "torch.float32",
        "device": "cuda:0",
    },
    "n-shot": {"cft_fiqa": 0, "cft_multifin": 0},
    "n-samples": {},
    "model_source": "hf",
    "lm_eval_version": "0.4.11",
    "transformers_version": "5.0.0",
}


def write(folder: Path, **changes: Any) -> Path:
    """A results file without samples, as the harness lays it out, with a few keys exchanged."""
    folder.mkdir(parents=True)
    (folder / "results_2026.json").write_text(json.dumps(ALIKE | changes))
    return folder


def read(folder: Path, name: str, seed: str = "", **changes: Any) -> Evaluation:
    return read_run(write(folder / f"{name}{seed}", **changes), name, seed)


def rows(*runs: Evaluation) -> dict[str, tuple[Evaluation, ...]]:
    found: dict[str, tuple[Evaluation, ...]] = {}
    for run in runs:
        found[run.name] = (*found.get(run.name, ()), run)
    return found


def plan(baseline: str = "cpt", **more: Any) -> ReportPlan:
    return ReportPlan("Report", baseline, (), **more)


def config(**changes: Any) -> dict[str, Any]:
    return {"config": {**ALIKE["config"], **changes}}


def test_runs_made_alike_are_not_warned_of(tmp_path: Path) -> None:
    same = [read(tmp_path, name) for name in ("cpt", "cft")]
    assert run_warnings(plan(), rows(*same), ["cft_fiqa", "cft_multifin"]) == []


def test_greedy_and_sampled_runs_are_told_apart(tmp_path: Path) -> None:
    sampled = {task: {"generation_kwargs": SAMPLED} for task in ALIKE["configs"]}
    greedy = read(tmp_path, "cpt")
    vllm = read(
        tmp_path,
        "cft",
        model_source="vllm",
        configs=sampled,
        config={"model_args": {"pretrained": "n", "dtype": "bfloat16"}},
    )
    found = run_warnings(plan(notes=("a note",)), rows(greedy, vllm), list(ALIKE["results"]))
    end = ", so their scores do not differ by the weights alone"
    assert found == [
        f"the backend differs (hf in cpt; vllm in cft){end}",
        f"the dtype differs (float32 in cpt; bfloat16 in cft){end}",
        "the generation arguments of cft_fiqa and cft_multifin differ (do_sample=false "
        f"temperature=0.0 in cpt; do_sample=true temperature=1.0 in cft){end}",
        "a note",
    ]


def test_conditions_are_the_first_warnings_of_the_report(tmp_path: Path) -> None:
    changed = {**config(device="cpu"), "chat_template": "{{messages}}", "chat_template_sha": "ab"}
    results = {"cft_fiqa": {"acc,none": 0.5, "missing,none": 0.4}}
    folders = [write(tmp_path / "cpt"), write(tmp_path / "cft", **changed, results=results)]
    write(tmp_path / "x")  # another row, as the baseline
    configs = {"cft_fiqa": ALIKE["configs"]["cft_fiqa"]}
    (folders[1] / "results_2026.json").write_text(
        json.dumps(ALIKE | changed | {"results": results, "configs": configs})
    )
    output = ["--output-dir", str(tmp_path / "out")]
    result = CliRunner().invoke(report, [*map(str, folders), *output])
    assert result.exit_code == 0, (result.output, result.exception)
    text = (tmp_path / "out" / "report.md").read_text()
    warned = text.split("## Before you believe it\n\n")[1].split("\n\n")[0].splitlines()
    assert warned[0].startswith("- the kind of device differs (cuda in cpt; cpu in cft), ")
    assert warned[1].startswith("- the chat template differs (no in cpt; yes (sha ab) in cft), ")
    assert warned[2].startswith("- cft has no result for cft_multifin; averages over it leave ")
    assert "name no label" in warned[3]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"transformers_version": "4.57.1"}, "the version of transformers differs (5.0.0 in cpt"),
        (
            machine("2.9.0+cu128"),
            "the version of torch differs (2.9.1+cu130 in cpt; 2.9.0+cu128 in",
        ),
        (
            machine(gpu="NVIDIA A100-SXM4-80GB"),
            "the GPU's model differs (NVIDIA H100 80GB HBM3 in cpt; NVIDIA A100-SXM4-80GB in cft)",
        ),
        ({"lm_eval_version": "0.4.13"}, "the version of lm-eval differs (0.4.11 in cpt; 0.4.13 in"),
        ({"system_instruction": "Be brief."}, 'the system instruction differs (none in cpt; "Be'),
        ({"fewshot_as_multiturn": True}, "few-shot examples as turns of the chat differ (no in"),
        (
            {"n-shot": dict.fromkeys(ALIKE["results"], 5)},
            "the number of few-shot examples of cft_fiqa and cft_multi",
        ),
        (config(limit=100), "the limit on items differs (none (all items) in cpt; 100 items per"),
        (
            config(model_args="pretrained=m,add_bos_token=True,max_length=512"),
            "the model arguments differ (none that change scores in cpt; add_bos_token=True "
            "max_length=512 in cft",
        ),
        (
            config(model_args={"pretrained": "m", "attn_implementation": "eager"}),
            "the model arguments differ (none that change scores in cpt; "
            "attn_implementation=eager in cft",
        ),
    ],
)
def test_what_can_change_scores_is_a_condition(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    runs = rows(read(tmp_path, "cpt"), read(tmp_path, "cft", **changes))
    assert any(found.startswith(sentence) for found in condition_warnings(plan(), runs))


def test_weights_places_speed_and_secrets_are_no_conditions(tmp_path: Path) -> None:
    arguments = "pretrained=other,peft=adapter,tokenizer=t,batch_size=8,auth_token=abc,header=xyz"
    changed = config(model_args=arguments, device="cuda:3", batch_size="auto")
    run = read(tmp_path, "cft", **changed, git_hash="123", model_name="other")
    assert condition_warnings(plan(), rows(read(tmp_path, "cpt"), run)) == []
    assert not {"abc", "xyz"} & set(" ".join(run.facts.values()).replace("=", " ").split())


def test_what_was_not_recorded_is_not_said_to_differ(tmp_path: Path) -> None:
    silent = read(tmp_path, "cft", config={}, transformers_version=None)
    assert condition_warnings(plan(), rows(read(tmp_path, "cpt"), silent)) == []


def test_a_seed_evaluated_otherwise_than_its_row_is_named(tmp_path: Path) -> None:
    seeds = [read(tmp_path, "cft", seed) for seed in "12"]
    odd = read(tmp_path, "cft", "3", model_source="vllm")
    (found,) = condition_warnings(plan(), rows(read(tmp_path, "cpt"), *seeds, odd))
    assert found.startswith(
        "the backend differs (hf in cpt, cft, seed 1 and cft, seed 2; vllm in cft, seed 3), "
    )
    (found,) = condition_warnings(plan("cft"), rows(*seeds, odd))
    assert found.startswith("the backend differs (hf in cft, seed 1 and cft, seed 2; vllm in")


def test_rows_that_are_not_compared_may_differ(tmp_path: Path) -> None:
    chat = {"chat_template": "{{messages}}", "chat_template_sha": "ab"}
    stages = {f"{arm} / {stage}": (arm, stage) for stage in ("cft", "ift") for arm in ("cpt", "x")}
    runs = [
        read(tmp_path / str(i), name, **(chat if stage == "ift" else {}))
        for i, (name, (_, stage)) in enumerate(stages.items())
    ]
    assert condition_warnings(plan(stages=stages), rows(*runs)) == []
    runs[3] = read(tmp_path / "other", runs[3].name)
    (found,) = condition_warnings(plan(stages=stages), rows(*runs))
    assert "(yes (sha ab) in cpt / ift; no in x / ift)" in found


def test_runs_without_a_task_are_named(tmp_path: Path) -> None:
    short = {key: ALIKE[key] | {} for key in ("results", "configs")}
    short = {key: {"cft_fiqa": short[key]["cft_fiqa"]} for key in short}
    whole = [read(tmp_path, "cpt"), read(tmp_path, "cft", "1")]
    lacking = [read(tmp_path, "cft", seed, **short) for seed in "23"]
    tasks = ["cft_fiqa", "cft_multifin"]
    assert run_warnings(plan(), rows(*whole, lacking[0]), tasks) == [
        "cft, seed 2 has no result for cft_multifin; averages over it leave that run out"
    ]
    (found,) = run_warnings(plan(), rows(*whole, *lacking), tasks)
    assert found == (
        "cft, seed 2 and cft, seed 3 have no result for cft_multifin; averages over it leave "
        "those runs out"
    )


def test_the_software_of_an_evaluation_is_read_as_far_as_it_is_recorded() -> None:
    assert evaluated_with(ALIKE) == {
        **{"lm_eval": "0.4.11", "transformers": "5.0.0", "torch": "2.9.1+cu130", "cuda": "13.0"},
        "gpu": "NVIDIA H100 80GB HBM3",
    }
    one = "GPU models and configuration: GPU 0: NVIDIA L4\nNvidia driver version: 580"
    assert evaluated_with({"pretty_env_info": one}) == {"gpu": "NVIDIA L4"}
    none = "PyTorch version: N/A\nGPU models and configuration: No CUDA\n"
    assert evaluated_with({"pretty_env_info": none, "transformers_version": "N/A"}) == {}
    assert "gpu" not in evaluated_with({**ALIKE, **config(device="cpu")})


def training(row: str, seed: str, stage: str = "", **software: str) -> Training:
    return Training(f"{row}, seed {seed}", row, stage, Path(), None, None, software)


def test_trainings_with_other_software_are_named_and_equal_ones_are_not() -> None:
    same = {"torch": "2.9.1", "axolotl": "0.19.0", "gpu": "NVIDIA H100"}
    alike = [training(row, seed, **same) for row in ("cpt", "cft") for seed in "12"]
    assert software_warnings(alike) == []
    assert software_warnings([*alike, training("old", "1")]) == []  # which says nothing
    other = training("cft", "3", **same | {"torch": "2.10.0", "gpu": "NVIDIA A100"})
    [found] = software_warnings([*alike, other])
    assert found == (
        "the trainings were not made with the same software (torch 2.9.1, gpu NVIDIA H100 in cpt, "
        "cft, seed 1 and cft, seed 2; torch 2.10.0, gpu NVIDIA A100 in cft, seed 3), so a "
        "difference may be due to that"
    )
    stages = [training("cft / a", "1", "a", torch="1"), training("cft / b", "1", "b", torch="2")]
    assert software_warnings(stages) == []
    assert "of stage b " in software_warnings([*stages, training("x", "1", "b", torch="3")])[0]


def test_other_software_of_a_study_stands_first(tmp_path: Path) -> None:
    arms = {"cpt": "2.9.1", "cft": "2.10.0"}
    for arm in arms:
        write(tmp_path / arm)
    runs = [
        {
            **{"arm": arm, "seed": 1, "status": "done", "eval_dir": arm, "train_dir": arm},
            "software": {"torch": torch},
        }
        for arm, torch in arms.items()
    ]
    study = {"name": "s", "baseline": "cpt", "tasks": ["cft_fiqa"], "runs": runs}
    (tmp_path / "study.json").write_text(json.dumps(study))
    result = CliRunner().invoke(report, [str(tmp_path), "--output-dir", str(tmp_path / "out")])
    assert result.exit_code == 0, (result.output, result.exception)
    text = (tmp_path / "out" / "report.md").read_text()
    assert "cft_multifin" not in text  # of which the study does not speak any more
    warned = text.split("## Before you believe it\n\n")[1].splitlines()
    assert warned[0].startswith(
        "- the trainings were not made with the same software (torch 2.9.1 in cpt; torch 2.10.0 in "
    )


@pytest.fixture
def real(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A tiny Llama through the harness's own model, greedy in float32 and sampled in bfloat16."""
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    repository = Path(__file__).parents[1]
    monkeypatch.setenv("CFT_DATA_DIR", str(repository / "axolotl_cft/demo/data/benchmarks"))
    monkeypatch.setattr("torch.utils.collect_env.get_pretty_env_info", str)
    given: dict[str, dict[str, Any]] = {
        "greedy": {
            "model_args": f"pretrained={tiny_model},dtype=float32",
            "gen_kwargs": "max_gen_toks=8",
        },
        "sampled": {
            "model_args": {"pretrained": str(tiny_model), "dtype": "bfloat16"},
            "gen_kwargs": "max_gen_toks=8,do_sample=True,temperature=1.0",
        },
    }
    for name, options in given.items():
        tracker = EvaluationTracker(output_path=str(tmp_path / name))
        results = simple_evaluate(
            model="hf",
            tasks=["cft_fiqa"],
            task_manager=TaskManager(
                include_path=str(repository / "eval_tasks"), include_defaults=False
            ),
            evaluation_tracker=tracker,
            bootstrap_iters=0,
            device="cpu",
            batch_size=4,
            limit=4,
            **options,
        )
        tracker.save_results_aggregated(results=results, samples=results.pop("samples"))
    return {name: tmp_path / name for name in given}


def test_what_the_harness_records_of_a_model_is_read(real: dict[str, Path]) -> None:
    runs = {name: read_run(folder, name) for name, folder in real.items()}
    assert runs["greedy"].facts["device"] == "cpu" and runs["greedy"].facts["backend"] == "hf"
    found = condition_warnings(plan("greedy"), rows(*runs.values()))
    starts = [sentence.split(", so")[0] for sentence in found]
    assert starts == [
        "the dtype differs (float32 in greedy; bfloat16 in sampled)",
        "the generation arguments of cft_fiqa differ (do_sample=false temperature=0.0 in greedy; "
        "do_sample=true temperature=1.0 in sampled)",
    ]
