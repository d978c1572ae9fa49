"""What a person does in Dagster's UI, in a real browser; each test goes on from the one before."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from dts_pipeline.defs.failures import error_of
from dts_pipeline_tests.integration.dagster_home import SCHEDULE_TAG
from dts_pipeline_tests.stacks import Stack
from dts_pipeline_tests.ui.browser import SCRATCH, Browser, open_browser
from dts_pipeline_tests.ui.shop import CONFLICTS, Shop, open_shop

pytestmark = [pytest.mark.servers, pytest.mark.ui, pytest.mark.timeout(1200)]
_END_SECONDS = 300.0
RANGE = """\
ops:
  replay:
    config:
      ranges:
        - topic: a.shop.customer
          partition: 0
          from: 20
          until: 60
"""


@pytest.fixture(scope="module")
def shop(stack_mariadb: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with open_shop(stack_mariadb, tmp_path_factory.mktemp("ui")) as opened:
        yield opened


@pytest.fixture(scope="module")
def instance(shop: Shop) -> Iterator[dg.DagsterInstance]:
    with shop.home.instance() as opened:
        yield opened


@pytest.fixture(scope="module")
def browser(shop: Shop, summary: list[str]) -> Iterator[Browser]:
    with open_browser(shop.url) as opened:
        yield opened
    pictures = ", ".join(f"{name} {size // 1000} kB" for name, size in opened.taken.items())
    summary.append(f"pictures in {opened.pictures}: {pictures}")


@pytest.fixture(autouse=True)
def _last_page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[None]:
    """The page where a test failed is kept."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        browser.page.screenshot(path=SCRATCH / f"failed-{request.node.name}.png")


def by_hand(instance: dg.DagsterInstance, job: str) -> list[dg.DagsterRun]:
    """The job's runs that no schedule started, the newest first."""
    runs = instance.get_runs(filters=dg.RunsFilter(job_name=job))
    return [run for run in runs if SCHEDULE_TAG not in run.tags]


def ended(instance: dg.DagsterInstance, job: str, count: int) -> list[dg.DagsterRun]:
    """The job's runs by hand once there are `count` and all have ended."""
    until = time.monotonic() + _END_SECONDS
    while time.monotonic() < until:
        runs = by_hand(instance, job)
        if len(runs) == count and all(run.is_finished for run in runs):
            return runs
        time.sleep(0.5)
    raise AssertionError(f"{job}: {[(run.run_id, run.status) for run in runs]}")


def materialize(browser: Browser, instance: dg.DagsterInstance, link: str) -> dg.DagsterRun:
    """Launches the link's job by its page's button and opens the run that has ended."""
    job = f"sync_{link}"
    before = len(by_hand(instance, job))
    browser.open_job(job)
    browser.button("Materialize").click()
    run = ended(instance, job, before + 1)[0]
    browser.open(f"/runs/{run.run_id}")
    return run


def test_the_lineage_shows_the_way_of_a_row(browser: Browser) -> None:
    browser.open("/asset-groups")
    browser.sees("a_to_b")
    browser.page.keyboard.press("Alt+e")  # expands all groups
    browser.sees("a.shop.customer", exact=True)
    browser.page.reload()  # now it fits the window

    for asset in ("customer", "a.shop.customer", "a_to_b", "b_to_a"):
        browser.sees(asset, exact=True)
    browser.take("lineage")


def test_a_sync_is_launched(browser: Browser, shop: Shop, instance: dg.DagsterInstance) -> None:
    run = materialize(browser, instance, "a_to_b")

    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert shop.count("b", "customer", "id <= 200") == 200
    browser.sees("Success", exact=True)
    for step in ("plan_ranges", "apply", "record"):
        browser.sees(step)
    browser.take("sync")


def test_the_checkpoint_says_what_it_is(browser: Browser) -> None:
    browser.open("/assets/checkpoint/a_to_b?view=overview")

    browser.button("Show more").click()
    for said in ("the row of a wins", "When something is wrong", "What a run does", "shop"):
        browser.sees(said)
    browser.take("checkpoint")


def test_the_conflicts_are_read_on_the_checkpoint(browser: Browser) -> None:
    browser.open("/assets/checkpoint/a_to_b?view=overview")
    filter_by = browser.page.get_by_placeholder("Filter metadata keys").first
    filter_by.fill("record")

    rows = browser.page.locator("tr", has=browser.page.get_by_text("open_records", exact=True))
    row = rows.last
    for said in ("shop.product", "insert_insert", str(CONFLICTS)):
        row.get_by_text(said, exact=True).first.wait_for()
    row.scroll_into_view_if_needed()
    browser.take("conflicts")


def test_figures_are_plotted_over_time(
    browser: Browser, shop: Shop, instance: dg.DagsterInstance
) -> None:
    for first, rows in ((1000, 40), (2000, 15)):
        new = ", ".join(f"({first + i}, 'p', 1)" for i in range(rows))
        shop.sql("a", f"INSERT INTO product VALUES {new}")
        materialize(browser, instance, "a_to_b")
    browser.open("/assets/checkpoint/a_to_b?view=overview")
    browser.button("Plots").click()

    browser.page.locator("canvas").first.wait_for()
    for figure in ("open_conflicts", "lag_seconds", "events"):
        plot = browser.page.get_by_text(figure, exact=True).last  # the description names it, too
        plot.wait_for()
        plot.evaluate("plot => plot.scrollIntoView({block: 'start'})")
    browser.take("plots")


def test_a_replay_is_launched_with_offsets(
    browser: Browser, shop: Shop, instance: dg.DagsterInstance
) -> None:
    # A pair's replay needs both links to have run once; the schedule may not have come to it yet.
    assert materialize(browser, instance, "b_to_a").status is dg.DagsterRunStatus.SUCCESS
    lost = "id BETWEEN 31 AND 40"
    shop.sql("b", "SET SESSION sql_log_bin = 0", f"DELETE FROM customer WHERE {lost}")
    assert shop.count("b", "customer", lost) == 0
    browser.open_job("replay_a_to_b", "playground")
    editor = browser.page.locator(".CodeMirror").first
    editor.click()
    browser.page.keyboard.press("Control+a")
    browser.page.keyboard.insert_text(RANGE)
    launch = browser.button("Launch Run")
    browser.can_click(launch)
    browser.take("replay")
    launch.click()
    browser.sees("This job is partitioned")  # an hour or offsets: here it is offsets
    browser.button("Confirm").click()

    (run,) = ended(instance, "replay_a_to_b", 1)
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert run.run_config["ops"]["replay"]["config"]["ranges"][0]["until"] == 60
    assert shop.count("b", "customer", lost) == 10
    browser.sees("Success", exact=True)


def test_two_hours_are_backfilled(browser: Browser, instance: dg.DagsterInstance) -> None:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [f"{now - timedelta(hours=back):%Y-%m-%d-%H:00}" for back in (1, 0)]
    browser.open_job("replay_a_to_b", "partitions")
    browser.button("Launch backfill").click()
    chosen = browser.page.locator('input[placeholder^="ex:"]').filter(visible=True).first
    chosen.fill(", ".join(f'"{hour}"' for hour in hours))
    chosen.press("Enter")
    submit = browser.button("Submit 2 runs")
    browser.can_click(submit)
    submit.click()

    runs = ended(instance, "replay_a_to_b", 3)[:2]
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    assert sorted(run.tags["dagster/partition"] for run in runs) == hours
    browser.open(f"/runs/b/{runs[0].tags['dagster/backfill']}")
    browser.sees("Succeeded", exact=True)
    browser.take("backfill")


def test_a_failed_run_says_what_to_do(
    browser: Browser, shop: Shop, instance: dg.DagsterInstance
) -> None:
    shop.sql("a", "ALTER TABLE purchase RENAME COLUMN placed_at TO placed")
    try:
        run = materialize(browser, instance, "b_to_a")
    finally:
        shop.sql("a", "ALTER TABLE purchase RENAME COLUMN placed TO placed_at")

    assert run.status is dg.DagsterRunStatus.FAILURE
    failures = [
        error_of(entry.dagster_event)
        for entry in instance.all_logs(run.run_id)
        if entry.dagster_event and entry.dagster_event.is_step_failure
    ]
    (error,) = [failure for failure in failures if failure]
    browser.sees("Failure", exact=True)
    browser.open(f"/runs/{run.run_id}?logs=type%3ASTEP_FAILURE")
    for said in (error.code, error.message, error.remedy):
        browser.sees(said)
    browser.take("failure")
