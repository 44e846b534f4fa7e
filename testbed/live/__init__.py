"""A lab as it changes: what `watch` shows, on a terminal, as lines, or on a page.

`tally` and `lines` are pure; `watcher` asks the lab, `terminal` and `web` show it.
"""
