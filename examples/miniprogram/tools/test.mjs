// Runs the compiled tests against the server that DREAM_BINARY names, or that lies where cargo puts it.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const target = process.env.CARGO_TARGET_DIR ?? here('../../../target');
const binary = process.env.DREAM_BINARY ?? `${target}/debug/dream`;
if (!existsSync(binary)) {
  console.error(`There is no server at ${binary}: run \`cargo build --bin dream\` first`);
  process.exit(2);
}
const named = process.argv.slice(2);
const files = readdirSync(here('../build/tests')).filter(
  (name) => name.endsWith('.test.js') && (named.length === 0 || named.some((part) => name.includes(part))),
);
const { status } = spawnSync(
  process.execPath,
  ['--enable-source-maps', '--test', '--test-force-exit', '--test-timeout=120000', ...files.map((name) => here(`../build/tests/${name}`))],
  { stdio: 'inherit', env: { ...process.env, DREAM_BINARY: binary } },
);
process.exit(status ?? 1);
