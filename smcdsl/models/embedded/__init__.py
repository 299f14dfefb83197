"""The embedded model: a small Llama that ships with smcdsl and runs on numpy."""

from smcdsl.models.embedded.model import EmbeddedModel

__all__ = ["EmbeddedModel"]
