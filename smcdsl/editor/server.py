"""The language server: what the editor asks for is answered by the modules beside this one.

Requests are answered on the main thread from the names and the syntax of the newest text, which takes
milliseconds. Everything that `smcdsl check` says may need automata; it is found out in a thread beside, for the
newest version only, with answers about grammars kept from keystroke to keystroke. Texts are sent whole: pygls
would cut lines at characters that do not end lines in the protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol, lsp_method

from smcdsl import __version__
from smcdsl.editor import complaints, completion, definition, formatting, hints, hover, outline, rename, semantics
from smcdsl.editor.complaints import Complaint
from smcdsl.editor.documents import Document, Documents
from smcdsl.editor.places import path_of
from smcdsl.report.visible import escape

_WATCHED = ("**/*.smc", "**/*.lark", "**/*.gbnf", "**/*.py", "**/*.json")


class Protocol(LanguageServerProtocol):
    """The protocol with columns in UTF-16 units, which every editor knows; pygls would take what it prefers."""

    @lsp_method(lsp.INITIALIZE)
    def lsp_initialize(self, params: lsp.InitializeParams) -> Generator[Any, Any, lsp.InitializeResult]:
        """Answer the editor's first request."""
        if params.capabilities.general is not None:
            params.capabilities.general.position_encodings = None
        return (yield from super().lsp_initialize(params))


class Server(LanguageServer):
    """The server's state: the documents, and what was last said about each."""

    def __init__(self) -> None:
        super().__init__(
            "smcdsl", __version__, text_document_sync_kind=lsp.TextDocumentSyncKind.Full, protocol_cls=Protocol
        )
        self.documents = Documents()
        self.said: dict[str, list[Complaint]] = {}
        self._pending: dict[str, Document] = {}
        self._lock = threading.Lock()
        self._is_checking = False
        self._checker = ThreadPoolExecutor(1, thread_name_prefix="check")

    def document(self, uri: str) -> Document:
        """A document by its URI; one that is not open is read from its file."""
        known = self.documents.open.get(uri)
        if known is not None:
            return known
        path = path_of(uri)
        try:
            text = path.read_text("utf-8") if path is not None else ""
        except (OSError, UnicodeDecodeError):
            text = ""
        return Document(uri, text, None, self.documents.facts)

    def check(self, document: Document) -> None:
        """Find out what there is to say about a document, soon, and say it unless it has changed by then."""
        loop = asyncio.get_running_loop()
        with self._lock:
            self._pending[document.uri] = document
            if self._is_checking:
                return
            self._is_checking = True
        self._checker.submit(self._check_pending, loop)

    def _check_pending(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            with self._lock:
                if not self._pending:
                    self._is_checking = False
                    return
                document = self._pending.pop(next(iter(self._pending)))
            try:
                found = complaints.complaints(document, document.diagnostics())
            except Exception:
                self._tell(loop, self._failed, traceback.format_exc())
                continue
            self._tell(loop, self._say, document, found)

    def _tell(self, loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: Any) -> None:
        """Go on on the main thread, which alone writes to the editor."""
        try:
            loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop has ended: the editor is gone
            logging.getLogger(__name__).info("the editor is gone")

    def _say(self, document: Document, found: list[Complaint]) -> None:
        known = self.documents.open.get(document.uri)
        if known is None or known.text != document.text:
            return
        self.said[document.uri] = found
        self.text_document_publish_diagnostics(
            lsp.PublishDiagnosticsParams(document.uri, [each.shown for each in found], known.version)
        )

    def _failed(self, report: str) -> None:
        self.window_log_message(lsp.LogMessageParams(lsp.MessageType.Error, f"smcdsl: internal error\n{report}"))


def did_open(ls: Server, params: lsp.DidOpenTextDocumentParams) -> None:
    """A text is open: what counts is what the editor has."""
    item = params.text_document
    ls.check(ls.documents.put(item.uri, item.text, item.version))


def did_change(ls: Server, params: lsp.DidChangeTextDocumentParams) -> None:
    """A keystroke."""
    uri = params.text_document.uri
    text = ls.workspace.get_text_document(uri).source
    ls.check(ls.documents.put(uri, text, params.text_document.version))


def did_close(ls: Server, params: lsp.DidCloseTextDocumentParams) -> None:
    """What is closed is no longer complained about."""
    uri = params.text_document.uri
    ls.documents.forget(uri)
    ls.said.pop(uri, None)
    ls.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, []))


def files_changed(ls: Server, _: lsp.DidSaveTextDocumentParams | lsp.DidChangeWatchedFilesParams) -> None:
    """A file that programs may import is another now."""
    ls.documents.refresh()
    for document in ls.documents.open.values():
        ls.check(document)


def folders_changed(ls: Server, _: object = None) -> None:
    """Note the folders that are open."""
    folders = [folder.uri for folder in ls.workspace.folders.values()] or [ls.workspace.root_uri or ""]
    found = [path_of(uri) for uri in folders]
    ls.documents.folders = [path for path in found if path is not None]


def initialized(ls: Server, _: lsp.InitializedParams) -> None:
    """Note the folders that are open, and ask to be told of files that change."""
    folders_changed(ls)
    workspace = ls.client_capabilities.workspace
    watching = workspace.did_change_watched_files if workspace is not None else None
    if watching is not None and watching.dynamic_registration:
        options = lsp.DidChangeWatchedFilesRegistrationOptions([lsp.FileSystemWatcher(glob) for glob in _WATCHED])
        registration = lsp.Registration("smcdsl-files", lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
        ls.client_register_capability(lsp.RegistrationParams([registration]))


def code_actions(ls: Server, params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
    """Fixes of what was said about the text as it is now."""
    document = ls.document(params.text_document.uri)
    known = ls.said.get(document.uri, [])
    if any(_is_of_another(complaint, document) for complaint in known):
        known = complaints.complaints(document, document.diagnostics())
    return complaints.actions(document, known, params.range, params.context.only)


def _is_of_another(complaint: Complaint, document: Document) -> bool:
    """Whether a complaint was made about an earlier version of the text."""
    sources = [edit.span.source for edit in complaint.diagnostic.fixes]
    return any(each.name == document.source.name and each.text != document.text for each in sources)


def format_document(ls: Server, params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit] | None:
    """One style, no options."""
    return formatting.edits(ls.document(params.text_document.uri))


def document_symbols(ls: Server, params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
    """The outline."""
    return outline.symbols(ls.document(params.text_document.uri))


def folding(ls: Server, params: lsp.FoldingRangeParams) -> list[lsp.FoldingRange]:
    """What can be folded."""
    return outline.folds(ls.document(params.text_document.uri))


def complete(ls: Server, params: lsp.CompletionParams) -> lsp.CompletionList:
    """What may be written here."""
    document = ls.document(params.text_document.uri)
    return completion.complete(document, document.lines.offset(params.position))


def show_hover(ls: Server, params: lsp.HoverParams) -> lsp.Hover | None:
    """What this is."""
    document = ls.document(params.text_document.uri)
    return hover.hover(document, document.lines.offset(params.position))


def go_to_definition(ls: Server, params: lsp.DefinitionParams) -> list[lsp.Location]:
    """Where this is declared."""
    document = ls.document(params.text_document.uri)
    return definition.definitions(document, document.lines.offset(params.position))


def references(ls: Server, params: lsp.ReferenceParams) -> list[lsp.Location]:
    """Where this is used, in all programs of the open folders."""
    document = ls.document(params.text_document.uri)
    offset = document.lines.offset(params.position)
    return rename.references(ls.documents, document, offset, params.context.include_declaration)


def highlights(ls: Server, params: lsp.DocumentHighlightParams) -> list[lsp.DocumentHighlight]:
    """The same name in this file."""
    document = ls.document(params.text_document.uri)
    return rename.highlights(document, document.lines.offset(params.position))


def prepare_rename(ls: Server, params: lsp.PrepareRenameParams) -> lsp.Range | None:
    """What would be renamed."""
    document = ls.document(params.text_document.uri)
    return rename.prepare(document, document.lines.offset(params.position))


def rename_name(ls: Server, params: lsp.RenameParams) -> lsp.WorkspaceEdit | None:
    """Another name, everywhere."""
    document = ls.document(params.text_document.uri)
    return rename.rename(ls.documents, document, document.lines.offset(params.position), params.new_name)


def semantic_tokens(ls: Server, params: lsp.SemanticTokensParams) -> lsp.SemanticTokens:
    """What names are, and what stands inside prompts."""
    return semantics.tokens(ls.document(params.text_document.uri))


def inlay_hints(ls: Server, params: lsp.InlayHintParams) -> list[lsp.InlayHint]:
    """How long turns are."""
    return hints.inlay_hints(ls.document(params.text_document.uri), params.range)


def code_lenses(ls: Server, params: lsp.CodeLensParams) -> list[lsp.CodeLens]:
    """Run, Show prompt, Test."""
    return hints.code_lenses(ls.document(params.text_document.uri))


_FEATURES: tuple[tuple[str, Callable[..., Any], Any], ...] = (
    (lsp.INITIALIZED, initialized, None),
    (lsp.TEXT_DOCUMENT_DID_OPEN, did_open, None),
    (lsp.TEXT_DOCUMENT_DID_CHANGE, did_change, None),
    (lsp.TEXT_DOCUMENT_DID_CLOSE, did_close, None),
    (lsp.TEXT_DOCUMENT_DID_SAVE, files_changed, None),
    (lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES, files_changed, None),
    (lsp.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS, folders_changed, None),
    (
        lsp.TEXT_DOCUMENT_CODE_ACTION,
        code_actions,
        lsp.CodeActionOptions([lsp.CodeActionKind.QuickFix, lsp.CodeActionKind.SourceFixAll]),
    ),
    (lsp.TEXT_DOCUMENT_FORMATTING, format_document, None),
    (lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL, document_symbols, None),
    (lsp.TEXT_DOCUMENT_FOLDING_RANGE, folding, None),
    (lsp.TEXT_DOCUMENT_COMPLETION, complete, lsp.CompletionOptions(trigger_characters=list(completion.TRIGGERS))),
    (lsp.TEXT_DOCUMENT_HOVER, show_hover, None),
    (lsp.TEXT_DOCUMENT_DEFINITION, go_to_definition, None),
    (lsp.TEXT_DOCUMENT_REFERENCES, references, None),
    (lsp.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT, highlights, None),
    (lsp.TEXT_DOCUMENT_PREPARE_RENAME, prepare_rename, None),
    (lsp.TEXT_DOCUMENT_RENAME, rename_name, lsp.RenameOptions(prepare_provider=True)),
    (lsp.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL, semantic_tokens, semantics.LEGEND),
    (lsp.TEXT_DOCUMENT_INLAY_HINT, inlay_hints, None),
    (lsp.TEXT_DOCUMENT_CODE_LENS, code_lenses, None),
)


def build() -> Server:
    """A server with every feature."""
    server = Server()
    for name, function, options in _FEATURES:
        server.feature(name, options)(function)
    return server


def serve(*, verbose: bool = False) -> None:
    """Talk to an editor over standard input and output until it says goodbye.

    What else is printed goes to standard error, as it would be no message; failures are a line, whole if `verbose`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s") if verbose else _OneLine())
    handler.addFilter(_is_no_refusal)
    logging.getLogger().addHandler(handler)
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    with contextlib.redirect_stdout(sys.stderr):
        build().start_io(stdout=pipe)


class _OneLine(logging.Formatter):
    """Says what happened, and of an exception what it is, not where."""

    def format(self, record: logging.LogRecord) -> str:
        """The first line of the message, and the exception's kind and message."""
        said = [record.getMessage().partition("\n")[0]]
        if record.exc_info and record.exc_info[0] is not None:
            said.append(f"{record.exc_info[0].__name__}: {record.exc_info[1]}")
        return escape(": ".join(said))


def _is_no_refusal(record: logging.LogRecord) -> bool:
    """A request that was refused has been answered; it is no failure to be logged."""
    return not (record.exc_info and isinstance(record.exc_info[1], JsonRpcException))
