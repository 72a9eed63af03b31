"""Renderers: pure functions of the Report record. They choose words and colours, and judge nothing."""
