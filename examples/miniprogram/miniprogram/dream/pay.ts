import type { components } from './api';
import { DreamError, type Language, type Order } from './errors';
import { pause, type Platform } from './platform';
import type { Storage } from './storage';

/** What can be bought. */
export type Goods = { planId: string } | { points: number };

type PayParams = components['schemas']['WxPayParams'];
interface Placed {
  orderId: string;
  wxPayParams: PayParams;
}

export interface Counter {
  platform: Platform;
  storage: Storage;
  language: Language;
  /** Milliseconds to wait for an order to become final after a payment. */
  patience: number;
  requestPayment: ((params: PayParams, orderId: string) => Promise<void>) | undefined;
  place(goods: Goods): Promise<Placed>;
  payAgain(orderId: string): Promise<Placed>;
  order(orderId: string): Promise<Order>;
}

/** An order that was begun, until its end was told. */
interface Begun {
  orderId: string;
}

const NAME = 'paying.';
const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 4000;

/** How the dialog of WeChat's ended. It proves nothing: only the server knows what became of the order. */
type Ending = { said: 'ok' } | { said: 'cancel' } | { said: 'fail'; detail: string };

/** Purchases, each from its order to its end. */
export class Payments {
  private readonly underWay = new Map<string, Promise<Order>>();

  constructor(private readonly counter: Counter) {}

  /** Buys it, and gives the order once it is paid. Asked twice at once, it is bought once. */
  pay(goods: Goods): Promise<Order> {
    const name = NAME + ('planId' in goods ? goods.planId : `${goods.points}-points`);
    return this.alone(name, async () => (await this.begunBefore(name)) ?? this.buy(name, goods));
  }

  /** Pays an order that waits. */
  payOrder(orderId: string): Promise<Order> {
    return this.alone(orderId, async () => this.conclude(await this.counter.payAgain(orderId), () => {}));
  }

  /** Orders that were begun before the program was closed, and were paid. */
  async resume(): Promise<Order[]> {
    const paid: Order[] = [];
    for (const [name, { orderId }] of this.counter.storage.all<Begun>(NAME)) {
      const order = await this.look(orderId);
      if (order?.status === 'PAID') paid.push(order);
      if (order?.status !== 'PENDING') this.counter.storage.remove(name);
    }
    return paid;
  }

  private alone(name: string, work: () => Promise<Order>): Promise<Order> {
    const known = this.underWay.get(name);
    if (known) return known;
    const begun = work().finally(() => this.underWay.delete(name));
    this.underWay.set(name, begun);
    return begun;
  }

  /** What became of the purchase that was begun and whose end nobody was told, if there is one. */
  private async begunBefore(name: string): Promise<Order | undefined> {
    const begun = this.counter.storage.get<Begun>(name);
    if (!begun) return undefined;
    const forget = (): void => this.counter.storage.remove(name);
    const order = await this.look(begun.orderId);
    if (order?.status === 'PAID') {
      forget();
      return order;
    }
    if (order?.status === 'PENDING') {
      try {
        return await this.conclude(await this.counter.payAgain(begun.orderId), forget);
      } catch (error) {
        // Its time is over.
        if (!(error instanceof DreamError) || !error.is('ORDER_NOT_PAYABLE')) throw error;
      }
    }
    forget();
    return undefined;
  }

  private async buy(name: string, goods: Goods): Promise<Order> {
    const placed = await this.counter.place(goods);
    this.counter.storage.set(name, { orderId: placed.orderId } satisfies Begun);
    return this.conclude(placed, () => this.counter.storage.remove(name));
  }

  private async conclude({ orderId, wxPayParams }: Placed, forget: () => void): Promise<Order> {
    const ending = await this.dialog(wxPayParams, orderId);
    const order = await this.untilFinal(orderId, ending.said === 'ok' ? this.counter.patience : 0);
    if (order === undefined) throw this.trouble('PAYMENT_UNCONFIRMED', {});
    if (order.status !== 'PENDING') forget();
    if (order.status === 'PAID') return order;
    if (order.status !== 'PENDING') throw this.trouble('PAYMENT_FAILED', { order });
    if (ending.said === 'ok') throw this.trouble('PAYMENT_UNCONFIRMED', { order });
    if (ending.said === 'cancel') throw this.trouble('PAYMENT_CANCELLED', { order });
    throw this.trouble('PAYMENT_FAILED', { order, detail: ending.detail });
  }

  private trouble(
    code: 'PAYMENT_FAILED' | 'PAYMENT_UNCONFIRMED' | 'PAYMENT_CANCELLED',
    details: { order?: Order; detail?: string },
  ): DreamError {
    return new DreamError(code, details, this.counter.language);
  }

  private dialog(params: PayParams, orderId: string): Promise<Ending> {
    const { platform, requestPayment } = this.counter;
    const asked = requestPayment
      ? requestPayment(params, orderId)
      : new Promise<void>((resolve, reject) => {
          platform.requestPayment({
            ...params,
            signType: params.signType as 'RSA',
            success: () => resolve(),
            fail: reject,
          });
        });
    return asked.then(
      (): Ending => ({ said: 'ok' }),
      (error: unknown): Ending => {
        const detail = (error as { errMsg?: string } | undefined)?.errMsg ?? String(error);
        return /:fail cancel/.test(detail) ? { said: 'cancel' } : { said: 'fail', detail };
      },
    );
  }

  /** The order once it is final, or as it is when patience is over; nothing if the server could not be reached. */
  private async untilFinal(orderId: string, patience: number): Promise<Order | undefined> {
    const end = Date.now() + patience;
    for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(wait * 1.6, LONGEST_PAUSE_MS)) {
      let order: Order | undefined;
      try {
        order = await this.counter.order(orderId);
      } catch (error) {
        if (!(error instanceof DreamError) || (error.status >= 400 && error.status < 429)) throw error;
      }
      const left = end - Date.now();
      if (left <= 0 || (order && order.status !== 'PENDING')) return order;
      await pause(Math.min(wait, left));
    }
  }

  private async look(orderId: string): Promise<Order | undefined> {
    try {
      return await this.counter.order(orderId);
    } catch (error) {
      if (error instanceof DreamError && error.is('ORDER_NOT_FOUND')) return undefined;
      throw error;
    }
  }
}
