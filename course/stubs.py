"""Functions without their bodies, and back: the source texts are parsed, never searched.

A stub keeps the function's signature, its docstring, and the checks of its arguments: what leads
the body and calls ``check_*``, ``as_*`` or ``_check*`` or only raises, and what unpacks a name
before that. Then come a comment with what is to be written and an error that names the function.
"""

import ast
import textwrap

LINE = 100  # characters
CHECKS = ("check_", "as_", "_check")


def find(source, name):
    """The definition of a function, or of Class.method, as a node of the syntax tree."""
    node = ast.parse(source)
    for part in name.split("."):
        found = [n for n in node.body if getattr(n, "name", None) == part]
        if len(found) != 1:
            raise ValueError(f"expected one definition of {name}, found {len(found)}")
        [node] = found
    return node


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
    """The statements of a function that its stub keeps, and those that it does not."""
    kept = int(_is_docstring(node.body[0]))
    for i, statement in enumerate(node.body[kept:], start=kept):
        if _is_check(statement):
            kept = i + 1
        elif not _is_unpacking(statement):
            break
    return node.body[:kept], node.body[kept:]


def message(part, number):
    """What the error of a stub says. Numbers are the order of the assignment."""
    graded = "" if part.points else " (not graded)"
    return f"TODO {number}: write {part.name} in {part.file}{graded}"


def stub(source, part, number):
    """The source of a module with one function's body left out."""
    lines = source.splitlines(keepends=True)
    node = find(source, part.name)
    kept, left_out = split(node)
    indent = " " * left_out[0].col_offset
    before = lines[: kept[-1].end_lineno if kept else left_out[0].lineno - 1]
    if part.docstring and kept and _is_docstring(kept[0]):
        before[kept[0].lineno - 1 : kept[0].end_lineno] = [_docstring(part.docstring, indent)]
    comment = textwrap.wrap(
        f"TODO: {part.task}", LINE, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "
    )
    error = f'{indent}raise NotImplementedError("{message(part, number)}")'
    return "".join(before) + "\n".join([*comment, error, ""]) + "".join(lines[node.end_lineno :])


def _docstring(text, indent):
    end = "\n" if "\n" in text else ""
    return textwrap.indent(f'"""{text}{end}"""\n', indent)


def restore(stubbed, solution, names):
    """The source with functions replaced by those of the solution: `stub` undone."""
    for name in names:
        lines, whole = (text.splitlines(keepends=True) for text in (stubbed, solution))
        old, new = find(stubbed, name), find(solution, name)
        lines[_first(old) : old.end_lineno] = whole[_first(new) : new.end_lineno]
        stubbed = "".join(lines)
    return stubbed


def _first(node):
    """Where a definition begins, its decorators included, counted from 0."""
    return min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 1


def without(source, names):
    """A module without some of its top-level definitions, and without all that uses them.

    An import of a name from the module itself goes with it.
    """
    lines = source.splitlines(keepends=True)
    for node in reversed(ast.parse(source).body):
        used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        defined = {getattr(node, "name", None)}
        if isinstance(node, ast.ImportFrom):
            defined |= {alias.name for alias in node.names}
        if (used | defined) & set(names):
            first = _first(node) if hasattr(node, "decorator_list") else node.lineno - 1
            stop = node.end_lineno
            while stop < len(lines) and first and not lines[stop].strip():
                stop += 1
            del lines[first:stop]
    return "".join(lines)
