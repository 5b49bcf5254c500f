import time

from maskrcnn_jax.training.watchdog import Watchdog


def test_what_a_run_waits_for_is_told_once_and_again_when_that_doubles(caplog):
    with Watchdog(0.2) as watchdog:
        watchdog.waits_for("the images of step 7")
        time.sleep(0.55)
        told = [record.getMessage() for record in caplog.records]
        assert len(told) == 2
        assert all(line.endswith(" s for the images of step 7") for line in told)
        watchdog.waits_for("the devices")
        time.sleep(0.1)
        assert len(caplog.records) == 2
        time.sleep(0.3)
        assert caplog.records[-1].getMessage().endswith("for the devices")
    count = len(caplog.records)
    time.sleep(0.5)
    assert len(caplog.records) == count


def test_a_run_that_moves_is_left_alone(caplog):
    with Watchdog(0.2) as watchdog:
        for step in range(10):
            watchdog.waits_for(f"step {step}")
            time.sleep(0.05)
    assert not caplog.records


def test_what_was_waited_for_is_summed_up_by_kind(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    watchdog = Watchdog(300)
    for start, kind in ((1, "input"), (3, "step"), (7, "input"), (8, "compile"), (18, "step"), (18.5, "host")):
        now[0] = start
        watchdog.waits_for("it", kind)
    assert watchdog.seconds == {"input": 3, "compile": 10, "step": 4.5, "host": 1}
