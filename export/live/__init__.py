"""Actions of a stream while it comes in: sources, frames, a sliding window, a timeline."""
