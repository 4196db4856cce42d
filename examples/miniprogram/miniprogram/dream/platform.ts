/** What of `wx` the client uses. `wx` itself is one; tests bring another. */
export interface Platform {
  request(option: WechatMiniprogram.RequestOption): Abortable;
  uploadFile(option: WechatMiniprogram.UploadFileOption): Abortable;
  login(option: WechatMiniprogram.LoginOption): void;
  requestPayment(option: WechatMiniprogram.RequestPaymentOption): void;
  getRandomValues(option: WechatMiniprogram.GetRandomValuesOption): void;
  getStorageSync(key: string): unknown;
  setStorageSync(key: string, data: unknown): void;
  removeStorageSync(key: string): void;
  getStorageInfoSync(): { keys: string[] };
}

/** A request under way. */
export interface Abortable {
  abort(): void;
}

/** Somebody's wish that something ends before it is done. */
export class Stop {
  private listeners: Array<() => void> = [];
  private given = false;

  get stopped(): boolean {
    return this.given;
  }

  stop(): void {
    if (this.given) return;
    this.given = true;
    const listeners = this.listeners;
    this.listeners = [];
    listeners.forEach((listener) => listener());
  }

  /** Calls the listener once, at once if it is too late to wait. The answer takes the listener away again. */
  onStop(listener: () => void): () => void {
    if (this.given) {
      listener();
      return () => {};
    }
    this.listeners.push(listener);
    return () => {
      this.listeners = this.listeners.filter((other) => other !== listener);
    };
  }
}

/** Waits so many milliseconds, or until it is stopped. */
export function pause(ms: number, stop?: Stop): Promise<void> {
  return new Promise((resolve) => {
    let forget: (() => void) | undefined;
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      forget?.();
      resolve();
    }
    forget = stop?.onStop(done);
  });
}
