from __future__ import annotations

import pytest

from processors.publishing.policy import settled
from processors.quality.thresholds import Policy
from processors.runtime import Reject
from schemas.documents.karaoke import Quality
from schemas.work import BELOW_BAR

DOUBTFUL = Quality(
    score=0.3, needs_review=True, reasons=("The score is 30 of 100, below the bar of 60.",)
)
FINE = Quality(score=0.9)


@pytest.mark.parametrize("policy", ["review", "block", "publish"])
@pytest.mark.parametrize("asked", [False, True])
def test_what_is_good_enough_is_published_by_every_policy(policy: Policy, asked: bool) -> None:
    assert settled(FINE, policy, asked=asked, version=1) == FINE


def test_below_the_bar_is_marked_or_not_as_the_policy_says() -> None:
    assert settled(DOUBTFUL, "review", asked=False, version=1) == DOUBTFUL
    plain = settled(DOUBTFUL, "publish", asked=False, version=1)
    assert (plain.needs_review, plain.reasons, plain.score) == (False, DOUBTFUL.reasons, 0.3)


def test_block_holds_it_back_and_says_why_and_what_to_do() -> None:
    with pytest.raises(Reject) as refused:
        settled(DOUBTFUL, "block", asked=False, version=7)
    assert refused.value.code == BELOW_BAR
    assert "The score is 30 of 100" in refused.value.message
    assert "publish version 7 as it is" in refused.value.message


@pytest.mark.parametrize("policy", ["review", "block", "publish"])
def test_a_persons_word_settles_it(policy: Policy) -> None:
    qc = settled(DOUBTFUL, policy, asked=True, version=1)
    assert (qc.needs_review, qc.reviewed, qc.reasons) == (False, True, DOUBTFUL.reasons)
