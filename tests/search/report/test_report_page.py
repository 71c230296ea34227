"""The page: self-contained, escaped, complete, and open about what is absent."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from plotly.offline import get_plotlyjs
from report_builder import build, landscape
from report_parser import Page

from mosegnet.common.errors import UserError
from search.report import write_report
from search.report.page import render

SECTIONS = ["front", "networks", "convergence", "remeasured", "units", "ranking", "validation", "provenance"]
FIGURES = {"front", "hypervolume", "tau", "agreement", "differences", "units"}
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7 * 6 }}"
NOTHING = {"archive": [], "generations": [], "pareto": [], "landscape": None, "validation": None, "provenance": {}}


@pytest.fixture(scope="module")
def whole() -> Page:
    return Page(render(build()))


def drawn(page: Page) -> dict:
    """The figures' data, as the page's script reads them."""
    return json.loads(page.scripts[1])


def test_loads_nothing(whole: Page) -> None:
    assert whole.scripts[0] == get_plotlyjs()
    assert all(name == "href" and value.startswith("#") for _, name, value in whole.loaded)
    assert not {"link", "iframe", "object", "embed", "img", "base"} & set(whole.tags)
    own = [*whole.scripts[1:], *whole.styles, *(value for _, value in whole.attributes)]
    for text in own:
        assert not re.search(r"https?:|@import|url\(|//[a-z]+\.|fetch\(|XMLHttpRequest", text)


def test_the_browser_is_told_to_load_nothing(whole: Page) -> None:
    policy = next(value for name, value in whole.attributes if name == "content" and "default-src" in value)
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    assert "*" not in policy


def test_every_link_inside_the_page_leads_somewhere(whole: Page) -> None:
    targets = {value for name, value in whole.attributes if name == "id"}
    links = [value[1:] for _, name, value in whole.loaded if name == "href"]
    assert sorted(links) == sorted(SECTIONS)
    assert set(links) <= targets


def test_plotly_is_inlined_once() -> None:
    assert render(build()).count("plotly.js v") == get_plotlyjs().count("plotly.js v") == 1


def test_sections_in_order_and_none_is_said_absent_in_a_whole_run(whole: Page) -> None:
    assert [name for name in whole.texts if name] == SECTIONS
    assert not any(whole.absent.values())
    assert set(drawn(whole)) == FIGURES
    assert {value for name, value in whole.attributes if name == "data-figure"} == FIGURES


def test_every_figure_has_axis_titles_with_units_a_title_and_a_caption(whole: Page) -> None:
    assert whole.tags.count("figure") == whole.tags.count("figcaption") == len(FIGURES)
    for name, figure in drawn(whole).items():
        assert figure["layout"]["xaxis"]["title"]["text"], name
        assert figure["layout"]["yaxis"]["title"]["text"] or name == "units"
    assert "(ms)" in drawn(whole)["front"]["layout"]["xaxis"]["title"]["text"]
    assert "(%)" in drawn(whole)["front"]["layout"]["yaxis"]["title"]["text"]


def test_the_numbers_appear(whole: Page) -> None:
    data = build()
    text = whole.texts["networks"]
    for record in data.pareto:
        assert f"{100 * record['miou']:.2f}" in text
        assert json.dumps(record["encoding"], separators=(",", ":")) in text
        assert f" ± {record['ci95_ms']:.2f}" in text or f" ± {record['ci95_ms']:.3f}" in text
    measured = [record for record in data.pareto if record["measured_ms"]]
    assert len(measured) == 3
    for record in measured:
        difference = 100 * (record["latency_ms"] / record["measured_ms"] - 1)
        assert f"{difference:+.1f}".replace("-", "−") in text
        assert record["model"] in text
        assert record["chosen"][0] in text
    errors = [abs(100 * (record["latency_ms"] / record["measured_ms"] - 1)) for record in measured]
    assert f"MAPE {sum(errors) / 3:.2f} %" in whole.texts["remeasured"]
    assert "Kendall’s tau 1.00" in whole.texts["remeasured"]
    assert "0.977" in whole.texts["validation"]
    assert "6.20" in whole.texts["validation"]
    assert "5f0c" * 16 in whole.texts["provenance"]


def test_a_failed_network_is_counted_with_its_reason(whole: Page) -> None:
    assert "96networks evaluated, 1 of them failed" in re.sub(r"\s*\n\s*", "", whole.texts[""])
    assert "1 of 96 networks could not be scored" in whole.texts["front"]
    assert "out of memory" in whole.texts["front"]


def test_the_same_run_gives_the_same_bytes() -> None:
    assert render(build()) == render(build())


def test_hostile_text_stays_text() -> None:
    data = build()
    pareto = [
        record | {"id": f"{k}{HOSTILE}", "chosen": [HOSTILE], "model": HOSTILE, "breakdown": [[HOSTILE, 1.0]]}
        for k, record in enumerate(data.pareto)
    ]
    failed = data.archive[0] | {"miou": None, "error": HOSTILE}
    page = Page(
        render(
            build(
                name=HOSTILE, device=HOSTILE, dataset=HOSTILE, classes=[HOSTILE], pareto=pareto,
                archive=[failed, *data.archive[1:]], provenance={HOSTILE: {HOSTILE: HOSTILE}},
            )
        )
    )  # fmt: skip
    assert page.tags.count("script") == 3
    assert "img" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.texts["provenance"].count(HOSTILE) == 5
    figures = drawn(page)
    assert "<img" not in json.dumps([figure["data"] for figure in figures.values()])
    assert "&lt;img" in json.dumps(figures["front"]["data"])


def test_a_simulated_device_is_said_loudly_and_on_the_axes(whole: Page) -> None:
    page = Page(render(build(simulated=True)))
    assert "these latencies were NOT measured on hardware" in page.texts[""]
    assert "(simulated)" in page.texts[""]
    assert "NOT measured" not in whole.texts[""]
    for name in ("front", "agreement", "differences", "units"):
        assert "simulated" in drawn(page)[name]["layout"]["xaxis"]["title"]["text"]


def test_an_empty_run_says_of_every_section_what_is_absent() -> None:
    page = Page(render(build(**NOTHING)))
    assert [name for name in page.texts if name] == SECTIONS
    assert {name: len(lines) for name, lines in page.absent.items()} == dict.fromkeys(SECTIONS, 1)
    assert drawn(page) == {}
    assert "figure" not in page.tags


def test_networks_without_a_front() -> None:
    data = build()
    page = Page(render(build(pareto=[], generations=[])))
    assert page.absent["front"] == ["The front is empty: no network has both an mIoU and a latency."]
    points = sum(len(trace["x"]) for trace in drawn(page)["front"]["data"] if trace["mode"] == "markers")
    assert points == len(data.scored)


def test_one_network() -> None:
    one = build().front[0]
    alone = {name: one[name] for name in ("id", "encoding", "miou", "latency_ms", "ci95_ms", "flops", "params")}
    generation = {"generation": 0, "evaluated": 1, "hypervolume": 0.0, "surrogate_tau": None, "seconds": 1.0}
    page = Page(render(build(pareto=[one], archive=[alone | {"generation": 0}], generations=[generation])))
    assert "too few to rank" in page.texts["remeasured"]
    assert "No two neighbours’ intervals overlap" in page.texts["networks"]
    assert page.absent["convergence"] == ["The surrogate’s tau was not recorded in any generation."]


def test_nothing_measured_again_and_nothing_taken_apart() -> None:
    pareto = [r | {"measured_ms": None, "measured_ci95_ms": None, "breakdown": []} for r in build().pareto]
    page = Page(render(build(pareto=pareto)))
    assert page.absent["remeasured"][0].startswith("Not re-measured")
    assert page.absent["units"] == ["The latency by unit was not recorded for any chosen network."]
    assert set(drawn(page)) == FIGURES - {"agreement", "differences", "units"}


def test_a_landscape_across_scales_alone_does_not_pass_for_the_whole() -> None:
    across = {name: value for name, value in landscape().items() if name != "within_scale"}
    page = Page(render(build(landscape=across)))
    assert page.absent["ranking"] == ["Within one input scale: not examined."]
    assert "nothing here says that it is more than noise" in page.texts["ranking"]


def test_pieces_that_miss_the_prediction_are_not_said_to_add_up(whole: Page) -> None:
    pareto = [r | {"breakdown": [["stem", 0.8 * r["latency_ms"]]] if r["breakdown"] else []} for r in build().pareto]
    assert "they miss it by up to 20 %" in Page(render(build(pareto=pareto))).texts["units"]
    assert "add up to the predicted latency" in whole.texts["units"]


def test_writes_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.html"
    write_report(build(), path)
    assert path.read_text(encoding="utf-8") == render(build())
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(UserError, match="it is a folder: name a file") as caught:
        write_report(build(), tmp_path / "report.html")
    assert "\n" not in str(caught.value)
