import type { ItemOf, ListPath } from './types';

interface Page {
  items: unknown[];
  nextCursor: string | null;
}

/** A list that is read page by page. */
export class Pages<P extends ListPath> {
  /** What was read so far. */
  items: Array<ItemOf<P>> = [];
  /** Whether there is more. */
  hasMore = true;
  private cursor: string | null = null;
  private underWay: Promise<void> | undefined;

  constructor(private readonly read: (cursor: string | null) => Promise<Page>) {}

  /** Reads one more page, if there is one. Calls at once read the same page. */
  more(): Promise<void> {
    this.underWay ??= this.readMore().finally(() => {
      this.underWay = undefined;
    });
    return this.underWay;
  }

  /** Reads the first page anew. What was read so far stays until the page is there. */
  async refresh(): Promise<void> {
    await this.underWay?.catch(() => undefined);
    this.underWay = this.readFrom(null, []).finally(() => {
      this.underWay = undefined;
    });
    return this.underWay;
  }

  private async readMore(): Promise<void> {
    if (this.hasMore) await this.readFrom(this.cursor, this.items);
  }

  private async readFrom(cursor: string | null, before: Array<ItemOf<P>>): Promise<void> {
    const page = await this.read(cursor);
    this.items = before.concat(page.items as Array<ItemOf<P>>);
    this.cursor = page.nextCursor;
    this.hasMore = page.nextCursor !== null;
  }
}
