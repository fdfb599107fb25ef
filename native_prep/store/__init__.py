"""The packed store: its format, writing it shard by shard, reading dense batches from it."""
