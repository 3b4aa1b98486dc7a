"""When a host stops taking work, and how it comes back."""

from worker_agent.breaker import FIRST_PAUSE_S, MOST_TRIALS, Breaker


def test_three_failures_in_a_row_open_it() -> None:
    """Two do not; a success in between starts the count anew."""
    breaker = Breaker()
    assert not breaker.failed(0.0, "500", absent=False)
    assert not breaker.failed(0.0, "500", absent=False)
    breaker.succeeded()
    assert [breaker.failed(0.0, "500", absent=False) for _ in range(3)] == [False, False, True]
    assert (breaker.state, breaker.reason) == ("open", "500")


def test_an_absent_engine_opens_it_at_once() -> None:
    """Nothing answers: there is no second request to lose."""
    breaker = Breaker()
    assert breaker.failed(0.0, "refused", absent=True)


def test_probes_come_after_growing_pauses() -> None:
    """The pause doubles up to the longest one, and is short again after a success."""
    breaker, now, pauses = Breaker(longest_pause_s=8.0), 0.0, []
    breaker.failed(now, "refused", absent=True)
    for _ in range(6):
        pauses.append(breaker.probe_at - now)
        now = breaker.probe_at
        assert breaker.probe_due(now)
        assert not breaker.probe_due(now - 0.01)
        breaker.probed(now, answered=False, reason="refused")
    assert pauses == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    breaker.succeeded()
    breaker.failed(now, "refused", absent=True)
    assert breaker.probe_at - now == FIRST_PAUSE_S


def test_one_outage_is_one_pause() -> None:
    """The other slots' failures of the same outage do not make the pause longer."""
    breaker = Breaker()
    for _ in range(5):
        assert breaker.failed(0.0, "refused", absent=True)
    assert breaker.probe_at == FIRST_PAUSE_S


def test_a_probe_lets_one_trial_through() -> None:
    """Half-open: the trial's success closes it, its failure opens it again, for longer."""
    breaker = Breaker()
    breaker.failed(0.0, "refused", absent=True)
    breaker.probed(1.0, answered=True)
    assert breaker.state == "half-open"
    assert breaker.failed(1.0, "500", absent=False)
    assert breaker.probe_at - 1.0 == 2 * FIRST_PAUSE_S
    breaker.probed(3.0, answered=True)
    breaker.succeeded()
    assert breaker.closed


def test_hope_ends_after_trials_at_the_longest_pause() -> None:
    """An engine that answers its probes and fails every trial: four of them at the longest pause, and from
    then on each who comes is one, without a pause; a success makes it well."""
    breaker, now = Breaker(longest_pause_s=4.0), 0.0
    for _ in range(3):
        breaker.failed(now, "500", absent=False)
    trials = 0
    while not breaker.hopeless:
        now = breaker.probe_at
        breaker.probed(now, answered=True)
        breaker.failed(now, "500", absent=False)
        trials += 1
    assert (trials, now) == (1 + MOST_TRIALS, 1 + 2 + 4 * (MOST_TRIALS - 1))
    breaker.try_next()
    assert breaker.state == "half-open"
    breaker.succeeded()
    assert not breaker.hopeless


def test_who_is_away_or_busy_is_never_hopeless() -> None:
    """It may come back by itself."""
    for why in ({"absent": True}, {"absent": False, "busy": True}):
        breaker = Breaker(longest_pause_s=1.0)
        for n in range(20):
            breaker.failed(float(n), "503", **why)
            breaker.probed(float(n), answered=True)
        assert not breaker.hopeless
