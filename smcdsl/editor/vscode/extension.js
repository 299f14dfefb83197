// Starts `smcdsl lsp` from the selected Python, so that there is no second version that could drift.
"use strict";

const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

/** The Python to use: the setting's, else the one selected in the Python extension. */
async function interpreter() {
  const chosen = vscode.workspace.getConfiguration("smcdsl").get("interpreter");
  if (chosen) return chosen;
  const python = vscode.extensions.getExtension("ms-python.python");
  if (python) {
    const api = python.isActive ? python.exports : await python.activate();
    const active = api?.environments?.getActiveEnvironmentPath();
    const resolved = active && (await api.environments.resolveEnvironment(active));
    const path = resolved?.executable?.uri?.fsPath;
    if (path) return path;
  }
  return process.platform === "win32" ? "python" : "python3";
}

async function start() {
  const command = await interpreter();
  client = new LanguageClient(
    "smcdsl",
    "smcdsl",
    { command, args: ["-m", "smcdsl", "lsp", "--stdio"] },
    { documentSelector: [{ language: "smc" }] },
  );
  try {
    await client.start();
  } catch (error) {
    vscode.window.showErrorMessage(
      `smcdsl: the language server does not start with ${command}; it needs pip install 'smcdsl[lsp]' (${error.message})`,
    );
  }
}

async function restart() {
  await client?.stop().catch(() => undefined);
  await start();
}

/** Arguments for the inputs that a program needs, asked for one by one; undefined if that is called off. */
async function inputs(document) {
  const found = [];
  for (const match of document.getText().matchAll(/^input\s+(\w+)\s*:\s*([^=\n"]+?)\s*(?:"[^\n]*)?$/gm)) {
    const [, name, type] = match;
    const value = await vscode.window.showInputBox({ prompt: `${name}: ${type}`, ignoreFocusOut: true });
    if (value === undefined) return undefined;
    found.push("-i", `${name}=${value}`);
  }
  return found;
}

/** Run a verb on a program in a terminal of its own; arguments are passed on as they are, without a shell. */
async function execute(verb, uri, more = []) {
  if (!vscode.workspace.isTrusted) {
    vscode.window.showInformationMessage("smcdsl: this folder is not trusted; programs are only checked");
    return;
  }
  const file = vscode.Uri.parse(uri);
  const folder = vscode.workspace.getWorkspaceFolder(file);
  const execution = new vscode.ProcessExecution(await interpreter(), ["-m", "smcdsl", verb, file.fsPath, ...more], {
    cwd: folder?.uri.fsPath,
  });
  const scope = folder ?? vscode.TaskScope.Workspace;
  const task = new vscode.Task({ type: "smcdsl" }, scope, `smcdsl ${verb}`, "smcdsl", execution);
  task.presentationOptions = { clear: true, focus: false };
  await vscode.tasks.executeTask(task);
}

/** The program that a command is about: that of the lens, else the one in the active editor. */
async function program(uri) {
  const document = uri
    ? await vscode.workspace.openTextDocument(vscode.Uri.parse(uri))
    : vscode.window.activeTextEditor?.document;
  if (document?.isDirty) await document.save();
  return document?.languageId === "smc" ? document : undefined;
}

async function run(uri) {
  const document = await program(uri);
  const given = document && (await inputs(document));
  if (!given) return;
  const model = vscode.workspace.getConfiguration("smcdsl").get("model");
  await execute("run", document.uri.toString(), [...given, ...(model ? ["--model", model] : [])]);
}

async function showPrompt(uri) {
  const document = await program(uri);
  if (document) await execute("show", document.uri.toString(), ["--prompt"]);
}

async function test(uri, name) {
  const document = await program(uri);
  if (document) await execute("test", document.uri.toString(), name ? ["-k", name] : []);
}

async function activate(context) {
  context.subscriptions.push(
    vscode.commands.registerCommand("smcdsl.run", run),
    vscode.commands.registerCommand("smcdsl.showPrompt", showPrompt),
    vscode.commands.registerCommand("smcdsl.test", test),
    vscode.commands.registerCommand("smcdsl.restart", restart),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("smcdsl.interpreter")) restart();
    }),
  );
  await start();
}

function deactivate() {
  return client?.stop();
}

module.exports = { activate, deactivate };
