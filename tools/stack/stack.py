"""A stack: the servers of one data folder, started, found again, disturbed and stopped.

::

    with Stack(tmp_path, services=["kafka", "s3"], brokers=3) as stack:
        bootstrap = stack.addresses["KAFKA_BOOTSTRAP_SERVERS"]
        stack.kill9("kafka", broker=2)
        stack.restart("kafka", broker=2)

Processes outlive the object; another ``Stack`` over the same folder finds them.
"""

from __future__ import annotations

import fcntl
import random
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from tools.stack import coordinates, jars, java, launch, ports, process
from tools.stack import state as states
from tools.stack.errors import StackError
from tools.stack.launch import READY_TIMEOUT_S
from tools.stack.service import Place
from tools.stack.services import SERVICES, process_names

STOP_GRACE_S = 20.0

Condition = Literal["stopped", "starting", "ready", "paused"]


@dataclass(frozen=True)
class Status:
    """One process of a stack, as it is now."""

    name: str
    service: str
    condition: Condition
    address: str
    pid: int | None
    rss_mb: float | None
    log: str


@dataclass
class Stack:
    """The servers of ``data_dir``. Every method may be called at any time, from any process."""

    data_dir: Path
    services: Sequence[str] = tuple(SERVICES)
    brokers: int | None = None
    """Kafka brokers; chosen at the first ``up`` (1 when None), the same from then on."""
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Per process or service, of the server's own configuration file, over what the stack sets:
    ``{"kafka": {"group.consumer.session.timeout.ms": "6000"}}``; read when a server starts."""
    say: Callable[[str], None] = lambda line: None
    """Told what takes long."""
    cache: Path = field(default_factory=jars.cache_dir)
    rng: random.Random = field(default_factory=random.SystemRandom)
    """Chooses ports."""

    def __post_init__(self) -> None:
        self.data_dir = self.data_dir.resolve()
        for name in (*self.services, *(key.partition("-")[0] for key in self.settings)):
            if name not in SERVICES:
                raise StackError(f"there is no service '{name}'; there are {', '.join(SERVICES)}")
        if self.brokers is not None and not 1 <= self.brokers <= 9:
            raise StackError(f"{self.brokers} brokers are not 1 to 9")

    def __enter__(self) -> Self:
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.down()

    # What runs

    @property
    def addresses(self) -> dict[str, str]:
        """The product's settings that name what runs: ``KAFKA_BOOTSTRAP_SERVERS`` and so on."""
        found: dict[str, str] = {}
        for service in SERVICES.values():
            places = self._places([service.name])
            if any(process.recall(place.pid_file) for place in places):
                found.update(service.environment(places))
        return found

    def status(self) -> list[Status]:
        """Every process that this stack has ever had."""
        return [self._status(place) for place in self._places(tuple(SERVICES))]

    def log(self, name: str) -> Path:
        """The log of a process (``kafka-2``) or of a service's first one (``kafka``).

        Raises:
            StackError: there is none of this name in this stack.
        """
        places = self._places(tuple(SERVICES))
        for place in places:
            if name in (place.name, place.service):
                return place.log
        there = ", ".join(place.name for place in places) or "none"
        raise StackError(f"{self.data_dir} has no server '{name}'; there: {there}")

    # The whole

    def prepare(self) -> None:
        """Fetch what is missing and choose the ports, without starting anything.

        Raises:
            StackError: as ``up``.
        """
        with self._alone():
            self._fetched()
            self._allotted()

    def up(self, *, timeout_s: float = READY_TIMEOUT_S) -> dict[str, str]:
        """Start what does not run, wait until all of it is ready; the addresses.

        Raises:
            MissingTool: Java or Maven is missing or unsuitable.
            StackError: a server could not be fetched or started; the message quotes its log.
        """
        with self._alone():
            fetched = self._fetched()
            self._allotted()
            places = self._places(self.services)
            for place in places:
                running = process.recall(place.pid_file)
                if running is None:
                    launch.start(place, *fetched[place.service], say=self.say)
                elif running.is_paused():
                    running.resume()
            try:
                launch.wait_ready(places, timeout_s, say=self.say)
            finally:
                self._write_environment()
        return self.addresses

    def down(
        self,
        *,
        only: Collection[str] | None = None,
        purge: bool = False,
        grace_s: float = STOP_GRACE_S,
    ) -> None:
        """Stop what runs: SIGTERM, after the grace SIGKILL. All of the stack, whichever services
        this object was made for, or ``only`` some.

        ``purge`` removes their data, too; as nothing of it is wanted then, no grace is given.
        """
        if not self.data_dir.is_dir():
            return
        with self._alone():
            places = self._places(tuple(only) if only is not None else tuple(SERVICES))
            running = [r for place in places if (r := process.recall(place.pid_file))]
            if running:
                self.say(f"stopping {len(running)} of {len(places)} servers")
            # All at once: a broker that is left alone waits in vain for a controller's leave.
            process.stop(running, grace_s=0 if purge else grace_s)
            for place in places:
                place.pid_file.unlink(missing_ok=True)
                if purge:
                    shutil.rmtree(place.folder, ignore_errors=True)
            if purge and only is None:
                for name in ("stack.json", "stack.lock"):
                    (self.data_dir / name).unlink(missing_ok=True)
            self._write_environment()
        if purge and only is None and not any(self.data_dir.iterdir()):
            self.data_dir.rmdir()

    # One server, for those who disturb

    def kill9(self, service: str, *, broker: int = 1) -> None:
        """SIGKILL, as a crash of the machine would end it."""
        process.kill(self._running(service, broker))

    def pause(self, service: str, *, broker: int = 1) -> None:
        """SIGSTOP: it holds its connections and answers nothing."""
        self._running(service, broker).pause()

    def resume(self, service: str, *, broker: int = 1) -> None:
        """SIGCONT."""
        self._running(service, broker).resume()

    def stop(self, service: str, *, broker: int = 1, grace_s: float = STOP_GRACE_S) -> None:
        """SIGTERM, after the grace SIGKILL; nothing when it does not run."""
        if running := process.recall(self._place(service, broker).pid_file):
            process.stop([running], grace_s=grace_s)

    def restart(self, service: str, *, broker: int = 1, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Stop it if it runs, start it on the same ports and data, wait until it is ready.

        Raises:
            StackError: somebody took one of its ports, or it does not come up.
        """
        with self._alone():
            place = self._place(service, broker)
            self.stop(service, broker=broker)
            for port in place.state.ports[place.name].values():
                if not ports.is_free(port):
                    raise StackError(
                        f"port {port} of {place.name} was taken by another process; "
                        "`melisma stack down` and `up` move the stack to free ones"
                    )
            launch.start(place, *self._fetched([service])[service], say=self.say)
            launch.wait_ready([place], timeout_s, say=self.say)
            self._write_environment()

    # How

    def _fetched(self, names: Sequence[str] | None = None) -> dict[str, tuple[java.Java, Path]]:
        """Java and the jars for each service; what is missing is said before anything starts."""
        pom = coordinates.pom_path()
        pinned, found = coordinates.read(pom), java.installed()
        wanted = [SERVICES[name] for name in names or self.services]
        javas = {
            service.name: java.choose(
                found, oldest=service.java[0], newest=service.java[1], server=service.title
            )
            for service in wanted
        }
        missing = [s for s in wanted if not jars.is_fetched(pinned[s.name], self.cache)]
        if missing:
            jars.require_maven()
        for service in missing:
            self.say(f"fetching {pinned[service.name]}")
            jars.fetch(pinned[service.name], pom=pom, java=javas[service.name], cache=self.cache)
        return {name: (javas[name], self.cache / pinned[name].folder) for name in javas}

    def _allotted(self) -> None:
        """See that every process of this stack's services has ports, free ones if it is down."""
        path = self.data_dir / "stack.json"
        before = states.load(path)
        if before is None:
            before = states.new(self.brokers or 1)
        elif self.brokers not in (None, before.brokers):
            raise StackError(
                f"the stack in {self.data_dir} was made for {before.brokers} Kafka broker(s), "
                f"not {self.brokers}: `melisma stack down --purge` first, or use another --data"
            )
        now = before
        for name in self.services:
            purposes = SERVICES[name].purposes
            for process_name in process_names(name, before.brokers):
                runs = process.recall(self.data_dir / process_name / "pid.json") is not None
                now = now.with_ports(process_name, purposes, self.rng, keep=runs)
        if now != before:
            self._refuse_torn_quorum(before, now)
        states.save(now, path)

    def _refuse_torn_quorum(self, before: states.State, now: states.State) -> None:
        # Every broker's configuration names the controllers of all, and is read at its start.
        names = process_names("kafka", before.brokers)
        moved = [n for n in names if n in before.ports and before.ports[n] != now.ports[n]]
        if moved and any(process.recall(self.data_dir / name / "pid.json") for name in names):
            raise StackError(
                f"a port of {moved[0]} was taken by another process while other brokers run; "
                "`melisma stack down` and `up` move them together"
            )

    def _places(self, services: Sequence[str]) -> list[Place]:
        state = states.load(self.data_dir / "stack.json")
        if state is None:
            return []
        return [
            Place(
                service=service,
                number=number,
                name=name,
                folder=self.data_dir / name,
                state=state,
                settings={**self.settings.get(service, {}), **self.settings.get(name, {})},
            )
            for service in SERVICES
            if service in services
            for number, name in enumerate(process_names(service, state.brokers), 1)
            if name in state.ports
        ]

    def _place(self, service: str, number: int) -> Place:
        for place in self._places([service]):
            if place.number == number:
                return place
        raise StackError(f"{self.data_dir} has no {service} {number}; `up` makes it")

    def _running(self, service: str, number: int) -> process.Running:
        place = self._place(service, number)
        if running := process.recall(place.pid_file):
            return running
        raise StackError(f"{place.name} of {self.data_dir} does not run")

    def _status(self, place: Place) -> Status:
        running = process.recall(place.pid_file)
        condition: Condition = "stopped"
        if running is not None:
            ready = not running.is_paused() and SERVICES[place.service].is_ready(place)
            condition = "paused" if running.is_paused() else "ready" if ready else "starting"
        client = place.port(SERVICES[place.service].purposes[0])
        return Status(
            name=place.name,
            service=place.service,
            condition=condition,
            address=f"{ports.LOOPBACK}:{client}",
            pid=None if running is None else running.pid,
            rss_mb=None if running is None else round(running.rss_bytes() / 2**20, 1),
            log=str(place.log),
        )

    def _write_environment(self) -> None:
        """``stack.env`` names what runs; it goes when nothing does, lest somebody believe it."""
        path = self.data_dir / "stack.env"
        if addresses := self.addresses:
            lines = (f"{name}={value}\n" for name, value in addresses.items())
            states.write_private(path, "".join(lines))
        else:
            path.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One command at a time works on a data folder; the others wait."""
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.data_dir / "stack.lock").open("w") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.say(f"waiting for another command that works on {self.data_dir}")
                fcntl.flock(held, fcntl.LOCK_EX)
            yield
