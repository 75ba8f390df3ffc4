"""A server that was not written here stands between our client and the simulated relay: LiteLLM's proxy, unchanged.

`LITELLM` names its command, for example of a virtual environment of its own (`pip install 'litellm[proxy]'`): its pins
are not ours, so it is no extra of this project.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from pathlib import Path

import aiohttp
import pytest

from actors.llm.actor import ask
from actors.llm.completion import read_completion, read_model_ids
from actors.llm.engine import Answered, Call
from actors.llm.prompts import chat_body, signal_rows
from actors.llm.schema import parse_signals
from actors.sim.relay_faults import RelayFaults
from tests.fakes import run_on
from tests.llm.kit import DEEPSEEK, GEMINI, inputs
from tests.llm.test_actor import KEY, relay_server

COMMAND = os.environ.get("LITELLM") or shutil.which("litellm") or ""

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(not Path(COMMAND).is_file(), reason="LITELLM names no litellm command"),
]

START_TIMEOUT_S = 90.0
PROXY_KEY = "sk-" + "b2" * 16  # the proxy's own, made up here
CONFIG = """
model_list:
  - model_name: {model}
    litellm_params: {{model: "openai/{model}", api_base: "{url}", api_key: "{key}"}}
litellm_settings: {{num_retries: 0, telemetry: false, drop_params: false}}
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def _answer(session: aiohttp.ClientSession, url: str, model: str) -> Answered:
    body = chat_body(
        model=model,
        system="rows",
        user=signal_rows([inputs("A"), inputs("B")]),
        tokens_max=300,
        temperature=0.3,
    )
    event = await ask(session, url, Call(1, body, 30.0))
    assert isinstance(event, Answered), event
    return event


async def _scene(folder: Path) -> None:
    async with relay_server() as (server, relay_url):
        config = folder / "litellm.yaml"
        config.write_text(CONFIG.format(model=DEEPSEEK, url=relay_url, key=KEY))
        port = free_port()
        url = f"http://127.0.0.1:{port}/v1"
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # its own file instead of a download
            "LITELLM_MASTER_KEY": PROXY_KEY,
        }
        command = (COMMAND, "--config", str(config), "--host", "127.0.0.1", "--port", str(port))
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(*command, env=environ, stdout=log, stderr=log)
        headers = {"Authorization": f"Bearer {PROXY_KEY}", "Content-Type": "application/json"}
        try:
            async with aiohttp.ClientSession(headers=headers) as session:
                async with asyncio.timeout(START_TIMEOUT_S):
                    while True:
                        assert process.returncode is None, (folder / "log").read_text()[-2000:]
                        try:
                            async with session.get(f"{url}/models") as answer:
                                models = read_model_ids(await answer.read())
                                break
                        except aiohttp.ClientError:
                            await asyncio.sleep(0.2)
                assert models == (DEEPSEEK,)

                done = read_completion((await _answer(session, url, DEEPSEEK)).body)
                answers, fault = parse_signals(done.content, {"A", "B"})
                assert (set(answers), fault) == ({"A", "B"}, None)
                assert min(done.tokens_in, done.tokens_out) > 0

                assert (await _answer(session, url, GEMINI)).status == 400  # not on its list
                server.relay.faults = RelayFaults(latency_times=0.01, limited=1.0)
                assert (await _answer(session, url, DEEPSEEK)).status == 429
                server.relay.faults = RelayFaults(down=True)
                assert (await _answer(session, url, DEEPSEEK)).status == 503
        finally:
            process.terminate()
            await process.wait()


def test_our_client_works_through_litellms_proxy(tmp_path: Path) -> None:
    run_on("asyncio", _scene(tmp_path))
