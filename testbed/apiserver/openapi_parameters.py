"""The parameters of requests: type and meaning of each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parameter:
    type: str
    description: str


PARAMETERS: dict[str, Parameter] = {
    "allowWatchBookmarks": Parameter("boolean", "A watch is told now and then how far it is."),
    "command": Parameter("string", "What to run, an argument each."),
    "container": Parameter("string", "Which container of the pod; the only one by default."),
    "continue": Parameter("string", "Where the list goes on, as the page before said."),
    "dryRun": Parameter("string", "`All`: everything but the change itself."),
    "fieldManager": Parameter("string", "Who changes the fields."),
    "fieldSelector": Parameter("string", "Only objects whose fields are so."),
    "fieldValidation": Parameter(
        "string", "What becomes of unknown fields: Ignore, Warn or Strict."
    ),
    "follow": Parameter("boolean", "Go on with what is logged from now on."),
    "force": Parameter("boolean", "An apply takes fields from their managers."),
    "gracePeriodSeconds": Parameter("integer", "How long a pod has to end; 0: none."),
    "labelSelector": Parameter("string", "Only objects whose labels are so."),
    "limit": Parameter("integer", "At most so many objects, and where the list goes on."),
    "limitBytes": Parameter("integer", "At most so much of the log."),
    "orphanDependents": Parameter("boolean", "Old form of propagationPolicy."),
    "path": Parameter("string", "What to ask the pod or the service for."),
    "ports": Parameter("integer", "The pod's ports."),
    "pretty": Parameter("string", "Taken and ignored: answers are compact."),
    "previous": Parameter("boolean", "The log of the container that ended."),
    "propagationPolicy": Parameter(
        "string", "What becomes of what it owns: Orphan, Background or Foreground."
    ),
    "resourceVersion": Parameter("string", "As of which version, or where a watch begins."),
    "resourceVersionMatch": Parameter("string", "How resourceVersion is meant for a list."),
    "sendInitialEvents": Parameter("boolean", "A watch begins with everything that is there."),
    "sinceSeconds": Parameter("integer", "Only what was logged in so many seconds."),
    "sinceTime": Parameter("string", "Only what was logged since."),
    "stderr": Parameter("boolean", "Send the command's standard error."),
    "stdin": Parameter("boolean", "The command's standard input is sent."),
    "stdout": Parameter("boolean", "Send the command's standard output."),
    "stream": Parameter("string", "All, Stdout or Stderr."),
    "tailLines": Parameter("integer", "Only so many lines at the end."),
    "timeoutSeconds": Parameter("integer", "How long a list or a watch may last."),
    "timestamps": Parameter("boolean", "Each line begins with its time."),
    "tty": Parameter("boolean", "The command has a terminal."),
    "watch": Parameter("boolean", "Go on with what changes."),
}
PATH_PARAMETERS = {
    "name": Parameter("string", "The object's name."),
    "namespace": Parameter("string", "The object's namespace."),
}
