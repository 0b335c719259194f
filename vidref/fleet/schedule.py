"""Who does what next: clips from the state, units to the workers, what came of them back.

One loop in one process. It holds no pixels, so its memory does not grow with what it schedules,
and whatever kills it loses nothing: the state and the jobs' journals are on disk, and the next
schedule takes up where they are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from vidref.errors import VidrefError
from vidref.fleet import state as st
from vidref.fleet.in_hand import InHand, sweep
from vidref.fleet.pool import Pool
from vidref.fleet.state import BatchState, LeaseLostError
from vidref.fleet.units import Died, Ended, Event, Examine, Failed, Made, Make, Unit

LEASE_S = 60.0
TURN_S = 0.5
"""How long the loop waits for news before it looks whether the user wants something."""


@dataclass(frozen=True)
class Terms:
    """How a batch is run. `people`: where views are lent, if they are; `watch` never ends."""

    tries: int
    folder: Path
    people: Path | None = None
    watch: Callable[[], None] | None = None
    on_turn: Callable[[], None] = lambda: None


class Schedule:
    """Works off a state with some workers; `joiners` are processes that see the job folders."""

    def __init__(self, state: BatchState, workers: Pool, joiners: Pool, terms: Terms) -> None:
        self._state, self._terms = state, terms
        self._workers, self._joiners = workers, joiners
        self._owner = st.owner_here()
        self._hand: dict[int, InHand] = {}
        self._of_ticket: dict[int, int] = {}
        self._tickets = count(1)

    def run(self) -> None:
        """Until nothing is left to do, or somebody raises KeyboardInterrupt."""
        ended = threading.Event()
        beats = threading.Thread(target=self._beat, args=(ended,), daemon=True)
        beats.start()
        try:
            self._sweep()
            while True:
                self._turn()
                if not self._hand and self._terms.watch is None and not self._more_to_come():
                    return
        finally:
            ended.set()
            beats.join()
            for clip in self._hand.values():
                clip.close()
            self._state.let_go(self._owner)

    def _turn(self) -> None:
        terms = self._terms
        if terms.watch is not None:
            terms.watch()
        self._state.free_the_dead()
        for id in self._state.to_cancel(self._owner):
            self._drop(id, st.CANCELLED, None, "")
        self._lend()
        self._feed()
        flying = bool(self._of_ticket)
        events = self._workers.wait(TURN_S if flying or not self._hand else 0.05)
        if self._joiners is not self._workers:
            events += self._joiners.wait(0)
        for event in events:
            self._hear(event)
        terms.on_turn()

    def _more_to_come(self) -> bool:
        """Whether a clip waits, or another process has some that might come back."""
        counts = self._state.counts()
        return bool(counts[st.WAITING] or counts[st.RUNNING])

    # ---- giving out

    def _feed(self) -> None:
        """Work for every free worker: what is begun first, then new clips."""
        while self._workers.free() or self._joiners.free():
            begun = False
            for clip in list(self._hand.values()):
                begun |= self._begin(clip)
            if begun:
                continue
            if not self._workers.free() or not self._claim():
                return

    def _claim(self) -> bool:
        row = self._state.claim(self._owner, LEASE_S)
        if row is None:
            return False
        people = self._terms.people
        lend_to = None if people is None else str(people)
        self._hand[row.id] = InHand(row, self._terms.folder / "jobs", lend_to)
        return True

    def _begin(self, clip: InHand) -> bool:
        """Hand out one unit of this clip, if there is one and somebody for it."""
        if not clip.has_unit:
            return False
        pool = self._joiners if clip.is_to_join else self._workers
        if not pool.free():
            return False
        try:
            unit = clip.unit(self._workers.size())
        except VidrefError as error:
            self._drop(clip.row.id, st.FAILED, str(error), "")
            return True
        if unit is None:
            return False
        ticket = next(self._tickets)
        clip.flying[ticket] = unit
        self._of_ticket[ticket] = clip.row.id
        try:
            self._state.step(clip.row.id, self._owner, clip.step)
        except LeaseLostError:
            self._forget(clip.row.id)
            return True
        if isinstance(unit, Make):
            self._state.segments_begun(clip.row.id, unit.numbers)
            self._state.segment_tried(clip.row.id, unit.numbers[0])
        pool.begin(ticket, unit)
        return True

    # ---- hearing what came of it

    def _hear(self, event: Event) -> None:
        id = self._of_ticket.get(event.ticket)
        if id is None or id not in self._hand:
            return  # of a clip that was dropped meanwhile
        clip = self._hand[id]
        try:
            match event:
                case Made():
                    self._made(clip, event)
                case Ended():
                    self._ended(clip, event)
                case Failed():
                    self._failed(clip, event)
                case Died():
                    self._died(clip, event)
        except LeaseLostError:
            self._forget(id)
        except VidrefError as error:
            self._drop(id, st.FAILED, str(error), "")

    def _made(self, clip: InHand, made: Made) -> None:
        id = clip.row.id
        clip.accept(made)
        frames, faces = made.facts.get("frames", 0), made.facts.get("faces", 0)
        self._state.segment_done(id, made.number, made.worker, made.seconds, frames, faces)
        unit = clip.flying[made.ticket]
        if isinstance(unit, Make) and made.number != unit.numbers[-1]:
            self._state.segment_tried(id, made.number + 1, made.worker)

    def _ended(self, clip: InHand, ended: Ended) -> None:
        id = clip.row.id
        unit = self._landed(clip, ended.ticket)
        self._state.worked(id, self._owner, ended.seconds)
        if isinstance(unit, Make):
            clip.put_back(unit)  # nothing, if every segment was told
        clip.note(ended.notes)
        had_cut = clip.has_cut
        delivered = clip.take(ended.result)
        if isinstance(unit, Examine):
            self._state.begin(id, self._owner)
        if clip.has_cut and not had_cut:
            count = len(clip.cut.segments)
            self._state.set_segments(id, self._owner, count, clip.finished())
        if delivered is None:
            return
        self._state.done(
            id,
            self._owner,
            delivered.frames,
            delivered.faces,
            delivered.sidecar,
            delivered.warnings,
        )
        clip.finish()
        self._forget(id)

    def _failed(self, clip: InHand, failed: Failed) -> None:
        unit = self._landed(clip, failed.ticket)
        if failed.for_good:
            self._drop(clip.row.id, st.FAILED, failed.sentence, failed.detail)
            return
        self._again(clip, unit, failed.sentence, failed.detail)

    def _died(self, clip: InHand, died: Died) -> None:
        unit = self._landed(clip, died.ticket)
        self._again(clip, unit, f"A worker was lost: {died.how}.", "")

    def _again(self, clip: InHand, unit: Unit, error: str, detail: str) -> None:
        """Another try, unless there were enough."""
        id = clip.row.id
        if isinstance(unit, Make):
            self._state.segments_back(id, unit.numbers, error)
        self._state.tried(id, self._owner, error, detail)
        tries = clip.failed(unit)
        if tries >= self._terms.tries:
            sentence = f"{error.rstrip('.')}; given up after {tries} tries."
            self._drop(id, st.FAILED, sentence, detail)
            return
        clip.put_back(unit)

    # ---- bookkeeping

    def _landed(self, clip: InHand, ticket: int) -> Unit:
        del self._of_ticket[ticket]
        return clip.flying.pop(ticket)

    def _drop(self, id: int, state: str, error: str | None, detail: str) -> None:
        """A clip ends without an output; its finished segments stay for a retry."""
        with suppress(LeaseLostError):  # somebody else's by now
            self._state.give_up(id, self._owner, state, error, detail)
        self._forget(id)

    def _forget(self, id: int) -> None:
        clip = self._hand.pop(id)
        for ticket in clip.flying:
            del self._of_ticket[ticket]
            self._workers.stop(ticket)
            self._joiners.stop(ticket)
        clip.close()

    def _lend(self) -> None:
        """Once every clip is analysed: each may use what the others show of the same people."""
        if self._terms.people is None or not any(c.is_held for c in self._hand.values()):
            return
        if self._state.counts()[st.WAITING]:
            return
        if not all(clip.is_held or clip.is_past_analysis for clip in self._hand.values()):
            return
        from vidref.fleet.lending import with_lent_views

        for clip in self._hand.values():
            if clip.is_held:
                clip.let_on(partial(with_lent_views, clip=clip.row.id, people=self._terms.people))

    def _sweep(self) -> None:
        for row in self._state.clips():
            if row.state == st.DONE:
                sweep(row)

    def _beat(self, ended: threading.Event) -> None:
        """Leases are renewed beside the loop, which may be busy for longer than they last."""
        with BatchState(self._state.path) as state:
            while not ended.wait(LEASE_S / 4):
                state.beat(self._owner, LEASE_S)
