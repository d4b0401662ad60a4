"""Names that configs and other packages use: they outlive every move of the code behind them."""

import importlib
import sys
from importlib.metadata import entry_points

import pytest


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("axolotl_cft", "CFTPlugin"),
        ("axolotl_cft", "CFTConfig"),
        ("axolotl_cft", "CFTError"),
        ("axolotl_cft", "Prompt"),
        ("axolotl_cft", "PromptPool"),
        ("axolotl_cft", "load_pool"),
        ("axolotl_cft.strategy", "load"),
        ("axolotl_cft.chat", "load"),
        ("axolotl_cft.hooks", "hookimpl"),
        ("axolotl_cft.hooks", "hookspec"),
        ("axolotl_cft.hooks", "cft_pools"),
        ("axolotl_cft.hooks", "cft_prompt_functions"),
        ("axolotl_cft.prompts", "PromptFunction"),
        ("axolotl_cft.prompts", "PromptPool"),
        ("axolotl_cft.prompts", "load_pool"),
        ("axolotl_cft.prompts", "read_pool"),
    ],
)
def test_a_public_name_is_where_it_was(module, name):
    assert getattr(importlib.import_module(module), name)


def test_the_types_that_a_config_names_resolve():
    from axolotl_cft import CFTPlugin, chat, strategy

    CFTPlugin().register({})
    assert sys.modules["axolotl.prompt_strategies.cft"].load is strategy.load
    assert sys.modules["axolotl.prompt_strategies.cft.chat"].load is chat.load


def test_the_entry_points_are_there():
    (command,) = entry_points(group="axolotl.cli_commands", name="cft")
    (script,) = entry_points(group="console_scripts", name="axolotl-cft")
    assert command.load() is script.load()


def test_the_group_for_packages_has_its_name():
    from axolotl_cft.hooks import GROUP, hookimpl, hookspec

    assert {GROUP, hookimpl.project_name, hookspec.project_name} == {"axolotl_cft"}
