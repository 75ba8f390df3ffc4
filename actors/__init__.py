"""Rooms by domain; see ARCHITECTURE.md."""
