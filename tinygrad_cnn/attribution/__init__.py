"""Why a network says what it says: maps of which pixels and which places mattered."""

__all__: list[str] = []
