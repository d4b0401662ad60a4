"""How the software of two trainings differs, in words."""

from axolotl_cft.records import Software, software_difference

OLD = Software(versions={"torch": "2.12.0", "axolotl": "0.19.0"}, cuda="12.8", devices={"A100": 8})
NEW = Software(versions={"torch": "2.13.0", "axolotl": "0.19.0"}, cuda="13.0", devices={"H100": 8})


def test_what_differs_is_named_and_what_does_not_is_left_out() -> None:
    assert software_difference([OLD], [NEW]) == (
        "torch 2.12.0 against 2.13.0, CUDA 12.8 against 13.0, devices 8 × A100 against 8 × H100"
    )
    assert software_difference([OLD], [OLD.model_copy()]) is None


def test_a_training_that_was_resumed_under_other_software_differs_from_both() -> None:
    moved = OLD.model_copy(update={"devices": {"A100": 4, "H100": 4}})
    assert software_difference([OLD, moved], [OLD]) == (
        "devices 8 × A100 then 4 × A100 and 4 × H100 against 8 × A100"
    )
    assert software_difference([moved], [OLD, moved]) == (
        "devices 4 × A100 and 4 × H100 against 8 × A100 then 4 × A100 and 4 × H100"
    )


def test_what_is_missing_is_none_and_what_is_unknown_no_difference() -> None:
    cpu = Software(versions={"torch": "2.12.0"}, devices={"A100": 8})
    assert (
        software_difference([OLD], [cpu]) == "axolotl 0.19.0 against none, CUDA 12.8 against none"
    )
    assert software_difference([], [OLD]) is None and software_difference([OLD], []) is None
