// Makes miniprogram/dream/api.d.ts and codes.ts from docs/openapi.json. With --check it only says whether they are what
// it would make.
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import openapiTS, { astToString } from 'openapi-typescript';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const HEADER = '// Made from docs/openapi.json by `npm run generate`. Do not edit.\n\n';

const document = JSON.parse(await readFile(here('../../../docs/openapi.json'), 'utf8'));
const { 'x-codes': codes } = document.components.schemas.ErrorCode;

/** The operations that a mini-program can use: not those of admins, of other servers, or outside of the version. */
function ofUsers(document) {
  const paths = {};
  for (const [path, item] of Object.entries(document.paths)) {
    if (!path.startsWith('/v1/') || /callback|webhook|\/wechat\//.test(path)) continue;
    const operations = Object.entries(item).filter(([, operation]) => !needsAdmin(operation));
    if (operations.length > 0) paths[path] = Object.fromEntries(operations);
  }
  return { ...document, paths, components: { ...document.components, schemas: reachable(document, paths) } };
}

function needsAdmin({ security = [] }) {
  return security.length > 0 && security.every((way) => 'adminKey' in way);
}

/** `open`: no token is looked at; `optional`: one is, if there is one; anything else needs one. */
function access({ security = [] }) {
  if (security.length === 0) return 'open';
  return security.some((way) => Object.keys(way).length === 0) ? 'optional' : 'user';
}

function reachable(document, paths) {
  const found = new Set(['Problem']);
  const look = (value) => {
    for (const [, name] of JSON.stringify(value).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      if (found.has(name)) continue;
      found.add(name);
      look(document.components.schemas[name]);
    }
  };
  look(document.components.schemas.Problem);
  look(paths);
  return Object.fromEntries(Object.entries(document.components.schemas).filter(([name]) => found.has(name)));
}

const mine = ofUsers(document);
const quoted = (text) => (text.includes("'") ? JSON.stringify(text) : `'${JSON.stringify(text).slice(1, -1)}'`);
const codeRows = Object.entries(codes).map(
  ([code, { status, 'zh-CN': zh, en }]) => `  ${code}: { status: ${status}, zh: ${quoted(zh)}, en: ${quoted(en)} },\n`,
);
const accessRows = Object.entries(mine.paths).flatMap(([path, item]) =>
  Object.entries(item)
    .filter(([, operation]) => access(operation) !== 'user')
    .map(([method, operation]) => `  '${method} ${path}': '${access(operation)}',\n`),
);

const files = {
  'api.d.ts': HEADER + astToString(await openapiTS(mine, { alphabetize: true })),
  'codes.ts':
    `${HEADER}/** Every code that the server answers with: its status, and its sentences. */\n` +
    `export const CODES = {\n${codeRows.join('')}} as const;\n\n` +
    '/** Calls that work without a login (`open`), or say more with one (`optional`). All others need one. */\n' +
    `export const ACCESS: Readonly<Record<string, 'open' | 'optional'>> = {\n${accessRows.join('')}};\n`,
};

let stale = false;
for (const [name, text] of Object.entries(files)) {
  const path = here(`../miniprogram/dream/${name}`);
  if (!process.argv.includes('--check')) {
    await writeFile(path, text);
  } else if ((await readFile(path, 'utf8').catch(() => '')) !== text) {
    console.error(`miniprogram/dream/${name} is out of date: run \`npm run generate\` in examples/miniprogram`);
    stale = true;
  }
}
process.exitCode = stale ? 1 : 0;
