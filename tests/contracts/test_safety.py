"""Nothing that is read can run code: no pickle in any form, no eval, no unsafe YAML, no shell, no archives."""

from __future__ import annotations

import ast
import re

import pytest

from tests.contracts.source import Module, imports, modules

FORBIDDEN_IMPORTS = {
    "pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve",
    "code", "codeop", "commands", "ctypes", "cffi", "pty", "runpy", "tarfile", "zipfile", "zipimport", "torch",
}  # fmt: skip
FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_METHODS = {
    "eval", "to_pickle", "read_pickle", "unsafe_load", "full_load", "load_all", "unpack_archive", "extractall",
    "system", "popen", "startfile", "fork", "forkpty", "exec_module",
}  # fmt: skip
#: Of `os`, what starts a program: execv, spawnlp, posix_spawn ...
FORBIDDEN_STARTS = ("os.exec", "os.spawn", "os.posix_spawn")
#: The modules that start a program, and how its command begins: Git, and Python with a program that stands there.
STARTS = {
    "nasicon_ml.tracking.record": ["'git'"],
    "nasicon_ml.trees.arrays": ["sys.executable", "'-P'", "'-c'", "_CONVERT"],
}
#: The module that starts this program again: what goes through the pipes of the two is pickled, never written.
PROCESSES = "nasicon_ml.screening.processes"
#: The modules that read archives, in memory: of arrays alone, uncompressed; and workbooks, as far as a limit.
ARCHIVES = {"nasicon_ml.trees.arrays": {"zipfile"}, "nasicon_ml.io.workbook": {"zipfile"}}
#: Where a module's name is looked up in a table that stands there.
TABLES_OF_MODULES = {"nasicon_ml.cli.main"}


def dangers(module: Module) -> list[str]:
    """Return what in the module could run code that came from a file."""
    found = [
        f"{module.name}:{item.line} imports {item.target}"
        for item in imports(module)
        if FORBIDDEN_IMPORTS.intersection(item.target.split(".")) - ARCHIVES.get(module.name, set())
    ]
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        owner, _, name = called.rpartition(".")
        unsafe_numpy = any(
            keyword.arg == "allow_pickle" and not _is_false(keyword.value) for keyword in node.keywords
        )
        if (
            called in FORBIDDEN_NAMES
            or called.startswith(FORBIDDEN_STARTS)
            or (name == "import_module" and not _is_known_module(node, module))
            or (owner and name in FORBIDDEN_METHODS)
            or (called == "yaml.load" and not _has_safe_loader(node, module.tree))
            or unsafe_numpy
        ):
            found.append(f"{module.name}:{node.lineno} calls {called}")
    return found + strange_programs(module)


def strange_programs(module: Module) -> list[str]:
    """Return where the module starts a program, unless it is the one that may, as it may."""
    starters = {"subprocess"} if module.name == PROCESSES else {"subprocess", "multiprocessing"}
    uses = any(item.target.split(".")[0] in starters for item in imports(module))
    allowed = STARTS.get(module.name)
    if uses and allowed is None:
        return [f"{module.name} may start no program"]
    found = []
    lists = {
        target.id: node.value
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call) or not re.fullmatch(r"subprocess\.\w+", ast.unparse(node.func)):
            continue
        command = node.args[0] if node.args else None
        if isinstance(command, ast.Name):
            command = lists.get(command.id)
        words = command.elts if isinstance(command, ast.List) else []
        is_allowed = allowed == [ast.unparse(word) for word in words[: len(allowed or [])]]
        has_shell = any(keyword.arg in {"shell", "executable", None} for keyword in node.keywords)
        if not is_allowed or has_shell:
            found.append(f"{module.name}:{node.lineno} starts other than {allowed}")
    return found


def _is_known_module(call: ast.Call, module: Module) -> bool:
    """Whether `import_module` is given a name that stands there, or one of its own that stands in a table."""
    if module.name in TABLES_OF_MODULES or (call.args and isinstance(call.args[0], ast.Constant)):
        return True
    return (
        module.is_package
        and bool(call.args)
        and ast.unparse(call.args[0]).startswith(("f'{__name__}.", 'f"{__name__}.'))
    )


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def _has_safe_loader(call: ast.Call, tree: ast.AST) -> bool:
    """Whether `yaml.load` is given SafeLoader, a class the module derives from it, or one that a maker derives."""
    safe = _safe_classes(tree)
    loaders = [keyword.value for keyword in call.keywords if keyword.arg == "Loader"]
    return any(
        ast.unparse(loader) in safe or (isinstance(loader, ast.Call) and _is_safe_maker(loader.func, tree))
        for loader in loaders
    )


def _safe_classes(tree: ast.AST) -> set[str]:
    safe = {"yaml.SafeLoader", "yaml.CSafeLoader"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and safe.intersection(map(ast.unparse, node.bases)):
            safe.add(node.name)
    return safe


def _is_safe_maker(function: ast.expr, tree: ast.AST) -> bool:
    """Whether all that a function of this module, or of another one of the package, returns are safe loaders."""
    if isinstance(tree, ast.Module) and _makes_safe_loaders(tree, ast.unparse(function)):
        return True
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and ast.unparse(function) in {alias.name for alias in node.names}:
            homes = [module for module in modules() if module.name == node.module]
            return bool(homes) and _makes_safe_loaders(homes[0].tree, ast.unparse(function))
    return False


def _makes_safe_loaders(tree: ast.Module, name: str) -> bool:
    makers = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    inside = {
        id(node)
        for maker in makers
        for part in ast.walk(maker)
        if part is not maker and isinstance(part, ast.FunctionDef)
        for node in ast.walk(part)
    }
    returned = [
        ast.unparse(node.value) if node.value else ""
        for maker in makers
        for node in ast.walk(maker)
        if isinstance(node, ast.Return) and id(node) not in inside
    ]
    return bool(returned) and all(one in _safe_classes(tree) for one in returned)


def test_nothing_read_can_run_code() -> None:
    assert [line for module in modules() for line in dangers(module)] == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "def save():\n    from joblib import dump",
        "import numpy.ma, cloudpickle",
        "from sklearn.externals import joblib as j\nimport sklearn.externals.joblib",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "eval(text)",
        "frame.eval('a + b')",
        "pd.read_pickle(path)",
        "yaml.load(text)",
        "class Plain(yaml.Loader): ...\nyaml.load(text, Loader=Plain)",
        "yaml.load(text, Loader=make())",
        "from nasicon_ml.errors import nearest\nyaml.load(text, Loader=nearest())",
        "__import__(name)",
        "import_module(name)",
        "import tarfile",
        "from zipfile import ZipFile",
        "shutil.unpack_archive(path)",
        "os.system(text)",
        "os.popen(text)",
        "os.execvp(name, words)",
        "os.posix_spawn(name, words, {})",
        "import subprocess",
        "def start():\n    from subprocess import run",
        "import multiprocessing.pool",
    ],
)
def test_a_danger_is_seen(text: str) -> None:
    assert len(dangers(Module("nasicon_ml.data.load", text))) == 1


@pytest.mark.parametrize(
    ("returned", "safe"),
    [("Plain", True), ("yaml.SafeLoader", True), ("yaml.Loader", False), ("Other", False), ("", False)],
)
def test_a_maker_of_loaders_has_to_make_safe_ones(returned: str, safe: bool) -> None:
    text = (
        "def make(name):\n"
        "    class Plain(yaml.SafeLoader):\n"
        "        def read(self):\n            return 1\n"
        "    class Other(yaml.UnsafeLoader): ...\n"
        f"    return {returned}\n"
    )
    assert _makes_safe_loaders(ast.parse(text), "make") == safe
    assert not _makes_safe_loaders(ast.parse(text), "another")


@pytest.mark.parametrize(
    "text",
    [
        "np.load(path, allow_pickle=False)",
        "yaml.safe_load(text)",
        "class Plain(yaml.SafeLoader): ...\nyaml.load(text, Loader=Plain)",
        "re.compile(text)",
    ],
)
def test_the_safe_form_passes(text: str) -> None:
    assert dangers(Module("nasicon_ml.data.load", text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "import subprocess\nsubprocess.run(['git', 'status'], shell=True)",
        "import subprocess\nsubprocess.run('git status')",
        "import subprocess\nsubprocess.run(['sh', '-c', text])",
        "import subprocess\nwords = [name, 'status']\nsubprocess.run(words)",
        "import subprocess\nsubprocess.check_output(words)",
        "import subprocess\nsubprocess.run(['git'], executable=name)",
        "import subprocess\nsubprocess.run(['git'], **settings)",
    ],
)
def test_the_one_that_asks_git_can_ask_nothing_else(text: str) -> None:
    assert len(dangers(Module("nasicon_ml.tracking.record", text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "subprocess.run([sys.executable, '-P', '-c', program])",
        "subprocess.run([sys.executable, 'file.py'])",
        "subprocess.run(['git', 'status'])",
    ],
)
def test_the_one_that_asks_xgboost_can_ask_nothing_else(text: str) -> None:
    assert len(dangers(Module("nasicon_ml.trees.arrays", f"import subprocess\n{text}"))) == 1


def test_asking_git_passes() -> None:
    text = "import subprocess\nwords = ['git', *more]\nsubprocess.run(words, check=True)"
    assert dangers(Module("nasicon_ml.tracking.record", text)) == []


def test_whoever_may_start_a_program_does() -> None:
    users = {module.name for module in modules() for item in imports(module) if item.target == "subprocess"}
    assert users == set(STARTS)
