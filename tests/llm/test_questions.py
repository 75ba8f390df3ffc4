"""Which questions go together."""

from __future__ import annotations

from actors.llm.questions import Questions
from actors.vocab.units import NS_PER_S
from tests.llm.kit import inputs

S = NS_PER_S
INTERVAL = 10 * S


def questions(*, items_max: int = 25) -> Questions:
    return Questions(batch_wait_ns=0, items_max=items_max, age_max_ns=30 * S)


def symbols(one: Questions, now_ns: int) -> list[str]:
    due = one.due(now_ns, INTERVAL)
    one.take(due, now_ns)
    return [question.inputs.symbol for question in due]


def ask(one: Questions, now_ns: int, *names: str) -> None:
    for name in names:
        one.put(inputs(name), now_ns)


def test_symbols_of_different_phases_come_to_share_a_call() -> None:
    one = questions()
    ask(one, 0, "A")
    assert symbols(one, 0) == ["A"]
    ask(one, S, "B")
    assert symbols(one, S) == ["B"]
    ask(one, 9 * S, "A", "B")
    assert symbols(one, 9 * S) == []
    assert symbols(one, 10 * S) == ["A", "B"]  # B a second early
    ask(one, 19 * S, "A", "B")
    assert symbols(one, 20 * S) == ["A", "B"]


def test_who_is_far_from_due_does_not_come_along() -> None:
    one = questions()
    ask(one, 0, "A")
    symbols(one, 0)
    ask(one, 6 * S, "B")
    symbols(one, 6 * S)
    ask(one, 9 * S, "A", "B")
    assert symbols(one, 10 * S) == ["A"]


def test_company_never_passes_the_batchs_bound_and_the_longest_unasked_goes_first() -> None:
    one = questions(items_max=2)
    ask(one, 0, "A")
    symbols(one, 0)
    ask(one, S, "B", "C")
    symbols(one, S)
    ask(one, 9 * S, "A", "B", "C")
    assert symbols(one, 10 * S) == ["A", "B"]
    assert symbols(one, 11 * S) == ["C"]  # C and B were equally long unasked


def test_a_question_put_back_waits_for_its_moment_even_if_others_go() -> None:
    one = questions()
    ask(one, 0, "A")
    (failed,) = one.due(0, INTERVAL)
    one.take([failed], 0)
    failed.not_before_ns = 5 * S
    one.back(failed, S)
    ask(one, 4 * S, "B")
    assert symbols(one, 4 * S) == ["B"]
    assert symbols(one, 5 * S) == ["A"]
