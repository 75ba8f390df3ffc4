"""The registry's shell over real links; members here are hosts in the same process."""

from __future__ import annotations

import msgspec
import pytest

from actors.registry.actor import RegistryActor
from actors.transport.links import Links
from actors.vocab import codec
from actors.vocab.control import DIRECTORY_TOPIC, Directory, Joined, Member, Stop
from actors.vocab.errors import OurFault
from actors.vocab.message import Message
from actors.vocab.orders import FillsAgain
from tests.fakes import FakeRegistry, run_description, run_on, short_dir, until


async def register(registry: FakeRegistry, member: Member) -> Message:
    return codec.decode(await registry.register.remote(msgspec.msgpack.encode(member)))


def test_the_answer_holds_the_run_the_directory_and_where_pushes_come_from() -> None:
    async def main() -> None:
        with short_dir() as folder:
            registry = FakeRegistry(run_description(folder))
            member = Member("risk", "risk@1", "h1", ())
            joined = await register(registry, member)
            assert isinstance(joined, Joined)
            assert joined.run == registry.run_description
            assert [known.name for known in joined.directory.members] == ["registry", "risk"]
            assert joined.push_address.startswith("ipc://")
            assert await registry.directory.remote() == codec.encode(joined.directory)
            await registry.close()

    run_on("asyncio", main())


def test_whoever_subscribes_late_is_sent_the_newest_directory() -> None:
    async def main() -> None:
        with short_dir() as folder:
            registry = FakeRegistry(run_description(folder))
            joined = await register(registry, Member("risk", "risk@1", "h1", ()))
            assert isinstance(joined, Joined)
            links = Links(name="late", incarnation="late@1", host="h1", runtime_dir=folder / "s")
            got: list[tuple[bytes, Message]] = []
            subscriber = links.subscriber(got.extend)
            subscriber.topic(DIRECTORY_TOPIC)
            subscriber.connect(joined.push_address)
            await until(lambda: got)
            message = got[-1][1]
            assert isinstance(message, Directory)
            assert [member.name for member in message.members] == ["registry", "risk"]
            links.close()
            await registry.close()

    run_on("uvloop", main())


def test_fifty_members_at_once_cause_few_pushes() -> None:
    async def main() -> None:
        with short_dir() as folder:
            registry = FakeRegistry(run_description(folder))
            joined = await register(registry, Member("risk", "risk@1", "h1", ()))
            assert isinstance(joined, Joined)
            links = Links(name="watch", incarnation="watch@1", host="h1", runtime_dir=folder / "s")
            got: list[tuple[bytes, Message]] = []
            subscriber = links.subscriber(got.extend)
            subscriber.topic(DIRECTORY_TOPIC)
            subscriber.connect(joined.push_address)
            await until(lambda: got)
            got.clear()
            for number in range(50):
                await register(registry, Member(f"quote:{number}", f"quote:{number}@1", "h1", ()))
            await until(lambda: got and isinstance(got[-1][1], Directory) and len(got[-1][1].members) == 52)
            assert len(got) < 10
            links.close()
            await registry.close()

    run_on("asyncio", main())


def test_a_replaced_life_is_refused_by_an_answer_not_by_an_exception() -> None:
    async def main() -> None:
        with short_dir() as folder:
            registry = FakeRegistry(run_description(folder))
            await register(registry, Member("risk", "risk@1", "h1", ()))
            await register(registry, Member("risk", "risk@2", "h1", ()))
            answer = await register(registry, Member("risk", "risk@1", "h1", ()))
            assert answer == Stop("risk@1 was replaced by risk@2")
            await registry.close()

    run_on("asyncio", main())


def test_a_new_life_of_the_registry_numbers_its_directories_above_the_old() -> None:
    async def main() -> None:
        with short_dir() as folder:
            registry = FakeRegistry(run_description(folder))
            before = await register(registry, Member("risk", "risk@1", "h1", ()))
            registry.kill()
            registry.restart()
            after = await register(registry, Member("risk", "risk@1", "h1", ()))
            assert isinstance(before, Joined)
            assert isinstance(after, Joined)
            assert after.directory.version > before.directory.version
            assert not after.directory.complete
            await registry.close()

    run_on("asyncio", main())


def test_what_is_not_what_it_should_be_is_our_fault() -> None:
    async def main() -> None:
        with pytest.raises(OurFault, match="expected RunDescription"):
            RegistryActor("registry", codec.encode(FillsAgain("v", 1)))
        with short_dir() as folder:
            registry = FakeRegistry(run_description(folder))
            with pytest.raises(OurFault, match="expected Instruments"):
                await registry.offer_instruments.remote(codec.encode(FillsAgain("v", 1)))
            await registry.close()

    run_on("asyncio", main())
