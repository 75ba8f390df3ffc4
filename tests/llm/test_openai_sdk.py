"""The official client, unchanged, against the simulated relay."""

from __future__ import annotations

import json

import pytest

from actors.llm.schema import parse_signals
from actors.sim.relay import MODELS
from actors.sim.relay_faults import RelayFaults
from tests.fakes import run_on
from tests.llm.kit import DEEPSEEK
from tests.llm.test_actor import KEY, relay_server

openai = pytest.importorskip("openai", reason="needs the `clients` extra")

pytestmark = pytest.mark.clients


def test_the_official_client_reads_models_answers_and_refusals() -> None:
    async def main() -> None:
        async with relay_server() as (server, url):
            client = openai.AsyncOpenAI(api_key=KEY, base_url=url, max_retries=0)
            try:
                assert {model.id async for model in client.models.list()} == set(MODELS)
                asked = {
                    "messages": [{"role": "user", "content": "A,1,0.8,10,0.1,50,normal"}],
                    "max_tokens": 150,
                    "response_format": {"type": "json_object"},
                }
                answer = await client.chat.completions.create(model=DEEPSEEK, **asked)
                assert set(parse_signals(answer.choices[0].message.content, {"A"})[0]) == {"A"}
                assert answer.usage.total_tokens > 0
                with pytest.raises(openai.BadRequestError, match="unknown model"):
                    await client.chat.completions.create(model="deepseek-v3", **asked)
                server.relay.faults = RelayFaults(limited=1.0)
                with pytest.raises(openai.RateLimitError) as caught:
                    await client.chat.completions.create(model=DEEPSEEK, **asked)
                assert caught.value.response.headers["Retry-After"] == "2"
                server.relay.faults = RelayFaults(key_revoked=True)
                with pytest.raises(openai.AuthenticationError):
                    await client.models.list()
                server.relay.faults = RelayFaults(latency_times=0.01, nested=1.0)
                with pytest.raises((json.JSONDecodeError, RecursionError)):
                    await client.chat.completions.create(model=DEEPSEEK, **asked)
            finally:
                await client.close()

    run_on("asyncio", main())
