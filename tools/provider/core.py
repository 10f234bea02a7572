"""The provider itself: requests and times in, answers and callbacks out. No socket, no clock.

Its contract is sunoapi.org's (or a reseller's): paths, bodies, codes, statuses and callbacks, and
everything that is known to go wrong with them (`faults`). What it counts is the truth of the tests:
who paid for what, and when.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from schemas.providers import Profile
from tools.provider.faults import Chance, Plan, ReadFault, SendFault

Json = dict[str, Any]

_HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
_HANG_S = 3600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: after ``hangs_s``, and not at all where ``cut`` is set."""

    status: int = 200
    body: bytes = b""
    media_type: str = "application/json"
    hangs_s: float = 0.0
    cut: bool = False
    unreachable: bool = False


@dataclass(frozen=True, slots=True)
class Callback:
    """A call that is due at a time."""

    at_s: float
    url: str
    body: bytes


@dataclass(slots=True)
class GeneratedTask:
    """A task: paid for when it was made."""

    task_id: str
    asked: Mapping[str, Any]
    made_s: float
    plan: Plan
    nulls: int = 1  # looks that say SUCCESS with `response: null`
    exceptions: int = 1  # looks that say CALLBACK_EXCEPTION without sound


@dataclass(slots=True)
class FakeProvider:
    """One account at a provider."""

    profile: Profile
    now_s: Callable[[], float]
    base_url: str
    key: str = ""
    credits: float = 1e9
    cost: float = 10.0
    seconds: float = 60.0
    """Time that a song usually takes."""
    chance: Chance = field(default_factory=Chance)
    send_faults: deque[SendFault] = field(default_factory=deque)
    """Faults of the next requests, before chance is asked."""
    read_faults: deque[ReadFault] = field(default_factory=deque)
    plans: deque[Plan] = field(default_factory=deque)
    late: float = 660.0
    """Time that a late song takes: more than the ten minutes that a job has."""
    lyrics: str = ""
    """Words of every song instead of its prompt: of a recording that is always the same."""
    audio_url: str = ""
    """Address of every song's sound instead of its own."""
    tasks: dict[str, GeneratedTask] = field(default_factory=dict)
    paid: Counter[str] = field(default_factory=Counter)
    """Requests that were taken, by callback address: one a job."""
    generate_calls_s: list[float] = field(default_factory=list)
    """When requests for songs came in, taken or not."""
    most_calls: int = 0
    """Most of them in one window of the limit."""
    callbacks: list[Callback] = field(default_factory=list)

    def handle(
        self, method: str, path: str, query: Mapping[str, str], auth: str, body: bytes
    ) -> Answer:
        """Answer a request."""
        profile = self.profile
        if self.key and auth != f"Bearer {self.key}":
            return self._said(401, "You do not have access permissions")
        if (method, path) == ("POST", profile.generate_path):
            return self._generate(body)
        if (method, path) == ("GET", profile.record_path):
            return self._record(query.get("taskId", ""))
        if (method, path) == ("GET", profile.credit_path):
            return self._said(200, "success", self.credits)
        return Answer(404, _HTML, "text/html")

    def due(self) -> list[Callback]:
        """The callbacks whose time has come, in order; each is given out once."""
        now = self.now_s()
        ready = sorted((c for c in self.callbacks if c.at_s <= now), key=lambda c: c.at_s)
        self.callbacks = [c for c in self.callbacks if c.at_s > now]
        return ready

    # Requests.

    def _generate(self, body: bytes) -> Answer:
        self._count()
        fault = self.send_faults.popleft() if self.send_faults else self.chance.send()
        if fault == "refused_connection":
            return Answer(unreachable=True)
        if self._over_the_limit():
            return self._fault("too_frequent")
        if fault == "html":
            return Answer(502, _HTML, "text/html")
        if fault in ("too_frequent", "maintenance", "server_error", "no_credits"):
            return self._fault(fault)
        if fault == "sensitive":
            return self._said(413 if self.profile.name == "sunoapi" else 451, "sensitive words")
        try:
            asked = json.loads(body)
            prompt, callback = str(asked["prompt"]), str(asked["callBackUrl"])
        except (ValueError, KeyError, TypeError):
            return self._said(400, "Please enter callBackUrl.")
        if len(prompt) > self.profile.longest_prompt:
            return self._said(413, "The prompt is too long")
        if self.credits < self.cost:
            return self._fault("no_credits")
        task = self._take(asked, callback)
        if fault == "taken_then_hang":
            return Answer(hangs_s=_HANG_S)
        if fault == "taken_then_cut":
            return Answer(cut=True)
        return self._said(200, "success", {"taskId": task.task_id})

    def _take(self, asked: Json, callback: str) -> GeneratedTask:
        self.credits -= self.cost
        self.paid[callback] += 1
        number = len(self.tasks) + 1
        task = GeneratedTask(
            task_id=f"suno_task_{number:06d}",
            asked=asked,
            made_s=self.now_s(),
            plan=self.plans.popleft() if self.plans else self.chance.plan(self.seconds),
        )
        self.tasks[task.task_id] = task
        self._plan_callbacks(task, callback)
        return task

    def _record(self, task_id: str) -> Answer:
        fault = self.read_faults.popleft() if self.read_faults else self.chance.read()
        if fault == "html":
            return Answer(502, _HTML, "text/html")
        if fault == "hang":
            return Answer(hangs_s=_HANG_S)
        if fault in ("too_frequent", "maintenance", "server_error"):
            return self._fault(fault)
        task = self.tasks.get(task_id)
        if task is None or fault == "null_data":
            return self._said(200, "success", None)
        return self._said(200, "success", self._state(task))

    def _state(self, task: GeneratedTask) -> Json:
        elapsed, plan = self.now_s() - task.made_s, task.plan
        done = plan.seconds if plan.ending != "late" else self.late
        status, response, message = "PENDING", None, None
        if elapsed >= done * 0.3:
            status = "TEXT_SUCCESS"
        if elapsed >= done * 0.7:
            status = "FIRST_SUCCESS"
            response = {"taskId": task.task_id, "sunoData": [self._song(task, 1)]}
        if plan.ending == "never":
            status, response = "PENDING", None
        elif elapsed >= done:
            status, response, message = self._end(task)
        return {
            "taskId": task.task_id,
            "param": json.dumps({k: v for k, v in task.asked.items() if k != "callBackUrl"}),
            "response": response,
            "status": status,
            "type": "GENERATE",
            "errorCode": None,
            "errorMessage": message,
        }

    def _end(self, task: GeneratedTask) -> tuple[str, Json | None, str | None]:
        songs = [self._song(task, number) for number in (1, 2)]
        whole: Json = {"taskId": task.task_id, "sunoData": songs}
        match task.plan.ending:
            case "create_task_failed":
                return "CREATE_TASK_FAILED", None, "The task could not be created"
            case "generate_audio_failed":
                return "GENERATE_AUDIO_FAILED", None, "Insufficient credits"
            case "sensitive":
                return "SENSITIVE_WORD_ERROR", None, "The prompt holds sensitive words"
            case "success_null_first" if task.nulls:
                task.nulls -= 1
                return "SUCCESS", None, None
            case "callback_exception_with_audio":
                if task.exceptions:
                    task.exceptions -= 1
                    return "CALLBACK_EXCEPTION", None, "The callback did not answer"
                return "CALLBACK_EXCEPTION", whole, "The callback did not answer"
            case _:
                return "SUCCESS", whole, None

    def _song(self, task: GeneratedTask, number: int) -> Json:
        made_ms = round(task.made_s * 1000)
        text = datetime.fromtimestamp(made_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        name = f"{task.task_id}-{number}"
        return {
            "id": name,
            "audioUrl": self.audio_url or f"{self.base_url}/audio/{name}.mp3",
            "streamAudioUrl": f"{self.base_url}/stream/{name}",
            "imageUrl": f"{self.base_url}/image/{name}.png",
            "prompt": ""
            if task.asked.get("instrumental")
            else self.lyrics or str(task.asked.get("prompt", "")),
            "modelName": str(task.asked.get("model", "")),
            "title": str(task.asked.get("title") or "A song"),
            "tags": str(task.asked.get("style", "")),
            "createTime": text if task.plan.text_times else made_ms,
            "duration": 30.5,
        }

    # Callbacks.

    def _plan_callbacks(self, task: GeneratedTask, url: str) -> None:
        plan, begun = task.plan, task.made_s
        if plan.callback == "early":  # before the answer to the request has been read
            self.callbacks.append(self._callback(begun, url, task, "text"))
        if plan.callback == "forged":
            forged = {"taskId": f"forged-{task.task_id}"}
            self.callbacks.append(
                Callback(begun + 1, url + "x", self._body("complete", forged["taskId"], []))
            )
            self.callbacks.append(
                Callback(begun + 2, url, self._body("complete", forged["taskId"], []))
            )
        if plan.callback == "skipped" or plan.ending in ("never", "callback_exception_with_audio"):
            return
        done = begun + (plan.seconds if plan.ending != "late" else self.late)
        failed = plan.ending in ("create_task_failed", "generate_audio_failed", "sensitive")
        kinds = ["error"] if failed else ["text", "first", "complete"]
        times = [done] if failed else [begun + plan.seconds * 0.3, begun + plan.seconds * 0.7, done]
        if plan.callback == "reordered":
            times.reverse()
        late = 30.0 if plan.callback == "late" else 0.0
        for kind, at in zip(kinds, times, strict=True):
            for _ in range(3 if plan.callback == "repeated" else 1):
                self.callbacks.append(self._callback(at + late, url, task, kind))

    def _callback(self, at_s: float, url: str, task: GeneratedTask, kind: str) -> Callback:
        songs = [self._song(task, number) for number in (1, 2)]
        return Callback(at_s, url, self._body(kind, task.task_id, songs))

    def _body(self, kind: str, task_id: str, songs: list[Json]) -> bytes:
        snake = [
            {"id": s["id"], "audio_url": s["audioUrl"], "title": s["title"], "duration": 30.5}
            for s in songs
        ]
        code = 400 if kind == "error" else 200
        data = {"callbackType": kind, "task_id": task_id, "data": snake if code == 200 else None}
        return json.dumps({"code": code, "msg": "All generated.", "data": data}).encode()

    # Codes and counts.

    def _fault(self, fault: str) -> Answer:
        sunoapi = self.profile.name == "sunoapi"
        code, words = {
            "no_credits": (429 if sunoapi else 402, "Insufficient credits"),
            "too_frequent": (430 if sunoapi else 429, "Your call frequency is too high"),
            "maintenance": (455, "The website is being maintained"),
            "server_error": (500, "Internal error"),
        }[fault]
        return self._said(code, words)

    def _said(self, code: int, msg: str, data: object = None) -> Answer:
        """HTTP 200, whatever the body says: that is what providers do."""
        return Answer(200, json.dumps({"code": code, "msg": msg, "data": data}).encode())

    def _count(self) -> None:
        now = self.now_s()
        self.generate_calls_s.append(now)
        self.most_calls = max(self.most_calls, self._recent())

    def _recent(self) -> int:
        since = self.now_s() - self.profile.window_s
        count = 0
        for at in reversed(self.generate_calls_s):
            if at <= since:
                break
            count += 1
        return count

    def _over_the_limit(self) -> bool:
        return self._recent() > self.profile.calls
