"""Everything about one network on one page that opens anywhere."""

__all__: list[str] = []
