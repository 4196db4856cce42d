// The sample program, page by page: that its files fit together, and that its pages work against the real server.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { config } from '../miniprogram/config';
import { type Server, start, until } from './server';
import { FakeWx } from './wx';

// Compiled tests lie in build/tests; the program's other files are not compiled.
const SOURCE = join(__dirname, '../../miniprogram');
const BUILT = join(__dirname, '../miniprogram');

type Data = Record<string, unknown>;
interface Shown {
  data: Data;
  setData(change: Data): void;
  [handler: string]: unknown;
}

/** What the program shows and where it goes, on top of the network. */
class Phone extends FakeWx {
  readonly toasts: string[] = [];
  readonly visited: string[] = [];
  confirms = true;

  async showToast({ title }: { title: string }): Promise<void> {
    this.toasts.push(title);
  }

  async showModal(): Promise<{ confirm: boolean }> {
    return { confirm: this.confirms };
  }

  async navigateTo({ url }: { url: string }): Promise<void> {
    this.visited.push(url);
  }

  async showActionSheet(): Promise<{ tapIndex: number }> {
    return { tapIndex: 0 };
  }

  async stopPullDownRefresh(): Promise<void> {}

  async previewImage(): Promise<void> {}
}

let server: Server;
const phone = new Phone('unused');
let launched: { onLaunch(): void } | undefined;
const pages = new Map<string, Data & { data: Data }>();

before(async () => {
  server = await start();
  config.baseUrl = server.url;
  config.sandboxUser = 'sample';
  let options: unknown;
  Object.assign(globalThis, {
    wx: phone,
    App: (given: typeof launched) => {
      launched = given;
    },
    Page: (given: unknown) => {
      options = given;
    },
  });
  await import(join(BUILT, 'app.js'));
  for (const page of listed()) {
    await import(join(BUILT, `${page}.js`));
    pages.set(page, options as Data & { data: Data });
  }
});
after(() => server.stop());

function listed(): string[] {
  return (JSON.parse(readFileSync(join(SOURCE, 'app.json'), 'utf8')) as { pages: string[] }).pages;
}

/** Opens a page as WeChat does: with a copy of its data. */
function open(page: string): Shown {
  const options = pages.get(page);
  assert.ok(options, page);
  return {
    ...options,
    data: structuredClone(options.data),
    setData(change: Data) {
      // It travels to another thread, as JSON.
      for (const [path, value] of Object.entries(JSON.parse(JSON.stringify(change)) as Data)) {
        const words = path.split(/[.[\]]+/).filter(Boolean);
        const last = words.pop() ?? '';
        const place = words.reduce((place, word) => place[word] as Data, this.data);
        place[last] = value;
      }
    },
  };
}

function call(page: Shown, handler: string, event?: unknown): unknown {
  const method = page[handler];
  assert.ok(typeof method === 'function', handler);
  return method.call(page, event);
}

const tapOn = (dataset: Data) => ({ currentTarget: { dataset } });

test('every page has its four files, and every tab is a page', () => {
  const { tabBar } = JSON.parse(readFileSync(join(SOURCE, 'app.json'), 'utf8')) as {
    tabBar: { list: Array<{ pagePath: string }> };
  };
  for (const page of listed()) {
    for (const end of ['ts', 'json', 'wxml', 'wxss']) assert.ok(existsSync(join(SOURCE, `${page}.${end}`)), `${page}.${end}`);
  }
  for (const { pagePath } of tabBar.list) assert.ok(listed().includes(pagePath), pagePath);
});

test('what a page shows is in its data, and what it calls is one of its methods', () => {
  for (const [page, options] of pages) {
    const wxml = readFileSync(join(SOURCE, `${page}.wxml`), 'utf8');
    for (const [, handler] of wxml.matchAll(/\sbind\w+="(\w+)"/g)) {
      assert.equal(typeof options[handler ?? ''], 'function', `${page}: ${handler}`);
    }
    const ofLoops = new Set(['item', 'index', ...[...wxml.matchAll(/wx:for-item="(\w+)"/g)].map(([, name]) => name)]);
    for (const [, expression = ''] of wxml.matchAll(/\{\{(.*?)\}\}/g)) {
      const words = expression.replace(/'[^']*'/g, '').matchAll(/(?<![.\w])[a-zA-Z_]\w*/g);
      for (const [word] of words) {
        if (ofLoops.has(word) || word === 'null' || word === 'true') continue;
        assert.ok(word in options.data, `${page}: {{${word}}}`);
      }
    }
  }
});

test('somebody comes, picks a template, generates and sees the pictures', async () => {
  launched?.onLaunch();
  const home = open('pages/home/home');
  call(home, 'onLoad');
  call(home, 'onShow');
  await until(() => home.data['quota'] !== null && (home.data['templates'] as unknown[]).length > 0, 'the home page');
  const [template] = home.data['templates'] as Array<{ templateId: string; prompt: string }>;
  call(home, 'onTemplate', tapOn({ id: template?.templateId ?? '' }));
  assert.equal(home.data['prompt'], template?.prompt);
  await call(home, 'onGenerate');
  assert.deepEqual(phone.toasts, []);
  const [, id] = /^\/pages\/job\/job\?id=(.+)$/.exec(phone.visited.at(-1) ?? '') ?? [];
  assert.ok(id);

  const job = open('pages/job/job');
  call(job, 'onLoad', { id });
  await until(() => job.data['ended'] === true, 'the end of the job');
  assert.equal(job.data['state'], '已完成');
  await call(job, 'onPublish');
  assert.equal(phone.toasts.pop(), '已提交到画廊');
  await call(job, 'onPublish');
  assert.equal(phone.toasts.pop(), '该作品已发布');
  call(job, 'onUnload');

  const jobs = open('pages/jobs/jobs');
  call(jobs, 'onShow');
  await until(() => jobs.data['loaded'] === true, 'the list of jobs');
  const rows = jobs.data['rows'] as Array<{ id: string; state: string; picture: string | null }>;
  assert.deepEqual(rows.map((row) => [row.id, row.state]), [[id, '已完成']]);
  assert.ok(rows[0]?.picture);
});

test('somebody who leaves a page is bothered by it no more', async () => {
  const home = open('pages/home/home');
  call(home, 'onPrompt', { detail: { value: 'a lighthouse [stuck]' } });
  await call(home, 'onGenerate');
  const job = open('pages/job/job');
  call(job, 'onLoad', { id: phone.visited.at(-1)?.split('=')[1] });
  await until(() => job.data['job'] !== null, 'the job');
  const toasts = phone.toasts.length;
  call(job, 'onUnload');
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(phone.toasts.length, toasts);
});

test('the gallery shows pictures, and those of one category', async () => {
  const gallery = open('pages/gallery/gallery');
  call(gallery, 'onLoad');
  await until(() => gallery.data['loaded'] === true && (gallery.data['categories'] as unknown[]).length > 0, 'the gallery');
  const all = gallery.data['images'] as Array<{ categoryId: string }>;
  assert.ok(all.length > 0);
  const id = all[0]?.categoryId ?? '';
  call(gallery, 'onCategory', tapOn({ id }));
  await until(() => gallery.data['loaded'] === true, 'the category');
  const some = gallery.data['images'] as Array<{ categoryId: string }>;
  assert.ok(some.length > 0 && some.every((image) => image.categoryId === id));
});

test('a picture that somebody likes shows it, and no longer when they think better of it', async () => {
  const gallery = open('pages/gallery/gallery');
  call(gallery, 'onLoad');
  const first = () => (gallery.data['images'] as Array<{ id: number; isLiked: boolean | null; likes: number }>)[0];
  await until(() => first() !== undefined, 'the gallery');
  const { id, likes } = first() ?? { id: 0, likes: 0 };
  call(gallery, 'onLike', tapOn({ id }));
  await until(() => first()?.isLiked === true, 'the like');
  assert.equal(first()?.likes, likes + 1);
  call(gallery, 'onLike', tapOn({ id }));
  await until(() => first()?.isLiked === false, 'its end');
  assert.equal(first()?.likes, likes);
});

test('a plan that is not paid changes nothing, and one that is paid raises the level', async () => {
  const vip = open('pages/vip/vip');
  call(vip, 'onShow');
  await until(() => vip.data['level'] !== '', 'the VIP page');
  assert.equal(vip.data['level'], '普通用户');
  phone.confirms = false;
  await call(vip, 'onBuy', tapOn({ id: 'vip_month' }));
  assert.equal(phone.toasts.at(-1), '支付已取消');
  assert.equal(vip.data['level'], '普通用户');
  phone.confirms = true;
  await call(vip, 'onBuy', tapOn({ id: 'vip_month' }));
  assert.equal(phone.toasts.at(-1), '开通成功');
  assert.equal(vip.data['level'], 'VIP 会员');
  assert.equal(vip.data['buying'], '');
});

test('points that are bought are in the balance and in the list', async () => {
  const points = open('pages/points/points');
  call(points, 'onShow');
  await until(() => points.data['loaded'] === true, 'the points page');
  assert.equal(points.data['balance'], 0);
  await call(points, 'onRecharge', tapOn({ points: 100 }));
  assert.equal(points.data['balance'], 100);
  assert.deepEqual((points.data['rows'] as Array<{ amount: string }>).map((row) => row.amount), ['+100']);
});

test('what goes wrong is shown in Chinese', async () => {
  const home = open('pages/home/home');
  call(home, 'onPrompt', { detail: { value: 'x'.repeat(4001) } });
  await call(home, 'onGenerate');
  assert.match(phone.toasts.at(-1) ?? '', /prompt 长度必须在 1 到 4000 之间/);
  assert.equal(home.data['busy'], false);
});
