"""
How fast requests may be sent with one API key: Hevo answers a hundred in any 60 seconds, whoever sends them.

A :class:`Pace` lets requests pass evenly, with a small burst, and never more than the limit in any 60 seconds. What
others do with the key (workers, other triggerers, people) is not known. So where Hevo says that the limit is reached,
the pace drops by half, comes back within seconds to somewhat less than what Hevo has just answered, and rises from
there, slowly at first::

    requests a minute
    100 ┤─────┐                                      ┌──
        │     │                               ▄▄▄▄▀▀▀
        │     │ refused            ▄▄▄▄▄▀▀▀▀▀▀
     50 ┤     └──▄▄▄▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀
        └─────────────────────────────────────────────▶ minutes

A process with a larger share gives more of it back, so several processes come to share the key fairly.
"""

from __future__ import annotations

from collections import deque
from math import log2

from hevo_provider.clock import Clock

DEFAULT_LIMIT = 100.0  # requests a minute (API.md, limit)
WINDOW = 60.0  # seconds in which Hevo counts
NO_PAUSE = 0.001  # seconds: less than a clock of seconds since the epoch can tell for certain
MARGIN = 0.5  # seconds by which a request may come earlier, after the one before it, than it was sent
BURST = 4  # requests: those of a start that resyncs objects, the most that one has as a rule
KEPT, KEPT_FOR = 3, 30.0  # requests of a start, and the seconds in which a worker takes it up
SENT_LATER = 10.0  # seconds; from when a start is let through until a worker sends it, as a rule
UNTOLD_REST = 1.0  # seconds without requests after a refusal that does not say how long
LONGEST_REST = 300.0  # seconds, however long Hevo asks to wait
SLOWEST = 0.2  # of the limit: the pace at which is asked whether there is room again
GIVEN_BACK = 0.2  # of what Hevo has answered in the last minute, if that was all that it allows; less, if it was less
DOUBLES_IN = 5.0  # seconds, from half of a pace back to it
UNUSED = 0.85  # of the pace: where it goes back to if others have used up the limit
SETTLED_IN = WINDOW / 4  # seconds after a refusal in which another one says nothing new about our share
RISES_BY = 0.01  # of the limit in a minute from what was too much, eight times that in two, 27 times in three


class Pace:
    """
    The pace of one event loop.

    :param clock: where time comes from.
    :param limit: requests in any 60 seconds; not 0.
    """

    def __init__(self, clock: Clock, limit: float) -> None:
        self.limit = limit
        self._clock = clock
        self._sent: deque[float] = deque()
        """When those were let through that Hevo may still count."""
        self._tokens, self._filled_at = float(BURST), clock.monotonic()
        self._rests_until = self._lowered_at = float("-inf")
        self._lowered_to = self._back_to = self._too_much = limit
        self._back_in = 0.0  # seconds from when the pace was lowered to when it is back
        self._rises_for = 0.0  # minutes from then until it is what was too much
        self._answered_at = self._kept_until = float("-inf")

    @property
    def is_lowered(self) -> bool:
        """Whether Hevo has said that the limit is reached, and the pace is not yet what it was before."""
        return self.per_minute < self.limit

    @property
    def per_minute(self) -> float:
        """The requests a minute that are let through at present."""
        since = self._clock.monotonic() - self._lowered_at
        if since < self._back_in:
            return self._lowered_to * 2.0 ** (since / DOUBLES_IN)  # type: ignore[no-any-return]
        # A cubic curve, as that by which TCP finds its share: flat where the last refusal came from.
        minutes = (since - self._back_in) / 60.0 - self._rises_for
        return min(self.limit, self._too_much + self.limit * RISES_BY * minutes**3)

    def pause(self, number: int = 1, *, of_a_start: bool = False) -> float:
        """
        Return the seconds until requests may be sent.

        :param number: how many.
        :param of_a_start: whether a start is to be let through, which is sent later, as those before it are.
        """
        now = self._clock.monotonic()
        rate = self.per_minute / WINDOW
        self._tokens = min(float(BURST), self._tokens + (now - self._filled_at) * rate)
        self._filled_at = now
        number = min(number, BURST)
        pause = max(self._rests_until - now, (number - self._tokens - 1e-9) / rate)
        sent = self._sent_lately(now)
        beyond = len(sent) + number - int(self.limit)
        if now < self._kept_until:
            # Hevo still counts starts that were let through more than a minute ago, and those to come besides.
            beyond += KEPT if of_a_start else max(KEPT, int(self.limit * SENT_LATER / WINDOW))
        if beyond > 0 and sent:
            pause = max(pause, sent[min(beyond, len(sent)) - 1] + WINDOW + MARGIN - now)
        return pause if pause > NO_PAUSE else 0.0

    def spend(self, number: int = 1) -> None:
        """Take note of requests that are sent now."""
        self._tokens -= number
        now = self._clock.monotonic()
        for _ in range(number):
            self._sent.append(now)

    def keep_room(self) -> None:
        """Keep some room for a worker that is on its way: it sends later than :meth:`spend` was told."""
        self._kept_until = self._clock.monotonic() + KEPT_FOR

    def refused(self, retry_after: float | None, sent_at: float) -> None:
        """
        Take note that Hevo says that the limit is reached.

        :param retry_after: seconds that it asks to wait.
        :param sent_at: when the request was sent.
        """
        now = self._clock.monotonic()
        if self._sent:
            self._sent.pop()  # Hevo does not count it
        rest = UNTOLD_REST if retry_after is None else min(retry_after, LONGEST_REST)
        self._rests_until = max(self._rests_until, now + rest)
        self._tokens = 0.0
        if sent_at >= self._lowered_at:  # else it was under way when the pace was lowered
            self._lower(now)

    def answered(self) -> None:
        """Take note that Hevo has answered."""
        self._answered_at = self._clock.monotonic()

    def had_room_since(self, moment: float) -> bool:
        """Return whether Hevo has answered since a moment of the monotonic clock."""
        return self._answered_at >= moment

    def _lower(self, now: float) -> None:
        pace, since = self.per_minute, now - self._lowered_at
        slowest = max(1.0, self.limit * SLOWEST)
        if self._answered_at < self._lowered_at:
            pass  # it is still the same: what there is for us will show when Hevo answers again
        elif since >= max(self._back_in, SETTLED_IN):
            answered = len(self._sent_lately(now))
            if answered > pace / 2:
                self._too_much, back_to = answered, answered * (1 - GIVEN_BACK * answered / self.limit)
            else:
                self._too_much = max(pace, self._back_to)
                back_to = self._too_much * UNUSED
            self._back_to = max(back_to, slowest)
        elif since < DOUBLES_IN:
            return
        self._lowered_to, self._lowered_at = max(pace / 2, slowest), now
        back_to = max(self._back_to, self._lowered_to)
        self._back_in = DOUBLES_IN * log2(back_to / self._lowered_to)
        self._rises_for = max(0.0, (self._too_much - back_to) / self.limit / RISES_BY) ** (1 / 3)

    def _sent_lately(self, now: float) -> deque[float]:
        """Return when those were sent that Hevo may still count."""
        while self._sent and self._sent[0] <= now - WINDOW - MARGIN + NO_PAUSE:
            self._sent.popleft()
        return self._sent
