import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DreamError } from '../miniprogram/dream';
import { picture } from './picture';
import { type Server, start } from './server';

const UPLOAD = '/v1/upload/image';
const STORED = {
  url: 'https://pictures.example.com/a.png',
  filename: 'a.png',
  originalname: 'picture.png',
  size: 3,
  mimetype: 'image/png',
};

let server: Server;
let folder: string;
let file: string;
/** What came, and how the next ones are answered. */
const came: Array<{ headers: http.IncomingHttpHeaders; body: Buffer }> = [];
const answers: Array<{ status: number; body: unknown }> = [];
let front: http.Server;
let url: string;

before(async () => {
  server = await start();
  folder = mkdtempSync(join(tmpdir(), 'dream-upload-'));
  file = join(folder, 'picture.png');
  writeFileSync(file, picture(200, 100));
  // Takes the uploads, and hands everything else to the server.
  front = http
    .createServer((request, response) => {
      if (request.url !== UPLOAD) {
        const onward = http.request(server.url + request.url, { method: request.method, headers: request.headers });
        request.pipe(onward);
        onward.on('response', (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(response);
        });
        return;
      }
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        came.push({ headers: request.headers, body: Buffer.concat(parts) });
        const { status, body } = answers.shift() ?? { status: 201, body: STORED };
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      });
    })
    .listen(0, '127.0.0.1');
  await new Promise((resolve) => front.once('listening', resolve));
  url = `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
});
after(async () => {
  front.close();
  front.closeAllConnections();
  rmSync(folder, { recursive: true });
  await server.stop();
});

const problem = (status: number, code: string) => ({
  status,
  body: { statusCode: status, code, message: '说明', requestId: 'r', error: '', timestamp: '', path: UPLOAD },
});

test('a picture arrives whole, as the file of a form, with the login', async () => {
  const { dream } = server.client('ada', { baseUrl: url });
  assert.deepEqual(await dream.upload(file), STORED);
  const { headers, body } = came.at(-1) ?? { headers: {}, body: Buffer.of() };
  assert.match(headers.authorization ?? '', /^Bearer /);
  assert.match(headers['content-type'] ?? '', /^multipart\/form-data; boundary=/);
  assert.ok(body.includes('name="file"; filename="picture.png"'));
  assert.ok(body.includes(readFileSync(file)), 'the picture itself');
  assert.ok(body.length > 200 * 100 * 3);
});

test('a login that ended is made anew for an upload too', async () => {
  const { dream, wx } = server.client('bea', { baseUrl: url });
  answers.push(problem(401, 'TOKEN_EXPIRED'));
  assert.deepEqual(await dream.upload(file), STORED);
  assert.equal(wx.logins, 2);
});

test('a picture that is refused says why', async () => {
  const { dream } = server.client('cyd', { baseUrl: url });
  answers.push(problem(422, 'IMAGE_INVALID'));
  await assert.rejects(dream.upload(file), (error) => error instanceof DreamError && error.is('IMAGE_INVALID'));
});

test('an upload whose answer is lost is not sent again by itself', async () => {
  const { dream, wx } = server.client('dan', { baseUrl: url });
  await dream.get('/v1/users/me');
  wx.fate = ({ path }) => (path === UPLOAD ? 'lost' : undefined);
  const before = came.length;
  await assert.rejects(dream.upload(file), (error) => error instanceof DreamError && error.is('NETWORK_FAILED'));
  assert.equal(came.length - before, 1);
});

test('a file that is gone is no success', async () => {
  const { dream } = server.client('eve', { baseUrl: url });
  await assert.rejects(dream.upload(join(folder, 'gone.png')), DreamError);
});

test('uploads and other calls share the ten', async () => {
  const { dream, wx } = server.client('fay', { baseUrl: url });
  const uploads = Array.from({ length: 12 }, () => dream.upload(file));
  await Promise.all([...uploads, ...Array.from({ length: 12 }, () => dream.get('/v1/points/balance'))]);
  assert.equal(wx.peak, 10);
});
