"""One codec for every link: MessagePack arrays that start with the class name."""

from __future__ import annotations

from functools import reduce
from operator import or_

import msgspec

from actors.vocab import control, leases, market, opinions, orders, portfolio, spending, venue_io
from actors.vocab.message import Message

_MODULES = (control, leases, market, opinions, orders, portfolio, spending, venue_io)
MESSAGES: tuple[type[Message], ...] = tuple(
    sorted(
        {
            kind
            for module in _MODULES
            for kind in vars(module).values()
            if isinstance(kind, type) and issubclass(kind, Message) and kind is not Message
        },
        key=lambda kind: kind.__name__,
    )
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(reduce(or_, MESSAGES))

encode = _encoder.encode
decode = _decoder.decode
