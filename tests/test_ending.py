"""A training that is told to stop goes on from where it was; only one that has ended says so."""

import contextlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from conftest import make_documents, write_jsonl
from host import fit as fit_here
from host import host_config, prepare, write_config
from safetensors.torch import load_file
from torch.utils.data import DataLoader, Dataset
from transformers import Trainer, TrainerControl, TrainerState

from axolotl_cft.errors import CFTError
from axolotl_cft.host.data_workers import outlive_signals
from axolotl_cft.host.ending import STOPPED, EndState, StopWhenTold, saves_what_it_needs
from axolotl_cft.host.output_dir import checkpoints, is_whole, read_state
from axolotl_cft.records import TrainingLedger
from axolotl_cft.study import outcome

DROPOUT = {
    **{"adapter": "lora", "lora_r": 4, "lora_alpha": 8, "lora_target_linear": True},
    **{"lora_dropout": 0.2, "lora_mlp_kernel": False, "lora_qkv_kernel": False},
    "lora_o_kernel": False,
}
"""Also its random numbers have to go on where they were."""

PACKED = {
    **{"sample_packing": True, "pad_to_sequence_len": False},
    **{"multipack_real_batches": False, "curriculum_sampling": True},
}
RESUMED = {"auto_resume_from_checkpoints": True}


@pytest.fixture
def config(tmp_path: Path, tiny_model: Path) -> dict[str, Any]:
    """Two epochs, a regular checkpoint at every fourth step."""
    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(21))
    config = host_config(tmp_path, tiny_model, corpus, num_epochs=2)
    del config["max_steps"]
    return config | {"save_strategy": "steps", "save_steps": 4}


@pytest.fixture(autouse=True)
def nobody_else_is_told() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def fit(config: dict[str, Any]) -> Any:
    """Train as a process of its own does: the host draws a LoRA's first weights without a seed."""
    torch.manual_seed(0)
    return fit_here(config)


def in_folder(config: dict[str, Any], name: str) -> dict[str, Any]:
    return {**config, "output_dir": str(Path(config["output_dir"]).parent / name)}


def trained(config: dict[str, Any]) -> dict[str, torch.Tensor]:
    [weights] = Path(config["output_dir"]).glob("*model.safetensors")
    return load_file(weights)


def check_same(config: dict[str, Any], other: dict[str, Any]) -> None:
    """The same weights, counts and losses; both have ended."""
    ours, theirs = trained(config), trained(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    folders = [Path(each["output_dir"]) for each in (config, other)]
    one, two = (TrainingLedger.read(folder / "cft_ledger.json") for folder in folders)
    assert one.trained is not None and one.trained.tokens_lost is not None
    assert one.trained == two.trained and one.software == two.software
    states = [read_state(folder) for folder in folders]
    assert all(state is not None and state.reached_end for state in states)
    losses = [[e["loss"] for e in state.history if "loss" in e] for state in states if state]
    assert losses[0] == losses[1]


class Killed(BaseException):
    """Leaves the files as SIGKILL does."""


def killed(*arguments: Any) -> None:
    raise Killed


class Told:
    """Sends SIGTERM to this process within some of the host's training steps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.within: tuple[int, ...] = ()
        step = Trainer.training_step

        def told(trainer: Any, *arguments: Any, **options: Any) -> Any:
            for _ in range(self.within.count(trainer.state.global_step + 1)):
                os.kill(os.getpid(), signal.SIGTERM)
            return step(trainer, *arguments, **options)

        monkeypatch.setattr(Trainer, "training_step", told)

    def stops(self, config: dict[str, Any], *within: int) -> list[int]:
        """Go on with a training until it has stopped; the steps of the checkpoints it left."""
        self.within = within
        before = signal.getsignal(signal.SIGTERM)
        with pytest.raises(SystemExit) as stopped:
            fit(config | RESUMED)
        assert stopped.value.code == STOPPED == 143
        assert signal.getsignal(signal.SIGTERM) is before
        output = Path(config["output_dir"])
        assert not (output / "trainer_state.json").exists()
        with pytest.raises(CFTError, match="before its last step"):
            outcome.check_training(output, "'train_runtime'", config)
        return [int(path.name.split("-")[1]) for path in checkpoints(output)]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    return Told(monkeypatch)


# --- in the host -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(DROPOUT, marks=pytest.mark.long, id="unpacked"),
        pytest.param(PACKED, id="packed"),
    ],
)
def test_a_training_that_is_stopped_again_and_again_is_the_one_that_was_not(
    config: dict[str, Any], told: Told, monkeypatch: pytest.MonkeyPatch, kind: dict[str, Any]
) -> None:
    whole, config = in_folder(config | kind, "whole"), config | kind
    steps = fit(whole).state.max_steps
    an_epoch = steps // 2
    assert an_epoch > 5 and steps == 2 * an_epoch

    assert told.stops(config, 1, 1) == [1]  # told twice
    assert not list(Path(config["output_dir"]).glob("*model.safetensors"))
    assert told.stops(config, 4) == [1, 4]  # where the host saves anyway

    with monkeypatch.context() as patch:  # killed before the checkpoint is whole
        patch.setattr(Trainer, "_save_rng_state", killed)
        told.within = (5,)
        with pytest.raises(Killed):
            fit(config | RESUMED)
    assert not is_whole(checkpoints(Path(config["output_dir"]))[-1])
    outcome.clear_half_checkpoints(Path(config["output_dir"]))

    assert told.stops(config, an_epoch)[-1] == an_epoch
    told.within = (steps,)  # it ends by itself
    fit(config | RESUMED)
    check_same(config, whole)
    outcome.check_training(Path(config["output_dir"]), "", config)


def test_a_signal_while_a_checkpoint_is_saved_takes_that_one(
    config: dict[str, Any], told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Trainer._save_rng_state

    def told_meanwhile(trainer: Any, folder: str) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        save(trainer, folder)

    monkeypatch.setattr(Trainer, "_save_rng_state", told_meanwhile)
    assert told.stops(config) == [4]


@pytest.mark.slow
def test_the_evaluation_at_an_epochs_end_comes_before_the_checkpoint(
    config: dict[str, Any], told: Told
) -> None:
    config |= {"save_strategy": "epoch", "eval_strategy": "epoch", "val_set_size": 0.2}
    del config["save_steps"]
    _, meta = prepare(config)
    last = -(-len(meta.train_dataset) // config["micro_batch_size"])
    assert told.stops(config, last) == [last]
    state = read_state(Path(config["output_dir"]) / f"checkpoint-{last}")
    assert state is not None and state.epoch == 1.0 and state.last("eval_loss") is not None


def test_a_run_that_something_else_cuts_short_has_not_ended(config: dict[str, Any]) -> None:
    fit(config)
    output = Path(config["output_dir"])
    outcome.check_training(output, "", config)
    fit(config | {"loss_watchdog_threshold": 1e-6, "loss_watchdog_patience": 1})
    assert not (output / "trainer_state.json").exists()  # nor what the run before has left
    with pytest.raises(CFTError, match="before its last step"):
        outcome.check_training(output, "'train_runtime'", config)


def test_what_trained_is_in_the_ledger_and_in_every_checkpoint(config: dict[str, Any]) -> None:
    fit(config | {"max_steps": 4})
    output = Path(config["output_dir"])
    [now] = TrainingLedger.read(output / "cft_ledger.json").software
    assert now.versions.keys() == {"torch", "axolotl", "transformers", "accelerate", "axolotl-cft"}
    assert now.versions["torch"] == version("torch")
    assert (now.cuda, now.devices) == (torch.version.cuda, {"cpu": 1})

    path = output / "checkpoint-4/trainer_state.json"
    state = json.loads(path.read_text())
    [kept] = state["stateful_callbacks"]["TrainedTokens"]["attributes"]["software"]
    kept["versions"]["torch"] = "1.0"  # begun with another
    path.write_text(json.dumps(state))
    fit(config | RESUMED | {"max_steps": 5})
    software = TrainingLedger.read(output / "cft_ledger.json").software
    assert [part.versions["torch"] for part in software] == ["1.0", version("torch")]


# --- the host's own programs, under its launchers ----------------------------------------------

SLOWLY = '''
import time
import torch
from axolotl.integrations.base import BasePlugin
from transformers import TrainerCallback

# The host resumes on a rank's own device, and torch knows no CPU by number.
torch.serialization.register_package(
    0, lambda storage: None, lambda storage, place: storage if place[:4] == "cpu:" else None
)


class Slowly(TrainerCallback):
    def on_step_begin(self, *arguments, **options):
        time.sleep(0.1)


class OnCPU(BasePlugin):
    """Test only: the host forces device_map to the rank's GPU; there is none here."""

    def load_datasets(self, cfg, preprocess=False):
        cfg.device_map = {"": "cpu"}

    def add_callbacks_post_trainer(self, cfg, trainer):
        return [Slowly()]
'''


class Started:
    """A training in processes of its own, which lead a group as those of a study do."""

    def __init__(self, config: dict[str, Any], *launcher: str):
        self.output = Path(config["output_dir"])
        folder = self.output.parent
        (folder / "on_cpu.py").write_text(SLOWLY)
        config = config | RESUMED | {"plugins": [*config["plugins"], "on_cpu.OnCPU"]}
        path = write_config(folder / f"{self.output.name}.yml", config)
        places = [str(folder), os.environ.get("PYTHONPATH", "")]
        environment = {"ACCELERATE_USE_CPU": "true", "PYTHONPATH": os.pathsep.join(places)}
        self.log = folder / "processes.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*launcher, "-m", "axolotl.cli.train", str(path)],
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**os.environ, **environment},
                start_new_session=True,
            )

    def has(self, found: Callable[[], Any]) -> None:
        """Wait until something is there."""
        while not found():
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            time.sleep(0.01)

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self) -> int:
        """The exit status, when all processes of the group are gone."""
        status = self.process.wait(timeout=400)
        deadline = time.monotonic() + 60
        while members_of(self.process.pid):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return status


def members_of(group: int) -> list[psutil.Process]:
    """The living processes of a group."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@pytest.fixture
def start() -> Iterator[Callable[..., Started]]:
    """Starts trainings, and leaves none behind where a test fails."""
    started: list[Started] = []

    def start(config: dict[str, Any], *launcher: str) -> Started:
        started.append(Started(config, *launcher))
        return started[-1]

    yield start
    for run in started:
        if run.process.poll() is None:
            for process in [*run.workers(), run.process]:
                process.kill()
            run.process.wait()


PYTHON = (sys.executable,)
ACCELERATE = (sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1")
TWO_RANKS = (
    *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"),
)


@pytest.mark.slow
def test_the_hosts_program_is_stopped_twice_and_ends_as_if_it_never_was(
    config: dict[str, Any], start: Callable[..., Started]
) -> None:
    config |= {"num_epochs": 4}
    whole = in_folder(config, "whole")
    fit(whole)
    output = Path(config["output_dir"])
    for launcher, expected in (
        (PYTHON, STOPPED),
        (ACCELERATE, -signal.SIGTERM),  # the launcher dies at once, its trainer saves
    ):
        begun = len(checkpoints(output))
        run = start(config, *launcher)
        run.has(lambda begun=begun: len(checkpoints(output)) > begun)
        os.killpg(run.process.pid, signal.SIGTERM)
        assert run.end() == expected
        assert is_whole(checkpoints(output)[-1])
        assert not list(output.glob("model*")) and not (output / "trainer_state.json").exists()
    last = start(config, *PYTHON)
    assert last.end() == 0, last.log.read_text()[-4000:]
    check_same(config, whole)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(1200)
def test_ranks_stop_together_whichever_of_them_was_told(
    config: dict[str, Any], start: Callable[..., Started]
) -> None:
    config |= {"num_epochs": 4, "ddp_backend": "gloo"}
    whole = in_folder(config, "whole")
    undisturbed = start(whole, *TWO_RANKS)
    assert undisturbed.end() == 0, undisturbed.log.read_text()[-4000:]
    output = Path(config["output_dir"])

    one = start(config, *TWO_RANKS)
    one.has((output / "checkpoint-4/trainer_state.json").exists)
    ranks = [p for p in one.workers() if p.environ().get("LOCAL_RANK") == "1"]
    ranks[0].send_signal(signal.SIGTERM)
    assert one.end() != 0
    stopped = checkpoints(output)[-1]
    assert is_whole(stopped) and len(list(stopped.glob("rng_state_*.pth"))) == 2
    assert not (output / "trainer_state.json").exists()

    both = start(config, *TWO_RANKS)
    begun = len(checkpoints(output))
    both.has(lambda: len(checkpoints(output)) > begun)
    both.process.terminate()  # torchrun tells its workers
    assert both.end() != 0
    assert is_whole(checkpoints(output)[-1])

    last = start(config, *TWO_RANKS)
    assert last.end() == 0, last.log.read_text()[-4000:]
    check_same(config, whole)


# --- the processes that load data --------------------------------------------------------------


class Own(Dataset):
    """Each item is the process that made it."""

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> int:
        return os.getpid()


def test_a_data_worker_outlives_a_signal_unless_it_is_its_parents() -> None:
    loader = DataLoader(Own(), num_workers=1, worker_init_fn=random.seed)
    outlive_signals(loader)
    items = iter(loader)
    worker = psutil.Process(int(next(items)))
    for _ in range(2):
        # as any other process would send it
        subprocess.run(["kill", "-TERM", str(worker.pid)], check=True)
    assert {int(item) for item in items} == {worker.pid}

    others = set(multiprocessing.active_children())  # which a test before may have left
    items = iter(loader)
    next(items)
    [child] = set(multiprocessing.active_children()) - others
    child.terminate()  # as is done when the trainer exits
    child.join(30)
    assert child.exitcode == 0


# --- the callbacks alone -----------------------------------------------------------------------


def test_checkpoints_that_hold_too_little_or_are_not_wanted_are_not_made() -> None:
    def kept(strategy: str, only_model: bool) -> bool:
        return saves_what_it_needs(
            SimpleNamespace(save_strategy=strategy, save_only_model=only_model)
        )

    assert kept("steps", False) and kept("epoch", False)
    assert not kept("no", False) and not kept("steps", True)


def test_a_run_that_stops_itself_early_has_ended(tmp_path: Path) -> None:
    args = SimpleNamespace(output_dir=str(tmp_path))
    path = tmp_path / "trainer_state.json"
    state = TrainerState(global_step=3, max_steps=9, is_world_process_zero=True)
    for stops_early, cut_short, expected in (
        (False, True, False),
        (True, True, True),
        (False, False, True),  # fewer steps than the host expected
    ):
        callback = EndState(stops_early)
        path.write_text("{}")
        callback.on_train_begin(args, state, TrainerControl())
        assert not path.exists()
        callback.on_train_end(args, state, TrainerControl(should_training_stop=cut_short))
        assert path.exists() == expected
    found = read_state(tmp_path)
    assert found is not None and found.step == 3
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_best_model_alone_is_no_checkpoint_to_go_on_from() -> None:
    callback = StopWhenTold(SimpleNamespace())
    callback.told = True
    args = SimpleNamespace(world_size=1, save_strategy="best")
    state = TrainerState(global_step=3, epoch=0.5)
    due = TrainerControl(should_evaluate=True)
    callback.on_step_end(args, state, due)
    assert not due.should_training_stop  # the host would ask the evaluation whether to save
    free = TrainerControl()
    callback.on_step_end(args, state, free)
    assert free.should_save and free.should_training_stop
