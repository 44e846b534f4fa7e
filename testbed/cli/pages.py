"""A page per command, made from its parser: `python -m testbed.cli.pages docs/commands`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from testbed.cli.examples import EXAMPLES
from testbed.cli.main import COMMANDS, parser_of

INDEX = "README.md"
WIDTH = 100


def pages() -> dict[str, str]:
    """File name -> text, of every command and of their index."""
    index = ["# Commands", "", "| command | what it is for |", "| --- | --- |"]
    index += [f"| [`testbed {name}`]({name}.md) | {text} |" for name, text in COMMANDS.items()]
    index += ["", "Exit codes, the same everywhere:", "", "| code | means |", "| --- | --- |"]
    index += [f"| {code} | {text} |" for code, text in EXIT_CODES.items()]
    return {INDEX: _joined(index)} | {f"{name}.md": page(name) for name in COMMANDS}


EXIT_CODES = {
    0: "done; a refuted hypothesis is a result, too",
    1: "it ran, but a check failed or trials are invalid",
    2: "wrong usage or invalid input",
    3: "the host lacks something, or it is not built yet: the message names it, with the remedy",
    4: "no such lab or object",
    5: "out of time or room",
    130: "interrupted",
}


def page(name: str) -> str:
    """The page of one command."""
    parser = parser_of(name)
    lines = [f"# testbed {name}", "", f"{COMMANDS[name][0].upper()}{COMMANDS[name][1:]}.", ""]
    lines += ["```", *_usage(parser), "```", "", *_table(parser)]
    lines += ["", "```console"]
    for line, text in EXAMPLES[name]:
        lines += [f"# {text}", f"$ {line}"] if text else [f"$ {line}"]
    lines += ["```"]
    return _joined(lines)


def _usage(parser: argparse.ArgumentParser) -> list[str]:
    formatter = argparse.HelpFormatter(parser.prog, width=WIDTH)
    formatter.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups, "")
    return formatter.format_help().splitlines()


def _table(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield "| argument | what it is |"
    yield "| --- | --- |"
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction):
            continue
        text = (action.help or "").replace("%%", "%")
        yield "| `{}` | {} |".format(*(cell.replace("|", "\\|") for cell in (_name(action), text)))


def _name(action: argparse.Action) -> str:
    choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else ""
    value = str(action.metavar or choices or action.dest.upper())
    if not action.option_strings:
        return value
    return ", ".join(action.option_strings) + (f" {value}" if action.nargs != 0 else "")


def _joined(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write them all into the folder that is named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
