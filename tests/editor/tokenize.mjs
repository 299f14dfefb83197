// Tokens of files by VS Code's own engine: node tokenize.mjs NODE_MODULES GRAMMAR FILE...
// Prints one JSON list: for each file, for each line, [start, end, scopes] with columns in UTF-16 units.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
const [modules, grammar, ...files] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { Registry, INITIAL, parseRawGrammar } = require("vscode-textmate");
const oniguruma = require("vscode-oniguruma");
const wasm = readFileSync(require.resolve("vscode-oniguruma/release/onig.wasm"));
await oniguruma.loadWASM(wasm.buffer.slice(wasm.byteOffset, wasm.byteOffset + wasm.byteLength));
const registry = new Registry({
  onigLib: Promise.resolve({
    createOnigScanner: (patterns) => new oniguruma.OnigScanner(patterns),
    createOnigString: (text) => new oniguruma.OnigString(text),
  }),
  loadGrammar: async () => parseRawGrammar(readFileSync(grammar, "utf8"), "smc.json"),
});
const engine = await registry.loadGrammar("source.smc");
const found = files.map((file) => {
  let stack = INITIAL;
  return readFileSync(file, "utf8").split("\n").map((line) => {
    const result = engine.tokenizeLine(line, stack);
    stack = result.ruleStack;
    return result.tokens.map((token) => [token.startIndex, token.endIndex, token.scopes]);
  });
});
console.log(JSON.stringify(found));
