"""The application while the model loads and when it can't be: states too short to be met in a real process."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from coda_model.engine import Engine, SteppingModel
from coda_model.errors import CodaError
from coda_model.infill import Infiller
from coda_model.serve.app import create_app, names_loopback

BODY = {"segments": [{"hole": {"length": 2}}]}


class HeldLoad:
    """An engine that loads the checkpoint only once `release` is set."""

    def __init__(self, checkpoint: Path) -> None:
        self.release = threading.Event()
        self._checkpoint = checkpoint
        self.engine = Engine(self._load)
        self.engine.start()

    def _load(self) -> SteppingModel:
        assert self.release.wait(60)
        return Infiller.from_pretrained(str(self._checkpoint))

    def client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(create_app(self.engine, "secret", local_only=True))
        return httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers={"Authorization": "Bearer secret"}
        )


@pytest.fixture
def held(tiny_checkpoint: Path) -> Iterator[HeldLoad]:
    load = HeldLoad(tiny_checkpoint)
    yield load
    load.release.set()
    load.engine.stop()
    assert load.engine.join(60)


async def test_answers_503_until_the_model_is_there(held: HeldLoad) -> None:
    async with held.client() as client:
        assert (await client.get("/v1/health")).json() == {"status": "loading", "reason": None}
        sentence = {"error": "The model is still loading; GET /v1/health says when it is ready."}
        for answer in (await client.get("/v1/info"), await client.post("/v1/infill", json=BODY)):
            assert (answer.status_code, answer.json()) == (503, sentence)
        held.release.set()
        held.engine.loaded.result(60)
        assert (await client.get("/v1/health")).json() == {"status": "ready", "reason": None}
        assert (await client.post("/v1/infill", json=BODY)).status_code == 200


async def test_says_why_the_model_is_not_there(held: HeldLoad, tmp_path: Path) -> None:
    held._checkpoint = tmp_path / "nothing"
    async with held.client() as client:
        held.release.set()
        with pytest.raises(CodaError) as caught:
            held.engine.loaded.result(60)
        assert (await client.get("/v1/health")).json() == {"status": "error", "reason": str(caught.value)}
        answer = await client.post("/v1/infill", json=BODY)
        assert (answer.status_code, answer.json()) == (503, {"error": str(caught.value)})


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1:8000", True),
        ("127.0.0.1", True),
        ("127.8.8.8:1", True),
        ("localhost", True),
        ("LocalHost:80", True),
        ("[::1]:80", True),
        ("::1", True),
        ("", False),
        ("0.0.0.0", False),
        ("10.0.0.1:80", False),
        ("[2001:db8::1]:80", False),
        ("evil.example", False),
        ("localhost.evil.example:80", False),
        ("127.0.0.1.evil.example", False),
    ],
)
def test_names_loopback(host: str, loopback: bool) -> None:
    assert names_loopback(host) is loopback
