"""When a host of a run gets another worker."""

from tasks.fleet import RESTART_S, STEADY_S, Pause


def test_a_worker_that_keeps_dying_is_started_less_and_less_often() -> None:
    """Each pause is twice the last, from start to start."""
    pause, starts = Pause(), []
    for now in range(100):
        if now >= pause.due_at:
            starts.append(now)
            pause.started(now)
    assert starts == [0, RESTART_S, 3 * RESTART_S, 7 * RESTART_S, 15 * RESTART_S]


def test_a_worker_that_lived_for_a_minute_starts_again_with_the_first_pause() -> None:
    """However often it died before; one that lived for less does not."""
    pause = Pause()
    for start in (0.0, 10.0, 30.0, 70.0):
        pause.started(start)
    pause.alive(70.0 + STEADY_S - 1)
    assert pause.due_at == 70.0 + 8 * RESTART_S
    pause.started(200.0)
    pause.alive(200.0 + STEADY_S)
    died = 200.0 + STEADY_S + 1
    assert died >= pause.due_at
    pause.started(died)
    assert pause.due_at == died + RESTART_S
