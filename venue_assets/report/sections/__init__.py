"""The sections of a page: figures, their findings and charts put together, or the sentence why there is none."""
