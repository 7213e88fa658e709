"""What the settings mean in the command's words."""

from dataclasses import replace

import pytest

from motion_transformer_jax.errors import UserError
from motion_transformer_jax.inference.options import AnimationOptions
from motion_transformer_jax.web.choices import FORMATS, Choices

CHOICES = Choices(
    checkpoint="puppets",
    mode="relative",
    find_best_frame=False,
    side_by_side=False,
    crop="none",
    driving_crop="none",
    paste_back=False,
    smooth=False,
    multiply=1,
    form="mp4",
)


@pytest.mark.parametrize(
    ("chosen", "meant"),
    [
        ({}, {}),
        ({"find_best_frame": True}, {"best_frame": "auto"}),
        ({"side_by_side": True}, {"view": "side-by-side"}),
        *[({name: "auto"}, {name: "auto"}) for name in ("crop", "driving_crop")],
        *[({name: True}, {name: True}) for name in ("paste_back", "smooth")],
        ({"multiply": 1.5}, {"multiply": 1.5}),
        # The other modes look neither at a best frame nor at the strength.
        ({"mode": "absolute", "multiply": 1.5, "find_best_frame": True, "smooth": True}, {"smooth": True}),
    ],
    ids=str,
)
def test_each_choice_is_an_option(chosen, meant):
    choices = replace(CHOICES, **chosen)
    assert choices.options() == AnimationOptions(mode=choices.mode, **meant)


def test_a_number_out_of_range():
    with pytest.raises(UserError, match="motion is multiplied by 9; expected between 0 and 5"):
        replace(CHOICES, multiply=9).options()


@pytest.mark.parametrize("form", ["mkv", "x/../../mp4", None])
def test_a_format_that_is_not_offered(form):
    assert [replace(CHOICES, form=known).form for known in FORMATS] == ["mp4", "webm", "gif"]
    with pytest.raises(ValueError, match=f"the format is '{form}'; expected one of mp4, webm, gif"):
        replace(CHOICES, form=form)
