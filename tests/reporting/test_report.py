"""The report's folder: what its table, its files and its page say, and that the page works in a browser."""

import csv
import dataclasses
import html.parser
import math
import re
from urllib.parse import unquote

import numpy as np
import pytest

from motion_transformer_jax.data.puppets import PuppetVideos
from motion_transformer_jax.data.video_writer import write_image, write_video
from motion_transformer_jax.errors import UserError
from motion_transformer_jax.reporting.media import rank_videos
from motion_transformer_jax.reporting.report import markdown_table, write_report
from motion_transformer_jax.reporting.results import Evaluation, Figure, SystemResult, VideoResult, read_results
from motion_transformer_jax.reporting.tables import format_metric, main_table

NAMES = ["id0#walk", "a,b", 'line\nbreak "quoted"', "<script>alert(1)</script>", "ä?x=%41&y", "one", "two"]
_FRAMES = 12


def system(name="ours", figures=None, videos=None, **fields) -> SystemResult:
    figures = {metric: Figure(value, 20, "frames") for metric, value in (figures or {}).items()}
    fields = {"step": 100, "seed": 3, "parameters": 1_230_000, "frames_per_second": 12.5, **fields}
    return SystemResult(name, "motion_transformer", f"runs/{name}", figures=figures, videos=videos or [], **fields)


def evaluation(*systems, dataset="puppets", **fields) -> Evaluation:
    return Evaluation(dataset, "test", 64, "puppets", 0, list(systems), **fields)


def ranked(name="ours", errors=(0.3, 0.1, 0.5, 0.2, 0.4, 0.6, 0.7), clips=True) -> SystemResult:
    """A system with a video for each of NAMES; clips are numbered."""
    videos = [
        VideoResult(video, _FRAMES, {"l1": error}, f"{name}/videos/{number}#.mp4" if clips else None)
        for number, (video, error) in enumerate(zip(NAMES, errors, strict=True))
    ]
    return system(name, {"l1": float(np.mean(errors))}, videos, pictures={"attention": f"{name}/attention.png"})


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> bytes:
    """A clip as an evaluation writes it: four panels side by side."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    puppets = PuppetVideos(split="test", num_identities=1, clips_per_identity=1, num_frames=_FRAMES, size=64)
    frames = puppets.clip(0).frames
    error = np.minimum(2 * np.abs(frames.astype(np.int16) - frames[:1]), 255).astype(np.uint8)
    panels = [np.concatenate([frames[0], frame, frames[0], e], axis=1) for frame, e in zip(frames, error, strict=True)]
    write_video(path, panels, fps=25)
    return path.read_bytes()


def write_files(folder, evaluation, clip):
    """The clips and pictures that an evaluation names."""
    for one in evaluation.systems:
        (folder / one.name / "videos").mkdir(parents=True)
        for video in one.videos:
            if video.clip:
                (folder / video.clip).write_bytes(clip)
        for number, picture in enumerate(one.pictures.values()):
            write_image(folder / picture, np.full((20, 40, 3), 40 * number, np.uint8))
    return folder


class Page(html.parser.HTMLParser):
    """Tags of a page with their attributes, and the text of its tables' cells."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.cells, self.text, self._in_cell = [], [], path.read_text("utf-8"), False
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("td", "th"):
            self.cells.append("")
            self._in_cell = True

    def handle_endtag(self, tag):
        self._in_cell &= tag not in ("td", "th")

    def handle_data(self, data):
        if self._in_cell:
            self.cells[-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_table_in_the_papers_form():
    fomm = system("fomm", {"l1": 0.05, "psnr": 20.0, "akd": 2.0, "mkr": 0.02, "aed": 0.1})
    ours = system("a|b", {"l1": 0.04, "psnr": 21.0, "akd": 3.0, "mkr": 0.01})
    assert markdown_table(evaluation(fomm, ours)).splitlines() == [
        "| | L1 ↓ | (AKD, MKR) ↓ | AED ↓ | PSNR ↑ |",
        "|---|---|---|---|---|",
        "| fomm | 0.0500 | (**2.000**, 0.0200) | **0.1000** | 20.00 |",
        "| a\\|b | **0.0400** | (3.000, **0.0100**) | \N{EN DASH} | **21.00** |",
    ]


def test_papers_rows_stand_below_for_its_datasets():
    lines = markdown_table(evaluation(system(figures={"l1": 0.05, "akd": 1.5}), dataset="vox256")).splitlines()
    assert lines[2] == "| ours | 0.0500 | 1.500 |"  # a single system is not the best of anything
    assert lines[-1] == "| Motion transformer (paper) | 0.038 | 1.18 |"


def test_what_is_printed_equal_is_equally_good_and_what_is_no_number_is_not():
    values = {"a": 0.04001, "b": 0.04002, "c": 0.05, "d": math.nan}
    table = main_table(evaluation(*(system(name, {"l1": value}) for name, value in values.items())))
    assert [cells[0].best for _, cells in table.rows] == [True, True, False, False]
    assert table.rows[3][1][0].text == "\N{EN DASH}"


def test_counts_stand_once_where_they_are_equal():
    a, b = (system(name, {"l1": 0.1, "akd": 1.0}) for name in "ab")
    b.figures["akd"] = Figure(1.0, 1234, "frames")
    table = main_table(evaluation(a, b))
    assert [column.note for column in table.columns] == ["20 frames", "frames"]
    assert [[cell.note for cell in cells] for _, cells in table.rows] == [["", "20"], ["", "1,234"]]


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [("l1", 0.04567, "0.0457"), ("psnr", -1.234, "\N{MINUS SIGN}1.23"), ("psnr", math.inf, "∞"), ("akd", 0, "0.000")],
)
def test_digits_of_metrics(metric, value, text):
    assert format_metric(metric, value) == text


def test_videos_are_ranked_by_their_mean_over_systems():
    a = ranked("a", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, math.nan))
    b = ranked("b", (0.9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1))
    assert rank_videos([a]) == NAMES[5::-1]
    assert rank_videos([a, b]) == [NAMES[i] for i in (0, 5, 4, 3, 2, 1)]


def test_csv_has_a_row_for_each_system_and_video_whatever_their_names(tmp_path):
    a, b = ranked("a", clips=False), ranked("b, c", clips=False)
    a.videos[0].metrics["psnr"], a.figures["psnr"] = math.inf, Figure(math.inf, 1, "frames")
    write_report(tmp_path, evaluation(a, b))
    with open(tmp_path / "videos.csv", encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["system", "video", "frames", "l1", "psnr"]
    assert [row[:2] for row in rows] == [[name, video] for name in ("a", "b, c") for video in NAMES]
    assert rows[0][2:] == ["12", "0.3", ""]


def test_page_asks_for_nothing_and_shows_names_as_they_are(tmp_path, clip):
    found = evaluation(ranked(), notices=["no <b>LPIPS</b>"])
    path = write_report(write_files(tmp_path, found, clip), found)
    assert read_results(tmp_path) == found
    page = Page(path)
    addresses = [attributes.get(name) for _, attributes in page.tags for name in ("src", "href", "srcset")]
    assert not [
        address for address in filter(None, addresses) if re.match(r"\w+:|//", address) and address[:5] != "data:"
    ]
    assert not re.search(r"@import|url\(|https?://", page.text)
    assert len(page.all("script")) == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "no &lt;b&gt;LPIPS&lt;/b&gt;" in page.text
    files = [unquote(attributes["href"]) for attributes in page.all("a") if ".mp4" in attributes["href"]]
    assert len(files) == len(NAMES)
    assert all((tmp_path / file).is_file() for file in files)


def test_worst_and_best_videos_are_inside(tmp_path, clip):
    found = evaluation(ranked("a"), ranked("b", (0.3, 0.1, 0.5, 0.2, 0.4, 0.6, 0.9)))
    write_files(tmp_path, found, clip)
    page = Page(write_report(tmp_path, found, num_extremes=2))
    labels = [attributes["aria-label"] for attributes in page.all("video")]
    order = [NAMES[i] for i in (6, 5, 1, 3)]
    assert labels == [f"Source, driving, result and error of {name} by {one}" for name in order for one in "ab"]
    assert [len(attributes["alt"]) > 5 for attributes in page.all("img")] == [True, True]


def test_few_videos_are_not_shown_twice(tmp_path, clip):
    found = evaluation(ranked())
    write_files(tmp_path, found, clip)
    assert len(Page(write_report(tmp_path, found, num_extremes=5)).all("video")) == len(NAMES)


def test_what_does_not_fit_is_linked(tmp_path, clip):
    found = evaluation(ranked())
    write_files(tmp_path, found, clip)
    page = Page(write_report(tmp_path, found, video_bytes=2 * len(clip) + 5, picture_bytes=10))
    labels = [attributes["aria-label"] for attributes in page.all("video")]
    assert [label.split(" of ")[1] for label in labels] == ["two by ours", "a,b by ours"]  # the worst and the best
    assert page.all("img") == []
    assert "4 of the 6 did not fit into this page" in page.text
    assert "1 of the 1 did not fit into this page" in page.text
    assert {attributes["href"] for attributes in page.all("a")} >= {"ours/attention.png", "ours/videos/4%23.mp4"}


def test_animation_plays_ahead_of_its_sheet(tmp_path, clip):
    one = ranked(clips=False)
    one.pictures["animation, relative"] = "ours/animation-relative.png"
    write_files(tmp_path, evaluation(one), clip)
    (tmp_path / "ours" / "animation-relative.mp4").write_bytes(clip)
    page = Page(write_report(tmp_path, evaluation(one)))
    section = page.text.index('id="animation"')
    video = page.text.index("data:video/mp4")
    sheet = page.text.index('alt="animation, relative by ours"')
    assert section < video < sheet < page.text.index('id="pictures"') < page.text.index('alt="attention by ours"')


def test_report_without_files(tmp_path):
    """Clips that were not kept, and pictures that are not there, leave a page of tables."""
    one = ranked(clips=False)
    page = Page(write_report(tmp_path, evaluation(one)))
    assert page.all("video") == page.all("img") == []
    assert "no video was kept" in page.text


def test_comparison_is_with_the_first_system(tmp_path):
    errors = np.random.default_rng(0).uniform(0.2, 0.5, len(NAMES))
    a, b, c = (ranked(name, errors + offset, clips=False) for name, offset in (("a", 0), ("b", 0.1), ("c", -0.1)))
    page = Page(write_report(tmp_path, evaluation(a, b, c)))
    assert "Each system minus <strong>a</strong>" in page.text
    verdicts = [cell for cell in page.cells if cell in ("better", "worse", "not clear")]
    assert verdicts == ["worse", "better"]
    assert "With fewer than ten videos intervals are too narrow" in page.text
    alone = Page(write_report(tmp_path, evaluation(a)))
    assert "Each system minus" not in alone.text


def test_paper_regression_and_animation_tables(tmp_path):
    distances = {mode: {"aed": Figure(0.25, 30, "frames")} for mode in ("relative", "absolute")}
    errors = {"error_px": Figure(2.5, 60, "joints"), "error_share": Figure(0.0123, 60, "joints")}
    one = dataclasses.replace(ranked(clips=False), regression=errors, animation=distances)
    one.figures["akd"] = Figure(1.5, 80, "frames")
    page = Page(write_report(tmp_path, evaluation(one, dataset="taichi256")))
    cells = [cell.strip() for cell in page.cells]
    assert {"6.649", "0.057", "2.5", "0.0123", "0.2500"} <= set(cells)
    assert "Its AKD, MKR and AED come from other detectors" in page.text
    assert all("scope" in attributes for attributes in page.all("th"))
    plain = Page(write_report(tmp_path, evaluation(ranked(clips=False))))
    assert "As printed in the paper" not in plain.text
    assert "Landmark regression" not in plain.text


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no folder"):
        write_report(tmp_path / "nowhere", evaluation(ranked(clips=False)))


@pytest.fixture(scope="module")
def opened(tmp_path_factory, clip):
    """The page of a comparison with all that a page can have."""
    distances = {"relative": {"aed": Figure(0.25, 30, "frames"), "akd": Figure(1.0, 30, "frames")}}
    errors = {"error_px": Figure(2.5, 60, "joints")}
    systems = [
        dataclasses.replace(ranked(name, values), animation=distances, regression=errors)
        for name, values in (("fomm", (0.3, 0.1, 0.5, 0.2, 0.4, 0.6, 0.7)), ("a system of a long name", (0.2,) * 7))
    ]
    for number, one in enumerate(systems):
        one.figures["psnr"] = Figure(20.0, 84, "frames")
        for index, video in enumerate(one.videos[1:]):
            video.metrics["psnr"] = 10.0 * index + number
    found = evaluation(*systems, dataset="vox256", notices=["a-notice-without-a-space-" * 8])
    return write_report(write_files(tmp_path_factory.mktemp("report # ä"), found, clip), found)


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_page_fits_its_window(chromium, opened, width, color_scheme):
    with chromium.open(opened, width=width, color_scheme=color_scheme) as watched:
        assert watched.overflow() == 0
        paper = watched.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (min(map(int, re.findall(r"\d+", paper))) > 200) == (color_scheme == "light")
        assert watched.problems == []


def test_videos_play(chromium, opened):
    with chromium.open(opened) as watched:
        videos = watched.play_videos()
        assert len(videos) == 12  # three worst and three best of two systems
        for video in videos:
            assert video["ready"] >= 2
            assert video["width"] == 4 * 64
            assert video["moved"] > 0
        pictures = watched.page.evaluate("[...document.images].map(image => image.naturalWidth)")
        assert pictures == [40, 40]
        assert watched.problems == []


def test_table_of_videos_sorts_and_filters(chromium, opened):
    with chromium.open(opened) as watched:
        rows = "[...document.querySelectorAll('#all-videos tbody tr')].filter(row => !row.hidden)"
        column = rows + ".map(row => row.cells[%d].textContent)"
        heading = watched.page.locator("#all-videos th button", has_text="PSNR")
        heading.click()
        shown = watched.page.evaluate(column % 4)
        assert shown[:3] == ["0.00", "1.00", "10.00"]
        assert shown[-2:] == ["\N{EN DASH}"] * 2
        heading.click()
        shown = watched.page.evaluate(column % 4)
        assert shown[:2] == ["51.00", "50.00"]
        assert shown[-2:] == ["\N{EN DASH}"] * 2  # what is missing stays below
        watched.page.fill("#filter", "TWO")
        assert watched.page.evaluate(column % 0) == ["two", "two"]
        assert watched.page.inner_text("#shown") == "2 of 14"
        assert watched.problems == []


def test_a_request_and_an_error_would_be_noticed(chromium, tmp_path):
    path = tmp_path / "bad.html"
    path.write_text("<img src='http://localhost/x.png'><script>missing()</script><p style='width: 2000px'>wide")
    with chromium.open(path) as watched:
        assert watched.overflow() > 0
        assert any("localhost" in problem for problem in watched.problems)
        assert any("missing is not defined" in problem for problem in watched.problems)
