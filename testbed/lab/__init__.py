"""Where the parts meet: the supervisor that runs a lab, and `Lab`, by which users and trials drive one.

`client`, `wire`, `registry` and `ending` run in the user's process, `supervisor` and `service` with what they
import in the lab's own world. What can be decided without a lab is, in pure modules: `differences`, `names`,
`settled`, `targets`, `views`.
"""
