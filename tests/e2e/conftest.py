"""A real editor client, the real server, and a real engine; its small model writes random letters."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from lsprotocol import types
from pytest_lsp import LanguageClient, client_capabilities
from pytest_lsp.client import make_test_lsp_client

# The models here are so small that a second thread only waits: for the engines that the tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SERVER = [sys.executable, "-P", "-m", "coda_lsp", "--stdio"]
ENGINE = [sys.executable, "-P", "-m", "coda_model", "serve", "--port", "0", "--json", "--exit-with-parent"]
PATIENCE_S = 120.0  # only a test that fails waits so long


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the engines of these tests load: they are about everything but the quality of what is suggested."""
    folder = tmp_path_factory.mktemp("checkpoint") / "random"
    save_random_checkpoint(folder)
    return str(folder)


def save_random_checkpoint(folder: Path) -> None:
    """A checkpoint that takes some ten milliseconds a step, so that a request can be overtaken."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    from coda_model.checkpoint import save_checkpoint
    from coda_model.config import ModelConfig
    from coda_model.transformer import CodaTransformer

    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|mask|>", "<|expand|>", "<|delete|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(special_tokens=specials, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(["def add(a, b):\n    return a + b\n\n\nprint(add(1, 2))\n"], trainer)
    config = ModelConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=192,
        intermediate_size=384,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        rope_theta=1e4,
        max_position_embeddings=2048,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=0,
        mask_token_id=3,
        expand_token_id=4,
        delete_token_id=5,
        tie_word_embeddings=False,
    )
    generator = torch.Generator().manual_seed(0)
    network = CodaTransformer(config).requires_grad_(False).eval()
    for parameter in network.parameters():
        noise = torch.randn(parameter.shape, generator=generator) * 0.1
        parameter.copy_(noise if parameter.dim() > 1 else 1 + noise)
    # It writes letters alone, which no filter drops, and neither grows nor shrinks a hole.
    vocabulary = tokenizer.get_vocab()
    assert network.lm_head is not None
    network.lm_head.weight[[number for token, number in vocabulary.items() if not token.isalpha()]] = 0.0
    save_checkpoint(network, config, tokenizer, folder)


class Editor:
    """A language client as an editor has one, with what the server told it."""

    def __init__(self, client: LanguageClient) -> None:
        self.client = client
        self.capabilities = types.ServerCapabilities()
        self.registered: list[types.Registration] = []
        self.on_apply_edit: Callable[[types.ApplyWorkspaceEditParams], types.ApplyWorkspaceEditResult] | None = None
        self.statuses: list[Any] = []
        self._told = asyncio.Condition()

        @client.feature("coda/status")
        async def on_status(params: Any) -> None:
            async with self._told:
                self.statuses.append(params)
                self._told.notify_all()

        @client.feature(types.CLIENT_REGISTER_CAPABILITY)
        def on_register(params: types.RegistrationParams) -> None:
            self.registered += params.registrations

        @client.feature(types.WORKSPACE_APPLY_EDIT)
        def on_apply_edit(params: types.ApplyWorkspaceEditParams) -> types.ApplyWorkspaceEditResult:
            assert self.on_apply_edit is not None
            return self.on_apply_edit(params)

    async def status(self, state: str, since: int = 0) -> Any:
        """Wait for a status that came after the first `since` ones."""

        def found() -> list[Any]:
            return [status for status in self.statuses[since:] if status.state == state]

        async with asyncio.timeout(PATIENCE_S), self._told:
            await self._told.wait_for(found)
            return found()[0]

    def open(self, uri: str, text: str, language_id: str = "python", version: int = 1) -> None:
        document = types.TextDocumentItem(uri=uri, language_id=language_id, version=version, text=text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(document))

    def type(self, uri: str, version: int, line: int, character: int, text: str) -> None:
        """Insert text at a place."""
        place = types.Position(line, character)
        change = types.TextDocumentContentChangePartial(types.Range(place, place), text)
        document = types.VersionedTextDocumentIdentifier(uri=uri, version=version)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))

    def request_completion(
        self, uri: str, line: int, character: int, *, invoked: bool = True, msg_id: str | None = None
    ) -> Awaitable[types.InlineCompletionList]:
        """Send the request at once; await what is returned for its answer."""
        kind = types.InlineCompletionTriggerKind
        params = types.InlineCompletionParams(
            text_document=types.TextDocumentIdentifier(uri),
            position=types.Position(line, character),
            context=types.InlineCompletionContext(kind.Invoked if invoked else kind.Automatic),
        )
        future = self.client.protocol.send_request(types.TEXT_DOCUMENT_INLINE_COMPLETION, params, msg_id=msg_id)
        return asyncio.wait_for(asyncio.wrap_future(future), PATIENCE_S)

    async def complete(
        self, uri: str, line: int, character: int, *, invoked: bool = True
    ) -> list[types.InlineCompletionItem]:
        answer = await self.request_completion(uri, line, character, invoked=invoked)
        assert isinstance(answer, types.InlineCompletionList), "never null"
        return list(answer.items)

    async def command(self, name: str, *arguments: Any, msg_id: str | None = None) -> Any:
        params = types.ExecuteCommandParams(command=name, arguments=list(arguments))
        future = self.client.protocol.send_request(types.WORKSPACE_EXECUTE_COMMAND, params, msg_id=msg_id)
        return await asyncio.wait_for(asyncio.wrap_future(future), PATIENCE_S)


def capabilities(encoding: str, *, configuration: bool, inline: bool) -> types.ClientCapabilities:
    """Those of VS Code, with inline completion, tags of code actions and our status notification added by hand."""
    found = client_capabilities("visual-studio-code")
    assert found.text_document is not None
    assert found.workspace is not None
    found.text_document.inline_completion = types.InlineCompletionClientCapabilities() if inline else None
    assert found.text_document.code_action is not None
    found.text_document.code_action.tag_support = types.CodeActionTagOptions([types.CodeActionTag.LlmGenerated])
    found.general = types.GeneralClientCapabilities(position_encodings=[encoding])
    found.experimental = {"codaStatus": True}
    found.workspace.configuration = configuration
    return found


@asynccontextmanager
async def running_editor(
    options: dict[str, Any],
    *,
    encoding: str = "utf-16",
    configuration: dict[str, Any] | None = None,
    folders: dict[str, dict[str, Any]] | None = None,
    inline: bool = True,
) -> AsyncIterator[Editor]:
    """An editor with a server of its own, from `initialize` to `exit`, which says how it is configured when asked."""
    client = make_test_lsp_client()
    if configuration is not None:
        client.set_configuration(configuration, section="coda")
    for uri, settings in (folders or {}).items():
        client.set_configuration(settings, section="coda", scope_uri=uri)
    editor = Editor(client)
    await client.start_io(*SERVER)
    assert client._server is not None
    try:
        params = types.InitializeParams(
            capabilities=capabilities(encoding, configuration=configuration is not None, inline=inline),
            initialization_options=options,
            workspace_folders=[types.WorkspaceFolder(uri, uri) for uri in folders or ()] or None,
        )
        initialized = await asyncio.wait_for(client.initialize_session(params), PATIENCE_S)
        editor.capabilities = initialized.capabilities
        yield editor
        await asyncio.wait_for(client.shutdown_session(), PATIENCE_S)
        assert client._server.returncode == 0
    finally:
        if client._server.returncode is None:
            client._server.kill()
        await client.stop()


class RawSession:
    """The bytes of a session, for messages that no well-behaved client sends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.received: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any]) -> None:
        self.send_body(json.dumps(message).encode())

    def send_body(self, body: bytes) -> None:
        self.writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    async def initialize(self, options: dict[str, Any]) -> dict[str, Any]:
        capabilities = {"experimental": {"codaStatus": True}}
        params = {"processId": None, "rootUri": None, "capabilities": capabilities, "initializationOptions": options}
        self.send({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
        answer = await self.answer(1)
        self.send({"jsonrpc": "2.0", "method": "initialized", "params": {}})
        return answer

    async def answer(self, msg_id: int | None) -> dict[str, Any]:
        """Wait for the answer to a request."""
        return await self._receive(lambda message: "method" not in message and message["id"] == msg_id)

    async def notification(self, method: str, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for the parameters of a notification."""
        found = await self._receive(lambda message: message.get("method") == method and fits(message["params"]))
        return found["params"]

    async def _receive(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                header = await self.reader.readuntil(b"\r\n\r\n")
                length = int(header.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                message = json.loads(await self.reader.readexactly(length))
                self.received.append(message)
                if fits(message):
                    return message


class RawServer(RawSession):
    """A server process, spoken to over its standard streams or, with --tcp, over connections."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        assert process.stdin is not None
        super().__init__(process.stdout, process.stdin)
        self.process = process

    async def connect(self, port: int) -> RawSession:
        return RawSession(*await asyncio.open_connection("127.0.0.1", port))


@pytest_asyncio.fixture(loop_scope="session")
async def start_server() -> AsyncIterator[Callable[..., Awaitable[RawServer]]]:
    """Starts server processes: `await start_server(*arguments)`."""
    processes: list[asyncio.subprocess.Process] = []
    pipe = asyncio.subprocess.PIPE

    async def start(*arguments: str) -> RawServer:
        command = [*SERVER[:-1], *(arguments or ("--stdio",))]
        processes.append(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe))
        return RawServer(processes[-1])

    yield start
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture(scope="session")
def run_editor() -> Callable[..., AbstractAsyncContextManager[Editor]]:
    """`async with run_editor(options, encoding=..., configuration=...)`."""
    return running_editor


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine(model: str) -> AsyncIterator[dict[str, Any]]:
    """The settings that reach an engine which runs for itself, as a team server does; it saves starting many."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *ENGINE, "--model", model, "--device", "cpu", "--dtype", "float32", stdin=pipe, stdout=pipe
    )
    assert process.stdin is not None
    assert process.stdout is not None
    listening = json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE_S))
    ready = json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE_S))
    assert ready["event"] == "ready"
    yield {"serverUrl": listening["url"], "serverToken": listening["token"], "minimumConfidence": 0}
    process.stdin.close()
    await asyncio.wait_for(process.wait(), PATIENCE_S)


@pytest.fixture(scope="session")
def local(model: str) -> dict[str, Any]:
    """The settings of a server that starts its own engine."""
    return {"model": model, "device": "cpu", "dtype": "float32", "minimumConfidence": 0}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def editor(local: dict[str, Any]) -> AsyncIterator[Editor]:
    """An editor that most tests share; its server has an engine of its own, which is ready."""
    async with running_editor(local) as editor:
        await editor.status("ready")
        yield editor
