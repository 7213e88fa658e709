"""The study's page and key."""

import base64
import collections
import json
import re

import numpy as np
import pytest
from study_reports import COLORS, DRIVING, FPS, FRAMES, SIZE, SOURCE, write_report

from motion_transformer_jax.data.video import probe_video, read_frames
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.reporting.study import GUTTER_PX, write_study
from motion_transformer_jax.reporting.study_key import read_key

SYSTEMS = list(COLORS)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return write_report(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def study(report, tmp_path_factory):
    """The page's folder and the key."""
    folder = tmp_path_factory.mktemp("study")
    return folder, write_study([report], folder / "study.html", questions=12, seed=5)


def page_content(folder):
    text = (folder / "study.html").read_text()
    return json.loads(re.search(r'<script type="application/json" id="study">(.*?)</script>', text, re.DOTALL)[1])


def test_every_two_systems_are_compared_equally_often_and_on_both_sides(study):
    folder, key = study
    assert read_key(folder / "study_key.json") == key
    assert key.systems == SYSTEMS and len(key.questions) == 12
    sides = collections.Counter((question.left, question.right) for question in key.questions)
    assert sides == {(a, b): 2 for a in SYSTEMS for b in SYSTEMS if a != b}
    for pair in ({"motion transformer", "mraa"}, {"fomm <b>", "mraa"}):
        videos = [question.video for question in key.questions if {question.left, question.right} == pair]
        assert sorted(videos) == ["v0", "v1", "v2", "v3"]


def test_the_page_shows_what_the_key_says(study, tmp_path):
    folder, key = study
    questions = page_content(folder)["questions"]
    assert [question["id"] for question in questions] == [question.id for question in key.questions]
    for question, asked in list(zip(questions, key.questions, strict=True))[:4]:
        path = tmp_path / f"{question['id']}.mp4"
        path.write_bytes(base64.b64decode(question["video"]))
        frames = list(read_frames(path))
        assert len(frames) == FRAMES and probe_video(path).fps == FPS
        side = 2 * SIZE + GUTTER_PX
        assert frames[1].shape == (side, side, 3)
        middle, far = SIZE // 2, side - SIZE // 2
        expected = {
            (middle, middle): SOURCE,
            (middle, far): DRIVING,
            (far, middle): COLORS[asked.left],
            (far, far): COLORS[asked.right],
        }
        for place, color in expected.items():
            np.testing.assert_allclose(frames[1][place], color, atol=12)


def test_the_page_does_not_tell_the_systems(study):
    folder, _ = study
    text = re.sub(r'"video": "[^"]*"', "", (folder / "study.html").read_text()).lower()
    for secret in ("fomm", "mraa", "transformer", "videos/", '"v0"', "key.json"):
        assert secret not in text
    assert not re.search(r'(src|href)="(?!data:)', text)  # nothing is loaded


def test_the_seed_decides(report, study, tmp_path):
    _, key = study
    again = write_study([report], tmp_path / "a.html", questions=12, seed=5)
    other = write_study([report], tmp_path / "b.html", questions=12, seed=6)
    assert again == key
    assert other.study != key.study and [q.video for q in other.questions] != [q.video for q in key.questions]


def test_pairs_share_few_questions_and_many_are_not_invented(report, tmp_path):
    few = write_study([report], tmp_path / "few.html", questions=4)
    pairs = collections.Counter(frozenset((q.left, q.right)) for q in few.questions)
    assert sorted(pairs.values()) == [1, 1, 2]
    assert len(write_study([report], tmp_path / "many.html", questions=1000).questions) == 12


def test_systems_of_one_name_are_told_by_their_reports(tmp_path):
    reports = [write_report(tmp_path / name, ["mraa"], videos=1) for name in ("long", "short")]
    key = write_study(reports, tmp_path / "study.html")
    assert key.systems == [f"{report.as_posix()}/mraa" for report in reports]
    assert len(key.questions) == 1


def change_clip(report, **fields):
    content = json.loads((report / "metrics.json").read_text())
    for video in content["systems"][0]["videos"]:
        video.update(fields)
    (report / "metrics.json").write_text(json.dumps(content))


def test_bad_input_leaves_no_file(report, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    single = write_report(tmp_path / "single", ["mraa"], videos=1)
    other_data = write_report(tmp_path / "other", ["mraa"], videos=1, dataset="vox256")
    larger = write_report(tmp_path / "larger", ["mraa"], videos=1, size=48)
    longer = write_report(tmp_path / "longer", ["fomm <b>"], videos=1, frames=4)
    misshaped = write_report(tmp_path / "misshaped", ["fomm <b>"], videos=1, size=48, image_size=SIZE)
    without = write_report(tmp_path / "without", ["fomm <b>"], videos=1)
    change_clip(without, clip=None)
    strange = write_report(tmp_path / "strange", ["fomm <b>"], videos=1)
    change_clip(strange, name="w")
    for reports, name, message in (
        ([single], "a.html", "has one system, mraa; expected two or more"),
        ([single, single], "a.html", "given twice"),
        ([single, other_data], "a.html", r"is on vox256 \(test\) at 32 pixels but .* on flat \(test\) at 32 pixels"),
        ([single, larger], "a.html", "at 48 pixels but"),
        ([single, longer], "a.html", "different numbers of frames"),
        ([single, misshaped], "a.html", "192 by 48 pixels, expected 128 by 32"),
        ([single, without], "a.html", "no clips of fomm"),
        ([single, strange], "a.html", "no video in common"),
        ([tmp_path], "a.html", "holds no metrics.json"),
        ([report], "a.htm", "is an .html page"),
        ([report], "missing/a.html", "there is no folder"),
    ):
        with pytest.raises(UserError, match=message) as error:
            write_study(reports, out / name)
        assert "\n" not in str(error.value)
        assert not list(out.iterdir())


def play(page, key, times=1):
    """Waits for the video, and presses a key."""
    for _ in range(times):
        page.wait_for_function("!document.getElementById('left').disabled")
        before = page.inner_text("#count")
        page.keyboard.press(key)
        page.wait_for_function(
            "text => document.getElementById('count').innerText !== text || !document.getElementById('end').hidden",
            arg=before,
        )


def test_answers_by_keyboard_mouse_and_after_a_reload(chromium, study, tmp_path):
    folder, key = study
    with chromium.open(folder / "study.html") as opened:
        page = opened.page
        assert page.is_visible("#intro") and "12 comparisons" in page.inner_text("#intro")
        page.keyboard.press("Enter")
        assert page.inner_text("#count") == "1 of 12" and page.is_disabled("#back")
        play(page, "ArrowLeft")
        play(page, "2")
        play(page, "ArrowRight")
        page.click("#back")
        assert page.inner_text("#count") == "3 of 12"
        assert page.get_attribute("#right", "aria-pressed") == "true"
        page.wait_for_function("!document.getElementById('left').disabled")
        page.click("#left")  # another mind
        page.wait_for_function("document.getElementById('count').innerText === '4 of 12'")
        page.reload()
        assert page.is_visible("#question") and page.inner_text("#count") == "4 of 12"
        assert page.evaluate("document.getElementById('progress').value") == 3
        assert page.evaluate("document.getElementById('video').loop")
        page.click("#pause")
        assert page.evaluate("document.getElementById('video').paused")
        page.click("#pause")
        play(page, "1", times=9)
        assert page.is_visible("#end") and "12 of 12" in page.inner_text("#end")
        with page.expect_download() as download:
            page.click("#download")
        download.value.save_as(tmp_path / "answers.json")
        assert opened.problems == []
    answers = json.loads((tmp_path / "answers.json").read_text())
    assert (answers["study"], answers["seed"], answers["finished"]) == (key.study, 5, True)
    assert re.fullmatch("[0-9a-f]{24}", answers["participant"])
    assert [answer["question"] for answer in answers["answers"]] == [question.id for question in key.questions]
    assert [answer["choice"] for answer in answers["answers"]] == ["left", "right", "left"] + 9 * ["left"]
    assert all(0 <= answer["seconds"] < 60 for answer in answers["answers"])


def test_an_unfinished_study_can_be_downloaded_and_fits_a_phone(chromium, study):
    folder, _ = study
    with chromium.open(folder / "study.html", width=360, height=740, color_scheme="dark") as opened:
        page = opened.page
        page.click("#start")
        play(page, "1")
        assert opened.overflow() == 0
        page.click("#stop")
        assert "1 of 12" in page.inner_text("#end") and page.is_hidden("#anew")
        with page.expect_download() as download:
            page.click("#download")
        answers = json.loads(download.value.path().read_text())
        assert not answers["finished"] and len(answers["answers"]) == 1
        page.click("#resume")
        assert page.inner_text("#count") == "2 of 12"
        assert opened.problems == []
