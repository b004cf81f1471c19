"""No module can run code from a file: no pickle, eval, unsafe YAML, shell, or unpacking of archives."""

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
#: Functions of `os` that start a program: execv, spawnlp, posix_spawn ...
FORBIDDEN_PREFIXES = ("os.exec", "os.spawn", "os.posix_spawn")
#: Modules that start a program, and the first arguments of its command: Git, and Python with constant code.
PROGRAM_STARTERS = {
    "nasicon_ml.tracking.record": ["'git'"],
    "nasicon_ml.trees.arrays": ["sys.executable", "'-P'", "'-c'", "_CONVERT"],
}
#: The module that uses multiprocessing, which pickles what is sent through pipes, but writes no pickles to files.
MULTIPROCESSING_MODULE = "nasicon_ml.screening.processes"
#: Modules that read zip archives in memory: uncompressed arrays, and workbooks up to a size limit.
ARCHIVE_READERS = {"nasicon_ml.trees.arrays": {"zipfile"}, "nasicon_ml.io.workbook": {"zipfile"}}
#: Modules that import lazily by names from a constant table.
LAZY_IMPORTERS = {"nasicon_ml.cli.main"}


def unsafe_code(module: Module) -> list[str]:
    """Return the imports and calls of the module that could run code from a file."""
    findings = [
        f"{module.name}:{item.line} imports {item.target}"
        for item in imports(module)
        if FORBIDDEN_IMPORTS.intersection(item.target.split(".")) - ARCHIVE_READERS.get(module.name, set())
    ]
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        function = ast.unparse(node.func)
        owner, _, name = function.rpartition(".")
        unsafe_numpy = any(
            keyword.arg == "allow_pickle" and not _is_false(keyword.value) for keyword in node.keywords
        )
        if (
            function in FORBIDDEN_NAMES
            or function.startswith(FORBIDDEN_PREFIXES)
            or (name == "import_module" and not _is_known_module(node, module))
            or (owner and name in FORBIDDEN_METHODS)
            or (function == "yaml.load" and not _has_safe_loader(node, module.tree))
            or unsafe_numpy
        ):
            findings.append(f"{module.name}:{node.lineno} calls {function}")
    return findings + unsafe_subprocesses(module)


def unsafe_subprocesses(module: Module) -> list[str]:
    """Return where the module starts a program other than its command in `PROGRAM_STARTERS`."""
    starters = {"subprocess"} if module.name == MULTIPROCESSING_MODULE else {"subprocess", "multiprocessing"}
    uses = any(item.target.split(".")[0] in starters for item in imports(module))
    allowed = PROGRAM_STARTERS.get(module.name)
    if uses and allowed is None:
        return [f"{module.name} must not start programs"]
    findings = []
    assigned_values = {
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
            command = assigned_values.get(command.id)
        arguments = command.elts if isinstance(command, ast.List) else []
        is_allowed = allowed == [ast.unparse(word) for word in arguments[: len(allowed or [])]]
        has_shell = any(keyword.arg in {"shell", "executable", None} for keyword in node.keywords)
        if not is_allowed or has_shell:
            findings.append(f"{module.name}:{node.lineno} starts a program other than {allowed}")
    return findings


def _is_known_module(call: ast.Call, module: Module) -> bool:
    """Whether `import_module` gets a constant name, one from a constant table, or a submodule of the package."""
    if module.name in LAZY_IMPORTERS or (call.args and isinstance(call.args[0], ast.Constant)):
        return True
    return (
        module.is_package
        and bool(call.args)
        and ast.unparse(call.args[0]).startswith(("f'{__name__}.", 'f"{__name__}.'))
    )


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def _has_safe_loader(call: ast.Call, tree: ast.AST) -> bool:
    """Whether `yaml.load` gets SafeLoader, a class that is derived from it, or the result of a safe factory."""
    safe = _safe_classes(tree)
    loaders = [keyword.value for keyword in call.keywords if keyword.arg == "Loader"]
    return any(
        ast.unparse(loader) in safe or (isinstance(loader, ast.Call) and _is_safe_factory(loader.func, tree))
        for loader in loaders
    )


def _safe_classes(tree: ast.AST) -> set[str]:
    safe = {"yaml.SafeLoader", "yaml.CSafeLoader"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and safe.intersection(map(ast.unparse, node.bases)):
            safe.add(node.name)
    return safe


def _is_safe_factory(function: ast.expr, tree: ast.AST) -> bool:
    """Whether a function of this module or of another module of the package returns only safe loaders."""
    if isinstance(tree, ast.Module) and _returns_safe_loaders(tree, ast.unparse(function)):
        return True
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and ast.unparse(function) in {alias.name for alias in node.names}:
            sources = [module for module in modules() if module.name == node.module]
            return bool(sources) and _returns_safe_loaders(sources[0].tree, ast.unparse(function))
    return False


def _returns_safe_loaders(tree: ast.Module, name: str) -> bool:
    factories = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    inside = {
        id(node)
        for factory in factories
        for part in ast.walk(factory)
        if part is not factory and isinstance(part, ast.FunctionDef)
        for node in ast.walk(part)
    }
    returned = [
        ast.unparse(node.value) if node.value else ""
        for factory in factories
        for node in ast.walk(factory)
        if isinstance(node, ast.Return) and id(node) not in inside
    ]
    return bool(returned) and all(loader in _safe_classes(tree) for loader in returned)


def test_no_module_can_run_code_from_files() -> None:
    assert [line for module in modules() for line in unsafe_code(module)] == []


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
def test_unsafe_code_is_found(text: str) -> None:
    assert len(unsafe_code(Module("nasicon_ml.data.load", text))) == 1


@pytest.mark.parametrize(
    ("returned", "safe"),
    [("Plain", True), ("yaml.SafeLoader", True), ("yaml.Loader", False), ("Other", False), ("", False)],
)
def test_loader_factory_is_safe_only_if_all_returned_loaders_are(returned: str, safe: bool) -> None:
    text = (
        "def make(name):\n"
        "    class Plain(yaml.SafeLoader):\n"
        "        def read(self):\n            return 1\n"
        "    class Other(yaml.UnsafeLoader): ...\n"
        f"    return {returned}\n"
    )
    assert _returns_safe_loaders(ast.parse(text), "make") == safe
    assert not _returns_safe_loaders(ast.parse(text), "another")


@pytest.mark.parametrize(
    "text",
    [
        "np.load(path, allow_pickle=False)",
        "yaml.safe_load(text)",
        "class Plain(yaml.SafeLoader): ...\nyaml.load(text, Loader=Plain)",
        "re.compile(text)",
    ],
)
def test_unsafe_code_allows_safe_variant(text: str) -> None:
    assert unsafe_code(Module("nasicon_ml.data.load", text)) == []


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
def test_record_module_may_only_start_git(text: str) -> None:
    assert len(unsafe_code(Module("nasicon_ml.tracking.record", text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "subprocess.run([sys.executable, '-P', '-c', program])",
        "subprocess.run([sys.executable, 'file.py'])",
        "subprocess.run(['git', 'status'])",
    ],
)
def test_arrays_module_may_only_start_its_conversion(text: str) -> None:
    assert len(unsafe_code(Module("nasicon_ml.trees.arrays", f"import subprocess\n{text}"))) == 1


def test_git_command_of_record_module_is_allowed() -> None:
    text = "import subprocess\nwords = ['git', *more]\nsubprocess.run(words, check=True)"
    assert unsafe_code(Module("nasicon_ml.tracking.record", text)) == []


def test_allowed_program_starters_are_those_that_start_programs() -> None:
    users = {module.name for module in modules() for item in imports(module) if item.target == "subprocess"}
    assert users == set(PROGRAM_STARTERS)
