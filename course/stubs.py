"""Functions without their bodies: source texts are parsed, never searched.

A stub keeps the function's signature, its docstring, and the checks of its arguments: what leads
the body and calls ``check_*``, ``as_*`` or ``_check*`` or only raises, and what unpacks a name
before that. Then come a comment with what is to be written and an error that names the function and
the command that tests it.
"""

import ast
import textwrap

LINE = 100  # characters
CHECKS = ("check_", "as_", "_check")


def find(source, name):
    """Return the definition of a function, or of Class.method, as a node of the syntax tree."""
    node = ast.parse(source)
    for part in name.split("."):
        found = [n for n in node.body if getattr(n, "name", None) == part]
        if len(found) != 1:
            raise ValueError(f"expected one definition of {name}, found {len(found)}")
        [node] = found
    return node


def end(lines, node):
    """Return how many lines there are up to a function's end, comments indented below included."""
    stop = node.end_lineno
    for i, line in enumerate(lines[stop:], start=stop + 1):
        text = line.lstrip()
        if text.startswith("#") and len(line) - len(text) > node.col_offset:
            stop = i
        elif text:
            break
    return stop


def _is_docstring(statement):
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_check(statement):
    if isinstance(statement, ast.If):
        return all(isinstance(s, ast.Raise) for s in (*statement.body, *statement.orelse))
    call = getattr(statement, "value", None)
    if isinstance(call, ast.ListComp):
        call = call.elt
    return isinstance(call, ast.Call) and getattr(call.func, "id", "").startswith(CHECKS)


def _is_unpacking(statement):
    return isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Name)


def split(node):
    """Return the statements of a function that its stub keeps, and those that it does not."""
    kept = int(_is_docstring(node.body[0]))
    for i, statement in enumerate(node.body[kept:], start=kept):
        if _is_check(statement):
            kept = i + 1
        elif not _is_unpacking(statement):
            break
    return node.body[:kept], node.body[kept:]


def message(part, number):
    """Return what the error of a stub says. Numbers are the order of the assignment."""
    graded = "" if part.points else " (not graded)"
    tests = part.name.removesuffix(".__init__")
    return f"TODO {number}: write {part.name} in {part.file}{graded}; test it: pytest -k {tests}"


def stub(source, part, number):
    """Return the source of a module with one function's body left out."""
    lines = source.splitlines(keepends=True)
    node = find(source, part.name)
    kept, left_out = split(node)
    indent = " " * left_out[0].col_offset
    comment = textwrap.wrap(f"# TODO: {part.task}", LINE - len(indent), subsequent_indent="# ")
    todo, test = message(part, number).split("; ")
    body = [*comment, "raise NotImplementedError(", f'    "{todo}; "', f'    "{test}"', ")\n"]
    first = kept[-1].end_lineno if kept else left_out[0].lineno - 1
    lines[first : end(lines, node)] = [textwrap.indent("\n".join(body), indent)]
    source = "".join(lines)
    return document(source, part.name, part.docstring) if part.docstring else source


def document(source, name, text):
    """Return the source of a module with another docstring of one function."""
    lines = source.splitlines(keepends=True)
    [old, *_] = find(source, name).body
    last = "\n" if "\n" in text else ""
    new = textwrap.indent(f'"""{text}{last}"""\n', " " * old.col_offset)
    lines[old.lineno - 1 : old.end_lineno] = [new]
    return "".join(lines)
