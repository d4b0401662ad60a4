"""While a training runs, the study's line says how far it is."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from axolotl_cft.cli import study as command
from axolotl_cft.cli.study import Display, how_far
from axolotl_cft.study.plan import Run, Step
from axolotl_cft.study.progress import TrainingProgress, training_progress


class Line:
    """Stands in for the display of all commands: remembers its newest note."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def update(self, note: str | None = None, **_: Any) -> None:
        if note is not None:
            self.notes.append(note)

    def say(self, text: str) -> None:
        pass


def bar(step: int, rate: str = "2.00it/s") -> str:
    return f"\r {step:3}%|##   | {step}/100 [00:10<00:44, {rate}]"


def logged(loss: str) -> str:
    """As transformers 5 prints what a step logs."""
    return f"{{'loss': '{loss}', 'grad_norm': '0.5', 'learning_rate': '1e-05', 'epoch': '0.1'}}\n"


def a_step(folder: Path, kind: Any = "train", seed: int = 1) -> tuple[Step, Path]:
    train = folder / f"seed{seed}" / "train"
    train.mkdir(parents=True, exist_ok=True)
    config = None if kind == "evaluate" else {"output_dir": str(train)}
    step = Step(kind, Run("cft", seed), ("true",), "identity", config)
    return step, train.parent / "train.log"


def test_the_newest_loss_is_the_training_s_own(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text(bar(1) + "\n" + logged("2.5") + bar(2) + "\n" + logged("1.25e-01"))
    with log.open("a") as file:
        file.write("{'eval_loss': '9.9', 'eval_runtime': '1'}\n{'train_loss': '8.8'}\n" + bar(3))
    found = training_progress(tmp_path, log)
    assert found is not None and (found.step, found.loss) == (3, 0.125)
    log.write_text(log.read_text() + logged("nan"))
    again = training_progress(tmp_path, log)
    assert again is not None and again.loss != again.loss


def test_without_a_printed_loss_it_is_the_last_checkpoint_s(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-10"
    folder.mkdir()
    history = [{"loss": 3.0, "step": 5}, {"loss": 2.0, "step": 10}]
    state = {"global_step": 10, "max_steps": 100, "log_history": history}
    (folder / "trainer_state.json").write_text(json.dumps(state))
    found = training_progress(tmp_path, tmp_path / "train.log")
    assert found is not None and found.loss == 2.0


def test_what_is_not_known_is_left_out() -> None:
    assert (
        how_far(TrainingProgress(12, 100, 2.0, 2.31)) == "step 12 of 100, loss 2.310, 0:00:44 left"
    )
    assert how_far(TrainingProgress(12, None, None)) == "step 12"


def test_the_line_follows_a_training_and_forgets_it_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "LOOKS", 0.01)
    line, (step, log) = Line(), a_step(tmp_path)
    with Display(line) as display:  # type: ignore[arg-type]
        log.write_text(bar(12) + "\n" + logged("2.31"))
        display.begin(step, log)
        until(lambda: "step 12 of 100, loss 2.310, 0:00:44 left" in line.notes)
        log.write_text(log.read_text() + bar(50))
        until(lambda: line.notes[-1] == "step 50 of 100, loss 2.310, 0:00:25 left")
        display.end(step, "done")
        assert line.notes[-1] == ""
        told = len(line.notes)
        time.sleep(0.1)
        assert len(line.notes) <= told + 1  # of a look that had begun before
    until(lambda: threading.active_count() == 1 or not any_follower())


def any_follower() -> bool:
    return any("_follow" in thread.name for thread in threading.enumerate())


def until(condition: Any) -> None:
    """Wait until a condition holds, ten seconds at most."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_several_trainings_are_told_apart_and_others_show_nothing(tmp_path: Path) -> None:
    line = Line()
    display = Display(line)  # type: ignore[arg-type]
    evaluation, log = a_step(tmp_path, "evaluate")
    display.begin(evaluation, log)
    assert display.note() == ""
    for seed in (1, 2):
        step, log = a_step(tmp_path, seed=seed)
        display.begin(step, log)
        assert display.note() == ("" if seed == 1 else "cft/seed1: step 1 of 100, 0:00:50 left")
        log.write_text(bar(seed))
    assert display.note() == (
        "cft/seed1: step 1 of 100, 0:00:50 left; cft/seed2: step 2 of 100, 0:00:49 left"
    )
