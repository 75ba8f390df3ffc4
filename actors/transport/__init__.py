"""The only sockets: websocket sessions, HTTP, the links between actors, and the host of every actor shell."""
