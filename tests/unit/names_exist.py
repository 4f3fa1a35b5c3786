#!/usr/bin/python3
"""What comments and documents name is there: files and folders, functions and other names of code, settings, options, SQLSTATEs, exit codes.

Usage: names_exist.py. Exit code 1, and a line for each name that is not there, with the file and line that name it.

A name of code is there when it occurs in code: in any file, outside of comments and documents. That it is the right one, no program can say; that
it went away with a change, this one does. What belongs to others is in names_of_others.txt, what stands for a name is written large (NAME.sql).
The change log tells of the past and is not read; nor is the data of tests. Before anything else each kind is planted, and must be found.
"""

import os
import pathlib
import re
import sys
import tokenize

from psycopg2 import errorcodes

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
PASSED = re.compile(r"\.(?!ci$|\.).*|build.*|__pycache__|node_modules")  # folders that are not of the repository
UNREAD = re.compile(r"^tests/(data/.*(?<!\.py)|fuzz/seeds/.*|unit/names_(exist\.py|of_others\.txt))$|^CHANGELOG\.md$")
EXTENSIONS = "c|h|hpp|sql|py|md|cmake|tsv|ini|json|pml|sh|patch|service|txt|xml|map|js|java|rs|go|properties|conf|csv|toml|log|a|so"
EXIT_CODES = {"0", "1", "2", "3", "4"} | {"66", "86", "99"}  # the last of tests: thread sanitizer, failpoint, address sanitizer

# Comments of each language in group 1; strings first, so that what looks like a comment in one is none.
C_LIKE = re.compile(r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|(/\*.*?\*/|//[^\n]*)""", re.DOTALL)
SQL = re.compile(r"'(?:[^']|'')*'|(--[^\n]*|/\*.*?\*/)", re.DOTALL)
SHELL = re.compile(r"(?:^|(?<=\s))(#[^\n]*)", re.MULTILINE)
FENCED = re.compile(r"^(```\w+(?: \w+)?\n.*?^```)", re.DOTALL | re.MULTILINE)  # an example: code
LANGUAGES = {**dict.fromkeys((".c", ".h", ".hpp", ".js", ".java", ".rs", ".go", ".pml"), C_LIKE), ".sql": SQL,
             **dict.fromkeys((".cmake", ".sh", ".ini", ".service", ".txt", ".in", ".properties", ".supp"), SHELL)}


def python_comments(path):
    """(offset, text) of each comment and docstring."""
    starts = [0]
    for line in path.read_text().splitlines(True):
        starts.append(starts[-1] + len(line))
    fresh = True  # at the start of a statement, where a string is a docstring
    with open(path, "rb") as source:
        for token in tokenize.tokenize(source.readline):
            if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and fresh):
                yield starts[token.start[0] - 1] + token.start[1], token.string
            if token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING):
                fresh = True
            elif token.type not in (tokenize.NL, tokenize.COMMENT):
                fresh = False


def split(path, text):
    """([(offset, prose)], code) of a file."""
    if path.suffix == ".md":
        code = FENCED.findall(text)
        return [(0, FENCED.sub(lambda block: "\n" * block.group().count("\n"), text))], "\n".join(code)
    if path.suffix == ".py" or text.startswith("#!/usr/bin/python3"):
        prose = list(python_comments(path))
    else:
        language = LANGUAGES.get(path.suffix) or (SHELL if text.startswith("#!") else None)
        prose = [(found.start(1), found.group(1)) for found in language.finditer(text) if found.group(1)] if language else []
    code, end = [], 0
    for offset, comment in prose:
        code.append(text[end:offset])
        end = offset + len(comment)
    return prose, " ".join([*code, text[end:]])


def files():
    """Every file and folder of the repository, by its path in it."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if not PASSED.fullmatch(name))
        for name in sorted(folders + names):
            yield os.path.relpath(os.path.join(folder, name), ROOT)


class Tree:
    """Every file of the repository, what it says in prose, and all that occurs in code."""

    def __init__(self):
        self.prose = []  # (file, its text, offset in it, comment)
        self.paths = set()
        code = []
        for name in files():
            path = ROOT / name
            self.paths.add(name)
            if UNREAD.search(name) or not path.is_file() or path.is_symlink():
                continue
            try:
                text = path.read_text()
            except UnicodeDecodeError:
                continue  # golden bytes, archives
            prose, of_code = split(path, text)
            self.prose += [(name, text, offset, comment) for offset, comment in prose]
            code.append(of_code)
        self.code = "\n".join(code)
        self.words = set(re.findall(r"\w+", self.code)) | {pathlib.PurePath(name).stem for name in self.paths}
        self.paths_in_code = set(PATH.findall(self.code))
        self.options = set(re.findall(r"--[a-z][a-z0-9-]+", self.code))
        self.endings = {ending for name in self.paths for ending in endings(name)}
        self.settings = set(re.findall(r"^\| `([a-z_]+\.[a-z_.]+)`", (ROOT / "docs/settings.md").read_text(), re.MULTILINE))
        self.others = set(re.sub("#.*", "", (HERE / "names_of_others.txt").read_text()).split())

    def has_path(self, name, at):
        base = pathlib.PurePath(at).parent
        plain = name
        if PASSED.fullmatch(plain.split("/")[0]):  # made by a run
            return pathlib.PurePath(plain).name in self.paths_in_code
        while plain.startswith("../"):
            plain, base = plain[3:], base.parent
        return plain in self.endings or str(base / plain) in self.paths or plain in self.paths_in_code


def endings(name):
    """a/b/c.x as it may be named: c.x, b/c.x, a/b/c.x; and each without its extension."""
    parts = name.split("/")
    for start in range(len(parts)):
        ending = "/".join(parts[start:])
        yield ending
        if "." in parts[-1] and start < len(parts) - 1:
            yield ending[: ending.rindex(".")]


BEFORE, BEHIND = r"(?<![\w./${<%-])", r"(?![\w*])"
PATH = re.compile(BEFORE + rf"(?:\.\./)*(?:[\w.@-]+/)*[\w@-]+\.(?:{EXTENSIONS})\b(?![(/\w])")
FOLDER = re.compile(BEFORE + r"(?:\.\./)*(?:common|producer|consumer|aggregator|operator|schemas|deploy|tests|docs|cmake)/[\w./-]*\w/?" + BEHIND)
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)(?:#[^)]*)?\)")
FUNCTION = re.compile(r"(?<![\w/${<%-])([a-zA-Z_]\w*)\(\)|(?<![\w/${<%-])([a-z]\w*_\w+)\(")
WORD = re.compile(r"(?<![\w/${<%-])(?:[a-z][a-z0-9]*(?:_[a-z0-9]+)+|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)" + BEHIND + r"(?!\.[a-z(])")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]+" + BEHIND)
SETTING = re.compile(BEFORE + r"[a-z_]+\.[a-z_]+(?:\.[a-z_]+)*" + BEHIND + r"(?![(/])")
DOTTED = re.compile(r"`([a-z][a-z_]*(?:\.[a-z_]+)+)`")
# Five digits without a comma are one, but for round numbers.
SQLSTATE = re.compile(r"(?<![\w-])TM\d{3}\b|(?<=SQLSTATE )[0-9A-Z]{5}\b|(?<![\w.,:$/-])(?!\d0000)(?:\d\d|\d[A-Z]|F0|HV|P0|XX)[0-9A-Z]{3}\b(?![.,]\d)")
EXITS = re.compile(r"\b[Ee]xit(?:s|ed|ing)?\b[^.\n|]*")
EXIT = re.compile(r"(?:xit(?:s|ed|ing)?(?: (?:with|by))?|codes?(?: is)?(?: then)?(?: follow)?:?) (\d+)\b|(?:[;·,]|\bor|\band) (\d)\b(?![.,:]?\d| ?(?:s|ms|us|min|%|KiB|MiB)\b)")


def faults_of(tree, at, prose):
    """(position, what is not there) in a piece of prose."""
    bare = re.sub(r"https?://\S+", lambda url: " " * len(url.group()), prose)
    sections = {key.split(".")[0] for key in tree.settings}
    for found in [*PATH.finditer(bare), *FOLDER.finditer(bare), *LINK.finditer(bare)]:
        name = found.group(found.re.groups).rstrip("/")
        if not is_placeholder(name) and not tree.has_path(name, at):
            yield found, f"file {name}"
    for found in FUNCTION.finditer(bare):
        name = found.group(1) or found.group(2)
        if name not in tree.words:
            yield found, f"function {name}()"
    for found in WORD.finditer(bare):
        is_part = bare[:found.start()].endswith("-k ")  # pytest's: a part of a test's name
        if not is_placeholder(found.group()) and not (found.group() in tree.code if is_part else is_word(tree, found.group())):
            yield found, f"name {found.group()}"
    for found in OPTION.finditer(bare):
        if found.group() not in tree.options and f'"{found.group()[2:]}"' not in tree.code:
            yield found, f"option {found.group()}"
    for found in SETTING.finditer(bare):
        name = found.group()
        if name.split(".")[0] in sections and not is_setting(tree, name) and not PATH.fullmatch(name):
            yield found, f"setting {name}"
    for found in DOTTED.finditer(bare):
        name = found.group(1)
        if not is_setting(tree, name) and not PATH.fullmatch(name) and not all(part in tree.words for part in name.split(".")):
            yield found, f"setting or column {name}"
    for found in SQLSTATE.finditer(bare):
        code = found.group()
        if not (f'"{code}"' in tree.code or f"'{code}'" in tree.code if code.startswith("TM") else code in ERRCODES):
            yield found, f"SQLSTATE {code}"
    for told in EXITS.finditer(bare):
        for found in EXIT.finditer(bare, told.start(), told.end()):
            code = found.group(1) or found.group(2)
            if code not in EXIT_CODES:
                yield found, f"exit code {code}"


def is_placeholder(name):
    return re.search(r"(?<![a-zA-Z0-9])(NAME|NNNN|PART|FILE|FOLDER|DIR|N)(?![a-zA-Z0-9])", name) is not None


def is_setting(tree, name):
    """A key of ours, or one of librdkafka's that occurs in code."""
    return name in tree.settings or (name.startswith("kafka.") and name.removeprefix("kafka.") in tree.code)


def is_word(tree, word):
    """Whether it occurs in code, also behind the name of its program, or of its list, as metrics, reasons and rollups are named."""
    if word in tree.words:
        return True
    if word.isupper():
        return f"REASON_{word}" in tree.words
    made = re.sub(r"^tallymill_(consumer|aggregator)_|^analytics_(internal_)?(daily|weekly)_", "", word)
    return made != word and made in tree.words


def unnamed_sqlstates(tree):
    """Our own SQLSTATEs that are raised and not told in the design."""
    design = (ROOT / "docs/design.md").read_text()
    return {("docs/design.md", 1, f"SQLSTATE {code}, which is raised,") for code in re.findall(r"'(TM\d{3})'", tree.code) if code not in design}


def unnamed_files():
    """Files that their folder's README does not name: of the programs each source, for its order of reading leaves nothing out."""
    for folder in ("common", "producer", "consumer", "aggregator", "operator"):
        told = {"main"} | {word for readme in (ROOT / folder).rglob("README.md") for word in re.findall(r"\w+", readme.read_text())}
        for name in sorted({path.stem for path in (ROOT / folder).rglob("*.[ch]")} - told):
            yield f"{folder}/README.md", 1, f"a word on {folder}/{name}"
    for folder in ("schemas", "deploy", "deploy/servers"):  # whatever lies there, by its whole name
        readme = f"{folder.split('/')[0]}/README.md"
        told = (ROOT / readme).read_text()
        for name in sorted(path.name for path in (ROOT / folder).iterdir()):
            if not PASSED.fullmatch(name) and name not in ("README.md", "CMakeLists.txt") and not re.search(rf"[`/]{re.escape(name)}(?![\w-])", told):
                yield readme, 1, f"a word on {folder}/{name}"


def unnamed_failpoints():
    """Labelled steps of a program that its README does not list."""
    for folder in ("producer", "consumer", "aggregator", "operator"):
        told = (ROOT / folder / "README.md").read_text()
        code = "".join(path.read_text() for path in (ROOT / folder).rglob("*.c"))
        for name in sorted(set(re.findall(r'FAILPOINT(?:_COUNT)?\("(\w+)"', code))):
            if f"`{name}`" not in told:
                yield f"{folder}/README.md", 1, f"failpoint {name}"


ERRCODES = {code for name, code in vars(errorcodes).items() if name.isupper() and len(str(code)) == 5}


PLANTED = {
    "see consumer/nothing.c": "file consumer/nothing.c", "`common/no_such`": "file common/no_such", "[page](../docs/none.md#top)": "file ../docs/none.md",
    "no_such_call() answers": "function no_such_call()", "nosuch() answers": "function nosuch()", "by tallymill.no_such_view": "name no_such_view",
    "-k no_such_test": "name no_such_test", "tallymill_consumer_no_such_total": "name tallymill_consumer_no_such_total", "NO_SUCH_LIMIT": "name NO_SUCH_LIMIT",
    "with --none-of-ours": "option --none-of-ours", "batch.no_such": "setting batch.no_such", "`nosuch.size`": "setting or column nosuch.size",
    "raises TM099": "SQLSTATE TM099", "(40099)": "SQLSTATE 40099", "SQLSTATE 55P99": "SQLSTATE 55P99", "55P98 is": "SQLSTATE 55P98",
    "exit code 7": "exit code 7", "exits with 8": "exit code 8", "exit codes: 0 done, 1 failed, 9 else": "exit code 9", "the exit code is then 5": "exit code 5",
}


def must_find(tree):
    """Plants a name of each kind that cannot be there, in a document and in a comment of each language."""
    unfound = []
    for text, what in PLANTED.items():
        comments = {"x.md": text, "x.c": f"int a; /* {text} */", "x.sql": f"SELECT 1; -- {text}", "x.sh": f"true # {text}"}
        for name, whole in comments.items():
            prose, _ = split(pathlib.PurePath(name), whole)
            if not any(what == found for _, piece in prose for _, found in faults_of(tree, "consumer/" + name, piece)):
                unfound.append(f"planted in {name} and not found: {what}")
    return unfound


def main():
    tree = Tree()
    unfound = must_find(tree)
    if unfound:
        print("\n".join(unfound))
        return 1
    faults = unnamed_sqlstates(tree) | set(unnamed_files()) | set(unnamed_failpoints())
    for at, text, offset, prose in tree.prose:
        for found, what in faults_of(tree, at, prose):
            if what.split(" ")[-1].removesuffix("()") not in tree.others:
                faults.add((at, text.count("\n", 0, offset) + prose.count("\n", 0, found.start()) + 1, what))
    for at, line, what in sorted(faults):
        print(f"{at}:{line}: {what} is not there")
    print(f"{len(tree.prose)} comments and documents, {len(faults)} names that are not there")
    return 1 if faults or not tree.settings else 0


if __name__ == "__main__":
    sys.exit(main())
