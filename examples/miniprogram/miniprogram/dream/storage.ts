import { DreamError, type Language } from './errors';
import type { Platform } from './platform';

/** Every entry of ours begins with this. */
const PREFIX = 'dream.';

/** What outlives the program, under names of our own. */
export class Storage {
  constructor(
    private readonly platform: Platform,
    private readonly language: Language,
  ) {}

  /** What is stored; nothing if it cannot be read. */
  get<T>(name: string): T | undefined {
    try {
      // `wx` gives an empty text for what is not there.
      return (this.platform.getStorageSync(PREFIX + name) as T | '') || undefined;
    } catch {
      return undefined;
    }
  }

  /** Stores it before it returns, or fails. */
  set(name: string, value: unknown): void {
    try {
      this.platform.setStorageSync(PREFIX + name, value);
    } catch (error) {
      const detail = error instanceof Error ? error.message : JSON.stringify(error);
      throw new DreamError('STORAGE_FAILED', { detail }, this.language);
    }
  }

  remove(name: string): void {
    try {
      this.platform.removeStorageSync(PREFIX + name);
    } catch {
      // It stays, and is found to be of no use later.
    }
  }

  /** What is stored under names that begin like this. */
  all<T>(start: string): Array<[name: string, value: T]> {
    let keys: string[];
    try {
      keys = this.platform.getStorageInfoSync().keys;
    } catch {
      return [];
    }
    return keys
      .filter((key) => key.startsWith(PREFIX + start))
      .map((key) => key.slice(PREFIX.length))
      .flatMap((name): Array<[string, T]> => {
        const value = this.get<T>(name);
        return value === undefined ? [] : [[name, value]];
      });
  }
}
