import type { Platform } from './platform';
import type { Storage } from './storage';

/** A request that must take effect once, and its name for that. */
export interface Kept {
  key: string;
  path: string;
  /** Tells bodies apart. */
  print: string;
  /** The body, unless it is too large to be stored. */
  body?: unknown;
  /** When it was first asked for, in milliseconds. */
  at: number;
}

/** The server knows a key for a week; after this a request is a new one. */
const GOOD_FOR_MS = 6 * 24 * 3600 * 1000;
/** Longest body that is stored, in characters. `wx` stores 1 MiB under one name, and 10 MiB in all. */
const LONGEST_BODY = 64 * 1024;
const NAME = 'kept.';

/** Idempotency keys, stored before they are sent and until the outcome is known. */
export class Keys {
  private random: Promise<string> | undefined;
  private made = 0;

  constructor(
    private readonly platform: Platform,
    private readonly storage: Storage,
  ) {}

  /** The key of this request: the one that it had, if its outcome never came to be known. */
  async keep(path: string, body: unknown): Promise<Kept> {
    this.random ??= randomText(this.platform);
    const random = await this.random;
    // From here on nothing waits, so that two equal requests at once get one key.
    const text = JSON.stringify(body);
    const print = `${text.length}-${fingerprint(text)}`;
    const known = this.unknown().find((kept) => kept.path === path && kept.print === print);
    if (known) return known;
    const kept: Kept = { key: `${random}-${this.made}`, path, print, at: Date.now() };
    if (text.length <= LONGEST_BODY) kept.body = body;
    this.made += 1;
    this.storage.set(NAME + kept.key, kept);
    return kept;
  }

  /** The outcome is known: the same request again is a new one. */
  settle(kept: Kept): void {
    this.storage.remove(NAME + kept.key);
  }

  /** Requests whose outcome is not known, oldest first. */
  unknown(): Kept[] {
    const fresh: Kept[] = [];
    for (const [name, kept] of this.storage.all<Kept>(NAME)) {
      if (Date.now() - kept.at < GOOD_FOR_MS) fresh.push(kept);
      else this.storage.remove(name);
    }
    return fresh.sort((one, other) => one.at - other.at);
  }
}

function randomText(platform: Platform): Promise<string> {
  return new Promise((resolve) => {
    const bytes = (values: ArrayLike<number>): string =>
      Array.from(values, (byte) => byte.toString(16).padStart(2, '0')).join('');
    platform.getRandomValues({
      length: 16,
      success: ({ randomValues }) => resolve(bytes(new Uint8Array(randomValues))),
      // A key must differ from the same user's other keys; it need not be hard to guess.
      fail: () => resolve(bytes(Array.from({ length: 16 }, () => Math.floor(Math.random() * 256)))),
    });
  });
}

/** FNV-1a, twice with different starts. It tells apart; if it ever does not, the server refuses the key. */
function fingerprint(text: string): string {
  return [0x811c9dc5, 0x01234567]
    .map((start) => {
      let hash = start;
      for (let at = 0; at < text.length; at += 1) {
        hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
      }
      return (hash >>> 0).toString(16).padStart(8, '0');
    })
    .join('');
}
